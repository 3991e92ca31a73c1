"""How well a mask covers the true one."""

import numpy as np
from jaxtyping import Bool, Float

from worldline.evaluation.metrics.checks import same_shape

Masks = Bool[np.ndarray, "N H W"]
Others = Bool[np.ndarray, "M I J"]  # of the same shape, or else an InputError says so


def iou_per_frame(estimate: Masks, truth: Others) -> Float[np.ndarray, " N"]:
    """Intersection over union of every frame (DAVIS's J); 1 where both are empty."""
    same_shape("Masks", estimate, truth)
    both = (estimate & truth).sum(axis=(1, 2))
    either = (estimate | truth).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def mean_iou(estimate: Masks, truth: Others) -> float:
    """The mean over frames: every frame counts alike."""
    return float(iou_per_frame(estimate, truth).mean())


def pooled_iou(estimate: Masks, truth: Others) -> float:
    """Over all frames' pixels together: every pixel counts alike; 1 if both are empty."""
    same_shape("Masks", estimate, truth)
    either = (estimate | truth).sum()
    return float((estimate & truth).sum() / either) if either else 1.0
