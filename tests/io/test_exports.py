"""What is exported reads back as what it was."""

import sys
from pathlib import Path

import numpy as np
import pytest

from worldline.errors import InputError, StorageError
from worldline.io.exports import FORMATS
from worldline.io.exports.npz import write_npz
from worldline.io.exports.ply import write_ply
from worldline.scene import Cameras, PointCloud, Scene, StillField

N, H, W = 3, 4, 6
TYPES = {"float": "<f4", "uchar": "u1", "int": "<i4"}


@pytest.fixture
def scene() -> Scene:
    rng = np.random.default_rng(0)
    k = np.array([[5.0, 0.0, 3.0], [0.0, 5.0, 2.0], [0.0, 0.0, 1.0]])
    return Scene(
        frames=rng.integers(0, 256, (N, H, W, 3), dtype=np.uint8),
        times=np.arange(N) / 25,
        cameras=Cameras(
            np.tile(np.eye(4), (N, 1, 1)), np.tile(k, (N, 1, 1)), np.ones(N, bool), np.full(N, 0.5)
        ),
        depth=rng.uniform(1, 2, (N, H, W)).astype(np.float32),
        confidence=rng.uniform(0, 1, (N, H, W)).astype(np.float32),
        dynamic=rng.uniform(0, 1, (N, H, W)).astype(np.float32),
        motion=StillField(H, W),
        original_size=(60, 40),
    )


def read_by_hand(path: Path) -> np.ndarray:
    """The vertices of a binary PLY, by nothing but the format's definition."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex"))
    fields = [line.split()[1:] for line in lines if line.startswith("property")]
    vertex = np.dtype([(name, TYPES[kind]) for kind, name in fields])
    assert len(body) == count * vertex.itemsize
    return np.frombuffer(body, vertex)


def test_ply_holds_the_cloud(scene: Scene, tmp_path: Path) -> None:
    cloud = scene.complete(at=1, max_points=20)
    write_ply(cloud, tmp_path / "cloud.ply")
    read = read_by_hand(tmp_path / "cloud.ply")
    assert np.array_equal(np.stack([read[name] for name in "xyz"], axis=-1), cloud.xyz)
    colours = np.stack([read[name] for name in ("red", "green", "blue")], axis=-1)
    assert np.array_equal(colours, cloud.rgb)
    assert np.array_equal(read["confidence"], cloud.confidence)
    assert np.array_equal(read["dynamic"], cloud.dynamic)
    assert np.array_equal(read["frame"], cloud.source_frame)
    write_ply(cloud[:0], tmp_path / "cloud.ply")  # replaces the file
    assert len(read_by_hand(tmp_path / "cloud.ply")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.ply"]


def test_npz_holds_the_scene_in_input_pixels(scene: Scene, tmp_path: Path) -> None:
    write_npz(scene, tmp_path / "scene.npz")
    with np.load(tmp_path / "scene.npz") as read:
        for name in ("frames", "times", "depth", "confidence", "dynamic"):
            assert np.array_equal(read[name], getattr(scene, name))
        for name in ("world_from_camera", "registered"):
            assert np.array_equal(read[name], getattr(scene.cameras, name))
        assert read["intrinsics"][0].tolist() == [[50, 0, 30], [0, 50, 20], [0, 0, 1]]
        assert np.array_equal(read["intrinsics_working"], scene.cameras.intrinsics)
        assert read["focal_sigma"].tolist() == [5.0] * N
        assert read["original_size"].tolist() == [60, 40]
        assert "OpenCV" in str(read["conventions"])
    write_npz(scene, tmp_path / "small", frames=False)  # the name is kept as it was given
    with np.load(tmp_path / "small") as read:
        assert "frames" not in read


def test_a_refusing_disk_leaves_what_was_there(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    cloud: PointCloud = scene.complete(0)
    for write, what in ((write_ply, cloud), (write_npz, scene)):
        with pytest.raises(StorageError, match="nothing was written"):
            write(what, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_scene_exports_itself_by_the_ending_of_a_path(scene: Scene, tmp_path: Path) -> None:
    written = scene.export(tmp_path / "at1.ply", at=1, max_points=20)
    cloud = scene.complete(at=1, max_points=20)
    assert np.array_equal(read_by_hand(written)["x"], cloud.xyz[:, 0])
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        scene.export(written)
    scene.export(written, min_confidence=0.5, overwrite=True)
    assert (read_by_hand(written)["confidence"] >= 0.5).all()


@pytest.mark.parametrize(
    ("path", "more", "message"),
    [
        ("cloud.abc", {}, "does not tell its format; say which: .*ply"),
        ("cloud", {"to": "abc"}, "there is no format 'abc'; there is: .*ply"),
        ("cloud.ply", {"when": 3}, "no choice 'when'; there is: at"),
    ],
)
def test_what_cannot_be_exported_is_told(
    scene: Scene, tmp_path: Path, path: str, more: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        scene.export(tmp_path / path, **more)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "library"), [("usd", "pxr"), ("rrd", "rerun")])
def test_a_missing_library_is_told_with_its_remedy(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    form = FORMATS[name]
    monkeypatch.delitem(sys.modules, form.loader.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"{library} is needed: .*worldline\[{form.extra}\]"):
        scene.export(tmp_path / f"a{form.ending}")
