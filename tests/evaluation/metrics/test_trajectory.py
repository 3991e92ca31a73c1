import json
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.golden import main
from worldline.evaluation.goldens.relpose import numbers
from worldline.evaluation.metrics.trajectory import (
    absolute_error,
    absolute_errors,
    align,
    path_length,
    pose_auc,
    pose_auc_as_published,
    relative_angles,
    relative_errors,
    rotation_angle,
    statistics,
    trajectory_errors,
)


def poses(rotations, positions):
    matrices = np.tile(np.eye(4), (len(positions), 1, 1))
    matrices[:, :3, :3] = rotations
    matrices[:, :3, 3] = positions
    return matrices


def random_poses(seed, count=8):
    rng = np.random.default_rng(seed)
    return poses(Rotation.random(count, rng=rng).as_matrix(), rng.normal(size=(count, 3)))


def read_tum(path):
    rows = np.loadtxt(path)
    return rows[:, 0], poses(Rotation.from_quat(rows[:, 4:8]).as_matrix(), rows[:, 1:4])


def read_kitti(path):
    rows = np.loadtxt(path)
    indices, values = (rows[:, 0], rows[:, 1:]) if rows.shape[1] == 13 else (None, rows)
    top = values.reshape(-1, 3, 4)
    return indices, poses(top[:, :, :3], top[:, :, 3])


def associate(estimate, truth, limit=0.01):
    """Pairs every stamp of the shorter trajectory with the nearest of the longer one."""
    (short, a), (long, b) = sorted((estimate, truth), key=lambda pair: len(pair[0]))
    nearest = np.abs(long[None] - short[:, None]).argmin(axis=1)
    kept = np.abs(long[nearest] - short) <= limit
    pair = a[kept], b[nearest[kept]]
    return pair if a is estimate[1] else pair[::-1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_errors_do_not_depend_on_the_estimates_similarity(seed, scale):
    truth, noise = random_poses(seed), np.random.default_rng(seed + 1)
    estimate = truth.copy()
    estimate[:, :3, 3] += 0.1 * noise.normal(size=(len(truth), 3))
    turned = random_poses(seed + 2, 1) @ estimate
    turned[:, :3, 3] *= scale
    before, after = trajectory_errors(estimate, truth), trajectory_errors(turned, truth)
    assert np.allclose(
        [before.ate, before.ate_percent, before.rpe_translation, before.rpe_rotation],
        [after.ate, after.ate_percent, after.rpe_translation, after.rpe_rotation],
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_similar_copy_has_no_error():
    truth = random_poses(3)
    moved = random_poses(4, 1) @ truth
    moved[:, :3, 3] *= 0.3
    errors = trajectory_errors(moved, truth)
    assert errors.ate < 1e-12 and errors.rpe_translation < 1e-12 and errors.rpe_rotation < 1e-9
    assert align(moved, truth).scale == pytest.approx(1 / 0.3)


def test_known_errors_of_a_straight_path():
    truth = poses(np.eye(3), np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0.0]]))
    estimate = truth.copy()
    estimate[1, :3, 3] += [0, 0.3, 0]
    assert path_length(truth) == 2
    assert absolute_error(estimate, truth) == pytest.approx(np.sqrt(0.09 / 3))
    translation, rotation = relative_errors(estimate, truth)
    assert translation == pytest.approx([0.3, 0.3]) and rotation == pytest.approx([0, 0])


def test_rotation_angles_are_exact_when_small_and_at_half_a_turn():
    angles = np.array([0, 1e-7, 1, 90, 179.9999, 180])
    rotations = Rotation.from_euler("y", angles[:, None], degrees=True).as_matrix()
    assert np.allclose(rotation_angle(rotations), angles, rtol=1e-6, atol=1e-12)


def test_unequal_trajectories_are_refused():
    with pytest.raises(InputError, match="same"):
        trajectory_errors(random_poses(0, 5), random_poses(0, 6))
    with pytest.raises(InputError, match="more than 1"):
        relative_errors(random_poses(0, 1), random_poses(0, 1))


