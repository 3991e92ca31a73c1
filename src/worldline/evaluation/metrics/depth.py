"""How far estimated depth is from the true, with one alignment for a whole sequence.

How published evaluators align and score (Weiszfeld and Adam steps) stands in ``depth_published``.
Predictions of another size are resized by the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.least_absolute import best_line, weighted_median

Alignment = Literal["none", "median", "scale", "scale_shift", "least_squares"]


@dataclass(frozen=True)
class DepthErrors:
    """Errors over all pixels that count (Eigen et al. 2014); see ``depth_errors``."""

    abs_rel: float  # mean of |estimate - truth| / truth
    delta: float  # share with max(estimate / truth, truth / estimate) < 1.25
    rmse: float  # truth units
    scale: float  # what the estimate was multiplied by
    pixels: int
    shift: float  # what was added after that, truth units
    sq_rel: float  # mean of (estimate - truth)² / truth, truth units
    log_rmse: float  # RMSE of the natural logarithms; inf where an aligned depth is <= 0
    delta2: float  # share below 1.25²
    delta3: float  # share below 1.25³


def depth_errors(
    estimate: Float[np.ndarray, "*shape"],
    truth: Float[np.ndarray, "*same"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
    alignment: Alignment | float = "scale",
    max_depth: float = float("inf"),
    clip: float = float("inf"),
) -> DepthErrors:
    """Errors of z-depth where ``mask``, 0 < truth < ``max_depth`` and both are finite.

    ``alignment`` is for the whole array: "none", "median" (ratio of the medians), "scale" or
    "scale_shift" (least absolute deviations, see ``best_scale`` and ``best_line``),
    "least_squares" (scale and shift), or a scale known from elsewhere. Aligned depth above
    ``clip`` (truth units) is set to ``clip`` before it is compared. Depth <= 0 fails every δ.
    Raises ``InputError`` for differing shapes, when no pixel is left, or when what is left (all
    zero, or all the same) cannot be aligned so.
    """
    same_shape("Depth", estimate, truth)
    valid = np.isfinite(estimate) & np.isfinite(truth) & (truth > 0) & (truth < max_depth)
    if mask is not None:
        same_shape("Depth mask", mask, truth)
        valid &= mask
    if not valid.any():
        raise InputError("No pixel has both an estimated and a true depth inside the mask.")
    predicted, true = estimate[valid].astype(np.float64), truth[valid].astype(np.float64)
    scale, shift = _fit(predicted, true, alignment)
    return _errors(np.minimum(scale * predicted + shift, clip), true, scale, shift)


def best_scale(estimate: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"]) -> float:
    """The scale that minimises Σ |scale · estimate - truth|: a weighted median of the ratios."""
    used = estimate != 0
    if not used.any():
        raise InputError("The estimated depth is zero everywhere, so no scale aligns it.")
    return weighted_median(truth[used] / estimate[used], np.abs(estimate[used]))


def dataset_average(sequences: Sequence[DepthErrors], published: bool = False) -> dict[str, float]:
    """Errors over several sequences as if their pixels were one set: name to number.

    ``published`` averages the RMSE and log RMSE themselves (weighted by pixels, as CUT3R's and
    4RC's evaluations do), which is less than the RMSE of all pixels. No sequence: all NaN.
    """
    means = ("abs_rel", "sq_rel", "delta", "delta2", "delta3")
    roots = ("rmse", "log_rmse")
    weights = np.array([s.pixels for s in sequences], np.float64)
    if weights.sum() == 0:
        return dict.fromkeys((*means, *roots), float("nan"))

    def mean(name: str, power: int = 1) -> float:
        values = np.array([getattr(s, name) for s in sequences], np.float64)
        return float(np.average(values**power, weights=weights) ** (1 / power))

    power = 1 if published else 2
    return {name: mean(name) for name in means} | {name: mean(name, power) for name in roots}


def _errors(
    aligned: Float[np.ndarray, " M"], true: Float[np.ndarray, " M"], scale: float, shift: float
) -> DepthErrors:
    error = np.abs(aligned - true)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(aligned, 0)) - np.log(true)
    larger, smaller = np.maximum(aligned, true), np.minimum(aligned, true)
    close, close2, close3 = (
        float(((aligned > 0) & (larger < 1.25**k * smaller)).mean()) for k in (1, 2, 3)
    )
    return DepthErrors(
        abs_rel=float(np.mean(error / true)),
        delta=close,
        rmse=_root_mean_square(error),
        scale=scale,
        pixels=true.size,
        shift=shift,
        sq_rel=float(np.mean(error**2 / true)),
        log_rmse=_root_mean_square(logs),
        delta2=close2,
        delta3=close3,
    )


def _root_mean_square(values: Float[np.ndarray, " M"]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _fit(
    estimate: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"], alignment: Alignment | float
) -> tuple[float, float]:
    if alignment == "scale":
        return best_scale(estimate, truth), 0.0
    if alignment == "scale_shift":
        return best_line(estimate, truth)
    if alignment == "least_squares":
        return _least_squares(estimate, truth)
    if alignment == "median":
        middle = np.median(estimate)
        if not middle > 0:
            raise InputError("The median of the estimated depth is not positive.")
        return float(np.median(truth) / middle), 0.0
    return 1.0 if alignment == "none" else float(alignment), 0.0


def _least_squares(
    estimate: Float[np.ndarray, " M"], truth: Float[np.ndarray, " M"]
) -> tuple[float, float]:
    x, y = estimate - estimate.mean(), truth - truth.mean()
    if not (estimate != estimate[0]).any():
        raise InputError("The estimated depth is the same everywhere; align it by scale alone.")
    scale = float(x @ y / (x @ x))
    return scale, float(truth.mean() - scale * estimate.mean())
