"""How steady an estimate is from frame to frame, along tracks of points.

Both numbers judge change only: an error that stays the same costs nothing, for that is what the
other metrics are for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape


@dataclass(frozen=True)
class Flicker:
    """The change of the error between neighbouring frames; NaN without a pair of them.

    Of depth it has no unit (0.01: the depth jumps by 1 %), of points it is in metres.
    """

    mean: float
    median: float
    worst: float  # the 95th percentile
    pairs: int


def depth_flicker(
    estimate: Float[np.ndarray, "T N"],
    truth: Float[np.ndarray, "F M"],
    visible: Bool[np.ndarray, "*mask"] | None = None,
) -> Flicker:
    """How much the depth of world points jumps from one frame to the next, relative to the depth.

    ``estimate`` [T, N] are the depths (z) found at the pixels where N world points are seen in T
    frames, ``truth`` [T, N] the depths that the points really have there: for static points, what
    the true cameras make of fixed positions. With r = log(estimate / truth), the flicker is
    |r_{t+1} - r_t| over all points and neighbouring frames that see them. The camera's own motion
    is in both depths and costs nothing; nor does a scale for the sequence or for a point.

    Depths that are not finite and positive, and points that are not ``visible``, make no pair. The
    definition is ours. Raises ``InputError`` for differing or empty shapes or under two frames.
    """
    seen = _checked("Depths along tracks", estimate, truth, visible)
    seen = seen & np.isfinite(estimate) & np.isfinite(truth) & (estimate > 0) & (truth > 0)
    ratio = np.divide(estimate, truth, out=np.ones(truth.shape), where=seen)
    return _flicker(np.abs(np.diff(np.log(ratio), axis=0)), seen)


def point_flicker(
    estimate: Float[np.ndarray, "T N 3"],
    truth: Float[np.ndarray, "F M 3"],
    visible: Bool[np.ndarray, "*mask"] | None = None,
) -> Flicker:
    """How much the error of tracked world points jumps from one frame to the next, metres.

    With e = estimate - truth (aligned before, as for WorldTrack), the flicker is |e_{t+1} - e_t|
    over all points and neighbouring frames that see them; for static points that is how far they
    jump. Positions that are not finite, and points that are not ``visible``, make no pair. Raises
    ``InputError`` for differing or empty shapes or fewer than two frames.
    """
    same_shape("Points along tracks", estimate, truth)
    seen = _checked("Points along tracks", estimate[..., 0], truth[..., 0], visible)
    seen = seen & np.isfinite(estimate).all(axis=-1) & np.isfinite(truth).all(axis=-1)
    error = np.where(seen[..., None], estimate, 0) - np.where(seen[..., None], truth, 0.0)
    return _flicker(np.linalg.norm(np.diff(error, axis=0), axis=-1), seen)


def _checked(
    what: str, estimate: np.ndarray, truth: np.ndarray, visible: np.ndarray | None
) -> np.ndarray:
    """The mask [T, N] of what is visible, after the shapes were found to fit."""
    same_shape(what, estimate, truth)
    if len(truth) < 2:
        raise InputError(f"{what}: flicker needs at least two frames.")
    if visible is None:
        return np.ones(truth.shape, bool)
    same_shape("Visibility", visible, truth)
    return visible


def _flicker(jumps: Float[np.ndarray, "P N"], seen: Bool[np.ndarray, "T N"]) -> Flicker:
    known = jumps[seen[:-1] & seen[1:]]
    if known.size == 0:
        nan = float("nan")
        return Flicker(nan, nan, nan, 0)
    worst = float(np.percentile(known, 95))
    return Flicker(float(known.mean()), float(np.median(known)), worst, known.size)
