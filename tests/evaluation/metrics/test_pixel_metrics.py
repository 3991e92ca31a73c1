import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from worldline.errors import InputError
from worldline.evaluation.metrics.depth import best_scale, depth_errors
from worldline.evaluation.metrics.flow import flow_errors
from worldline.evaluation.metrics.masks import iou_per_frame, mean_iou, pooled_iou
from worldline.evaluation.metrics.motion import end_point_errors, within


def test_depth_errors_by_hand():
    truth = np.array([[1.0, 2.0], [4.0, np.nan]])
    estimate = np.array([[1.1, 2.0], [2.0, 1.0]])
    errors = depth_errors(estimate, truth, alignment="none")
    assert errors.abs_rel == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert errors.delta == pytest.approx(2 / 3)
    assert errors.rmse == pytest.approx(np.sqrt((0.01 + 4) / 3))
    assert errors.pixels == 3
    masked = depth_errors(estimate, truth, np.array([[True, True], [False, True]]), "none")
    assert masked.abs_rel == pytest.approx(0.05)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.sampled_from(["median", "scale"]))
def test_aligned_depth_errors_do_not_depend_on_scale(factor, alignment):
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (2, 7, 9))
    estimate = truth * rng.uniform(0.8, 1.2, truth.shape)
    one = depth_errors(estimate, truth, alignment=alignment)
    other = depth_errors(factor * estimate, truth, alignment=alignment)
    assert other.abs_rel == pytest.approx(one.abs_rel)
    assert other.scale * factor == pytest.approx(one.scale)


def test_best_scale_is_the_least_absolute_deviation():
    rng = np.random.default_rng(1)
    truth = rng.uniform(1, 5, 301)
    estimate = truth * rng.uniform(0.5, 2, 301)
    scale = best_scale(estimate, truth)

    def cost(factor: float) -> float:
        return np.abs(factor * estimate - truth).sum()

    assert all(cost(scale) <= cost(factor) for factor in np.linspace(0.3, 2, 400))


@pytest.mark.parametrize("case", ["scaled", "scale_shift", "outliers"])
@pytest.mark.parametrize(
    ("alignment", "name"), [("scale", "scale"), ("median", "median"), ("none", "metric")]
)
def test_equals_the_golden_depth_metrics(golden: Path, case: str, alignment, name: str):
    arrays = load_file(golden / "metrics_video_depth.safetensors")
    cases = json.loads((golden / "metrics_video_depth.json").read_text())["cases"]
    expected = cases[case]["expected"][name]
    truth = arrays[f"{case}.gt"]
    errors = depth_errors(arrays[f"{case}.pred"], truth, (truth > 0) & (truth < 70), alignment)
    # there the scale comes from ten steps towards the optimum that is exact here
    tolerance = {"none": 1e-5, "median": 1e-3, "scale": 2e-2}[alignment]
    assert errors.abs_rel == pytest.approx(expected["Abs Rel"], rel=tolerance)
    assert errors.rmse == pytest.approx(expected["RMSE"], rel=tolerance)
    assert errors.delta == pytest.approx(expected["δ < 1.25"], abs=tolerance)
    assert errors.pixels == expected["valid_pixels"]


def test_depth_that_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="same"):
        depth_errors(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(InputError, match="No pixel"):
        depth_errors(np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(InputError, match="zero everywhere"):
        depth_errors(np.zeros((2, 2)), np.ones((2, 2)))


def test_mask_overlap_by_hand():
    truth = np.zeros((3, 2, 2), bool)
    estimate = np.zeros((3, 2, 2), bool)
    truth[0, 0], estimate[0, :, 0] = True, True  # one of three pixels in common
    estimate[1, 0, 0] = True  # nothing true
    assert np.allclose(iou_per_frame(estimate, truth), [1 / 3, 0, 1])
    assert mean_iou(estimate, truth) == pytest.approx(4 / 9)
    assert pooled_iou(estimate, truth) == pytest.approx(1 / 4)
    assert pooled_iou(truth[2:], truth[2:]) == 1


def test_equals_davis_region_similarity(reference_metrics: Path, davis_camel: Path):
    expected = json.loads((reference_metrics / "expected_davis_jf.json").read_text())
    expected = expected["values"]["osvos/camel"]

    def read(folder: Path) -> np.ndarray:
        return np.stack([np.array(Image.open(p)) > 0 for p in sorted(folder.glob("*.png"))])

    estimate = read(reference_metrics / "osvos_camel")
    truth = read(davis_camel / "masks")
    if estimate.shape != truth.shape:
        pytest.skip("the stored masks are at another size than the stored results")
    assert np.allclose(iou_per_frame(estimate, truth), expected["J"], atol=1e-6)
    assert mean_iou(estimate, truth) == pytest.approx(expected["J_mean_all_frames"], abs=1e-6)


def test_motion_errors_by_hand():
    truth = np.zeros((1, 3, 3))
    estimate = np.array([[[0.3, 0, 0.4], [0, 0, 0.2], [0, 0, 9]]])
    mask = np.array([[True, True, False]])
    assert end_point_errors(estimate, truth, mask) == pytest.approx([0.5, 0.2])
    assert within(np.array([0.05, 0.4])) == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert within(np.array([np.inf, 0.0])) == pytest.approx(0.5)
    with pytest.raises(InputError, match="no point"):
        within(np.zeros(0))


def test_flow_errors_by_hand():
    truth = np.array([[[100.0, 0], [1, 0], [0, 0], [np.nan, 0]]])
    estimate = np.array([[[104.0, 0], [1, 4], [0, 1], [5, 5]]])
    errors = flow_errors(estimate, truth)
    assert errors.epe == pytest.approx((4 + 4 + 1) / 3)
    assert errors.fl_all == pytest.approx(100 / 3)  # 4 px are within 5 % of 100 px
    with pytest.raises(InputError, match="No pixel"):
        flow_errors(estimate, np.full_like(truth, np.nan))
