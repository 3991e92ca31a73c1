"""RotErr, TransErr and CamMC: known answers, invariants, input that has none."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.metrics.camera_control import camera_control_errors


def path(seed=0, count=6):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return poses


def straight(step):
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = step * np.arange(3)
    return poses


def test_errors_by_hand():
    truth, estimate = straight(1.0), straight(2.0)
    estimate[2, :3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    found = camera_control_errors(estimate, truth, "none")
    assert found.rot_err == pytest.approx(np.pi / 2)
    assert found.trans_err == pytest.approx(0 + 1 + 2)
    # a quarter turn changes four entries of the rotation by 1; the last position by 2
    assert found.cam_mc == pytest.approx(0 + 1 + np.sqrt(4 + 4))
    assert found.frames == 3
    by_truth = camera_control_errors(estimate, truth, "truth")
    assert by_truth.trans_err == pytest.approx((1 + 2) / 2)
    each = camera_control_errors(estimate, truth)
    assert each.trans_err == pytest.approx(0)
    assert each.cam_mc == pytest.approx(2)


def test_only_the_motion_from_the_first_frame_counts():
    truth, estimate = path(0), path(1)
    moved = path(2, 1) @ estimate
    for scale in ("each", "truth", "none"):
        a = camera_control_errors(estimate, truth, scale)
        b = camera_control_errors(moved, truth, scale)
        assert (a.rot_err, a.trans_err, a.cam_mc) == pytest.approx(
            (b.rot_err, b.trans_err, b.cam_mc)
        )
    same = camera_control_errors(path(2, 1) @ truth, truth)
    assert same.rot_err < 1e-12 and same.trans_err < 1e-12 and same.cam_mc < 1e-12


def test_each_scale_forgets_the_unit_of_the_estimate():
    truth, estimate = path(0), path(1)
    larger = estimate.copy()
    larger[:, :3, 3] *= 7
    assert camera_control_errors(larger, truth).trans_err == pytest.approx(
        camera_control_errors(estimate, truth).trans_err
    )
    assert (
        camera_control_errors(larger, truth, "none").trans_err
        > camera_control_errors(estimate, truth, "none").trans_err
    )


def test_cameras_that_do_not_move_or_are_unknown():
    still = np.tile(np.eye(4), (3, 1, 1))
    assert camera_control_errors(still, straight(5.0)).trans_err == pytest.approx(0.5 + 1)
    assert camera_control_errors(still, still).cam_mc == 0
    with pytest.raises(InputError, match="does not move"):
        camera_control_errors(straight(1.0), still, "truth")
    with pytest.raises(InputError, match="same"):
        camera_control_errors(still, path())
    still[1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        camera_control_errors(still, straight(1.0))
