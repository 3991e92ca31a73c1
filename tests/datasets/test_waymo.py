"""Waymo's segments, as CUT3R's preprocessing writes them, give the scene they were made of."""

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image
from wall_and_box import Truth, check_cameras, check_depth, truth

from worldline.datasets import waymo
from worldline.errors import InputError

SEGMENT = "segment-1005081002024129653.tfrecord"


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


@pytest.fixture
def root(tmp_path: Path, scene: Truth) -> Path:
    home = tmp_path / SEGMENT
    home.mkdir()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    for k in range(3):
        for camera in "14":
            stem = f"{k:05d}_{camera}"
            Image.fromarray(scene.frames[k]).save(home / f"{stem}.jpg", quality=95)
            depth = scene.depth[k].astype(np.float32)
            depth[3, 4] = 0
            OpenEXR.File(header, {"Y": depth}).write(str(home / f"{stem}.exr"))
            K = scene.K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
            pose = scene.world_from_camera[k]
            np.savez(home / f"{stem}.npz", intrinsics=K, cam2world=pose, distortion=np.zeros(5))
    return tmp_path


def test_a_camera_of_a_segment_is_the_scene(root: Path, scene: Truth) -> None:
    assert waymo.names(root) == [f"{SEGMENT}/1", f"{SEGMENT}/4"]
    clip = waymo.read(root, f"{SEGMENT}/4")
    check_cameras(clip, scene)
    check_depth(clip, scene, atol=1e-5)
    assert clip.depth is not None and np.isnan(clip.depth[:, 3, 4]).all()  # no LiDAR there
    assert clip.frame_names == ("00000_4", "00001_4", "00002_4") and clip.metric
    np.testing.assert_allclose(clip.times, [0, 0.1, 0.2])
    assert waymo.problems(root) == []


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="has no frames"):
        waymo.read(root, f"{SEGMENT}/3")
    (root / SEGMENT / "00001_1.exr").unlink()
    assert waymo.problems(root) == [f"{root}/{SEGMENT}/00001_1.exr: is missing"]
    with pytest.raises(InputError, match=r"00001_1\.exr: is missing"):
        waymo.read(root, f"{SEGMENT}/1")
    np.savez(root / SEGMENT / "00002_1.npz", intrinsics=np.eye(3))
    with pytest.raises(InputError, match=r"00002_1\.npz: lacks cam2world; download it again"):
        waymo.read(root, f"{SEGMENT}/1", frames=[2])


def test_no_data_at_all_is_a_problem_in_one_line(tmp_path: Path) -> None:
    (line,) = waymo.problems(tmp_path)
    assert "holds no clip; looked for" in line and "of Waymo" in line
    (line,) = waymo.problems(tmp_path / "nowhere")
    assert "is no folder" in line
