"""Depth of planes with known cameras, where it was measured and where it was not."""

import numpy as np
import pytest
from small_worlds import Plane, lenses, planes, slide_poses

from worldline.systems.classic.depth import Sparse, Views, choose_partners, static_depth

SLANTED = Plane((-6, -4, 5), (1, 0, 0), (0, 0.8, 0.6), seed=1, texels=30)
WALL = Plane((-6, -4, 6), (1, 0, 0), (0, 1, 0), seed=2, texels=25)
NEAR = Plane((-0.6, -0.5, 3), (1, 0, 0), (0, 1, 0), extent=(1.2, 1.0), seed=3, texels=50)


def scene(parts, count=7, step=0.12):
    made = planes(parts, slide_poses(count, step))
    return made, Views(made.grey.copy(), lenses(made), made.world_from_camera)


def some_points(made, every=17):
    """Sparse points on a grid of the first frame, seen by all frames that have them in view."""
    _, height, width = made.depth.shape
    y, x = (v.ravel() for v in np.mgrid[6:height:every, 6:width:every])
    z = made.depth[0, y, x]
    K = made.intrinsics
    points = np.stack([x + 0.5, y + 0.5, np.ones(len(x))], -1) @ np.linalg.inv(K).T * z[:, None]
    seen = points[:, None] - made.world_from_camera[None, :, :3, 3]
    uv = seen[..., :2] / seen[..., 2:] * K[0, 0] + K[:2, 2]
    visible = ((uv > 0) & (uv < [width, height])).all(axis=-1)
    return Sparse(uv.astype(np.float32), visible, points)


def solve(made, views, dynamic=None):
    dynamic = np.zeros(made.depth.shape, np.float32) if dynamic is None else dynamic
    return static_depth(views, some_points(made), dynamic, made.frames)


@pytest.fixture(scope="module")
def slanted():
    made, views = scene([SLANTED])
    return made, views, *solve(made, views)


def test_a_slanted_plane_is_measured_within_two_percent(slanted):
    made, _, inverse, confidence = slanted
    measured = confidence > 0
    assert measured.mean() > 0.8
    assert np.abs(1 / inverse / made.depth - 1)[measured].mean() < 0.02


def test_depth_is_finite_and_in_front_everywhere(slanted):
    _, _, inverse, confidence = slanted
    assert np.isfinite(inverse).all() and (inverse > 0).all() and (confidence >= 0).all()
    assert inverse.dtype == confidence.dtype == np.float32


def test_confidence_is_the_inverse_of_the_relative_error(slanted):
    made, _, inverse, confidence = slanted
    error = np.abs(1 / inverse / made.depth - 1)
    sure, unsure = (confidence > np.quantile(confidence, q) for q in (0.7, 0.0))
    unsure &= confidence < np.quantile(confidence[confidence > 0], 0.3)
    assert np.median(error[sure]) <= np.median(error[unsure & (confidence > 0)])
    assert np.median(error[confidence > 0] * confidence[confidence > 0]) < 1.5


def test_a_near_box_stands_out_from_the_wall():
    made, views = scene([WALL, NEAR])
    inverse, confidence = solve(made, views)
    error = np.abs(1 / inverse / made.depth - 1)
    for label in (0, 1):
        on = (made.label == label) & (confidence > 0)
        assert on.sum() > 0.5 * (made.label == label).sum()
        assert np.median(error[on]) < 0.04


def test_moving_pixels_are_never_measured_but_filled_from_around_them():
    made, views = scene([SLANTED])
    dynamic = np.zeros(made.depth.shape, np.float32)
    dynamic[:, 30:60, 60:100] = 1.0
    inverse, confidence = solve(made, views, dynamic)
    assert (confidence[dynamic > 0.5] == 0).all()
    filled = (1 / inverse / made.depth)[dynamic > 0.5]
    assert np.isfinite(filled).all() and np.abs(filled - 1).mean() < 0.08


def test_cameras_at_one_place_measure_nothing():
    made, _ = scene([SLANTED], count=3)
    poses = np.tile(np.eye(4), (3, 1, 1))
    views = Views(np.repeat(made.grey[:1], 3, axis=0), lenses(made), poses)
    frames = np.repeat(made.frames[:1], 3, axis=0)
    nothing = np.zeros(made.depth.shape, np.float32)
    inverse, confidence = static_depth(views, some_points(made), nothing, frames)
    assert (confidence == 0).all() and np.isfinite(inverse).all()


def test_partners_offer_parallax_on_both_sides(slanted):
    made, views, _, _ = slanted
    uv, w = some_points(made).inverse_depth(views, 3)
    chosen = choose_partners(views, uv, w, 3)
    assert 3 not in chosen and len(chosen) == len(set(chosen))
    assert min(chosen) < 3 < max(chosen)
    assert choose_partners(views, uv[:0], w[:0], 3) == []


def test_reprojection_lands_where_the_truth_says(slanted):
    made, views, _, _ = slanted
    seen = views.reproject(0, 4, (1 / made.depth[0]).astype(np.float32))
    x, y = np.meshgrid(np.arange(160) + 0.5, np.arange(96) + 0.5)
    shift = 150.0 * 0.48 / made.depth[0]
    assert np.abs(seen.u - (x - shift)).max() < 0.02 and np.abs(seen.v - y).max() < 0.02
    assert seen.z == pytest.approx(1.0, abs=1e-5)
    step = views.reproject(0, 4, (1 / made.depth[0] + 1e-3).astype(np.float32))
    assert (step.u - seen.u) / 1e-3 == pytest.approx(seen.du, rel=0.02)


def test_frames_without_points_or_partners_still_get_a_finite_depth():
    """A frame that no track reaches, beside one whose camera looks the other way."""
    made, views = scene([SLANTED], count=4)
    poses = views.world_from_camera.copy()
    poses[3, :3, :3] = np.diag([-1.0, 1.0, -1.0])
    views = Views(views.grey, views.intrinsics, poses)
    sparse = some_points(made)
    sparse.visible[:, 2] = False
    dynamic = np.zeros(made.depth.shape, np.float32)
    inverse, confidence = static_depth(views, sparse, dynamic, made.frames)
    assert np.isfinite(1 / inverse).all() and (inverse > 0).all()
    assert not confidence[2].any()
