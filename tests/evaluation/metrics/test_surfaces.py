import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.goldens.mv_recon import numbers, tolerance
from worldline.evaluation.metrics.clouds import Cloud, Follower, space_order
from worldline.evaluation.metrics.registration import register
from worldline.evaluation.metrics.surfaces import (
    complete_4d_errors,
    median_aligned,
    multi_view_errors,
    point_errors,
    surface_errors,
)


@pytest.mark.parametrize("case", ["clean", "shifted", "partial"])
def test_golden_vectors_of_open3d(golden: Path, case: str):
    cases = json.loads((golden / "metrics_mv_recon.json").read_text())["cases"]
    tensors = load_file(golden / "metrics_mv_recon.safetensors")
    own = {name.removeprefix(f"{case}."): t for name, t in tensors.items() if name[0] == case[0]}
    expected = cases[case]["expected"]
    answer = numbers(own, cases[case]["params"], expected)
    for part, values in expected.items():
        assert answer[part].keys() == values.keys()
        for name, value in values.items():
            near = pytest.approx(np.array(value), rel=1e-6, abs=1e-9)
            assert np.array(answer[part][name]) == near, (part, name)
            assert tolerance((part, name)) >= 1e-6
    np.testing.assert_allclose(answer["out.pred_after_icp"], own["out.pred_after_icp"], atol=1e-6)


