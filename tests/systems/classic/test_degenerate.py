"""`classic` on clips that structure from motion finds hard, against the exact truth of each."""

import numpy as np
import pytest
from degenerate_worlds import (
    BALL,
    CORRIDOR,
    COURT,
    FOCAL,
    WALL,
    Solid,
    balloon,
    coat,
    film,
    path,
)

from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.masks import mean_iou
from worldline.evaluation.metrics.trajectory import (
    relative_errors,
    rotation_angle,
    trajectory_errors,
)
from worldline.systems.classic import classic
from worldline.systems.stages import Stages


def solve(made, known=True):
    with Stages() as stages:
        scene = classic(made.clip(known), stages, seed=0)
    assert np.isfinite(scene.depth).all() and (np.asarray(scene.depth) > 0).all()
    return scene


def found(scene):
    return np.asarray(scene.dynamic) > 0.5


def accused(scene, made):
    """Share of what is truly static that was called moving."""
    return found(scene)[~made.moving].mean()


def poses(scene):
    return np.asarray(scene.cameras.world_from_camera)


def path_errors(scene, made):
    assert scene.cameras.motion == "free" and np.asarray(scene.cameras.registered).all()
    return trajectory_errors(poses(scene), made.world_from_camera)


def turn_errors(scene, made):
    """Degrees between each camera's turn from the first and the true one."""
    found, truth = poses(scene)[:, :3, :3], made.world_from_camera[:, :3, :3]
    return rotation_angle(truth.transpose(0, 2, 1) @ found)


def static_depth_error(scene, made):
    """AbsRel of what is called measured, and the share of the static picture that is."""
    measured = (np.asarray(scene.confidence) > 0) & ~made.moving
    errors = depth_errors(np.asarray(scene.depth), made.depth, measured)
    return errors.abs_rel, measured.sum() / (~made.moving).sum()


@pytest.mark.parametrize(("known", "turn", "step"), [(True, 0.015, 0.012), (False, 0.3, 0.06)])
def test_a_camera_that_only_turns_past_a_mover(known, turn, step):
    """A turn is neither taken for travel nor does it make the static world move."""
    made = film((*COURT, BALL), path(10, pan=14.0, tilt=4.0))
    scene = solve(made, known)
    assert scene.cameras.motion == "rotation"
    assert (poses(scene)[:, :3, 3] == 0).all()
    assert turn_errors(scene, made).max() < turn
    assert relative_errors(poses(scene), made.world_from_camera)[1].max() < step
    assert mean_iou(found(scene), made.moving) > 0.75 and accused(scene, made) < 0.03


def test_a_mover_before_a_tripod():
    """A mover does not shake a camera that stands, nor hide from it."""
    made = film((*COURT, BALL), path(8))
    scene = solve(made)
    assert scene.cameras.motion == "still" and (poses(scene) == np.eye(4)).all()
    assert mean_iou(found(scene), made.moving) > 0.88 and accused(scene, made) < 0.006


def test_travel_past_nothing_but_one_wall():
    """A plane is scene enough once the lens is known: path and depth come out right."""
    made = film((WALL,), path(8, travel=(1.6, 0.3, 0.6)))
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 0.18 and errors.rpe_rotation < 0.035
    assert accused(scene, made) < 0.002
    wrong, share = static_depth_error(scene, made)
    assert wrong < 0.004 and share > 0.95


@pytest.mark.parametrize("travel", [0.04, 0.07])
def test_hardly_any_travel(travel):
    """A baseline of 0.5 or 1 percent of the depth: no world in motion, no invented path."""
    made = film(COURT, path(6, travel=(travel, 0.0, 0.2 * travel)))
    scene = solve(made)
    assert accused(scene, made) < 0.002
    if scene.cameras.motion == "free":
        assert path_errors(scene, made).ate_percent < 10.0
    else:  # as much of a turn as sees the world go by like that
        assert turn_errors(scene, made).max() < 1.5 * np.rad2deg(travel / np.median(made.depth))
        assert (np.asarray(scene.confidence) == 0).all() and scene.provenance["warnings"]


def test_a_mover_that_covers_a_quarter_of_the_picture():
    """The rest is the world, though the mover is its best textured part."""
    made = film((*CORRIDOR, balloon(0.9)), path(10, travel=(0.9, -0.2, 0.5), pan=-2.0))
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 0.35 and errors.rpe_rotation < 0.05
    assert mean_iou(found(scene), made.moving) > 0.85 and accused(scene, made) < 0.025


def test_a_mover_that_covers_half_of_the_picture():
    """The world is what goes on all around, though the mover has as many tracks."""
    made = film((*CORRIDOR, balloon(1.3)), path(10, travel=(0.9, -0.2, 0.5), pan=-2.0))
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 1.0 and errors.rpe_rotation < 0.15
    assert mean_iou(found(scene), made.moving) > 0.6 and accused(scene, made) < 0.045


def test_three_frames_are_a_clip():
    """So few frames still make cameras and depth."""
    made = film(CORRIDOR, path(3, travel=(0.6, 0.05, 0.24), pan=-3.0))
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 0.08 and turn_errors(scene, made).max() < 0.06
    assert accused(scene, made) < 0.005
    wrong, share = static_depth_error(scene, made)
    assert wrong < 0.035 and share > 0.8


