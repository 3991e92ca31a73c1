"""TAP-Vid (google-deepmind/tapnet, ``compute_tapvid_metrics``): the expected keys are the modes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.tapvid import Tracks, tapvid_counts

TOLERANCE = 1e-5


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """Scores per video of every query mode asked for (per track with "get_trackwise_metrics")."""
    if isinstance(expected, str):  # says that the published function fails: nothing to compare
        return expected
    if "average_jaccard" in expected:
        return _scores(tensors, params)
    return {mode: _variant(tensors, params, mode, expected[mode]) for mode in expected}


def _variant(
    tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], mode: str, expected: Any
) -> Any:
    return (
        expected if isinstance(expected, str) else _scores(tensors, {**params, **_arguments(mode)})
    )


def _arguments(variant: str) -> dict[str, Any]:
    mode = variant.removesuffix("_trackwise")
    return {"query_mode": mode} | ({"get_trackwise_metrics": True} if mode != variant else {})


def _scores(tensors: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> Any:
    counts = tapvid_counts(
        Tracks(tensors["pred_tracks"], tensors["pred_occluded"]),
        Tracks(tensors["gt_tracks"], tensors["gt_occluded"]),
        tensors["query_points"],
        arguments.get("query_mode", "first"),
    )
    per_track = arguments.get("get_trackwise_metrics", False)
    return (counts.per_track() if per_track else counts.per_video()).under_published_names()
