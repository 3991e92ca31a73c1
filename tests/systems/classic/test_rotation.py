"""Rotations and focal length of a camera that only turns."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_worlds import rig

from worldline.systems.classic.rotation import drift, fit_panorama


def turned(found, truth):
    """Angle in degrees between rotations [N, 3, 3]."""
    return np.rad2deg(Rotation.from_matrix(found @ truth.transpose(0, 2, 1)).magnitude())


def with_outliers(made, share=0.1, seed=2):
    generator = np.random.default_rng(seed)
    uv = made.uv.copy()
    bad = generator.random(uv.shape[:2]) < share
    uv[bad] += generator.uniform(-60, 60, (int(bad.sum()), 2)).astype(np.float32)
    return uv


@pytest.mark.parametrize("focal", [420.0, 600.0, 1150.0])
def test_rotations_and_focal_length_come_out_of_noisy_tracks_with_outliers(focal):
    made = rig("rotation", focal=focal, noise=0.3)
    found = fit_panorama(with_outliers(made), made.visible, made.centre, 640, None)
    truth = made.world_from_camera[:, :3, :3].transpose(0, 2, 1)
    assert found.focal == pytest.approx(focal, rel=0.05)
    assert abs(found.focal - focal) < 2 * found.focal_sigma
    # with a wrong focal length the angles scale; those of the true one are exact
    held = fit_panorama(with_outliers(made), made.visible, made.centre, 640, focal)
    assert turned(held.rotations, truth).max() < 0.1
    assert turned(found.rotations, truth).max() < 0.1 + 0.06 * turned(truth[-1:], truth[:1]).max()
    assert found.residual < 0.5


def test_a_focal_length_that_is_given_is_kept():
    made = rig("rotation")
    found = fit_panorama(made.uv, made.visible, made.centre, 640, 600.0)
    assert found.focal == 600.0 and found.focal_sigma == 0.0
    assert np.allclose(found.rotations[0], np.eye(3), atol=1e-12)
    assert np.linalg.det(found.rotations) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["rotation", "still"])
def test_a_zoom_is_told_from_the_turn_that_goes_with_it(kind):
    made = rig(kind, noise=0.2)
    zoom = np.geomspace(1.0, 1.4, made.uv.shape[1])
    uv = (with_outliers(made) - made.centre) * zoom[:, None] + made.centre
    uv = uv.astype(np.float32)
    found = fit_panorama(uv, made.visible, made.centre, 640, 600.0, zooming=True)
    truth = made.world_from_camera[:, :3, :3].transpose(0, 2, 1)
    assert found.residual < 0.5 and found.focal == 600.0
    assert found.zoom == pytest.approx(zoom, rel=1e-3)
    assert turned(found.rotations, truth).max() < 0.1
    assert fit_panorama(uv, made.visible, made.centre, 640, 600.0).residual > 2.0


def test_travel_leaves_a_residual_that_turning_does_not():
    turning, free = (
        fit_panorama(made.uv, made.visible, made.centre, 640, 600.0)
        for made in (rig("rotation"), rig("free"))
    )
    assert turning.residual < 0.3
    assert free.residual > 2.0
    made = rig("free")
    zooming = fit_panorama(made.uv, made.visible, made.centre, 640, 600.0, zooming=True)
    assert zooming.residual > 2.0


def test_frames_without_tracks_keep_the_turn_before_them():
    made = rig("rotation", count=6)
    visible = made.visible.copy()
    visible[:, 3] = False
    found = fit_panorama(made.uv, visible, made.centre, 640, 600.0)
    assert np.isfinite(found.rotations).all()
    truth = made.world_from_camera[:, :3, :3].transpose(0, 2, 1)
    assert turned(found.rotations, truth)[[0, 1, 2]].max() < 0.1


def test_drift_is_how_far_points_stray():
    uv = np.zeros((5, 3, 2), np.float32)
    uv[:, 2, 0] = 8.0  # each goes 8 px from where it mostly is
    visible = np.ones((5, 3), bool)
    assert drift(uv, visible) == 8.0
    visible[:3, 2] = False  # most never did so while they were seen
    assert drift(uv, visible) == 0.0
    assert drift(uv[:0], visible[:0]) == 0.0
