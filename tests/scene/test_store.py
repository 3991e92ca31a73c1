"""A scene on disk is whole or absent, and comes back as it was."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from scene_world import make_scene

from worldline.errors import InputError, StorageError, WorldlineError
from worldline.scene import Scene, StillField, load_scene
from worldline.scene import store as store_module
from worldline.scene.store import atomic_directory, atomic_file, map_safetensors, write_arrays

ARRAYS = {
    "flags": np.array([True, False, True]),
    "bytes": np.arange(7, dtype=np.uint8),
    "ints": np.arange(6, dtype=np.int32).reshape(2, 3),
    "longs": np.arange(3, dtype=np.int64),
    "halves": np.linspace(0, 1, 5, dtype=np.float16),
    "floats": np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::2],  # not contiguous
    "doubles": np.array(3.25),
    "nothing": np.empty((0, 4), np.float32),
}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def test_arrays_are_what_safetensors_reads_and_writes(tmp_path: Path) -> None:
    write_arrays(tmp_path / "ours", ARRAYS)
    assert same(safetensors.numpy.load_file(tmp_path / "ours"), ARRAYS)
    contiguous = {name: np.array(array, order="C") for name, array in ARRAYS.items()}
    safetensors.numpy.save_file(contiguous, tmp_path / "theirs", metadata={"by": "safetensors"})
    assert same(map_safetensors(tmp_path / "theirs"), ARRAYS)
    write_arrays(tmp_path / "none", {})
    assert map_safetensors(tmp_path / "none") == {}


def test_arrays_are_mapped_and_not_read(tmp_path: Path) -> None:
    write_arrays(tmp_path / "file", ARRAYS)
    for array in map_safetensors(tmp_path / "file").values():
        assert isinstance(array, np.memmap) or array.size == 0
        assert not array.flags.writeable
        assert array.flags.aligned


def test_unknown_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="complex128"):
        write_arrays(tmp_path / "file", {"z": np.zeros(2, complex)})


def test_a_scene_comes_back_as_it_was(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene")
    again = load_scene(tmp_path / "scene")
    for name in ("frames", "times", "depth", "confidence", "dynamic"):
        one, other = getattr(scene, name), getattr(again, name)
        assert isinstance(other, np.memmap)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    for name in ("world_from_camera", "intrinsics", "registered", "focal_sigma"):
        one, other = getattr(scene.cameras, name), getattr(again.cameras, name)
        assert np.array_equal(one, other, equal_nan=one.dtype != bool)
    for name in ("original_size", "metric", "provenance"):
        assert getattr(scene, name) == getattr(again, name)
    assert again.cameras.motion == "free"
    assert again.cameras.distortion is None
    one, other = scene.query(0, [1, 0.3]), again.query(0, [1, 0.3])
    assert np.array_equal(one.displacement, other.displacement)
    assert np.array_equal(one.visible, other.visible)
    assert np.array_equal(scene.render(1).image, again.render(1).image)
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_what_field_and_scene_share_is_stored_once(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path / "scene")
    assert map_safetensors(tmp_path / "scene" / "motion.safetensors").keys() == {
        "uv",
        "xyz",
        "visible",
    }
    again = load_scene(tmp_path / "scene")
    assert again.motion.dynamic is again.dynamic


def test_details_survive(scene: Scene, tmp_path: Path) -> None:
    cameras = replace(scene.cameras, motion="rotation", distortion=(0.1, -0.02, 0.0, 0.0, 0.0))
    height, width = scene.depth.shape[1:]
    provenance = {"seconds": np.float64(1.5), "from": Path("clip.mp4"), "名": [1, None]}
    replace(
        scene,
        cameras=cameras,
        motion=StillField(height, width),
        metric=True,
        provenance=provenance,
    ).save(tmp_path / "a" / "scene")
    again = load_scene(tmp_path / "a" / "scene")
    assert again.cameras.motion == "rotation"
    assert again.cameras.distortion == (0.1, -0.02, 0.0, 0.0, 0.0)
    assert again.metric
    assert again.provenance == {"seconds": 1.5, "from": "clip.mp4", "名": [1, None]}
    assert (again.displacement(0, at=1) == 0).all()


def test_provenance_must_be_plain(scene: Scene, tmp_path: Path) -> None:
    for value in (object(), float("nan")):
        with pytest.raises(InputError, match="plain JSON"):
            replace(scene, provenance={"x": value}).save(tmp_path / "scene")
    assert not list(tmp_path.iterdir())


def test_only_scenes_are_overwritten_and_only_when_asked(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "scene"
    scene.save(path)
    with pytest.raises(InputError, match="exists already"):
        scene.save(path)
    replace(scene, metric=True).save(path, overwrite=True)
    loaded = load_scene(path)
    assert loaded.metric
    replace(loaded, metric=False).save(path, overwrite=True)  # onto the files it is mapped from
    assert np.array_equal(load_scene(path).depth, scene.depth)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene"]
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "one.jpg").touch()
    with pytest.raises(InputError, match=r"no scene\.json"):
        scene.save(photos, overwrite=True)
    assert (photos / "one.jpg").exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError, OSError(errno.EIO, "I/O error")])
def test_an_end_in_the_middle_leaves_what_was_there(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    path = tmp_path / "scene"
    scene.save(path)

    def stop(*_: object) -> None:
        raise end

    monkeypatch.setattr("worldline.scene.scene_files.write_json", stop)
    expected = StorageError if isinstance(end, OSError) else end
    for target in (path, tmp_path / "new"):
        with pytest.raises(expected):
            replace(scene, metric=True).save(target, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene"]
    assert not load_scene(path).metric


def test_a_failing_rename_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stage"
    with atomic_directory(path, marker="done") as partial:
        (partial / "done").write_text("old")
    rename = Path.rename

    def refuse_partial(self: Path, target: Path) -> Path:
        if "partial" in self.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_partial)
    with (
        pytest.raises(StorageError, match="Permission denied"),
        atomic_directory(path, overwrite=True, marker="done") as partial,
    ):
        (partial / "done").write_text("new")
    assert (path / "done").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["stage"]


SAVE_LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from scene_world import make_scene
from worldline.errors import StorageError
scene = make_scene()
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    scene.save(sys.argv[2])
except StorageError as error:
    sys.exit(str(error))
"""


