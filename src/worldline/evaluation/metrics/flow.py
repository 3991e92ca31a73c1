"""How far estimated optical flow is from the true, in pixels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.motion import end_point_errors


@dataclass(frozen=True)
class FlowErrors:
    """``epe``: mean end-point error in pixels; ``fl_all``: share of outliers in percent."""

    epe: float
    fl_all: float


def flow_errors(
    estimate: Float[np.ndarray, "*shape 2"],
    truth: Float[np.ndarray, "*same 2"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
) -> FlowErrors:
    """EPE and KITTI's Fl-all (error > 3 px and > 5 % of the true flow; Menze and Geiger 2015).

    Pixels whose true flow is not finite do not count; an estimate that is not finite is an outlier.
    """
    same_shape("Flow", estimate, truth)
    known = np.isfinite(truth).all(axis=-1)
    known = known if mask is None else known & mask
    if not known.any():
        raise InputError("No pixel has a true flow inside the mask.")
    errors = end_point_errors(estimate, truth, known)
    speed = np.linalg.norm(truth[known], axis=-1)
    fine = (errors <= 3) | (errors <= 0.05 * speed)
    return FlowErrors(float(errors.mean()), 100 * float(1 - fine.mean()))
