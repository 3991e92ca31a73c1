"""Depth errors: exact alignments, the published ones beside them, input that has none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation.golden import main
from worldline.evaluation.goldens.video_depth import numbers
from worldline.evaluation.metrics.depth import dataset_average, depth_errors
from worldline.evaluation.metrics.depth_published import depth_errors_as_published
from worldline.evaluation.metrics.least_absolute import best_line, weighted_median


def pair(seed=0, shape=(2, 20, 30)):
    """True depth, and an estimate of it with noise, a scale, a shift and outliers."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 20, shape)
    estimate = (truth - 0.7) / 3 * rng.lognormal(0, 0.05, shape)
    estimate[:, ::7] *= 3
    return estimate, truth


def cost(x, y, scale, shift):
    return np.abs(scale * x + shift - y).sum()


def optimum(x, y):
    """The least Σ |scale · x + shift - y|: some best line passes through two points, so try all."""
    i, j = np.triu_indices(len(x), 1)
    i, j = i[x[i] != x[j]], j[x[i] != x[j]]
    scale = (y[j] - y[i]) / (x[j] - x[i])
    shift = y[i] - scale * x[i]
    return np.abs(scale[:, None] * x + shift[:, None] - y).sum(axis=1).min()


def test_errors_by_hand():
    truth = np.array([[2.0, 4.0, 90.0]])
    estimate = np.array([[1.0, 6.0, 1.0]])
    errors = depth_errors(estimate, truth, alignment="none", max_depth=70.0)
    assert errors.pixels == 2 and (errors.scale, errors.shift) == (1, 0)
    assert errors.abs_rel == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert errors.sq_rel == pytest.approx((1 / 2 + 4 / 4) / 2)
    assert errors.rmse == pytest.approx(np.sqrt((1 + 4) / 2))
    logs = np.log([1 / 2, 6 / 4])
    assert errors.log_rmse == pytest.approx(np.sqrt((logs**2).mean()))
    assert (errors.delta, errors.delta2, errors.delta3) == (0, 0.5, 0.5)
    clipped = depth_errors(estimate, truth, alignment="none", max_depth=70.0, clip=5.0)
    assert clipped.abs_rel == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_depth_behind_the_camera_fails_every_threshold():
    errors = depth_errors(np.array([-1.0, 1.0]), np.ones(2), alignment="none")
    assert errors.log_rmse == np.inf and errors.delta3 == 0.5
    published = depth_errors_as_published(np.array([-1.0, 1.0]), np.ones(2), alignment="metric")
    assert published.log_rmse == pytest.approx(np.log(1e5) / np.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("alignment", ["scale_shift", "least_squares"])
def test_scale_and_shift_are_undone(alignment):
    _, truth = pair()
    errors = depth_errors((truth - 0.7) / 3, truth, alignment=alignment)
    assert errors.abs_rel < 1e-12
    assert (errors.scale, errors.shift) == pytest.approx((3, 0.7))


@pytest.mark.parametrize("seed", range(30))
def test_best_line_is_as_good_as_any_through_two_points(seed):
    """Also where many points lie on one line or share their x, which vertices get stuck at."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 50))
    x = rng.uniform(0, 5, count)
    y = 2 * x + 1 + rng.standard_cauchy(count) * (seed % 4 > 0)
    if seed % 3 == 0:
        x, y = np.round(x), np.round(y)
    x[0], x[1] = -1, 6
    assert cost(x, y, *best_line(x, y)) <= optimum(x, y) + 1e-12 * np.abs(y).sum()


def test_best_line_of_many_points_is_optimal():
    """The sum grows in no direction less than its subgradient allows: none is below zero."""
    rng = np.random.default_rng(0)
    y = np.round(rng.uniform(1, 20, 60_000), 2)
    x = np.round(y / 3 * rng.lognormal(0, 0.2, y.size), 2)
    scale, shift = best_line(x, y)
    residual = scale * x + shift - y
    on = np.abs(residual) < 1e-9
    angle = np.concatenate([np.linspace(0, 2 * np.pi, 2000), np.arctan2(-x[on], 1)])
    angle = np.concatenate([angle, angle + np.pi])
    change = np.sin(angle) * np.sign(residual[~on]).sum()
    change += np.cos(angle) * (np.sign(residual[~on]) @ x[~on])
    ours = np.abs(np.cos(angle)[:, None] * x[on] + np.sin(angle)[:, None])
    # arctan2(-x, 1) is the angle of (1, -x): scale on the first axis, shift on the second
    assert (change + ours.sum(axis=1)).min() >= -1e-6


def test_best_line_and_weighted_median_by_hand():
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0])) == 2
    x = np.array([0.0, 1, 2, 3])
    assert best_line(x, np.array([1.0, 3, 50, 7])) == pytest.approx((2, 1))
    with pytest.raises(InputError, match="same everywhere"):
        best_line(np.ones(4), x)


def test_published_alignments_are_not_optimal():
    """Adam's thousand small steps stop far from the optimum; metres or feet then differ."""
    estimate, truth = pair()
    ours = depth_errors(estimate, truth, alignment="scale_shift")
    published = depth_errors_as_published(estimate, truth, alignment="scale&shift")
    assert published.abs_rel > ours.abs_rel + 0.005
    feet = depth_errors(estimate / 0.3, truth / 0.3, alignment="scale_shift")
    feet_published = depth_errors_as_published(
        estimate / 0.3, truth / 0.3, alignment="scale&shift", max_depth=None
    )
    assert feet.abs_rel == pytest.approx(ours.abs_rel)
    assert abs(feet_published.abs_rel - published.abs_rel) > 0.001


def test_published_median_is_the_lower_one():
    truth, estimate = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 2.0, 2.0])
    assert depth_errors(estimate, truth, alignment="median").scale == pytest.approx(2.5 / 1.5)
    published = depth_errors_as_published(estimate, truth, alignment="median")  # by 2 / 1
    assert published.abs_rel == pytest.approx((1 + 0 + 1 / 3 + 0) / 4)


