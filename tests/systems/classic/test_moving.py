"""Depth of movers from where they stand and how they grow; their points carried on when hidden."""

import numpy as np
import pytest

from worldline.systems.classic.moving import (
    carry_on,
    lift,
    looming,
    moving_depth,
    smooth_in_time,
)
from worldline.systems.classic.tracks import PixelTracks

HEIGHT, WIDTH, FOCAL = 96, 160, 150.0
HORIZON, CAMERA_HEIGHT = 30.0, 1.5


def ground():
    """Depth of a ground plane below the horizon and of a wall at 40 above it."""
    y = np.arange(HEIGHT)[:, None] + 0.5
    z = np.where(y > HORIZON, FOCAL * CAMERA_HEIGHT / np.maximum(y - HORIZON, 1e-3), 40.0)
    return np.repeat(np.minimum(z, 40.0), WIDTH, axis=1).astype(np.float32)


def box_tracks(left, top, right, bottom, count):
    x, y = np.meshgrid(np.arange(left + 3, right - 2, 5.0), np.arange(top + 3, bottom - 2, 5.0))
    uv = np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)
    return np.repeat(uv[:, None], count, axis=1)


def as_tracks(uv, visible=None):
    visible = np.ones(uv.shape[:2], bool) if visible is None else visible
    count = len(uv)
    half = np.full(count, 0.5, np.float32)
    return PixelTracks(uv, visible, visible.astype(np.float32), half, half, np.zeros(len(uv), bool))


@pytest.mark.parametrize("bottom", [50, 62, 80])
def test_a_box_on_the_ground_is_as_far_as_where_it_stands(bottom):
    count = 3
    background = np.repeat(ground()[None], count, axis=0)
    dynamic = np.zeros_like(background)
    dynamic[:, bottom - 30 : bottom, 60:90] = 1.0
    tracks = as_tracks(box_tracks(60, bottom - 30, 90, bottom, count))
    depth, track_depth = moving_depth(background, np.ones_like(background), dynamic, tracks)
    truth = FOCAL * CAMERA_HEIGHT / (bottom - HORIZON)
    on = dynamic > 0.5
    # Outlines are taken to run 3 px wide, which this exact one does not.
    high = FOCAL * CAMERA_HEIGHT / (bottom - 3 - HORIZON)
    assert np.median(depth[on]) == pytest.approx(high, rel=0.05)
    assert truth * 0.9 < np.median(depth[on]) < truth * 1.25
    assert track_depth == pytest.approx(np.median(depth[on]), rel=0.05)
    assert np.array_equal(depth[~on], background[~on])


def test_two_movers_that_overlap_stand_each_on_their_own_ground():
    background = ground()[None]
    dynamic = np.zeros_like(background)
    dynamic[:, 30:50, 30:70] = 1.0
    dynamic[:, 20:85, 70:120] = 1.0
    nobody = as_tracks(np.zeros((0, 1, 2), np.float32))
    depth, _ = moving_depth(background, np.ones_like(background), dynamic, nobody)
    near, far = np.median(depth[0, 40, 95:120]), np.median(depth[0, 40, 30:45])
    assert near == pytest.approx(FOCAL * CAMERA_HEIGHT / 52, rel=0.1)
    assert far == pytest.approx(FOCAL * CAMERA_HEIGHT / 17, rel=0.15)


def test_a_mover_cut_off_by_the_picture_s_edge_is_in_front_of_what_it_hides():
    background = ground()[None]
    dynamic = np.zeros_like(background)
    dynamic[:, 40:, 60:90] = 1.0
    nobody = as_tracks(np.zeros((0, 1, 2), np.float32))
    depth, _ = moving_depth(background, np.ones_like(background), dynamic, nobody)
    on = dynamic[0] > 0.5
    assert np.isfinite(depth).all() and (depth[0][on] <= background[0][on] + 1e-4).mean() > 0.9


def growing(ratio, count=21, noise=0.02):
    """A patch whose size grows evenly until it is `1 / ratio` as large: depth goes to `ratio`."""
    uv = box_tracks(60, 30, 95, 65, count)
    centre = uv.mean(axis=(0, 1))
    depth = np.geomspace(1.0, ratio, count)
    uv = centre + (uv - centre) / depth[None, :, None]
    return uv + noise * np.random.default_rng(0).normal(size=uv.shape), depth


@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.5])
def test_growth_in_the_picture_tells_how_depth_changes(ratio):
    uv, depth = growing(ratio)
    uv = uv.astype(np.float32)
    found = looming(uv, np.ones(uv.shape[:2], bool))
    assert (found[:, 0] == 0).all()
    assert np.median(np.exp(found[:, -1])) == pytest.approx(ratio, rel=0.08)
    assert np.median(np.exp(found[:, 10])) == pytest.approx(depth[10], rel=0.08)


