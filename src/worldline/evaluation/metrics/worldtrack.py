"""How well points are followed in the world: WorldTrack (St4RTrack, Feng et al. 2025; 4RC).

Tracks are world positions [T, N, 3] in metres, the world being the first camera's axes: the origin
is where the first camera stands. Every frame of every track counts, visible or not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn.functional import interpolate

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.motion import THRESHOLDS
from worldline.evaluation.metrics.similarity import closed_similarity, moved, ransac_similarity
from worldline.evaluation.metrics.tapvid import squared_error
from worldline.evaluation.metrics.trajectory import Similarity

Alignment = Literal["none", "global", "per_trajectory", "sim3_closed", "sim3"]

MOVES = 0.01  # metres: a track whose true path is longer is dynamic

_SMALLEST = 1e-12  # metres: published medians of distances are at least that


@dataclass(frozen=True)
class WorldTrackErrors:
    """Errors of aligned tracks; see ``world_track_errors``."""

    apd: float  # share within a threshold, mean over the thresholds
    epe: float  # mean distance, metres
    within: Float[np.ndarray, " K"]  # share within each threshold
    similarity: Similarity  # what aligned them; the identity for "per_trajectory"


@dataclass(frozen=True)
class WorldTrackScores:
    """One sequence; see ``world_track_scores``."""

    all: WorldTrackErrors
    dynamic: WorldTrackErrors  # NaN where no track moves
    dynamic_share: float  # of the tracks


@dataclass(frozen=True)
class WorldTrackMeans:
    """Means over sequences; NaN where no sequence has the number."""

    apd: float
    epe: float
    apd_dynamic: float
    epe_dynamic: float
    epe_dynamic_as_published: float  # a smaller number; see ``mean_over_sequences``


def world_track_scores(
    estimate: Float[np.ndarray, "T N 3"],
    truth: Float[np.ndarray, "F M 3"],
    alignment: Alignment = "global",
    seed: int = 0,
    published: bool = False,
) -> WorldTrackScores:
    """Errors of all tracks, and of those that truly move, aligned on their own.

    The dynamic errors are NaN if no track moves, or if too few points of such tracks are finite
    to be aligned. The rest is as in ``world_track_errors``.
    """
    whole = world_track_errors(estimate, truth, alignment, seed, published)
    moving = moves(truth)
    parts = estimate[:, moving], truth[:, moving]
    enough = np.sum(_finite(*parts)) >= 3
    dynamic = world_track_errors(*parts, alignment, seed, published) if enough else _nothing()
    share = float(moving.mean()) if moving.size else float("nan")
    return WorldTrackScores(whole, dynamic, share)


def world_track_errors(
    estimate: Float[np.ndarray, "T N 3"],
    truth: Float[np.ndarray, "F M 3"],
    alignment: Alignment = "global",
    seed: int = 0,
    published: bool = False,
) -> WorldTrackErrors:
    """APD within 0.1, 0.3, 0.5 and 1 m (inclusive) and EPE of tracks after an alignment.

    - "none": as they are.
    - "global": scaled about the origin by the ratio of the median distances from it.
    - "per_trajectory": the same for each track.
    - "sim3_closed": the least-squares similarity of all points (Umeyama 1991).
    - "sim3": that of the inliers (< 0.05 m) of the best of 1000 similarities through three points
      each, found on at most 16384 points; drawn with ``seed``.

    Points whose truth is not finite do not count. An estimate that is not finite is within no
    threshold, and in neither the EPE nor the alignment; without any finite one the EPE is inf.

    ``published`` computes what 4RC's ``compute_average_pts_within_thresh`` does: the similarity's
    scale forgets the sign of the smallest singular value, so it is too large where a mirror image
    would fit better; points that are not finite count in the medians (one NaN spoils them all),
    and as missed where the truth is not finite. Without any point the EPE is then inf, not NaN.

    Raises ``InputError`` for arrays that do not fit or, without ``published``, are empty, for
    fewer than three finite points to fit a similarity to, and for points that fix no scale.
    """
    _check(estimate, truth, allow_empty=published)
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    aligned, similarity = _aligned(estimate, truth, alignment, seed, published)
    distance = np.sqrt(squared_error(aligned, truth))
    if not published:
        distance = distance[_finite(truth)]
        if distance.size == 0:
            return _nothing()
    return _errors(distance.reshape(-1), similarity)


def moves(truth: Float[np.ndarray, "T N 3"], threshold: float = MOVES) -> Bool[np.ndarray, " N"]:
    """Which tracks are dynamic: their path, summed over the frames, is longer than that (m).

    Steps to or from a position that is not finite count as none.
    """
    with np.errstate(invalid="ignore"):
        steps = np.linalg.norm(np.diff(truth, axis=0), axis=-1)
    return np.sum(steps, axis=0, where=np.isfinite(steps)) > threshold


def tracks_at_queries(
    maps: Float[np.ndarray, "T H W 3"],
    queries: Float[np.ndarray, "N 2"],
    size: tuple[int, int],
) -> tuple[Float[np.ndarray, "T M 3"], Bool[np.ndarray, " N"]]:
    """The tracks of query pixels (x, y) from maps of where each pixel's point is at each time.

    ``size`` is the (width, height) of the picture that the queries are in; they are scaled to the
    maps and truncated. Queries outside have no track: the M that do are True in the second array.
    Raises ``InputError`` for a size that is not positive.
    """
    if min(size) <= 0:
        raise InputError(f"A picture's width and height are positive, not {size}.")
    height, width = maps.shape[1:3]
    x, y = (queries * (np.array([width, height]) / np.array(size))).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return maps[:, y[inside].astype(np.int64), x[inside].astype(np.int64)], inside


def dense_tracks(
    estimate: Float[np.ndarray, "T h w 3"],
    truth: Float[np.ndarray, "F H W 3"],
    visible: Bool[np.ndarray, "I J"],
) -> tuple[Float[np.ndarray, "T N 3"], Float[np.ndarray, "T N 3"]]:
    """4RC's dense tracking: the tracks, estimated and true, of the query frame's visible pixels.

    The estimate is brought to the truth's size by nearest neighbours (PyTorch's "nearest", of the
    pixels' corners, as published). Give the result to ``world_track_scores``; without a visible
    pixel both are empty. Raises ``InputError`` for differing frames or another mask's size.
    """
    if len(estimate) != len(truth) or visible.shape != truth.shape[1:3]:
        raise InputError(
            f"Dense tracks [T, H, W, 3] need as many frames and a mask [H, W] of the truth's size; "
            f"got {estimate.shape}, {truth.shape} and {visible.shape}."
        )
    if estimate.shape != truth.shape:
        channels_first = torch.from_numpy(np.array(estimate)).permute(0, 3, 1, 2)
        resized = interpolate(channels_first, size=visible.shape, mode="nearest")
        estimate = resized.permute(0, 2, 3, 1).numpy()
    return estimate[:, visible], truth[:, visible]


def mean_over_sequences(scores: Sequence[WorldTrackScores]) -> WorldTrackMeans:
    """The plain mean of each number over the sequences that have it.

    4RC's evaluation divides the dynamic EPE by the number of all sequences, so that those where
    nothing moves count as perfect: that number stands under its own name.
    """
    dynamic = [score.dynamic.epe for score in scores]
    every = [score.all.epe for score in scores]
    known, count = np.array(dynamic)[~np.isnan(dynamic)], np.sum(~np.isnan(every))
    return WorldTrackMeans(
        _known_mean([score.all.apd for score in scores]),
        _known_mean(every),
        _known_mean([score.dynamic.apd for score in scores]),
        _known_mean(dynamic),
        float(known.sum() / count) if count else float("nan"),
    )


def _check(estimate: np.ndarray, truth: np.ndarray, allow_empty: bool) -> None:
    if estimate.shape != truth.shape or not allow_empty:
        same_shape("World tracks", estimate, truth)


def _errors(distance: Float[np.ndarray, " M"], similarity: Similarity) -> WorldTrackErrors:
    finite = distance[np.isfinite(distance)]
    epe = float(finite.mean()) if finite.size else float("inf")
    if distance.size == 0:
        within = np.full(len(THRESHOLDS), np.nan)
    else:
        within = np.array([np.mean(distance <= threshold) for threshold in THRESHOLDS])
    return WorldTrackErrors(float(within.mean()), epe, within, similarity)


def _nothing() -> WorldTrackErrors:
    nan = float("nan")
    return WorldTrackErrors(nan, nan, np.full(len(THRESHOLDS), nan), _scaling(nan))


def _scaling(scale: float) -> Similarity:
    return Similarity(scale, np.eye(3), np.zeros(3))


def _finite(*points: Float[np.ndarray, "T N 3"]) -> Bool[np.ndarray, "T N"]:
    # a sum of finite numbers is finite, for all that is a length: quicker than asking each
    with np.errstate(invalid="ignore", over="ignore"):
        return np.isfinite(sum(np.einsum("...d->...", p) for p in points))


def _aligned(
    estimate: Float[np.ndarray, "T N 3"],
    truth: Float[np.ndarray, "T N 3"],
    alignment: Alignment,
    seed: int,
    published: bool,
) -> tuple[Float[np.ndarray, "T N 3"], Similarity]:
    if alignment == "none":
        return estimate, _scaling(1.0)
    if alignment in ("global", "per_trajectory"):
        each = alignment == "per_trajectory"
        scale = _median_scale(estimate, truth, each, published)
        with np.errstate(invalid="ignore"):
            return estimate * scale, _scaling(1.0 if each else float(scale.item()))
    if alignment not in ("sim3", "sim3_closed"):
        raise InputError(f"There is no alignment {alignment!r} of world tracks.")
    both = np.flatnonzero(_finite(estimate, truth))
    source, target = estimate.reshape(-1, 3), truth.reshape(-1, 3)
    if len(both) < len(source):
        source, target = source[both], target[both]
    if alignment == "sim3":
        similarity = ransac_similarity(source, target, seed, published)
    else:
        similarity = closed_similarity(source, target, published)
    return moved(similarity, estimate), similarity


def _median_scale(
    estimate: Float[np.ndarray, "T N 3"],
    truth: Float[np.ndarray, "T N 3"],
    each: bool,
    published: bool,
) -> Float[np.ndarray, "1 K 1"]:
    """The true over the estimated median distance from the origin; NaN where nothing fixes it."""
    axis = 0 if each else (0, 1)
    medians = []
    for points in (truth, estimate):
        distance = np.linalg.norm(points, axis=-1)
        if not published:
            distance = np.where(_finite(estimate, truth), distance, np.nan)
        medians.append(_median(distance, axis, skip_nan=not published))
    true, found = medians
    if published:
        scale = np.maximum(true, _SMALLEST) / np.maximum(found, _SMALLEST)
    else:
        scale = np.divide(true, found, out=np.full(true.shape, np.nan), where=found > 0)
    return scale[..., None]


def _median(
    values: Float[np.ndarray, "T N"], axis: int | tuple[int, int], skip_nan: bool
) -> Float[np.ndarray, "1 K"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of medians of nothing
        median = np.nanmedian if skip_nan else np.median
        return median(values, axis=axis, keepdims=True)


def _known_mean(values: Sequence[float]) -> float:
    known = np.array(values)[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
