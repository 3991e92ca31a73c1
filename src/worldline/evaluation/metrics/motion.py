"""How far estimated 3D motion or positions are from the true."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape

THRESHOLDS = (0.1, 0.3, 0.5, 1.0)  # metres, of 4RC's APD


def end_point_errors(
    estimate: Float[np.ndarray, "*shape d"],
    truth: Float[np.ndarray, "*same d"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
) -> Float[np.ndarray, " M"]:
    """Distances between vectors (3D or flow) where ``mask``, in their units; EPE is their mean."""
    same_shape("Vectors", estimate, truth)
    if mask is not None:
        same_shape("Mask", mask, truth[..., 0])
    distance = np.linalg.norm(estimate.astype(np.float64) - truth, axis=-1)
    return distance.reshape(-1) if mask is None else distance[mask]


def within(errors: Float[np.ndarray, " M"], thresholds: Sequence[float] = THRESHOLDS) -> float:
    """APD: the share of errors at most a threshold, averaged over the thresholds.

    An error that is not finite is within none. No errors at all raise ``InputError``.
    """
    if errors.size == 0:
        raise InputError("There is no point to compare inside the mask.")
    return float(np.mean([np.mean(errors <= threshold) for threshold in thresholds]))
