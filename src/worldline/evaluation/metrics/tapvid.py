"""How well points are followed in the picture: TAP-Vid (Doersch et al. 2022)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError

PIXELS = (1, 2, 4, 8, 16)  # thresholds, in a picture of 256 x 256
QueryMode = Literal["first", "strided"]


@dataclass(frozen=True)
class Tracks:
    """Where each of N points is in each of T frames, and whether it is hidden there.

    ``...`` is nothing for one video or [B] for several. 2D: pixels (x, y) of a picture resized to
    256 x 256. 3D: metres in the axes of each frame's camera (x right, y down, z forward).
    """

    points: Float[np.ndarray, "*videos N T d"]
    occluded: Bool[np.ndarray, "*videos N T"]


@dataclass(frozen=True)
class TrackScores:
    """Shares from 0 to 1, each [*shape] (one a video, or one a track); NaN where nothing counts.

    ``within`` and ``jaccard`` have a last axis for the five thresholds; the benchmarks' headline
    numbers AJ and < δ_avg (3D: APD) are their means.
    """

    within: Float[np.ndarray, "*shape 5"]  # of the truly visible points, whatever is predicted
    jaccard: Float[np.ndarray, "*shape 5"]  # hits / (hits + false positives + false negatives)
    occlusion_accuracy: Float[np.ndarray, "*shape"]

    @property
    def average_jaccard(self) -> Float[np.ndarray, "*shape"]:
        """AJ (3D-AJ): the mean over the thresholds."""
        return np.asarray(self.jaccard.mean(axis=-1))

    @property
    def average_within(self) -> Float[np.ndarray, "*shape"]:
        """< δ_avg (3D: APD): the mean over the thresholds."""
        return np.asarray(self.within.mean(axis=-1))

    def under_published_names(self) -> dict[str, Float[np.ndarray, "*shape"]]:
        """As tapnet's functions name them; benchmark tables hold these means times 100."""
        named = {
            "occlusion_accuracy": self.occlusion_accuracy,
            "average_jaccard": self.average_jaccard,
            "average_pts_within_thresh": self.average_within,
        }
        for i, pixels in enumerate(PIXELS):
            named[f"pts_within_{pixels}"] = self.within[..., i]
            named[f"jaccard_{pixels}"] = self.jaccard[..., i]
        return named


@dataclass(frozen=True)
class TrackCounts:
    """What scores are made of, for each track: numbers of frames (or their weights)."""

    counted: Float[np.ndarray, "*tracks"]
    agreed: Float[np.ndarray, "*tracks"]  # hidden in both or visible in both
    visible: Float[np.ndarray, "*tracks"]  # truly
    claimed: Float[np.ndarray, "*tracks"]  # visible as estimated
    within: Float[np.ndarray, "*tracks 5"]  # truly visible, and near enough
    hits: Float[np.ndarray, "*tracks 5"]  # and claimed

    def per_track(self) -> TrackScores:
        """Scores [*videos, N]."""
        # false positives are what is claimed and no hit, whether hidden or too far
        either = (self.visible + self.claimed)[..., None] - self.hits
        return TrackScores(
            _share(self.within, self.visible[..., None]),
            _share(self.hits, either),
            _share(self.agreed, self.counted),
        )

    def per_video(self) -> TrackScores:
        """Scores [*videos]: every frame of every track counts alike."""
        return TrackCounts(
            np.asarray(self.counted.sum(axis=-1)),
            np.asarray(self.agreed.sum(axis=-1)),
            np.asarray(self.visible.sum(axis=-1)),
            np.asarray(self.claimed.sum(axis=-1)),
            self.within.sum(axis=-2),
            self.hits.sum(axis=-2),
        ).per_track()


