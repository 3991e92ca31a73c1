"""How well points are followed in space: TAPVid-3D (Koppula et al. 2024)."""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from worldline.errors import InputError
from worldline.evaluation.metrics.tapvid import (
    PIXELS,
    TrackCounts,
    Tracks,
    check_tracks,
    count_tracks,
    query_frames,
    squared_error,
)

METRES = (0.01, 0.04, 0.16, 0.64, 2.56)  # the fixed thresholds
Scaling = Literal[
    "median",
    "mean",
    "per_trajectory",
    "local_neighborhood",
    "reproduce_2d",
    "median_on_queries",
    "none",
]
Order = Literal["n t", "t n", "b n t", "b t n"]

_SMALLEST = 1e-12  # metres: depths and squared lengths below it count as it, as published
_PAIRS = 4_000_000  # neighbours compared at a time: bounds the memory


def tapvid3d_counts(
    estimate: Tracks,
    truth: Tracks,
    intrinsics: Float[np.ndarray, "*intrinsics 4"],
    scaling: Scaling = "median",
    queries: Float[np.ndarray, "*queries 3"] | None = None,
    fixed_thresholds: bool = False,
    neighborhood: float = 0.05,
    order: Order = "n t",
) -> TrackCounts:
    """TAPVid-3D's counts; of ``per_video()`` the means are 3D-AJ and APD, and OA is there.

    ``intrinsics`` are fx, fy, cx, cy in pixels of the picture resized to 256 x 256, [4] for all
    videos or [B, 4]. A point is near enough if its distance is < 1, 2, 4, 8 or 16 pixels at its
    true depth (z / sqrt(fx fy) metres each), or with ``fixed_thresholds`` < 0.01, 0.04, 0.16, 0.64
    or 2.56 m. All frames count, the query's too. A position that is not finite is never near.

    Before that, the estimate is multiplied by ``scaling``:

    - "median", "mean": of the true distances from the camera over that of the estimated ones,
      where both are visible; a factor for each video.
    - "median_on_queries": the same, of the query frames only.
    - "per_trajectory": true over estimated z at the query's frame; a factor for each track.
    - "local_neighborhood": that, with each track made of all points that are truly nearer to it
      than ``neighborhood`` metres in the same frame, weighted so that tracks in a crowd count no
      more than others.
    - "reproduce_2d": true over estimated z of each point: only the projection is judged.
    - "none": 1.

    ``queries`` are (t, y, x), of which t is used, for the three scalings that name them. ``order``
    is the order of the tracks' axes. No track, frame or visible point give NaN scores. Where
    nothing determines the scale (no point visible in both), every point is missed; one infinite
    position spoils a mean.

    Equals ``compute_tapvid3d_metrics`` of google-deepmind/tapnet where that runs; its median and
    mean take one video only, and its local neighbourhoods only scores per track. Raises
    ``InputError`` for arrays that do not fit or a query that is needed and missing or outside.
    """
    estimate, truth = _ordered(estimate, order), _ordered(truth, order)
    check_tracks(estimate, truth, 3)
    pixel = _pixel(truth, intrinsics, fixed_thresholds)
    thresholds: tuple[float, ...] | tuple[int, ...] = METRES if fixed_thresholds else PIXELS
    if scaling == "local_neighborhood":
        if truth.occluded.ndim != 2:
            raise InputError("Local neighbourhoods take one video at a time.")
        factor = _scale(estimate, truth, "per_trajectory", queries)[:, 0, 0]
        return _local_counts(estimate, truth, factor, pixel, thresholds, neighborhood)
    with np.errstate(invalid="ignore", over="ignore"):
        moved = estimate.points * _scale(estimate, truth, scaling, queries)
    return count_tracks(
        squared_error(moved, truth.points),
        pixel,
        estimate.occluded,
        truth.occluded,
        np.ones_like(truth.occluded),
        thresholds,
    )


def _ordered(tracks: Tracks, order: Order) -> Tracks:
    """With the axes in the order (b) n t."""
    axes = order.split()
    if axes not in (["n", "t"], ["t", "n"], ["b", "n", "t"], ["b", "t", "n"]):
        raise InputError(f"The order of tracks is 'n t', 't n', 'b n t' or 'b t n', not {order!r}.")
    if (tracks.points.ndim, tracks.occluded.ndim) != (len(axes) + 1, len(axes)):
        raise InputError(
            f"In the order {order!r} points have {len(axes) + 1} axes and occluded {len(axes)}; "
            f"got {tracks.points.shape} and {tracks.occluded.shape}."
        )
    if axes[-1] == "t":
        return tracks
    return Tracks(np.swapaxes(tracks.points, -3, -2), np.swapaxes(tracks.occluded, -2, -1))