def test_golden_numbers_of_empty_clouds_are_what_they_are_defined_as():
    some = plane(10).astype(np.float32)
    part = {"acc_mean": 0, "comp_mean": 0, "comp_ratio_005": 0}
    motion = {"nc1_mean": 0, "nc_mean": 0, "transformation": 0, "fitness": 0, "inlier_rmse": 0}
    expected = {"no_icp": part, "icp": part | motion}
    answer = numbers({"gt": some, "pred": some[:0]}, {"icp_threshold": 0.1}, expected)
    assert np.isnan(answer["icp"]["acc_mean"])
    assert np.isnan(answer["icp"]["nc_mean"])
    assert answer["no_icp"]["comp_mean"] == np.inf
    assert (answer["icp"]["fitness"], answer["icp"]["inlier_rmse"]) == (0, 0)
    assert answer["icp"]["transformation"] == np.eye(4).tolist()
    answer = numbers({"gt": some[:0], "pred": some}, {}, expected)
    assert answer["no_icp"]["acc_mean"] == np.inf
    assert np.isnan(answer["no_icp"]["comp_ratio_005"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_errors_do_not_depend_on_frame_or_order_and_grow_with_the_unit(seed: int, unit: float):
    rng = np.random.default_rng(seed)
    estimate, truth = wavy(rng, 200), wavy(rng, 250)
    turn, shift = Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3)
    one = surface_errors(estimate, truth)
    other = surface_errors(
        unit * rng.permutation(estimate) @ turn.T + shift, unit * truth @ turn.T + shift
    )
    assert other.accuracy == pytest.approx(unit * one.accuracy)
    assert other.completion_median == pytest.approx(unit * one.completion_median)
    assert other.normal_consistency == pytest.approx(one.normal_consistency, rel=1e-6)


def test_errors_of_two_planes_by_hand():
    truth = plane(40)
    errors = surface_errors(truth + np.array([0, 0, 0.04]), truth)
    assert errors.accuracy == errors.completion == pytest.approx(0.04)
    assert errors.accuracy_median == errors.completion_median == pytest.approx(0.04)
    assert errors.completion_ratio == 1
    assert errors.normal_consistency == errors.normal_consistency_median == pytest.approx(1)
    assert surface_errors(truth + np.array([0, 0, 0.05001]), truth).completion_ratio == 0
    upright = truth @ Rotation.from_euler("x", 90, degrees=True).as_matrix().T
    assert surface_errors(upright, truth).normals_accuracy == pytest.approx(0, abs=1e-9)


def test_half_a_surface_is_accurate_but_not_complete():
    truth = plane(40)
    half = truth[truth[:, 0] < 0.5]
    errors = surface_errors(half, truth)
    assert errors.accuracy == 0
    assert errors.completion > 0.1
    assert 0.5 < errors.completion_ratio < 0.6
    turned = surface_errors(truth, half)
    assert (turned.completion, turned.accuracy) == (errors.accuracy, errors.completion)


def test_errors_are_those_of_asking_for_every_point():
    rng = np.random.default_rng(0)
    estimate, truth = wavy(rng, 700), wavy(rng, 900)
    errors = point_errors(estimate, truth)
    np.testing.assert_allclose(errors.accuracy, cKDTree(truth).query(estimate)[0])
    np.testing.assert_allclose(errors.completion, cKDTree(estimate).query(truth)[0])


@pytest.mark.parametrize("step", [1e-4, 1e-2, 1.0])
def test_followed_neighbours_are_those_of_a_new_question(step: float):
    rng = np.random.default_rng(1)
    target, points = Cloud(rng.normal(size=(500, 3))), rng.normal(size=(400, 3))
    nearest = Follower.start(target, points)
    for _ in range(6):
        points = points + rng.normal(scale=step, size=(400, 3))
        nearest.move(points)
        distance, index = cKDTree(target.points).query(points)
        np.testing.assert_allclose(nearest.distance, distance)
        np.testing.assert_array_equal(nearest.index, index)


def test_icp_undoes_a_small_rigid_motion():
    rng = np.random.default_rng(2)
    truth = wavy(rng, 2000)
    turn = Rotation.from_euler("xyz", [1, -0.5, 1], degrees=True).as_matrix()
    moved = truth @ turn.T + [0.01, -0.01, 0.005]
    found, _ = register(moved, Cloud(truth), 0.1)
    assert found.fitness == 1
    np.testing.assert_allclose(found.points(moved), truth, atol=5e-3)
    assert surface_errors(moved, truth, 0.1).accuracy < 0.2 * surface_errors(moved, truth).accuracy


def test_icp_stays_where_nothing_is_near():
    rng = np.random.default_rng(3)
    found, _ = register(wavy(rng, 100) + 50, Cloud(wavy(rng, 100)), 0.1)
    assert (found.fitness, found.inlier_rmse) == (0, 0)
    np.testing.assert_array_equal(found.transform, np.eye(4))


def test_normals_of_a_sphere_point_from_its_centre():
    points = np.random.default_rng(4).normal(size=(5000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    agreement = np.abs((Cloud(points).normals * points).sum(axis=1))
    assert agreement.min() > 0.99


def test_a_line_and_a_heap_have_no_normals():
    line = np.linspace(0, 1, 50)[:, None] * [1.0, 2.0, 3.0]
    assert np.isnan(Cloud(line).normals).all()
    assert np.isnan(Cloud(np.zeros((50, 3))).normals).all()
    assert np.isnan(Cloud(np.full((50, 3), 1 / 3)).normals).all()
    assert np.isnan(Cloud(np.eye(3)[:2]).normals).all()
    assert np.isnan(surface_errors(line, line).normal_consistency)
    heap = np.full((50, 3), 0.3)
    assert np.isnan(point_errors(heap, heap).summary().normal_consistency)
    assert point_errors(heap, heap, published=True).summary().normal_consistency == 1  # Open3D


def test_points_that_are_not_finite_do_not_count():
    rng = np.random.default_rng(5)
    truth, estimate = wavy(rng, 300), wavy(rng, 300)
    broken = np.concatenate([estimate, [[np.nan, 0, 0], [0, np.inf, 0]]])
    assert surface_errors(broken, truth, 0.1) == surface_errors(estimate, truth, 0.1)
    assert np.isnan(point_errors(broken, truth).accuracy[-2:]).all()


def test_an_empty_cloud_is_nowhere_near():
    nothing, some = np.empty((0, 3)), plane(10)
    missed = surface_errors(nothing, some, 0.1)
    assert np.isnan(missed.accuracy)
    assert missed.completion == missed.completion_median == np.inf
    assert missed.completion_ratio == 0
    assert np.isnan(missed.normal_consistency)
    invented = surface_errors(some, nothing, 0.1)
    assert invented.accuracy == np.inf
    assert np.isnan(invented.completion)
    assert np.isnan(invented.completion_ratio)


def test_icp_needs_a_threshold_above_zero():
    with pytest.raises(InputError, match="threshold"):
        surface_errors(plane(5), plane(5), 0.0)


def test_medians_undo_a_scale_and_a_shift_of_depth():
    rng = np.random.default_rng(6)
    truth = rng.normal(size=(2, 6, 7, 3)) + np.array([0, 0, 4])
    shifted = 3 * (truth - [0, 0, 1.5])
    np.testing.assert_allclose(median_aligned(shifted, truth), truth)
    mask = rng.uniform(size=(2, 6, 7)) > 0.3
    spoilt = np.where(mask[..., None], shifted, 1e6)
    np.testing.assert_allclose(median_aligned(spoilt, truth, mask)[mask], truth[mask])


def test_published_medians_are_the_lower_of_the_two_in_the_middle():
    truth = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 4], [0, 0, 8.0]])
    estimate = truth + np.array([0, 0, 1])
    estimate[2, 2] = 7
    # ours: medians of z 5 and 3, distances (3, 2, 2, 4) of the estimate and (2, 1, 1, 5) there
    expected = (estimate[:, 2] - 5) * 1.5 / 2.5 + 3
    np.testing.assert_allclose(median_aligned(estimate, truth)[:, 2], expected)
    # torch.median: z 3 and 2, distances (1, 0, 4, 6) and (1, 0, 2, 6), of which 1 and 1
    published = median_aligned(estimate, truth, published=True)
    np.testing.assert_allclose(published[:, 2], estimate[:, 2] - 1)


