"""Drift over parts of a path: known answers, the values of two published programs."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.metrics.odometry import TARTANAIR_LENGTHS, segment_errors
from worldline.evaluation.metrics.trajectory import align


def poses(rotations, positions):
    matrices = np.tile(np.eye(4), (len(positions), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rotations, positions
    return matrices


def straight(step, count=31):
    return poses(np.eye(3), np.arange(count)[:, None] * [step, 0.0, 0.0])


def test_drift_by_hand():
    """An estimate 5 % too long: over a part of length 10, 11 steps are the first beyond it."""
    found = segment_errors(straight(1.05), straight(1.0), lengths=(10.0, 20.0), step=5)
    assert found.length.tolist() == [10, 20, 10, 20, 10, 10]
    assert found.translation == pytest.approx([0.055, 0.0525, 0.055, 0.0525, 0.055, 0.055])
    assert found.rotation == pytest.approx(np.zeros(6))
    assert found.means()[0] == pytest.approx((4 * 0.055 + 2 * 0.0525) / 6)
    assert found.means_of_lengths()[0] == pytest.approx((0.055 + 0.0525) / 2)


def test_turning_drift_is_per_unit_of_length():
    turns = Rotation.from_euler("z", 0.1 * np.arange(31)[:, None], degrees=True).as_matrix()
    truth = straight(1.0)
    found = segment_errors(poses(turns, truth[:, :3, 3]), truth, lengths=(10.0,))
    assert found.rotation == pytest.approx(np.full(2, 1.1 / 10))


def test_short_paths_and_bad_lengths():
    short = segment_errors(straight(1.0), straight(1.0))
    assert len(short.length) == 0
    assert np.isnan(short.means()).all() and np.isnan(short.means_of_lengths()).all()
    with pytest.raises(InputError, match="lengths above 0"):
        segment_errors(straight(1.0), straight(1.0), lengths=(0.0,))
    with pytest.raises(InputError, match="same"):
        segment_errors(straight(1.0), straight(1.0, 30))


@pytest.mark.parametrize(
    ("sequence", "percent", "degrees"), [("09", 2.884, 0.249), ("10", 3.298, 0.305)]
)
def test_equals_kitti_odometry_drift(reference_metrics: Path, sequence, percent, degrees):
    printed = json.loads((reference_metrics / "expected_kitti_odom_eval.json").read_text())["7dof"]
    assert f"Trans. err. (%): \t {percent:.3f} \nRot. err. (deg/100m): \t {degrees:.3f}" in printed
    folder = reference_metrics / "trajectories"
    rows = np.loadtxt(folder / f"kitti_{sequence}_example0.txt")
    top = rows[:, -12:].reshape(-1, 3, 4)
    true = np.loadtxt(folder / f"kitti_{sequence}_gt.txt").reshape(-1, 3, 4)
    frames = rows[:, 0].astype(int)
    estimate, truth = poses(top[..., :3], top[..., 3]), poses(true[..., :3], true[..., 3])[frames]
    aligned = align(estimate, truth).poses(estimate)
    begin = -frames[0] % 10  # parts begin at every tenth true frame, of which the first is missing
    drift, turn = segment_errors(aligned[begin:], truth[begin:]).means()
    assert 100 * drift == pytest.approx(percent, abs=6e-4)
    assert 100 * turn == pytest.approx(degrees, abs=6e-4)


def test_equals_tartanair_drift(reference_metrics: Path):
    expected = json.loads((reference_metrics / "expected_tartanair.json").read_text())
    folder = reference_metrics / "trajectories"
    found, true = (
        poses(Rotation.from_quat(rows[:, 3:]).as_matrix(), rows[:, :3])
        for rows in (np.loadtxt(folder / f"tartanair_pose_{n}.txt") for n in ("est", "gt"))
    )
    drift, turn = segment_errors(found, true, TARTANAIR_LENGTHS, step=1).means_of_lengths()
    assert (turn, drift) == pytest.approx(expected["no_scale"]["kitti_score"], rel=1e-6)