def tapvid_counts(
    estimate: Tracks,
    truth: Tracks,
    queries: Float[np.ndarray, "*queries 3"],
    query_mode: QueryMode = "first",
) -> TrackCounts:
    """TAP-Vid's counts; ``per_video()`` of them are the benchmark's scores.

    ``queries`` are (t, y, x); only t is used. "first" evaluates the frames after the query's,
    "strided" all but the query's. A point is near enough if its distance is < 1, 2, 4, 8 or 16
    pixels; a position that is not finite never is. The benchmark is the mean over the videos of
    their scores. No track, no frame to evaluate or no visible point give NaN scores.

    Equals ``compute_tapvid_metrics`` of google-deepmind/tapnet. Raises ``InputError`` for arrays
    that do not fit or a query outside the video.
    """
    check_tracks(estimate, truth, 2)
    frames = query_frames(queries, truth)[..., None]
    time = np.arange(truth.occluded.shape[-1])
    if query_mode == "first":
        evaluated = time > frames
    elif query_mode == "strided":
        evaluated = time != frames
    else:
        raise InputError(f"The query mode is 'first' or 'strided', not {query_mode!r}.")
    error = squared_error(estimate.points, truth.points)
    return count_tracks(error, np.ones(()), estimate.occluded, truth.occluded, evaluated)


def count_tracks(
    error: Float[np.ndarray, "*videos N T"],
    pixel: Float[np.ndarray, "*pixels"],
    estimated_occluded: Bool[np.ndarray, "*videos N T"],
    occluded: Bool[np.ndarray, "*videos N T"],
    evaluated: Bool[np.ndarray, "*videos N T"],
    thresholds: tuple[float, ...] | tuple[int, ...] = PIXELS,
) -> TrackCounts:
    """Counts where ``evaluated``, of squared errors; ``pixel`` is the thresholds' unit."""
    visible, claimed = ~occluded & evaluated, ~estimated_occluded & evaluated
    size = np.square(pixel)
    # strictly nearer; comparing to NaN is false
    near = [visible & (error < size * threshold**2) for threshold in thresholds]
    return TrackCounts(
        _count(evaluated),
        _count(evaluated & (estimated_occluded == occluded)),
        _count(visible),
        _count(claimed),
        np.stack([_count(mask) for mask in near], axis=-1),
        np.stack([_count(mask & claimed) for mask in near], axis=-1),
    )


def squared_error(
    estimate: Float[np.ndarray, "*#shape d"], truth: Float[np.ndarray, "*#shape d"]
) -> Float[np.ndarray, "..."]:
    """Squared distances; NaN or infinite where a position is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        step = np.asarray(estimate, np.float64) - truth
        return np.asarray(np.einsum("...d,...d->...", step, step))


def check_tracks(estimate: Tracks, truth: Tracks, dimensions: int) -> None:
    """Raises ``InputError`` unless all four arrays fit each other (they may be empty)."""
    shapes = [array.shape for tracks in (estimate, truth) for array in _arrays(tracks)]
    points, occluded = shapes[2:]
    if shapes[:2] != shapes[2:] or points != (*occluded, dimensions) or len(occluded) < 2:
        raise InputError(
            f"Tracks are points [..., N, T, {dimensions}] and occluded [..., N, T], alike for "
            f"estimate and truth; got {shapes[0]} and {shapes[1]}, and {points} and {occluded}."
        )


def query_frames(queries: Float[np.ndarray, "*queries 3"], truth: Tracks) -> np.ndarray:
    """The frame of each query, [*videos, N]; ``InputError`` if it is not one of the video."""
    shape = truth.occluded.shape
    if queries.shape != (*shape[:-1], 3):
        raise InputError(f"Queries (t, y, x) are {(*shape[:-1], 3)} here, not {queries.shape}.")
    frames = np.rint(queries[..., 0])
    if not ((frames >= 0) & (frames < shape[-1])).all():
        raise InputError(f"A query's frame is not among the {shape[-1]} frames of the video.")
    return frames.astype(np.int64)


def _arrays(tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    return tracks.points, tracks.occluded


def _count(mask: Bool[np.ndarray, "*videos N T"]) -> Float[np.ndarray, "*videos N"]:
    return np.asarray(mask.sum(axis=-1, dtype=np.float64))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