@pytest.mark.parametrize(
    ("estimate", "truth"),
    [
        ("fr2_desk_ORB.txt", "fr2_desk_groundtruth.txt"),
        ("fr2_desk_ORB_kf_mono.txt", "fr2_desk_groundtruth.txt"),
        ("freiburg1_xyz-rgbdslam.txt", "freiburg1_xyz-groundtruth.txt"),
        ("freiburg1_xyz-ORB_kf_mono.txt", "freiburg1_xyz-groundtruth.txt"),
        ("KITTI_00_ORB.txt", "KITTI_00_gt.txt"),
    ],
)
def test_equals_evo(reference_metrics: Path, estimate: str, truth: str):
    expected = json.loads((reference_metrics / "expected_evo.json").read_text())[estimate]
    folder = reference_metrics / "trajectories"
    if estimate.startswith("KITTI"):
        found, true = read_kitti(folder / estimate)[1], read_kitti(folder / truth)[1]
    else:
        found, true = associate(read_tum(folder / estimate), read_tum(folder / truth))
    for name, with_scale in (("se3", False), ("sim3", True)):
        assert len(found) == expected[name]["n_poses"]
        errors = trajectory_errors(found, true, with_scale)
        want = (
            expected[name]["ape_trans"]["rmse"],
            expected[name]["rpe_trans_delta1f"]["rmse"],
            expected[name]["rpe_rot_deg_delta1f"]["rmse"],
        )
        got = errors.ate, errors.rpe_translation, errors.rpe_rotation
        assert got == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("case", ["noisy", "few", "similar", "mirrored"])
def test_equals_the_golden_relative_pose_metrics(golden: Path, case: str):
    arrays = load_file(golden / "metrics_relpose.safetensors")
    cases = json.loads((golden / "metrics_relpose.json").read_text())["cases"]
    expected = cases[case]["expected"]
    errors = trajectory_errors(arrays[f"{case}.pred_c2w"], arrays[f"{case}.gt_c2w"])
    want = (expected["ATE_rmse"], expected["RPE_trans_rmse"], expected["RPE_rot_rmse_deg"])
    assert (errors.ate, errors.rpe_translation, errors.rpe_rotation) == pytest.approx(
        want, rel=1e-6, abs=2e-5
    )


@pytest.mark.parametrize(
    ("sequence", "ate", "rpe_metres", "rpe_degrees"),
    [("09", 8.387, 0.343, 0.063), ("10", 6.630, 0.047, 0.066)],
)
def test_equals_kitti_odometry_evaluation(
    reference_metrics: Path, sequence, ate, rpe_metres, rpe_degrees
):
    """The '7dof' lines of the expected output; that program's RPE are means."""
    printed = json.loads((reference_metrics / "expected_kitti_odom_eval.json").read_text())
    assert f"ATE (m): \t {ate:.3f} " in printed["7dof"]
    folder = reference_metrics / "trajectories"
    indices, found = read_kitti(folder / f"kitti_{sequence}_example0.txt")
    true = read_kitti(folder / f"kitti_{sequence}_gt.txt")[1]
    true = true[: len(found)] if indices is None else true[indices.astype(int)]
    aligned = align(found, true).poses(found)
    translation, rotation = relative_errors(aligned, true)
    assert absolute_error(aligned, true) == pytest.approx(ate, abs=2e-3)
    assert translation.mean() == pytest.approx(rpe_metres, abs=1.5e-3)
    assert rotation.mean() == pytest.approx(rpe_degrees, abs=1.5e-3)


def test_equals_tartanair_evaluation(reference_metrics: Path):
    expected = json.loads((reference_metrics / "expected_tartanair.json").read_text())
    folder = reference_metrics / "trajectories"
    found, true = (
        poses(Rotation.from_quat(rows[:, 3:]).as_matrix(), rows[:, :3])
        for rows in (np.loadtxt(folder / f"tartanair_pose_{n}.txt") for n in ("est", "gt"))
    )
    rigid = trajectory_errors(found, true, with_scale=False).ate
    assert rigid == pytest.approx(expected["no_scale"]["ate_score"], rel=1e-6)
    # with scale, that program aligns the truth to the estimate and divides the error by the scale
    back = align(true, found)
    ate = absolute_error(back.poses(true), found) / back.scale
    assert ate == pytest.approx(expected["scale"]["ate_score"], rel=1e-6)


def turned(pose, degrees, axis="z"):
    out = pose.copy()
    out[:3, :3] = pose[:3, :3] @ Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return out


def test_statistics_by_hand():
    found = statistics(np.array([1.0, 2.0, 6.0, 3.0]))
    want = (np.sqrt(50 / 4), 3, 2.5, np.sqrt(50 / 4 - 9), 1, 6, 50)
    assert astuple(found) == pytest.approx(want)
    assert np.isnan(astuple(statistics(np.zeros(0)))).all()


def test_relative_errors_over_more_frames_and_over_consecutive_pairs():
    truth, estimate = random_poses(0, 7), random_poses(1, 7)
    every = relative_errors(estimate, truth, delta=3)
    apart = relative_errors(estimate, truth, delta=3, all_pairs=False)
    assert len(every[0]) == 4 and np.array_equal(apart[0], every[0][[0, 3]])
    with pytest.raises(InputError, match="not 0 apart"):
        relative_errors(estimate, truth, delta=0)