@pytest.mark.parametrize(("pan", "tilt"), [(0.0, 0.0), (9.0, 3.0)])
def test_a_zoom_on_the_spot(pan, tilt):
    """A lens that grows longer is no travel: it measures no depth and moves nothing."""
    lens = np.geomspace(FOCAL, 1.2 * FOCAL, 8)
    made = film((*COURT, BALL), path(8, pan=pan, tilt=tilt), lens)
    scene = solve(made, known=False)
    assert scene.cameras.motion == "rotation" and (np.asarray(scene.confidence) == 0).all()
    assert any("zoom" in warning for warning in scene.provenance["warnings"])
    focal = np.asarray(scene.cameras.intrinsics)[:, 0, 0]
    assert focal / focal[0] == pytest.approx(lens / lens[0], rel=0.002)
    assert abs(focal[0] - FOCAL) < 2.0 * np.asarray(scene.cameras.focal_sigma)[0]
    assert turn_errors(scene, made).max() < 0.2
    assert mean_iou(found(scene), made.moving) > 0.75 and accused(scene, made) < 0.03


def test_travel_towards_a_wall_is_no_zoom():
    """What stands before the wall tells it, though most tracks lie on it."""
    made = film(COURT, path(8, travel=(0.0, 0.0, 1.5)))
    scene = solve(made, known=False)
    assert path_errors(scene, made).ate_percent < 2.0
    assert accused(scene, made) < 0.01


def test_a_zoom_of_a_lens_that_is_said_to_be_fixed():
    """The camera is said to travel instead; masks, at least, do not suffer from it."""
    made = film((*COURT, BALL), path(8, pan=9.0), np.geomspace(FOCAL, 1.2 * FOCAL, 8))
    scene = solve(made)
    assert accused(scene, made) < 0.008 and mean_iou(found(scene), made.moving) > 0.65
    assert turn_errors(scene, made).max() < 2.0  # degrees, made up to excuse the zoom


@pytest.fixture(scope="module")
def passing():
    return film((*CORRIDOR, BALL), path(10, travel=(1.2, -0.2, 0.5), pan=-4.0))


def flickering(count):
    return np.random.default_rng(0).uniform(0.75, 1.25, (count, 1, 1, 1))


def rolling(count, height=192):
    row, frame = np.arange(height)[:, None, None], np.arange(count)[:, None, None, None]
    return 1.0 + 0.25 * np.sin(2 * np.pi * (row / height - 0.17 * frame))


@pytest.mark.parametrize("gain", [flickering, rolling])
def test_light_that_changes_by_a_quarter(passing, gain):
    """Brightness that comes and goes, by frames or by rows, is not motion."""
    made = passing.lit(gain(len(passing.frames)))
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 0.3 and errors.rpe_rotation < 0.04
    assert mean_iou(found(scene), made.moving) > 0.78 and accused(scene, made) < 0.008
    wrong, share = static_depth_error(scene, made)
    assert wrong < 0.05 and share > 0.8


def test_a_wall_that_most_tracks_lie_on():
    """What stands before it is world too, and holds the cameras in their place."""
    made = film((*COURT, BALL), path(10, travel=(1.2, -0.2, 0.5), pan=-4.0))
    made = made.lit(rolling(10))  # without which the wall alone would do
    scene = solve(made)
    errors = path_errors(scene, made)
    assert errors.ate_percent < 0.3 and errors.rpe_rotation < 0.04
    assert mean_iou(found(scene), made.moving) > 0.78 and accused(scene, made) < 0.008


@pytest.mark.parametrize(("size", "path_error", "overlap"), [(1.1, 0.8, 0.8), (1.5, 3.0, 0.5)])
def test_a_mover_that_covers_a_third_and_one_that_covers_two(size, path_error, overlap):
    """35 and 64 percent: the world is what goes on all around, not what is larger."""
    made = film((*CORRIDOR, balloon(size)), path(12, travel=(0.9, -0.2, 0.5), pan=-2.0))
    scene = solve(made)
    assert path_errors(scene, made).ate_percent < path_error
    assert mean_iou(found(scene), made.moving) > overlap and accused(scene, made) < 0.05


def test_a_mover_that_covers_seventy_percent_of_the_picture():
    """A wall of a box drifts by: little more than the rim of the picture is the world's."""
    box = Solid((0.12, -0.41, 4.2), (1.55, 0.92, 0.8), coat(5, size=0.3), (0.03, 0.03, 0.0))
    made = film((*CORRIDOR, box), path(12, travel=(0.9, -0.2, 0.5), pan=-2.0))
    assert made.moving.mean() >= 0.695
    scene = solve(made)
    assert path_errors(scene, made).ate_percent < 2.0
    assert mean_iou(found(scene), made.moving) > 0.9 and accused(scene, made) < 0.1
    assert scene.provenance["warnings"]  # so little of the depth was measured


@pytest.mark.parametrize("world", [COURT, CORRIDOR])
def test_two_frames_are_a_clip(world):
    """One pair of views with a known lens fixes turn, direction of travel and depth."""
    made = film(world, path(12, travel=(0.6, 0.05, 0.24), pan=-3.0)[[0, -1]])
    scene = solve(made)
    assert scene.cameras.motion == "free"
    assert turn_errors(scene, made).max() < 0.12
    way, truth = poses(scene)[1, :3, 3], made.world_from_camera[1, :3, 3]
    cosine = way @ truth / np.linalg.norm(way) / np.linalg.norm(truth)
    assert np.degrees(np.arccos(cosine)) < 1.0
    assert accused(scene, made) < 0.012
    wrong, share = static_depth_error(scene, made)
    assert wrong < 0.04 and share > 0.6
