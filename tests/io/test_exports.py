"""What is exported reads back as what it was."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from export_world import ORIGINAL, H, W, make_world, project
from plyfile import PlyData

from worldline.errors import InputError, StorageError
from worldline.io.exports import FORMATS
from worldline.io.exports.npz import write_npz
from worldline.io.exports.ply import write_ply
from worldline.scene import Cameras, PointCloud, Scene, StillField

N, ROWS, COLUMNS = 3, 4, 6


@pytest.fixture
def scene() -> Scene:
    rng = np.random.default_rng(0)
    k = np.array([[5.0, 0.0, 3.0], [0.0, 5.0, 2.0], [0.0, 0.0, 1.0]])
    return Scene(
        frames=rng.integers(0, 256, (N, ROWS, COLUMNS, 3), dtype=np.uint8),
        times=np.arange(N) / 25,
        cameras=Cameras(
            np.tile(np.eye(4), (N, 1, 1)), np.tile(k, (N, 1, 1)), np.ones(N, bool), np.full(N, 0.5)
        ),
        depth=rng.uniform(1, 2, (N, ROWS, COLUMNS)).astype(np.float32),
        confidence=rng.uniform(0, 1, (N, ROWS, COLUMNS)).astype(np.float32),
        dynamic=rng.uniform(0, 1, (N, ROWS, COLUMNS)).astype(np.float32),
        motion=StillField(ROWS, COLUMNS),
        original_size=(60, 40),
    )


def vertices(path: Path) -> np.ndarray:
    """The points of a PLY as plyfile reads them."""
    return PlyData.read(path)["vertex"].data


def test_ply_holds_the_cloud(scene: Scene, tmp_path: Path) -> None:
    """To the last bit, for both readers."""
    cloud = scene.complete(at=1, max_points=20)
    write_ply(cloud, tmp_path / "cloud.ply")
    read = vertices(tmp_path / "cloud.ply")
    loaded = trimesh.load(tmp_path / "cloud.ply")
    assert np.array_equal(loaded.vertices, cloud.xyz)
    assert np.array_equal(loaded.colors[:, :3], cloud.rgb)
    assert np.array_equal(np.stack([read[name] for name in "xyz"], axis=-1), cloud.xyz)
    colours = np.stack([read[name] for name in ("red", "green", "blue")], axis=-1)
    assert np.array_equal(colours, cloud.rgb)
    assert np.array_equal(read["confidence"], cloud.confidence)
    assert np.array_equal(read["dynamic"], cloud.dynamic)
    assert np.array_equal(read["frame"], cloud.source_frame)
    write_ply(cloud[:0], tmp_path / "cloud.ply")  # replaces the file
    assert len(vertices(tmp_path / "cloud.ply")) == 0
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


def test_ply_points_project_to_the_pixels_that_they_come_from(tmp_path: Path) -> None:
    """Protects the axes and the half pixel: gathered at a frame's time, its own points lie at its
    pixels' centres and have their colours."""
    world = make_world()
    read = vertices(world.export(tmp_path / "a.ply", at=2, max_points=None))
    own = read[read["frame"] == 2]
    uv = project(world, 2, np.stack([own[name] for name in "xyz"], axis=-1).astype(np.float64))
    row, column = np.nonzero(np.isfinite(world.depth[2]))
    assert len(own) == len(row)
    assert np.abs(uv - np.stack([column, row], axis=-1) - 0.5).max() < 1e-3
    colours = np.stack([own[name] for name in ("red", "green", "blue")], axis=-1)
    assert np.array_equal(colours, world.frames[2, row, column])


def test_npz_cameras_see_known_points_at_their_pixels_of_the_input(tmp_path: Path) -> None:
    """Protects the pose's direction, and intrinsics and half pixels of the input's own size."""
    world = make_world(zooms=True)
    scale = np.divide(ORIGINAL, (W, H))
    pixels = np.array([[0.5, 23.5], [20.5, 11.5], [39.5, 8.5]])
    with np.load(world.export(tmp_path / "a.npz")) as read:
        for i in range(len(world)):
            points = world.pointmap(i, pixels=pixels).astype(np.float64)
            pose = np.linalg.inv(read["world_from_camera"][i])
            ray = (points @ pose[:3, :3].T + pose[:3, 3]) @ read["intrinsics"][i].T
            assert np.abs(ray[:, :2] / ray[:, 2:] - pixels * scale).max() < 1e-3
            working = np.diag([*1 / scale, 1.0]) @ read["intrinsics"][i]
            assert np.allclose(working, read["intrinsics_working"][i], rtol=0, atol=1e-12)


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
    assert np.array_equal(vertices(written)["x"], cloud.xyz[:, 0])
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        scene.export(written)
    scene.export(written, min_confidence=0.5, overwrite=True)
    assert (vertices(written)["confidence"] >= 0.5).all()


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