def test_pose_auc_of_one_turned_camera():
    truth = random_poses(2, 3)
    estimate = truth.copy()
    estimate[2] = turned(truth[2], 7.5)  # its pairs are off in rotation only
    angles = relative_angles(estimate, truth)
    assert angles.rotation == pytest.approx([0, 7.5, 7.5], abs=1e-9)
    assert angles.direction == pytest.approx([0, 0, 0], abs=1e-9)
    assert pose_auc(estimate, truth, 30.0) == pytest.approx((1 + 2 * (1 - 7.5 / 30)) / 3)
    # thresholds of 1 to 7 degrees miss two of three pairs, 8 to 30 none
    assert pose_auc_as_published(estimate, truth, 30) == pytest.approx((7 / 3 + 23) / 30)
    assert pose_auc(truth, truth) == pytest.approx(1)


def test_pose_auc_does_not_depend_on_the_estimates_similarity():
    truth, estimate = random_poses(5), random_poses(5)
    estimate[:, :3, 3] += 0.1 * np.random.default_rng(0).normal(size=(8, 3))
    moved = random_poses(6, 1) @ estimate
    moved[:, :3, 3] *= 3
    assert pose_auc(moved, truth) == pytest.approx(pose_auc(estimate, truth))
    found = pose_auc_as_published(moved, truth)
    assert found == pytest.approx(pose_auc_as_published(estimate, truth))


def test_published_pose_auc_takes_a_direction_for_its_opposite():
    truth = poses(np.eye(3), np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0.0]]))
    backwards = poses(np.eye(3), -truth[:, :3, 3])
    assert pose_auc(backwards, truth) == 0
    assert pose_auc_as_published(backwards, truth) == pytest.approx(1)


def test_pose_auc_of_cameras_that_stand_still_or_are_unknown():
    moving = poses(np.eye(3), np.array([[0, 0, 0], [1, 0, 0], [2, 1, 0.0]]))
    still = poses(np.eye(3), np.zeros((3, 3)))
    assert pose_auc(moving, still) == 1  # the truth has no direction: rotations alone count
    assert pose_auc(still, moving) == 0
    assert pose_auc_as_published(still, moving) == 0  # 90 degrees
    unknown = moving.copy()
    unknown[2] = np.nan
    assert pose_auc(unknown, moving) == pytest.approx(1 / 3)
    assert pose_auc_as_published(unknown, moving) == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="two frames"):
        pose_auc(moving[:1], moving[:1])
    with pytest.raises(InputError, match="above 0"):
        pose_auc(moving, moving, 0.0)


def test_positions_in_a_line_and_poses_that_are_not_finite():
    truth = poses(np.eye(3), np.arange(4.0)[:, None] * [1, 2, 3])
    assert trajectory_errors(truth, truth).ate < 1e-12
    broken = truth.copy()
    broken[1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        trajectory_errors(broken, truth)
    with pytest.raises(InputError, match="coincide"):
        trajectory_errors(np.tile(np.eye(4), (4, 1, 1)), truth)


def test_equals_every_statistic_of_evo(reference_metrics: Path):
    name = "freiburg1_xyz-rgbdslam.txt"
    expected = json.loads((reference_metrics / "expected_evo.json").read_text())[name]
    folder = reference_metrics / "trajectories"
    pair = read_tum(folder / name), read_tum(folder / "freiburg1_xyz-groundtruth.txt")
    found, true = associate(*pair)
    aligned = {
        "none": found,
        "se3": align(found, true, with_scale=False).poses(found),
        "sim3": align(found, true).poses(found),
    }
    for how, moved in aligned.items():
        ape, rpe = absolute_errors(moved, true), relative_errors(moved, true)
        ours = {"ape_trans": ape[0], "ape_rot_deg": ape[1]}
        ours |= {"rpe_trans_delta1f": rpe[0], "rpe_rot_deg_delta1f": rpe[1]}
        for key, errors in ours.items():
            assert asdict(statistics(errors)) == pytest.approx(expected[how][key], rel=1e-5)


def test_golden_relpose(golden: Path):
    assert main([str(golden / "metrics_relpose.json")]) == 0


def test_golden_relpose_is_nan_where_evo_refuses():
    line = poses(np.eye(3), np.arange(4.0)[:, None] * [1, 0, 0])
    found = numbers({"pred_c2w": line, "gt_c2w": line}, {}, {})
    assert np.isnan(found["ATE_rmse"]) and np.isnan(found["RPE_rot_all"]["sse"])