def _pixel(
    truth: Tracks, intrinsics: Float[np.ndarray, "*intrinsics 4"], fixed: bool
) -> Float[np.ndarray, "*pixels"]:
    """Metres that a pixel is long at each true point, or 1 for thresholds in metres."""
    if fixed:
        return np.ones(())
    if intrinsics.shape not in ((4,), (*truth.occluded.shape[:-2], 4)):
        raise InputError(f"Intrinsics are fx, fy, cx, cy for all or each video, not {intrinsics}.")
    if not (intrinsics[..., :2] > 0).all():
        raise InputError("The focal lengths must be positive, in pixels of a 256 x 256 picture.")
    focal = np.sqrt(intrinsics[..., 0] * intrinsics[..., 1])[..., None, None]
    return np.asarray(truth.points[..., 2] / focal, np.float64)


def _scale(
    estimate: Tracks,
    truth: Tracks,
    scaling: Scaling,
    queries: Float[np.ndarray, "*queries 3"] | None,
) -> Float[np.ndarray, "*factors"]:
    """What the estimated points are multiplied by; fits [*videos, N, T, 3]."""
    if scaling == "none":
        return np.ones(())
    at = None
    if scaling in ("per_trajectory", "local_neighborhood", "median_on_queries"):
        if queries is None:
            raise InputError(f"The scaling {scaling!r} needs the queries.")
        at = query_frames(queries, truth)[..., None]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if scaling == "reproduce_2d":
            return truth.points[..., 2:].astype(np.float64) / estimate.points[..., 2:]
        if scaling == "per_trajectory" and at is not None:
            true, found = (
                np.maximum(np.take_along_axis(t.points[..., 2], at, axis=-1), _SMALLEST)
                for t in (truth, estimate)
            )
            return np.asarray(true / found, np.float64)[..., None]
        true, found = _common_norms(estimate, truth, at)
        if scaling in ("median", "median_on_queries"):
            return (_over_video(np.nanmedian, true) / _over_video(np.nanmedian, found))[..., None]
        if scaling == "mean":
            return (_over_video(np.nanmean, true) / _over_video(np.nanmean, found))[..., None]
    raise InputError(f"There is no scaling {scaling!r}.")


def _common_norms(
    estimate: Tracks, truth: Tracks, at: np.ndarray | None
) -> tuple[Float[np.ndarray, "*videos N S"], Float[np.ndarray, "*videos N S"]]:
    """True and estimated distances from the camera, NaN where hidden in either; only ``at``."""
    hidden = truth.occluded | estimate.occluded
    true, found = (
        np.where(hidden, np.nan, np.sqrt(np.maximum(_SMALLEST, _squared_norm(t.points))))
        for t in (truth, estimate)
    )
    if at is None:
        return true, found
    return np.take_along_axis(true, at, axis=-1), np.take_along_axis(found, at, axis=-1)


def _squared_norm(points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    points = points.astype(np.float64)
    return np.asarray(np.einsum("...d,...d->...", points, points))


def _over_video(mean: Callable[..., np.ndarray], norms: np.ndarray) -> np.ndarray:
    """A mean over tracks and frames, [*videos, 1, 1]; NaN if there is nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of means of nothing
        return mean(norms, axis=(-2, -1), keepdims=True)


def _local_counts(
    estimate: Tracks,
    truth: Tracks,
    factor: Float[np.ndarray, " N"],
    pixel: Float[np.ndarray, "*pixels"],
    thresholds: tuple[float, ...] | tuple[int, ...],
    radius: float,
) -> TrackCounts:
    """The counts of each track's neighbourhood, weighted to the track's own visible frames."""
    track, point = _neighbours(truth.points, radius)
    true, found = (t.points.reshape(-1, 3)[point] for t in (truth, estimate))
    visible, claimed = (~t.occluded.reshape(-1)[point] for t in (truth, estimate))
    with np.errstate(invalid="ignore", over="ignore"):
        error = squared_error(found * factor[track, None], true)
    size = np.square(np.broadcast_to(pixel, truth.occluded.shape).reshape(-1)[point])
    near = [visible & (error < size * threshold**2) for threshold in thresholds]

    def count(mask: Bool[np.ndarray, " P"]) -> Float[np.ndarray, " N"]:
        return np.bincount(track[mask], minlength=len(factor)).astype(np.float64)

    own = np.sum(~truth.occluded, axis=-1)
    weight = own / np.maximum(1, count(visible))
    return TrackCounts(
        weight * count(np.ones_like(visible)),
        weight * count(visible == claimed),
        weight * count(visible),
        weight * count(claimed),
        weight[:, None] * np.stack([count(mask) for mask in near], axis=-1),
        weight[:, None] * np.stack([count(mask & claimed) for mask in near], axis=-1),
    )


def _neighbours(
    points: Float[np.ndarray, "N T 3"], radius: float
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """Pairs of a track and a point (n T + t) nearer to it than the radius in the same frame."""
    tracks, frames = points.shape[:2]
    step = max(1, _PAIRS // max(1, tracks * frames))
    found = []
    for start in range(0, tracks, step):
        near = squared_error(points[None], points[start : start + step, None]) < radius**2
        track, other, frame = np.nonzero(near)
        found.append((track + start, other * frames + frame))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    track, point = (np.concatenate(part) for part in zip(*found, strict=True))
    return track, point
