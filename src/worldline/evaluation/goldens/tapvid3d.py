"""TAPVid-3D (google-deepmind/tapnet, ``compute_tapvid3d_metrics``).

The expected keys name variants: a scaling, then "_fixed" for thresholds in metres, "_trackwise" for
scores per track and "_thresh0.6" for the neighbourhood's size. Without them ``params`` hold the
published function's own arguments.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.tapvid import Tracks
from worldline.evaluation.metrics.tapvid3d import tapvid3d_counts

TOLERANCE = 1e-5

_ENDING = re.compile(r"_(fixed|trackwise|thresh[0-9.]+)$")


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """Scores per video of every variant, and those per track of median scaling as tensors."""
    if isinstance(expected, str):  # says that the published function fails: nothing to compare
        return expected
    tracks = _scores(tensors, {**params, "get_trackwise_metrics": True})
    outputs = {f"out.{name}": scores for name, scores in tracks.items()}
    if "average_jaccard" in expected:
        return outputs | _scores(tensors, params)
    return outputs | {name: _variant(tensors, params, name, expected[name]) for name in expected}


def _variant(
    tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], name: str, expected: Any
) -> Any:
    if isinstance(expected, str):  # says that the published function fails: nothing to compare
        return expected
    return _scores(tensors, {**params, **_arguments(name)})


def _arguments(name: str) -> dict[str, Any]:
    """The published function's arguments, from a variant's name."""
    arguments: dict[str, Any] = {}
    while found := _ENDING.search(name):
        name, ending = name[: found.start()], found[1]
        if ending == "fixed":
            arguments["use_fixed_metric_threshold"] = True
        elif ending == "trackwise":
            arguments["get_trackwise_metrics"] = True
        else:
            arguments["local_neighborhood_thresh"] = float(ending.removeprefix("thresh"))
    return arguments | {"scaling": name}


def _scores(tensors: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> Any:
    order = arguments.get("order", "n t")
    scaling = arguments.get("scaling", "median")
    queries = tensors.get("query_points")
    if queries is not None and queries.ndim > len(order.split()):
        queries = queries[0]  # the published function takes a batch of one with one video
    counts = tapvid3d_counts(
        Tracks(tensors["pred_tracks"], tensors["pred_occluded"]),
        Tracks(tensors["gt_tracks"], tensors["gt_occluded"]),
        tensors["intrinsics"],
        scaling,
        queries,
        arguments.get("use_fixed_metric_threshold", False),
        arguments.get("local_neighborhood_thresh", 0.05),
        order,
    )
    per_track = arguments.get("get_trackwise_metrics", False)
    scores = (counts.per_track() if per_track else counts.per_video()).under_published_names()
    batched = len(order.split()) == 3 or scaling == "local_neighborhood"
    return scores if batched else {name: score[None] for name, score in scores.items()}