def test_two_movers_side_by_side_grow_each_for_itself():
    near, _ = growing(0.6)
    far, _ = growing(1.4)
    apart = np.array([40, 0])
    uv = np.concatenate([near - apart, far + apart]).astype(np.float32)
    found = np.exp(looming(uv, np.ones(uv.shape[:2], bool))[:, -1])
    assert np.median(found[: len(near)]) == pytest.approx(0.6, rel=0.1)
    assert np.median(found[len(near) :]) == pytest.approx(1.4, rel=0.1)


def test_few_tracks_do_not_grow():
    uv, _ = growing(0.6)
    few = uv[:5].astype(np.float32)
    assert (looming(few, np.ones(few.shape[:2], bool)) == 0).all()


def test_smoothing_in_time_keeps_constants_and_calms_outliers():
    value = np.full((1, 20), 2.0, np.float32)
    ones, seen = np.ones_like(value), np.ones((1, 20), bool)
    assert smooth_in_time(value, ones, seen) == pytest.approx(2.0)
    value[0, 10] = 7.0
    assert np.abs(smooth_in_time(value, ones, seen) - 2.0).max() < 0.05
    value[0, :] = np.nan
    assert np.isnan(smooth_in_time(value, ones, seen)).all()


def test_smoothing_says_nothing_where_a_track_is_not_seen():
    value = np.array([[1.0, np.nan, 3.0, 3.0]], np.float32)
    seen = np.array([[True, True, True, False]])
    found = smooth_in_time(value, np.ones_like(value), seen)
    assert np.isfinite(found[0, :3]).all() and np.isnan(found[0, 3])


K = np.array([[FOCAL, 0, 80], [0, FOCAL, 48], [0, 0, 1]])


def test_tracks_are_lifted_into_the_world_and_unknown_depth_stays_unknown():
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3] = [[0, 0, 1, 5], [0, 1, 0, 0], [-1, 0, 0, 0]]  # looks along the world's x
    uv = np.array([[[80, 48], [80 + 75, 48]], [[0, 0], [80, 48]]], np.float32)
    depth = np.array([[3.0, 2.0], [np.nan, 1.0]], np.float32)
    xyz = lift(uv, depth, np.stack([K, K]), poses)
    assert xyz[0].tolist() == [[0, 0, 3], [7, 0, -1]]
    assert np.isnan(xyz[1, 0]).all() and xyz[1, 1].tolist() == [6, 0, 0]


def two_movers(count=12, each=12):
    """One goes right, one up, close to each other."""
    generator = np.random.default_rng(0)
    place = generator.uniform(0, 0.5, (2 * each, 1, 3))
    place[each:] += [0.3, 0.3, 0]
    step = np.zeros((2 * each, 1, 3))
    step[:each], step[each:] = [0.1, 0, 0], [0, -0.1, 0]
    xyz = place + step * np.arange(count)[:, None]
    return xyz.astype(np.float32)


@pytest.mark.parametrize("backwards", [False, True])
def test_hidden_points_go_on_with_their_own_object_not_with_another(backwards):
    truth = two_movers()
    visible = np.ones(truth.shape[:2], bool)
    hidden = slice(0, 5) if backwards else slice(7, None)
    visible[:4, hidden] = False
    seen = np.where(visible[..., None], truth, 0).astype(np.float32)
    found = carry_on(seen, visible)
    assert np.array_equal(found[visible], truth[visible])
    assert np.abs(found - truth).max() < 0.06  # of the 0.5 that they go on for


def test_a_mover_that_is_hidden_whole_goes_on_as_before():
    truth = two_movers()
    visible = np.ones(truth.shape[:2], bool)
    visible[:12, 9:] = False
    found = carry_on(np.where(visible[..., None], truth, 0).astype(np.float32), visible)
    moved = found[:12, -1] - found[:12, 8]
    assert np.median(moved[:, 0]) == pytest.approx(0.3, abs=0.06)
    assert np.abs(np.median(moved[:, 1])) < 0.06


def test_gaps_within_a_life_are_bridged_straight():
    truth = two_movers()
    visible = np.ones(truth.shape[:2], bool)
    visible[3, 4:7] = False
    found = carry_on(np.where(visible[..., None], truth, 0).astype(np.float32), visible)
    assert found == pytest.approx(truth, abs=1e-5)


def test_no_tracks_are_carried_nowhere():
    assert carry_on(np.zeros((0, 5, 3), np.float32), np.zeros((0, 5), bool)).shape == (0, 5, 3)
