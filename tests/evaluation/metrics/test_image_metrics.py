"""PSNR and SSIM with and without a mask: known answers, invariants, published variants."""

from pathlib import Path

import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation.golden import main
from worldline.evaluation.metrics.images import psnr, psnr_as_published, ssim, ssim_as_published


def pictures(seed=0, shape=(24, 30, 3)):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 1, shape)
    return np.clip(truth + rng.normal(0, 0.1, shape), 0, 1), truth


def ssim_by_hand(a, b):
    """The definition, window by window and channel by channel."""
    offset = np.arange(11) - 5
    weight = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    weight /= weight.sum()
    values = []
    for i in range(a.shape[0] - 10):
        for j in range(a.shape[1] - 10):
            for c in range(a.shape[2]):
                x, y = a[i : i + 11, j : j + 11, c], b[i : i + 11, j : j + 11, c]
                mx, my = (weight * x).sum(), (weight * y).sum()
                vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
                vxy = (weight * (x - mx) * (y - my)).sum()
                top = (2 * mx * my + 1e-4) * (2 * vxy + 9e-4)
                values.append(top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return np.mean(values)


def test_psnr_by_hand():
    truth = np.zeros((2, 2, 3))
    estimate = np.full((2, 2, 3), 0.1)
    estimate[0] = 0.01
    assert psnr(estimate[1:], truth[1:]) == pytest.approx(20)
    assert psnr(estimate, truth) == pytest.approx(-10 * np.log10((0.01 + 0.0001) / 2))
    assert psnr(estimate, truth, np.array([[True, True], [False, False]])) == pytest.approx(40)
    weights = np.array([[0.5, 0.5], [0.0, 0.25]])
    assert psnr(estimate, truth, weights) == pytest.approx(-10 * np.log10(0.0026 / 1.25))
    assert psnr(truth, truth) == np.inf


def test_ssim_is_its_definition():
    estimate, truth = pictures(shape=(14, 16, 2))
    assert ssim(estimate, truth) == pytest.approx(ssim_by_hand(estimate, truth))
    assert ssim_as_published(estimate, truth) == pytest.approx(ssim(estimate, truth))


@pytest.mark.parametrize("metric", [ssim, ssim_as_published])
def test_ssim_of_equal_pictures_is_one_and_symmetric(metric):
    estimate, truth = pictures()
    mask = np.random.default_rng(1).random((24, 30)) > 0.5
    assert metric(truth, truth, mask) == pytest.approx(1)
    assert metric(estimate, truth, mask) == pytest.approx(metric(truth, estimate, mask))


def test_nothing_outside_the_mask_counts():
    estimate, truth = pictures()
    mask = np.zeros((24, 30), bool)
    mask[8:15, 9:20] = True
    other = np.where(mask[..., None], estimate, 0.5)
    unknown = np.where(mask[..., None], estimate, np.nan)
    assert psnr(other, truth, mask) == psnr(estimate, truth, mask) == psnr(unknown, truth, mask)
    assert ssim(other, truth, mask) == ssim(unknown, truth, mask) == ssim(estimate, truth, mask)


def test_published_ssim_counts_windows_without_a_masked_pixel_as_perfect():
    estimate, truth = pictures(shape=(60, 60, 3))
    mask = np.zeros((60, 60), bool)
    mask[10:15, 10:15] = True
    inside = ssim(estimate, truth, mask)
    published = ssim_as_published(estimate, truth, mask)
    assert inside < 0.97 and published > 0.98
    assert ssim_as_published(estimate, truth, np.zeros((60, 60), bool)) == 1
    assert np.isnan(ssim(estimate, truth, np.zeros((60, 60), bool)))


def test_published_psnr_of_an_empty_mask_is_perfect():
    estimate, truth = pictures()
    nothing = np.zeros((24, 30), bool)
    assert psnr_as_published(estimate, truth, nothing) == np.inf
    assert np.isnan(psnr(estimate, truth, nothing))
    assert psnr_as_published(estimate, truth) == pytest.approx(psnr(estimate, truth))


def test_pictures_that_cannot_be_compared():
    estimate, truth = pictures()
    with pytest.raises(InputError, match="same"):
        psnr(estimate, truth[1:])
    with pytest.raises(InputError, match="same"):
        ssim(estimate, truth, np.ones((24, 31)))
    with pytest.raises(InputError, match="from 0 to 1"):
        ssim(estimate, truth, np.full((24, 30), 255.0))
    with pytest.raises(InputError, match="11 x 11"):
        ssim(estimate[:10], truth[:10])
    unknown = estimate.copy()
    unknown[12, 12] = np.nan
    assert np.isnan(psnr(unknown, truth)) and np.isnan(ssim(unknown, truth))


def test_golden_dycheck(golden: Path):
    assert main([str(golden / "metrics_dycheck.json")]) == 0
