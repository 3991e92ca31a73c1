"""Camera errors as `evo` gives them after Sim(3) alignment, RPE over one frame and all pairs."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from worldline.errors import InputError
from worldline.evaluation.metrics.trajectory import (
    Statistics,
    absolute_errors,
    align,
    relative_errors,
    statistics,
)

TOLERANCE = 1e-5


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """ATE and RPE of ``pred_c2w`` [N, 4, 4] against ``gt_c2w``; NaN where evo refuses."""
    estimate, truth = (tensors[f"{name}_c2w"].astype(np.float64) for name in ("pred", "gt"))
    try:
        ate, translation, rotation = _errors(estimate, truth, params)
    except InputError:
        ate = translation = rotation = statistics(np.zeros(0))
    return {
        "ATE_rmse": ate.rmse,
        "ATE_all": asdict(ate),
        "RPE_trans_rmse": translation.rmse,
        "RPE_trans_all": asdict(translation),
        "RPE_rot_rmse_deg": rotation.rmse,
        "RPE_rot_all": asdict(rotation),
    }


def _errors(
    estimate: np.ndarray, truth: np.ndarray, params: Mapping[str, Any]
) -> tuple[Statistics, Statistics, Statistics]:
    if params.get("align", True):
        _refuse_as_evo(estimate, truth)
        scale = params.get("correct_scale", True)
        estimate = align(estimate, truth, with_scale=scale).poses(estimate)
    distance = absolute_errors(estimate, truth)[0]
    delta, all_pairs = int(params.get("delta", 1)), params.get("all_pairs", True)
    translation, rotation = relative_errors(estimate, truth, delta, all_pairs)
    return statistics(distance), statistics(translation), statistics(rotation)


def _refuse_as_evo(estimate: np.ndarray, truth: np.ndarray) -> None:
    """Positions in a line have an ATE, but evo gives none: its bound on the rank is absolute."""
    x, y = (t[:, :3, 3] - t[:, :3, 3].mean(axis=0) for t in (estimate, truth))
    covariance = y.T @ x / len(x)
    finite = np.isfinite(covariance).all()
    if not finite or (np.linalg.svd(covariance)[1] > np.finfo(np.float64).eps).sum() < 2:
        raise InputError("The positions are all in a line, which evo does not align.")
