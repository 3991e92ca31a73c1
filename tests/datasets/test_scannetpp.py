"""ScanNet++'s scenes, as its toolkit undistorts and renders them, give the scene they are of."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from wall_and_box import WALL, Truth, check_cameras, truth, unprojected

from worldline.datasets import scannetpp
from worldline.errors import InputError

BENDS = np.array([0.05, -0.02, 0.01, -0.003])
FISHEYE = np.array([[38.0, 0, 23.4], [0, 38.5, 16.3], [0, 0, 1]])
NAMES = ("DSC0001", "DSC0002", "DSC0003")


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


def fisheye_depth(scene: Truth, k: int) -> np.ndarray:
    """z-depth of the wall along the fisheye's own rays, in closed form."""
    y, x = np.mgrid[:32, :48] + 0.5
    pixels = np.stack([x, y], -1).reshape(1, -1, 2)
    xy = cv2.fisheye.undistortPoints(pixels, FISHEYE, BENDS).reshape(32, 48, 2)
    rays = np.concatenate([xy, np.ones((32, 48, 1))], -1)
    pose = scene.world_from_camera[k]
    return (WALL - pose[2, 3]) / (rays @ pose[:3, :3].T)[..., 2]


@pytest.fixture
def root(tmp_path: Path, scene: Truth) -> Path:
    home = tmp_path / "data" / "0a5c013435" / "dslr"
    for folder in ("nerfstudio", "resized_undistorted_images", "render_depth"):
        (home / folder).mkdir(parents=True)
    frames = []
    for k in (1, 0, 2):
        pose = scene.world_from_camera[k] @ np.diag([1.0, -1.0, -1.0, 1.0])
        note = {"file_path": f"{NAMES[k]}.JPG", "is_bad": False}
        frames.append({**note, "transform_matrix": pose.tolist()})
        picture = Image.fromarray(scene.frames[k])
        picture.save(home / "resized_undistorted_images" / f"{NAMES[k]}.JPG", quality=95)
        if k < 2:
            levels = np.round(fisheye_depth(scene, k) * 1000).astype(np.uint16)
            cv2.imwrite(str(home / "render_depth" / f"{NAMES[k]}.png"), levels)
    frames.append({**frames[0], "file_path": "DSC0009.JPG", "is_bad": True})
    for name, K, bends, model in (
        ("transforms", FISHEYE, BENDS, "OPENCV_FISHEYE"),
        ("transforms_undistorted", scene.K, np.zeros(4), "PINHOLE"),
    ):
        lens = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": 48, "h": 32}
        lens |= {f"k{i + 1}": bend for i, bend in enumerate(bends)}
        content = {**lens, "camera_model": model, "frames": frames}
        (home / "nerfstudio" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path / "data"


def test_cameras_are_the_scenes_and_bad_frames_are_left_out(root: Path, scene: Truth) -> None:
    assert scannetpp.names(root) == ["0a5c013435"]
    clip = scannetpp.read(root, "0a5c013435")
    check_cameras(clip, scene)
    assert clip.frame_names == NAMES and clip.metric and clip.times is None
    assert scannetpp.problems(root) == []


def test_depth_of_the_fisheye_lies_on_the_wall_for_the_pinhole(root: Path) -> None:
    clip = scannetpp.read(root, "0a5c013435")
    world = unprojected(clip)
    known = np.isfinite(clip.depth)
    assert known[:2].mean() > 0.9 and not known[2].any()
    # the nearest pixel's depth is of a ray up to half a pixel away: 2 % of the slope, at most
    off = np.abs(world[known][:, 2] - WALL)
    assert off.max() < 0.01 and off.mean() < 0.003


def test_depth_is_moved_without_a_half_pixel_of_bias(root: Path, scene: Truth) -> None:
    """Depth that tells of its own ray comes to lie, on average, where that ray is."""
    y, x = np.mgrid[:32, :48] + 0.5
    pixels = np.stack([x, y], -1).reshape(1, -1, 2)
    rays = cv2.fisheye.undistortPoints(pixels, FISHEYE, BENDS).reshape(32, 48, 2)
    for axis in (0, 1):
        levels = np.round((5 + rays[..., axis]) * 1000).astype(np.uint16)
        cv2.imwrite(str(root / "0a5c013435/dslr/render_depth/DSC0001.png"), levels)
        depth = scannetpp.read(root, "0a5c013435", frames=[0]).depth
        assert depth is not None
        wanted = (np.stack([x, y], -1)[..., axis] - scene.K[axis, 2]) / scene.K[axis, axis]
        off = (depth[0] - 5 - wanted)[4:-4, 4:-4] * scene.K[axis, axis]  # pixels
        assert abs(np.nanmean(off)) < 0.1 and np.nanmax(np.abs(off)) < 0.75


def test_a_scene_without_depth_has_none(root: Path) -> None:
    for file in (root / "0a5c013435/dslr/render_depth").iterdir():
        file.unlink()
    (root / "0a5c013435/dslr/render_depth").rmdir()
    assert scannetpp.read(root, "0a5c013435").depth is None


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    home = root / "0a5c013435/dslr"
    (home / "resized_undistorted_images/DSC0002.JPG").unlink()
    line = f"{home}/resized_undistorted_images/DSC0002.JPG: is missing"
    assert scannetpp.problems(root) == [line]
    with pytest.raises(InputError, match=r"DSC0002\.JPG: is missing"):
        scannetpp.read(root, "0a5c013435")
    with pytest.raises(InputError, match=r"holds no clip; looked for .* of ScanNet"):
        scannetpp.names(home)
