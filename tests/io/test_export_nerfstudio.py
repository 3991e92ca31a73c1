"""A nerfstudio data set holds the scene, in nerfstudio's conventions."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export_world import ORIGINAL, WALL_Z, make_world
from PIL import Image
from plyfile import PlyData

from worldline.scene import Scene


def rays(transforms: dict, frame: dict, column: int, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Origin and direction (z-depth 1) of a pixel's ray, as nerfstudio's Cameras makes them."""
    lens = transforms | frame
    x, y = column + 0.5, row + 0.5  # its get_image_coords(pixel_offset=0.5)
    direction = [(x - lens["cx"]) / lens["fl_x"], -(y - lens["cy"]) / lens["fl_y"], -1.0]
    pose = np.array(frame["transform_matrix"])
    return pose[:3, 3], pose[:3, :3] @ direction


@pytest.mark.parametrize("zooms", [False, True])
def test_depth_along_its_rays_gives_the_scenes_points(tmp_path: Path, zooms: bool) -> None:
    """Axes, half pixels, intrinsics, depth unit and frame order at once."""
    scene = make_world(zooms=zooms)
    folder = scene.export(tmp_path / "n", to="nerfstudio")
    transforms = json.loads((folder / "transforms.json").read_text())
    unit = transforms["depth_unit_scale_factor"]
    assert ("fl_x" in transforms) != zooms
    assert (transforms["w"], transforms["h"]) == scene.size != ORIGINAL
    assert len(transforms["frames"]) == len(scene)
    for i, frame in enumerate(transforms["frames"]):
        steps = np.array(Image.open(folder / frame["depth_file_path"]))
        assert steps.dtype == np.uint16
        points = scene.pointmap(i)
        for column, row in ((20, 11), (39, 0), (2, 23)):
            origin, direction = rays(transforms, frame, column, row)
            point = origin + steps[row, column] * unit * direction
            assert np.abs(point - points[row, column]).max() < 1e-4
        assert ((steps == 0) == np.isnan(scene.depth[i])).all()


def test_cameras_to_the_last_digits(world: Scene, tmp_path: Path) -> None:
    folder = world.export(tmp_path / "n", to="nerfstudio")
    transforms = json.loads((folder / "transforms.json").read_text())
    poses = np.array([frame["transform_matrix"] for frame in transforms["frames"]])
    poses[:, :, 1:3] *= -1  # OpenGL to OpenCV: y and z point the other way
    assert np.allclose(poses, world.cameras.world_from_camera, rtol=0, atol=1e-12)
    k = world.cameras.intrinsics[0]
    lens = [transforms[name] for name in ("fl_x", "fl_y", "cx", "cy")]
    assert lens == [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]


def test_pictures_masks_and_points(world: Scene, tmp_path: Path) -> None:
    folder = world.export(tmp_path / "n", to="nerfstudio", max_points=100)
    transforms = json.loads((folder / "transforms.json").read_text())
    for i, frame in enumerate(transforms["frames"]):
        assert np.array_equal(Image.open(folder / frame["file_path"]), world.frames[i])
        mask = np.array(Image.open(folder / frame["mask_path"]))
        assert np.array_equal(mask == 0, world.dynamic[i] > 0.5)
    vertices = PlyData.read(folder / transforms["ply_file_path"])["vertex"]
    assert len(vertices) == 100
    assert np.allclose(vertices["z"], WALL_Z, atol=1e-4)  # the same world, nothing that moves


def test_one_frame_without_depth_has_no_points(tmp_path: Path) -> None:
    scene = make_world(1)
    scene = replace(scene, depth=np.full_like(scene.depth, np.nan))
    folder = scene.export(tmp_path / "n", to="nerfstudio")
    transforms = json.loads((folder / "transforms.json").read_text())
    assert "ply_file_path" not in transforms
    assert not np.array(Image.open(folder / transforms["frames"][0]["depth_file_path"])).any()