def test_published_scale_is_clipped_so_it_depends_on_the_unit():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=(101, 3))
    tiny = 1e-5 * truth
    np.testing.assert_allclose(median_aligned(tiny, truth), truth)
    assert np.abs(median_aligned(tiny, truth, published=True)).max() < 0.1


def test_alignment_needs_points_and_their_extent():
    truth = plane(4)
    with pytest.raises(InputError, match="No point"):
        median_aligned(np.full_like(truth, np.nan), truth)
    with pytest.raises(InputError, match="coincide"):
        median_aligned(np.zeros_like(truth), truth)
    with pytest.raises(InputError, match="same"):
        median_aligned(truth[:3], truth)


def test_views_are_compared_inside_the_crop_after_alignment_over_the_mask():
    rng = np.random.default_rng(8)
    truth = wavy(rng, 2 * 20 * 30).reshape(2, 20, 30, 3) + np.array([0, 0, 3])
    estimate = 0.5 * truth
    mask = np.ones((2, 20, 30), bool)
    mask[:, 0] = False
    estimate[:, 0] = 99
    assert multi_view_errors(estimate, truth, mask).accuracy == pytest.approx(0, abs=1e-9)
    crop = np.zeros_like(mask)
    crop[:, 5:15, 10:20] = True
    estimate[:, 10:, 25:] += 1  # outside the crop
    errors = multi_view_errors(estimate, truth, mask, crop, icp_threshold=None)
    assert 0 < errors.accuracy < 0.05  # the medians moved, the crop's points did not
    sim3 = multi_view_errors(estimate, truth, mask, crop, sim3=True)
    assert sim3.accuracy == pytest.approx(0, abs=1e-9)


def test_complete_4d_tells_the_seen_from_the_hidden():
    rng = np.random.default_rng(9)
    truth = np.stack([wavy(rng, 1000) + np.array([0, 0, 3 + time]) for time in range(3)])
    visible = truth[..., 0] < 0.7
    estimate = truth.copy()
    estimate[~visible] = np.nan
    errors = complete_4d_errors(estimate, truth, visible, together=True, icp_threshold=None)
    assert errors.visible.completion < 0.02
    assert errors.occluded.completion > 0.02
    assert np.isnan(errors.occluded.accuracy)  # nothing hidden was estimated
    assert len(errors.targets) == 3
    whole = complete_4d_errors(truth, truth, visible)
    assert whole.occluded.completion == pytest.approx(0, abs=1e-9)
    assert whole.all.normal_consistency == pytest.approx(1)


def test_complete_4d_aligned_together_sees_a_sequence_that_breathes():
    rng = np.random.default_rng(10)
    truth = np.stack([wavy(rng, 800) + np.array([0, 0, 3])] * 2)
    estimate = truth * np.array([1.0, 1.3])[:, None, None]
    visible = np.ones(truth.shape[:2], bool)
    each = complete_4d_errors(estimate, truth, visible, icp_threshold=None)
    together = complete_4d_errors(estimate, truth, visible, together=True, icp_threshold=None)
    assert each.all.accuracy < 1e-9
    assert together.all.accuracy > 0.01


def test_complete_4d_says_when_a_time_has_nothing_to_align():
    truth = np.stack([plane(5)] * 2)
    estimate, visible = truth.copy(), np.ones((2, 25), bool)
    estimate[1] = np.nan
    with pytest.raises(InputError, match="No point"):
        complete_4d_errors(estimate, truth, visible)


def test_complete_4d_draws_the_same_points_again():
    rng = np.random.default_rng(11)
    truth = np.stack([wavy(rng, 600)] * 2)
    estimate, visible = truth + rng.normal(scale=0.01, size=truth.shape), np.ones((2, 600), bool)
    one, other = (complete_4d_errors(estimate, truth, visible, most=200) for _ in range(2))
    assert one.all == other.all
    assert one.all != complete_4d_errors(estimate, truth, visible).all


def test_space_order_keeps_neighbours_together():
    points = np.random.default_rng(12).uniform(size=(4000, 3))
    order = space_order(points)
    assert sorted(order) == list(range(4000))
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    assert steps.mean() < 0.2 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    assert len(space_order(np.zeros((5, 3)))) == 5


def plane(side: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    return np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)


def wavy(rng: np.random.Generator, count: int) -> np.ndarray:
    x, y = rng.uniform(size=(2, count))
    return np.stack([x, y, 0.2 * np.sin(5 * x) * np.cos(4 * y)], axis=-1)
