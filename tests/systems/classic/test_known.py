"""What is known of a clip beforehand is kept as it was given, and helps with the rest."""

from dataclasses import replace

import numpy as np
import pytest
from degenerate_worlds import BALL, CORRIDOR, film, path

from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.masks import mean_iou
from worldline.evaluation.metrics.trajectory import trajectory_errors
from worldline.selfcheck import check_scene
from worldline.systems.classic import classic
from worldline.systems.stages import Stages

ELSEWHERE = np.array([[0.0, 0.0, 1.0, 3.0], [0.0, 1.0, 0.0, -2.0], [-1.0, 0.0, 0.0, 7.0]])


@pytest.fixture(scope="module")
def made():
    return film((*CORRIDOR, BALL), path(8, travel=(1.2, -0.2, 0.5), pan=-4.0))


def solved(made, lens_known=True, **known):
    with Stages() as stages:
        return classic(replace(made.clip(lens_known), **known), stages, seed=0)


@pytest.fixture(scope="module")
def alone(made):
    return solved(made, lens_known=False)


def given(made):
    """The true cameras, in another world."""
    return np.vstack([ELSEWHERE, [0, 0, 0, 1]]) @ made.world_from_camera


def depth_off(scene, made, where=None):
    """AbsRel of the static measured depth in the units it has."""
    measured = (np.asarray(scene.confidence) > 0) & ~made.moving
    measured = measured if where is None else measured & where
    ratio = np.asarray(scene.depth)[measured] / made.depth[measured]
    return np.abs(ratio - 1).mean()


def test_known_cameras_are_kept_with_their_units_and_better_the_depth(made, alone):
    scene = solved(made, known_poses=given(made))
    assert np.allclose(scene.cameras.world_from_camera, made.world_from_camera, atol=1e-6)
    assert np.asarray(scene.cameras.registered).all() and scene.cameras.motion == "free"
    off, before = (
        depth_off(scene, made),
        depth_errors(
            np.asarray(alone.depth), made.depth, (np.asarray(alone.confidence) > 0) & ~made.moving
        ),
    )
    assert off < 0.03 and off < before.abs_rel
    assert mean_iou(np.asarray(scene.dynamic) > 0.5, made.moving) > 0.75


def test_frames_that_nobody_knew_are_placed_among_the_known_ones(made):
    poses = given(made)
    poses[[0, 3, 4, 7]] = np.nan
    scene = solved(made, known_poses=poses)
    found = np.asarray(scene.cameras.world_from_camera)
    assert trajectory_errors(found, made.world_from_camera).ate_percent < 0.3
    known = np.linalg.inv(made.world_from_camera[1]) @ made.world_from_camera[[1, 2, 5, 6]]
    assert np.allclose(np.linalg.inv(found[1]) @ found[[1, 2, 5, 6]], known, atol=1e-6)
    assert depth_off(scene, made) < 0.04


def test_known_cameras_tell_an_unknown_lens(made):
    scene = solved(made, lens_known=False, known_poses=given(made))
    focal, sigma = scene.cameras.intrinsics[0, 0, 0], scene.cameras.focal_sigma[0]
    assert focal == pytest.approx(made.intrinsics[0, 0], rel=0.005)
    assert abs(focal - made.intrinsics[0, 0]) < 2 * sigma < 0.06 * focal


def test_known_cameras_that_never_turn_tell_nothing_of_the_lens():
    """A longer lens before a deeper world looks the same: the guess stays a guess, and says so."""
    made = film(CORRIDOR, path(8, travel=(1.2, -0.2, 0.0)))
    scene = solved(made, lens_known=False, known_poses=made.world_from_camera)
    focal, sigma = scene.cameras.intrinsics[0, 0, 0], scene.cameras.focal_sigma[0]
    assert focal == pytest.approx(0.9 * 320, rel=0.05)
    assert sigma > 0.2 * focal
    assert "focal" in [finding.name for finding in check_scene(scene).findings]


def test_a_lens_for_each_frame_is_kept():
    focal = np.geomspace(280.0, 330.0, 8)
    made = film(CORRIDOR, path(8, travel=(1.2, -0.2, 0.5), pan=-4.0), focal)
    lenses = np.repeat(made.intrinsics[None], 8, axis=0)
    lenses[:, 0, 0] = lenses[:, 1, 1] = focal
    scene = solved(made, known_poses=made.world_from_camera, known_intrinsics=lenses)
    assert np.allclose(scene.cameras.intrinsics, lenses, atol=1e-6)
    assert np.allclose(scene.cameras.world_from_camera, made.world_from_camera, atol=1e-6)
    assert depth_off(scene, made) < 0.04


def test_known_depth_is_kept_to_the_bit_and_gives_its_units(made):
    depth = 3.0 * made.depth.astype(np.float32)
    depth[:, :, 200:] = np.nan
    scene = solved(made, known_depth=depth)
    known = np.isfinite(depth)
    assert np.array_equal(np.asarray(scene.depth)[known], depth[known])
    assert (np.asarray(scene.confidence)[known] > 0).all()
    rest = np.abs(np.asarray(scene.depth) / (3.0 * made.depth) - 1)
    measured = ~known & (np.asarray(scene.confidence) > 0) & ~made.moving
    assert rest[measured].mean() < 0.04
    far = np.linalg.norm(np.asarray(scene.cameras.world_from_camera)[-1, :3, 3])
    assert far == pytest.approx(3.0 * np.linalg.norm(made.world_from_camera[-1, :3, 3]), rel=0.03)


def test_known_masks_are_kept_and_the_rest_is_judged(made):
    told = made.moving.astype(np.float32)
    told[4:] = np.nan
    scene = solved(made, known_dynamic=told)
    assert np.array_equal(np.asarray(scene.dynamic)[:4] > 0.5, made.moving[:4])
    assert mean_iou(np.asarray(scene.dynamic)[4:] > 0.5, made.moving[4:]) > 0.7


def test_known_cameras_that_never_move_leave_depth_a_guess(made):
    still = np.tile(np.eye(4), (8, 1, 1))
    scene = solved(made, known_poses=still)
    assert scene.cameras.motion == "still" or scene.provenance["warnings"]
    assert np.array_equal(np.asarray(scene.cameras.world_from_camera), still)


def test_one_frame_keeps_what_is_known_of_it(made):
    one = film((*CORRIDOR, BALL), path(2, travel=(1.0, 0.0, 0.0)))
    clip = replace(
        one.clip(),
        frames=one.frames[:1],
        times=np.zeros(1),
        known_depth=one.depth[:1].astype(np.float32),
        known_dynamic=one.moving[:1].astype(np.float32),
    )
    with Stages() as stages:
        scene = classic(clip, stages, seed=0)
    assert np.array_equal(np.asarray(scene.depth), one.depth[:1].astype(np.float32))
    assert np.array_equal(np.asarray(scene.dynamic) > 0.5, one.moving[:1])
