"""The ladder picks the right rung, and the cameras it solves are the true ones."""

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import rig

from worldline.evaluation.metrics.trajectory import trajectory_errors
from worldline.systems.classic import cameras, keyframes, lens, sfm
from worldline.systems.classic.lens import FocalPrior, default_prior

HELD = FocalPrior(600.0, 0.0)


def start(made, prior):
    return sfm.Lens(prior.focal, made.centre)


def solve(made, prior=HELD, visible=None):
    seen = made.visible if visible is None else visible
    return cameras.solve(made.uv, seen, made.followed, made.size, start(made, prior), prior, 0)


@pytest.fixture(scope="module")
def free():
    made = rig("free")
    return made, solve(made)


def test_a_picture_that_does_not_move_is_still():
    made = rig("still", noise=0.1)
    found = solve(made, default_prior(640))
    assert found.motion == "still"
    assert (found.world_from_camera == np.eye(4)).all() and found.registered.all()
    assert np.isnan(found.points).all() and "depth is a guess" in found.warnings[0]
    assert found.focal_sigma == pytest.approx(0.25 * 0.9 * 640)


def test_a_turning_camera_is_a_rotation():
    made = rig("rotation")
    found = solve(made, default_prior(640))
    assert found.motion == "rotation" and found.registered.all()
    assert (found.world_from_camera[:, :3, 3] == 0).all()
    assert found.focal == pytest.approx(600, rel=0.05)
    turn = made.world_from_camera[:, :3, :3].transpose(0, 2, 1) @ found.world_from_camera[:, :3, :3]
    assert (np.trace(turn, axis1=1, axis2=2) > 1 + 2 * np.cos(np.deg2rad(0.7))).all()


def test_a_travelling_camera_is_found_whole(free):
    made, found = free
    assert found.motion == "free" and found.registered.all()
    errors = trajectory_errors(found.world_from_camera, made.world_from_camera)
    assert errors.ate_percent < 0.5
    assert errors.rpe_rotation < 0.05


def test_a_focal_length_that_is_given_is_held_exactly(free):
    _, found = free
    assert found.focal == 600.0 and found.focal_sigma == 0.0 and found.radial == 0.0


def test_the_world_is_the_first_camera_at_unit_depth(free):
    made, found = free
    assert np.array_equal(found.world_from_camera[0], np.eye(4))
    camera_from_world = np.linalg.inv(found.world_from_camera)
    z = np.einsum("nj,mj->mn", camera_from_world[:, 2, :3], found.points)
    z += camera_from_world[:, 2, 3]
    assert np.nanmedian(z[made.visible]) == pytest.approx(1.0, rel=0.02)


def test_points_are_where_the_tracks_say(free):
    made, found = free
    known = np.isfinite(found.points[:, 0])
    assert known.mean() > 0.9
    scale = np.linalg.norm(made.world_from_camera[-1, :3, 3]) / np.linalg.norm(
        found.world_from_camera[-1, :3, 3]
    )
    error = np.linalg.norm(scale * found.points - made.points, axis=1) / made.points[:, 2]
    assert np.median(error[known]) < 0.01


def test_an_unknown_focal_length_is_found_within_what_it_says_of_itself():
    made = rig("free", focal=500.0, noise=0.2)
    found = solve(made, default_prior(640))
    assert found.motion == "free"
    assert abs(np.log(found.focal / 500.0)) < max(0.05, 2 * found.focal_sigma / found.focal)
    errors = trajectory_errors(found.world_from_camera, made.world_from_camera)
    assert errors.ate_percent < 2.0


def test_frames_with_too_few_tracks_are_interpolated_and_say_so():
    made = rig("free")
    visible = made.visible.copy()
    visible[8:, 5] = False
    found = solve(made, visible=visible)
    assert found.registered.tolist() == [t != 5 for t in range(12)]
    middle = (found.world_from_camera[4, :3, 3] + found.world_from_camera[6, :3, 3]) / 2
    assert found.world_from_camera[5, :3, 3] == pytest.approx(middle, abs=1e-9)
    assert np.linalg.det(found.world_from_camera[5, :3, :3]) == pytest.approx(1.0)
    assert found.warnings == ("1 of 12 cameras were interpolated",)
    errors = trajectory_errors(found.world_from_camera, made.world_from_camera)
    assert errors.ate_percent < 1.5


def test_ends_that_cannot_be_placed_stay_at_the_nearest_camera():
    made = rig("free")
    registered = np.ones(12, bool)
    registered[[0, 11]] = False
    poses = np.linalg.inv(made.world_from_camera)
    filled = cameras._interpolated(poses, registered)
    assert np.allclose(filled[0], poses[1]) and np.allclose(filled[11], poses[10])
    assert np.allclose(filled[1:11], poses[1:11])
    only = np.zeros(12, bool)
    only[4] = True
    assert np.allclose(cameras._interpolated(poses, only), poses[4])