def test_a_file_size_limit_is_explained_and_leaves_nothing(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    script = [sys.executable, "-c", SAVE_LIMITED, here, str(tmp_path / "scene")]
    ended = subprocess.run(script, capture_output=True, text=True, check=False)
    assert "nothing was written" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_explained_and_leaves_nothing(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(StorageError, match=r"MB needed, .* MB free; nothing was written"),
        atomic_directory(tmp_path / "big", needed=10**18),
    ):
        raise AssertionError("it was plain beforehand that this cannot fit")
    monkeypatch.setattr(store_module, "flush", full)
    with pytest.raises(StorageError, match="disk is full"):
        scene.save(tmp_path / "scene")
    (tmp_path / "file").write_text("old")
    with pytest.raises(StorageError, match="disk is full"), atomic_file(tmp_path / "file") as path:
        path.write_text("new")
    assert (tmp_path / "file").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def damage_truncate(path: Path) -> None:
    file = path / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def damage_header(path: Path) -> None:
    file = path / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:8] + b"\x00" * 5000)


def damage_length(path: Path) -> None:
    (path / "motion.safetensors").write_bytes(b"\xff" * 50)


def damage_empty(path: Path) -> None:
    (path / "motion.safetensors").write_bytes(b"")


def damage_remove(path: Path) -> None:
    (path / "motion.safetensors").unlink()


def damage_swap(path: Path) -> None:
    write_arrays(path / "arrays.safetensors", {"depth": np.zeros(3, np.float32)})


def damage_json(path: Path) -> None:
    (path / "scene.json").write_text("{")


def edit(path: Path, **changes: object) -> None:
    meta = json.loads((path / "scene.json").read_text())
    (path / "scene.json").write_text(json.dumps(meta | changes))


def damage_meta(path: Path) -> None:
    edit(path, cameras={})


def damage_not_ours(path: Path) -> None:
    edit(path, format="other")


def damage_newer(path: Path) -> None:
    edit(path, version=99)


def damage_no_json(path: Path) -> None:
    (path / "scene.json").unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (damage_truncate, StorageError, "damaged"),
        (damage_header, StorageError, "damaged"),
        (damage_length, StorageError, "damaged"),
        (damage_empty, StorageError, "damaged"),
        (damage_remove, StorageError, "cannot be read"),
        (damage_swap, StorageError, "does not belong"),
        (damage_json, StorageError, "cannot be read"),
        (damage_meta, StorageError, "damaged"),
        (damage_not_ours, InputError, "not a Worldline scene"),
        (damage_newer, InputError, "update"),
        (damage_no_json, InputError, r"no scene\.json"),
    ],
)
def test_damage_is_reported_in_one_line(
    tmp_path: Path, damage: object, kind: type[WorldlineError], words: str
) -> None:
    path = tmp_path / "scene"
    make_scene().save(path)
    damage(path)
    with pytest.raises(kind, match=words) as caught:
        load_scene(path)
    assert "\n" not in str(caught.value)


def test_a_missing_scene_names_what_an_interrupted_overwrite_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such directory$"):
        load_scene(tmp_path / "nowhere" / "scene")
    (tmp_path / ".scene.old-12").mkdir()
    with pytest.raises(InputError, match="earlier one"):
        load_scene(tmp_path / "scene")


def test_all_that_lies_in_a_directory_is_flushed_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers of pictures and of other libraries' files do not flush on their own."""
    flushed = []
    monkeypatch.setattr(
        store_module, "_flush_path", lambda path: flushed.append((path.name, path.exists()))
    )
    with atomic_directory(tmp_path / "out") as folder:
        (folder / "images").mkdir()
        (folder / "images" / "0.png").write_bytes(b"0")
    assert {("images", True), ("0.png", True)} <= set(flushed)
