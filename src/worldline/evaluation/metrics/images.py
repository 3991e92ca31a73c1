"""How far a picture is from the true one: PSNR and SSIM, and both where a mask counts.

Pictures are [H, W, C] with values from 0 to 1. Masks are [H, W], booleans or weights from 0 to 1.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import correlate1d

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape

Image = Float[np.ndarray, "H W C"]
Other = Float[np.ndarray, "I J D"]  # of the same shape, or else an InputError says so
Mask = Bool[np.ndarray, "K L"] | Float[np.ndarray, "K L"]  # as high and wide, likewise

Mean = Callable[[np.ndarray], np.ndarray]  # of every window, [H, W, C] to [P, Q, C]

WINDOW, SIGMA = 11, 1.5  # pixels, of SSIM's Gaussian
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for values up to 1


def psnr(estimate: Image, truth: Other, mask: Mask | None = None) -> float:
    """PSNR in dB over all channels of the pixels in ``mask`` (DyCheck's mPSNR).

    Infinite where the pictures are equal; NaN where the mask is empty, or where a pixel that counts
    is not finite (as published an empty mask is a perfect picture: see ``psnr_as_published``).
    """
    weight = _weights(estimate, truth, mask)
    if not weight.any():
        return float("nan")
    used = weight > 0  # a value that is not finite outside the mask counts for nothing
    error = ((estimate[used].astype(np.float64) - truth[used]) ** 2).mean(axis=-1)
    return _decibels(float(np.average(error, weights=weight[used])))


def psnr_as_published(estimate: Image, truth: Other, mask: Mask | None = None) -> float:
    """mPSNR as DyCheck computes it: infinite for an empty mask; prefer ``psnr``."""
    weight = np.broadcast_to(_weights(estimate, truth, mask)[..., None], truth.shape)
    error = (estimate.astype(np.float64) - truth) ** 2
    return _decibels(float((error * weight).sum() / max(weight.sum(), 1e-6)))


def ssim(estimate: Image, truth: Other, mask: Mask | None = None) -> float:
    """SSIM (Wang et al. 2004): windows of 11 x 11 pixels inside the picture, Gaussian of 1.5.

    With a mask, means and variances are those of a window's masked pixels, weighted by the
    Gaussian, and only windows whose central pixel is in the mask count. NaN where there is no such
    window, or where a pixel that counts is not finite. Pictures smaller than a window raise
    ``InputError``.
    """
    weight = _weights(estimate, truth, mask)
    _needs_a_window(truth)
    counts = _inside(weight)
    if not counts.any():
        return float("nan")
    covered = _blur(weight[..., None])

    def mean(values: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "P Q C"]:
        masked = np.where(weight[..., None] > 0, values * weight[..., None], 0)
        return _blur(masked) / np.maximum(covered, np.finfo(np.float64).tiny)

    similarity = _similarity(mean, estimate, truth)
    used = counts > 0
    return float(np.average(similarity[used].mean(axis=-1), weights=counts[used]))


def ssim_as_published(estimate: Image, truth: Other, mask: Mask | None = None) -> float:
    """mSSIM as DyCheck computes it; prefer ``ssim``, which is the same without a mask.

    Windows without any masked pixel count as perfect, so that small masks score near 1 whatever is
    in them; a window's weights are scaled by the number of pixels masked in it instead of by their
    weights, along rows and then along columns (partial convolution, Liu et al. 2018).
    """
    weight = _weights(estimate, truth, mask)
    _needs_a_window(truth)

    def mean(values: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "P Q C"]:
        across, reached = _partial(values, weight[..., None], axis=1)
        return _partial(across, reached, axis=0)[0]

    return float(_similarity(mean, estimate, truth).mean())


def _weights(estimate: Image, truth: Other, mask: Mask | None) -> Float[np.ndarray, "H W"]:
    same_shape("Pictures", estimate, truth)
    if mask is None:
        return np.ones(truth.shape[:2])
    same_shape("Mask", mask, truth[..., 0])
    if not ((mask >= 0) & (mask <= 1)).all():
        raise InputError("A picture's mask must be from 0 to 1 everywhere.")
    return mask.astype(np.float64)


def _decibels(mean_square: float) -> float:
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(mean_square))


def _needs_a_window(image: Other) -> None:
    if min(image.shape[:2]) < WINDOW:
        raise InputError(f"SSIM needs pictures of at least {WINDOW} x {WINDOW} pixels.")


def _similarity(mean: Mean, estimate: Image, truth: Other) -> Float[np.ndarray, "P Q C"]:
    """SSIM of every window and channel, given how a window's mean is taken."""
    a, b = estimate.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = mean(a), mean(b)
    variance_a = np.maximum(mean(a * a) - mean_a**2, 0)  # rounding can make them negative
    variance_b = np.maximum(mean(b * b) - mean_b**2, 0)
    covariance = mean(a * b) - mean_a * mean_b
    most = np.sqrt(variance_a * variance_b)  # by Cauchy and Schwarz
    covariance = np.clip(covariance, -most, most)
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance * (2 * covariance + C2) / (variance_a + variance_b + C2)


def _gaussian() -> Float[np.ndarray, " window"]:
    offset = np.arange(WINDOW) - WINDOW // 2
    weight = np.exp(-0.5 * (offset / SIGMA) ** 2)
    return weight / weight.sum()


def _inside(image: Float[np.ndarray, "H W *C"], axes: tuple[int, ...] = (0, 1)) -> np.ndarray:
    """The part of a filtered picture whose windows do not reach over its border."""
    margin = WINDOW // 2
    cut = [slice(margin, -margin) if axis in axes else slice(None) for axis in range(image.ndim)]
    return image[tuple(cut)]


def _blur(image: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "P Q C"]:
    kernel = _gaussian()
    return _inside(correlate1d(correlate1d(image, kernel, axis=1), kernel, axis=0))


def _partial(
    image: Float[np.ndarray, "H W C"], weight: Float[np.ndarray, "H W 1"], axis: int
) -> tuple[Float[np.ndarray, "P Q C"], Float[np.ndarray, "P Q 1"]]:
    """A partial convolution along one axis, and where any weight was in reach of it."""
    blurred = _inside(correlate1d(image * weight, _gaussian(), axis=axis), (axis,))
    count = _inside(correlate1d(weight, np.ones(WINDOW), axis=axis), (axis,))
    reached = count > 0
    scaled = np.where(reached, blurred * WINDOW / np.where(reached, count, 1), 0)
    return scaled, reached.astype(np.float64)
