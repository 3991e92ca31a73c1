"""How far estimated depth is from the true, with one alignment for a whole sequence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape

Alignment = Literal["none", "median", "scale"]


@dataclass(frozen=True)
class DepthErrors:
    """Errors over all pixels that count (Eigen et al. 2014); see ``depth_errors``."""

    abs_rel: float  # mean of |estimate - truth| / truth
    delta: float  # share with max(estimate / truth, truth / estimate) < 1.25
    rmse: float  # truth units
    scale: float  # what the estimate was multiplied by
    pixels: int


def depth_errors(
    estimate: Float[np.ndarray, "*shape"],
    truth: Float[np.ndarray, "*same"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
    alignment: Alignment | float = "scale",
) -> DepthErrors:
    """AbsRel, δ < 1.25 and RMSE of z-depth where ``mask``, the truth is > 0 and both are finite.

    ``alignment`` is one factor for the whole array: "none" (1), "median" (ratio of the medians),
    "scale" (least absolute deviations, see ``best_scale``), or a number known from elsewhere.
    Raises ``InputError`` for differing shapes or when no pixel is left.
    """
    same_shape("Depth", estimate, truth)
    valid = np.isfinite(estimate) & np.isfinite(truth) & (truth > 0)
    if mask is not None:
        same_shape("Depth mask", mask, truth)
        valid &= mask
    if not valid.any():
        raise InputError("No pixel has both an estimated and a true depth inside the mask.")
    predicted, true = estimate[valid].astype(np.float64), truth[valid].astype(np.float64)
    scale = _factor(predicted, true, alignment)
    scaled = scale * predicted
    error = np.abs(scaled - true)
    # depth <= 0 fails δ, whatever its ratio
    close = (scaled > 0) & (np.maximum(scaled, true) < 1.25 * np.minimum(scaled, true))
    rms = float(np.sqrt(np.mean(error**2)))
    return DepthErrors(float(np.mean(error / true)), float(close.mean()), rms, scale, true.size)


def best_scale(estimate: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"]) -> float:
    """The scale that minimises Σ |scale · estimate - truth|: a weighted median of the ratios."""
    used = estimate != 0
    if not used.any():
        raise InputError("The estimated depth is zero everywhere, so no scale aligns it.")
    ratio, weight = truth[used] / estimate[used], np.abs(estimate[used])
    order = np.argsort(ratio)
    below = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(below, 0.5 * below[-1])])


def _factor(
    estimate: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"], alignment: Alignment | float
) -> float:
    if alignment == "none":
        return 1.0
    if alignment == "scale":
        return best_scale(estimate, truth)
    if alignment == "median":
        middle = np.median(estimate)
        if not middle > 0:
            raise InputError("The median of the estimated depth is not positive.")
        return float(np.median(truth) / middle)
    return float(alignment)