def test_dataset_averages_count_every_pixel_alike():
    estimate, truth = pair()
    parts = [
        depth_errors(estimate[:, :5], truth[:, :5], alignment=3.0),
        depth_errors(estimate[:, 5:], truth[:, 5:], alignment=3.0),
    ]
    whole = depth_errors(estimate, truth, alignment=3.0)
    for name, value in dataset_average(parts).items():
        assert value == pytest.approx(getattr(whole, name))
    published = dataset_average(
        [replace(parts[0], rmse=1.0, pixels=1), replace(parts[0], rmse=3.0, pixels=3)],
        published=True,
    )
    assert published["rmse"] == pytest.approx(2.5)
    assert np.isnan(list(dataset_average([]).values())).all()


def test_depth_that_is_unknown_or_constant():
    estimate, truth = pair()
    with pytest.raises(InputError, match="same everywhere"):
        depth_errors(np.ones_like(truth), truth, alignment="least_squares")
    unknown = estimate.copy()
    unknown[0, 0, 0] = np.nan
    assert depth_errors(unknown, truth).pixels == truth.size - 1
    for alignment in ("metric", "scale", "median", "lstsq"):
        assert np.isnan(depth_errors_as_published(unknown, truth, alignment=alignment).abs_rel)
    nothing = depth_errors_as_published(estimate, np.zeros_like(truth))
    assert nothing.pixels == 0 and nothing.abs_rel == 0


def test_golden_video_depth(golden: Path):
    assert main([str(golden / "metrics_video_depth.json")]) == 0


def test_golden_video_depth_reads_a_variants_name():
    estimate, truth = pair(shape=(1, 8, 9))
    tensors = {"pred": estimate, "gt": truth, "custom_mask": truth > 5}
    names = ("metric", "metric_clip5", "metric_custom_mask", "metric_clip5_custom_mask")
    found = numbers(tensors, {"max_depth": None}, dict.fromkeys(names))
    assert len({found[name]["Abs Rel"] for name in names}) == 4
    assert found["metric_custom_mask"]["valid_pixels"] == (truth > 5).sum()