def test_tracks_that_mean_nothing_end_in_rotations_and_a_warning():
    made = rig("free", count=5, points=80)
    uv = np.random.default_rng(0).uniform(0, 380, made.uv.shape).astype(np.float32)
    seen = np.ones_like(made.visible)
    found = cameras.solve(uv, seen, made.followed, made.size, start(made, HELD), HELD, 0)
    assert np.isfinite(found.world_from_camera).all()
    if found.motion != "free":
        assert found.motion == "rotation" and "no 3D structure" in found.warnings[0]


def test_the_same_tracks_and_seed_give_the_same_cameras(free):
    made, found = free
    again = solve(made)
    assert np.array_equal(again.world_from_camera, found.world_from_camera)
    assert np.array_equal(again.points, found.points, equal_nan=True)


@pytest.fixture(scope="module")
def weak():
    """A deep ground seen through a long lens by a camera that hardly travels: Necker's cube."""
    made = rig("sideways", focal=900.0, travel=0.25, near=4.0, far=6.0, noise=0.05)
    lens = sfm.Lens(900.0, made.centre)
    frames = sfm.Frames(made.uv, made.visible, made.size)
    poses = np.linalg.inv(made.world_from_camera)
    true = sfm.Structure(poses, np.ones(12, bool), made.points, lens)
    return made, frames, true


def reversed_structure(true):
    """Near and far swapped about the middle, the camera's way turned about."""
    middle = np.median(1 / true.points[:, 2])
    inverse = 2 * middle - 1 / true.points[:, 2]
    points = true.points / (true.points[:, 2:] * inverse[:, None])
    poses = true.camera_from_world.copy()
    poses[:, :3, 3] *= -1
    return replace(true, camera_from_world=poses, points=points)


@pytest.mark.parametrize("mirrored", [False, True])
def test_near_and_far_are_told_apart_whichever_way_it_starts(weak, mirrored):
    made, frames, true = weak
    start = reversed_structure(true) if mirrored else true
    start, _ = sfm.adjust(frames, start)
    found = lens.upright(frames, start, HELD)
    depth = found.points[:, 2]
    known = np.isfinite(depth)
    assert np.corrcoef(depth[known], made.points[known, 2])[0, 1] > 0.9
    if mirrored:  # the test means something: it did start the wrong way round
        both = np.isfinite(start.points[:, 2])
        assert np.corrcoef(start.points[both, 2], made.points[both, 2])[0, 1] < 0


def test_keyframes_follow_the_motion_and_hold_both_ends():
    slow = rig("sideways", count=60, travel=0.4)
    fast = rig("sideways", count=60, travel=4.0)
    few, many = (keyframes.keyframes(made.uv, made.visible, made.size) for made in (slow, fast))
    assert 6 <= len(few) < len(many) <= 30
    for keys in (few, many):
        assert keys[0] == 0 and keys[-1] == 59 and (np.diff(keys) > 0).all()


def test_the_graph_relates_neighbours_and_far_frames_that_share_enough():
    visible = np.ones((100, 8), bool)
    visible[20:, 6:] = False
    pairs = keyframes.graph(visible)
    assert {(a, a + 1) for a in range(7)} | {(a, a + 2) for a in range(6)} <= set(pairs)
    assert (0, 5) in pairs and (0, 7) not in pairs
    assert all(a < b for a, b in pairs) and len(pairs) == len(set(pairs))


def test_the_default_prior_is_wide_and_a_given_focal_is_held():
    prior = default_prior(1000)
    assert prior.focal == 900 and not prior.held
    assert HELD.held


def off_centre(prior, shift):
    """A path through a world whose pictures were cut out beside the middle of the lens."""
    made = rig("free", count=20, travel=4.0, noise=0.05, points=900)
    moved = made.uv + np.array(shift, np.float32)
    first = start(made, prior)
    return made, cameras.solve(moved, made.visible, made.followed, made.size, first, prior, 0)


def test_a_principal_point_beside_the_middle_is_followed_as_far_as_the_clip_tells():
    made, found = off_centre(FocalPrior(600.0, 0.1), (14.0, -9.0))
    assert found.motion == "free"
    shift = np.subtract(found.centre, made.centre)
    along = float(shift @ (14.0, -9.0)) / (14.0**2 + 9.0**2)
    aside = float(shift @ (9.0, 14.0)) / np.hypot(14.0, 9.0)
    assert 0.2 < along < 1.1 and abs(aside) < 3.0


def test_a_given_lens_keeps_its_principal_point():
    made, found = off_centre(HELD, (14.0, -9.0))
    assert found.centre == made.centre and found.focal == 600.0


def test_a_wide_lens_is_found_far_from_where_the_search_begins():
    """Points that a wrong focal length throws out are those that tell the right one."""
    made = rig("free", count=14, travel=3.0, focal=330.0, noise=0.1)
    found = solve(made, default_prior(640))
    assert found.focal == pytest.approx(330.0, rel=0.06)
