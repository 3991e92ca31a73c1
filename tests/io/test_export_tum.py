"""The camera's path reads back as the poses, in TUM's order and direction."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from export_world import project
from scipy.spatial.transform import Rotation

from worldline.scene import Cameras, Scene


def test_poses_read_back(world: Scene, tmp_path: Path) -> None:
    rows = np.loadtxt(world.export(tmp_path / "path.txt"), ndmin=2)
    assert np.allclose(rows[:, 0], world.times, rtol=0, atol=1e-9)
    read = np.tile(np.eye(4), (len(rows), 1, 1))
    read[:, :3, 3] = rows[:, 1:4]
    read[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()  # x, y, z, w
    assert np.abs(read - world.cameras.world_from_camera).max() < 1e-8


def test_its_poses_see_a_known_point_at_its_pixel(world: Scene, tmp_path: Path) -> None:
    """Protects the direction (world_from_camera) and the axes, as TUM's tools move points: by
    the quaternion (x, y, z, w), then the translation."""
    rows = np.loadtxt(world.export(tmp_path / "path.txt"))
    pixel = np.array([30.5, 6.5])
    for i, row in enumerate(rows):
        x, y = (pixel - world.cameras.intrinsics[i, :2, 2]) / np.diag(world.cameras.intrinsics[i])[
            :2
        ]
        local = world.depth[i, 6, 30] * np.array([x, y, 1.0])
        point = Rotation.from_quat(row[4:]).apply(local) + row[1:4]
        assert np.abs(point - world.pointmap(i)[6, 30]).max() < 1e-5
        assert np.abs(project(world, i, point) - pixel).max() < 1e-5


def test_interpolated_poses_are_left_out(world: Scene, tmp_path: Path) -> None:
    c, solved = world.cameras, np.array([True, True, False, True])
    cameras = Cameras(c.world_from_camera, c.intrinsics, solved, c.focal_sigma)
    written = replace(world, cameras=cameras).export(tmp_path / "path.txt")
    assert np.allclose(np.loadtxt(written)[:, 0], world.times[solved])
    assert written.read_text().splitlines()[0].endswith("1 of 4 frames are left out: interpolated")
