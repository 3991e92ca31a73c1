"""How well a mask covers the true one."""

import cv2
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


def boundary_f_per_frame(
    estimate: Masks, truth: Others, tolerance: float = 0.008
) -> Float[np.ndarray, " N"]:
    """DAVIS's F of every frame (Perazzi et al. 2016): how well the contours agree, from 0 to 1.

    The harmonic mean of precision and recall of contour pixels, which match within ``tolerance``
    (of the picture's diagonal, rounded up to whole pixels; from 1 on, pixels). 1 where neither mask
    has a contour (both are empty, or both cover all), 0 where one has none.
    """
    same_shape("Masks", estimate, truth)
    radius = tolerance if tolerance >= 1 else np.ceil(tolerance * np.hypot(*truth.shape[1:]))
    found, true = _contours(estimate), _contours(truth)
    found_count, true_count = found.sum(axis=(1, 2)), true.sum(axis=(1, 2))
    precision = (found & _grown(true, radius)).sum(axis=(1, 2)) / np.maximum(found_count, 1)
    recall = (true & _grown(found, radius)).sum(axis=(1, 2)) / np.maximum(true_count, 1)
    both = precision + recall
    f = 2 * precision * recall / np.where(both > 0, both, 1)
    return np.where((found_count == 0) & (true_count == 0), 1.0, f)


def mean_boundary_f(estimate: Masks, truth: Others, tolerance: float = 0.008) -> float:
    """The mean over frames of ``boundary_f_per_frame``."""
    return float(boundary_f_per_frame(estimate, truth, tolerance).mean())


def _contours(masks: Bool[np.ndarray, "N H W"]) -> Bool[np.ndarray, "N H W"]:
    """Pixels that differ from the one to the right, below, or below to the right."""
    padded = np.pad(masks, ((0, 0), (0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]
    return (masks != right) | (masks != below) | (masks != diagonal)


def _grown(masks: Bool[np.ndarray, "N H W"], radius: float) -> Bool[np.ndarray, "N H W"]:
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), disk) for mask in masks]).astype(bool)
