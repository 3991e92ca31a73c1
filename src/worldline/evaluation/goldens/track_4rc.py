"""4RC's tracking (``compute_average_pts_within_thresh``): the expected keys are the alignments."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.worldtrack import Alignment, world_track_errors

_OURS: dict[str, Alignment] = {
    "none": "none",
    "global": "global",
    "per_traj": "per_trajectory",
    "sim3_closed": "sim3_closed",
    "sim3": "sim3",
}
_THRESHOLDS = ("1", "2", "4", "8")  # what the published code calls 0.1, 0.3, 0.5 and 1 m


def tolerance(path: tuple[str, ...]) -> float:
    """Relative: the published RANSAC draws other samples each time."""
    return 1e-3 if "sim3" in path else 1e-5


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """APD, EPE and the transform of every alignment asked for."""
    if isinstance(expected, str):  # says that the published function fails: nothing to compare
        return expected
    if "APD" in expected:
        return _numbers(tensors, params.get("scaling", "global"))
    return {name: _variant(tensors, name, expected[name]) for name in expected}


def _variant(tensors: Mapping[str, np.ndarray], name: str, expected: Any) -> Any:
    if isinstance(expected, str):  # says that the published function fails: nothing to compare
        return expected
    return _numbers(tensors, name)


def _numbers(tensors: Mapping[str, np.ndarray], scaling: str) -> dict[str, Any]:
    errors = world_track_errors(tensors["pred"], tensors["gt"], _OURS[scaling], published=True)
    moved = errors.similarity
    return {
        "APD": errors.apd,
        "EPE": errors.epe,
        "fractions": dict(zip(_THRESHOLDS, errors.within.tolist(), strict=True)),
        "scale": moved.scale,
        "R": moved.rotation.tolist(),
        "t": moved.translation.tolist(),
    }
