"""The engine behind the cameras: it adjusts, resects, undistorts, and repeats itself exactly."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_worlds import rig

from worldline.evaluation.metrics.trajectory import trajectory_errors
from worldline.systems.classic import keyframes, sfm


@pytest.fixture(scope="module")
def made():
    return rig("free", count=8, points=200)


@pytest.fixture(scope="module")
def frames(made):
    return sfm.Frames(made.uv, made.visible, made.size)


@pytest.fixture(scope="module")
def true(made):
    poses = np.linalg.inv(made.world_from_camera)
    return sfm.Structure(poses, np.ones(8, bool), made.points, sfm.Lens(600.0, made.centre))


@pytest.fixture(scope="module")
def shaken(true):
    generator = np.random.default_rng(0)
    poses = true.camera_from_world.copy()
    turn = Rotation.from_rotvec(0.01 * generator.normal(size=(8, 3))).as_matrix()
    poses[2:, :3, :3] = (turn @ poses[:, :3, :3])[2:]
    poses[2:, :3, 3] += 0.03 * generator.normal(size=(6, 3))
    points = true.points + 0.05 * generator.normal(size=true.points.shape)
    return replace(true, camera_from_world=poses, points=points)


def misses(frames, structure):
    """Reprojection errors in px of what is seen."""
    pose = structure.camera_from_world
    xyz = np.einsum("nij,mj->mni", pose[:, :3, :3], structure.points) + pose[:, :3, 3]
    uv = structure.lens.focal * xyz[..., :2] / xyz[..., 2:] + np.array(structure.lens.centre)
    return np.linalg.norm(uv - frames.uv, axis=-1)[frames.visible & np.isfinite(xyz[..., 0])]


def path_error(structure, made):
    return trajectory_errors(
        np.linalg.inv(structure.camera_from_world), made.world_from_camera
    ).ate_percent


def test_adjusting_brings_shaken_cameras_back(frames, shaken, made):
    adjusted, cost = sfm.adjust(frames, shaken)
    assert np.median(misses(frames, shaken)) > 3.0
    assert np.median(misses(frames, adjusted)) < 0.2
    assert path_error(adjusted, made) < 0.3
    assert path_error(shaken, made) > 1.0
    assert adjusted.registered.all() and adjusted.lens == shaken.lens
    assert 0 < cost < 0.05 * frames.visible.sum()


def test_a_focal_length_is_refined_only_when_it_is_free(frames, true):
    wrong = replace(true, lens=sfm.Lens(640.0, true.lens.centre))
    held, held_cost = sfm.adjust(frames, wrong)
    freed, freed_cost = sfm.adjust(frames, wrong, hold_focal=False, iterations=100)
    assert held.lens.focal == 640.0
    assert abs(freed.lens.focal - 600) < 10 and freed_cost < held_cost


def test_adjusting_twice_gives_the_same_numbers(frames, shaken):
    one, cost = sfm.adjust(frames, shaken)
    other, same_cost = sfm.adjust(frames, shaken)
    assert np.array_equal(one.camera_from_world, other.camera_from_world)
    assert np.array_equal(one.points, other.points, equal_nan=True) and cost == same_cost


def test_outliers_hardly_move_the_cameras(frames, true, made):
    uv = frames.uv.copy()
    bad = np.random.default_rng(1).random(uv.shape[:2]) < 0.05
    uv[bad] += 30.0
    adjusted, _ = sfm.adjust(replace(frames, uv=uv), true)
    assert path_error(adjusted, made) < 0.5


def test_points_without_tracks_stay_unknown(frames, true):
    visible = frames.visible.copy()
    visible[0], visible[1, 1:] = False, False
    adjusted, _ = sfm.adjust(replace(frames, visible=visible), true)
    assert np.isnan(adjusted.points[:2]).all()


def test_cameras_are_mapped_from_nothing_but_tracks_and_the_same_way_twice(frames, made):
    pairs = keyframes.graph(frames.visible)
    one, other = (
        sfm.map_frames(frames, pairs, sfm.Lens(600.0, (320.0, 192.0)), hold_focal=True, seed=3)
        for _ in range(2)
    )
    assert one.registered.all() and path_error(one, made) < 1.0
    assert np.array_equal(one.camera_from_world, other.camera_from_world)
    assert np.array_equal(one.points, other.points, equal_nan=True)
    assert one.lens.focal == 600.0


def test_too_few_tracks_map_to_nothing():
    made = rig("free", count=3, points=12)
    frames = sfm.Frames(made.uv, made.visible, made.size)
    lens = sfm.Lens(600.0, made.centre)
    assert sfm.map_frames(frames, [(0, 1), (1, 2)], lens, hold_focal=True, seed=0) is None


def test_a_frame_is_placed_by_known_points_despite_outliers(frames, true, made):
    at = np.flatnonzero(frames.visible[:, 5])
    uv = frames.uv[at, 5].copy()
    uv[::5] += 50.0
    pose = sfm.resect(uv, made.points[at], frames, true.lens)
    assert np.allclose(pose, true.camera_from_world[5], atol=0.01)


def test_a_frame_that_its_points_contradict_is_not_placed(frames, true, made):
    at = np.flatnonzero(frames.visible[:, 5])
    uv = np.random.default_rng(0).uniform(0, 380, (len(at), 2)).astype(np.float32)
    assert sfm.resect(uv, made.points[at], frames, true.lens) is None


@pytest.mark.parametrize("radial", [0.08, -0.08])
def test_undistorting_undoes_a_known_lens(frames, made, radial):
    K = made.intrinsics
    ray = (made.exact[:, 0] - made.centre) / 600.0
    bent, _ = cv2.projectPoints(
        np.c_[ray, np.ones(len(ray))], np.zeros(3), np.zeros(3), K, np.array([radial, 0, 0, 0])
    )
    inside = made.visible[:, 0]
    straight = sfm.undistort(
        bent[inside, 0].astype(np.float32), sfm.Lens(600.0, made.centre, radial), frames
    )
    assert np.abs(bent[inside, 0] - made.exact[inside, 0]).max() > 1.0
    assert straight == pytest.approx(made.exact[inside, 0], abs=2e-3)


def test_a_bent_lens_is_found(frames, made, true):
    r2 = (((made.exact - made.centre) / 600.0) ** 2).sum(axis=-1, keepdims=True)
    uv = (made.exact - made.centre) * (1 + 0.1 * r2) + made.centre
    bent = replace(frames, uv=uv.astype(np.float32))
    found, _ = sfm.adjust(bent, true, hold_radial=False, iterations=100)
    assert found.lens.radial == pytest.approx(0.1, abs=0.01) and found.lens.focal == 600.0
