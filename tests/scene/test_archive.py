"""A scene exported to an archive is a scene again."""

from pathlib import Path

import numpy as np
import pytest

from worldline.errors import InputError, StorageError
from worldline.io.exports.npz import write_npz
from worldline.scene import Scene, load_scene


def test_an_archive_is_a_scene_again(scene: Scene, tmp_path: Path) -> None:
    scene.export(tmp_path / "scene.npz")
    read = load_scene(tmp_path / "scene.npz")
    for name in ("frames", "times", "depth", "confidence", "dynamic"):
        assert np.array_equal(getattr(read, name), getattr(scene, name), equal_nan=True)
    assert np.array_equal(read.cameras.world_from_camera, scene.cameras.world_from_camera)
    assert np.array_equal(read.cameras.focal_sigma, scene.cameras.focal_sigma, equal_nan=True)
    assert np.array_equal(read.pointmap(0, at=2), scene.pointmap(0, at=2), equal_nan=True)
    assert (read.original_size, read.provenance) == (scene.original_size, scene.provenance)


def test_what_is_no_archive_of_a_scene_is_told(scene: Scene, tmp_path: Path) -> None:
    write_npz(scene, tmp_path / "small.npz", frames=False)
    with pytest.raises(InputError, match="no scene with its frames"):
        load_scene(tmp_path / "small.npz")
    with pytest.raises(InputError, match="no such file"):
        load_scene(tmp_path / "none.npz")
    scene.export(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match="is damaged"):
        load_scene(tmp_path / "cut.npz")
