"""A COLMAP project holds the scene's cameras and sure static points, in COLMAP's conventions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from export_world import WALL_Z, make_world
from PIL import Image

from worldline.errors import InputError
from worldline.scene import Cameras, Scene


def test_cameras_and_points_project_as_the_scene_does(tmp_path: Path) -> None:
    """Half pixels, axes and each frame's own focal length (a zoom) survive."""
    scene = make_world(zooms=True)
    model = pycolmap.Reconstruction(scene.export(tmp_path / "c", to="colmap") / "sparse" / "0")
    assert len(model.cameras) == len(model.images) == len(model.rigs) == len(scene)
    pixels = np.array([[20.5, 11.5], [0.5, 23.5], [39.5, 8.5]])
    for i in range(len(scene)):
        image = model.find_image_with_name(f"{i:06d}.png")
        assert image.camera.model == pycolmap.CameraModelId.PINHOLE
        assert (image.camera.width, image.camera.height) == scene.size
        lens = image.camera.calibration_matrix()
        assert np.allclose(lens, scene.cameras.intrinsics[i], rtol=0, atol=1e-5)
        points = scene.pointmap(i, pixels=pixels).astype(np.float64)
        pose = image.cam_from_world().matrix()
        assert np.allclose(pose, scene.cameras.camera_from_world[i, :3], rtol=0, atol=1e-5)
        projected = [image.project_point(point) for point in points]
        assert np.allclose(projected, pixels, atol=1e-4)


def test_points_are_static_measured_and_tracked(world: Scene, tmp_path: Path) -> None:
    model = pycolmap.Reconstruction(world.export(tmp_path / "c", to="colmap") / "sparse" / "0")
    assert len(model.cameras) == 1  # all frames have the same lens
    assert model.is_valid()
    assert len(model.points3D) > 1000
    for point in model.points3D.values():
        assert abs(point.xyz[2] - WALL_Z) < 1e-4
        assert point.track.length() >= 2
        assert point.error < 1e-4
    home = set()  # points that have the colour of a measured pixel that they project to
    for image in model.images.values():
        i = image.image_id - 1
        assert image.num_points3D == image.num_points2D()
        column, row = np.array([p.xy for p in image.points2D]).astype(int).T
        assert (world.dynamic[i, row, column] == 0).all()
        ids = np.array([p.point3D_id for p in image.points2D])
        colours = np.array([model.points3D[k].color for k in ids])
        same = (colours == world.frames[i, row, column]).all(axis=1)
        home |= set(ids[same & (world.confidence[i, row, column] > 0)].tolist())
    assert home == set(model.points3D)


def test_pictures_are_the_frames_and_masks_blacken_what_moves(world: Scene, tmp_path: Path) -> None:
    folder = world.export(tmp_path / "c", to="colmap")
    for i in range(len(world)):
        assert np.array_equal(Image.open(folder / "images" / f"{i:06d}.png"), world.frames[i])
        mask = np.array(Image.open(folder / "masks" / f"{i:06d}.png.png"))
        assert np.array_equal(mask == 0, world.dynamic[i] > 0.5)
        assert set(np.unique(mask)) == {0, 255}


def test_long_tracks_are_thinned_evenly(tmp_path: Path) -> None:
    scene = make_world(40)
    still = Cameras(
        np.tile(np.eye(4), (40, 1, 1)),
        scene.cameras.intrinsics,
        scene.cameras.registered,
        scene.cameras.focal_sigma,
    )
    scene = replace(
        scene,
        cameras=still,
        depth=np.full_like(scene.depth, 3),
        dynamic=np.zeros_like(scene.dynamic),
    )
    model = pycolmap.Reconstruction(
        scene.export(tmp_path / "c", to="colmap", max_points=50) / "sparse" / "0"
    )
    assert len(model.points3D) == 50
    for point in model.points3D.values():
        frames = sorted(element.image_id for element in point.track.elements)
        assert len(frames) == 16
        assert np.diff(frames).max() <= 3


def test_frames_without_a_solved_camera_are_left_out(world: Scene, tmp_path: Path) -> None:
    """An interpolated pose would spoil a training."""
    c = world.cameras
    solved = np.array([True, False, True, True])
    cameras = Cameras(c.world_from_camera, c.intrinsics, solved, c.focal_sigma)
    folder = replace(world, cameras=cameras).export(tmp_path / "c", to="colmap")
    model = pycolmap.Reconstruction(folder / "sparse" / "0")
    assert sorted(model.images) == [1, 3, 4]
    assert sorted(path.name for path in (folder / "images").iterdir()) == [
        "000000.png",
        "000002.png",
        "000003.png",
    ]
    none = Cameras(c.world_from_camera, c.intrinsics, ~solved & solved, c.focal_sigma)
    with pytest.raises(InputError, match="no frame's camera was solved"):
        replace(world, cameras=none).export(tmp_path / "d", to="colmap")


@pytest.mark.parametrize("depth", [3.0, np.nan])
def test_one_frame(tmp_path: Path, depth: float) -> None:
    """Without a second frame a point is seen once; without depth there are no points."""
    scene = make_world(1)
    scene = replace(scene, depth=np.full_like(scene.depth, depth))
    model = pycolmap.Reconstruction(scene.export(tmp_path / "c", to="colmap") / "sparse" / "0")
    assert len(model.images) == 1
    assert (len(model.points3D) > 0) == np.isfinite(depth)
