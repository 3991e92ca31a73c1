"""The one place that turns what users call a time into frame positions."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float64

from worldline.errors import InputError

# A frame index (int, negative ones count from the end) or seconds (float), or several of these.
At: TypeAlias = int | float | np.integer | np.floating | Sequence[Any] | np.ndarray


def frame_index(index: Any, count: int, what: str = "frame") -> int:
    """A valid index in 0..count-1; negative ones count from the end. InputError otherwise."""
    if isinstance(index, bool | np.bool_) or not isinstance(index, int | np.integer):
        raise InputError(f"{what} must be a frame index (int), not {index!r}")
    if not -count <= index < count:
        raise InputError(f"{what} {index} is outside the clip, which has {count} frames")
    return int(index) % count


def frame_positions(
    at: At, times: Float[np.ndarray, " N"]
) -> tuple[Float64[np.ndarray, " T"], bool]:
    """Frame positions (fractional between frames) of `at`, and whether it was a single one.

    Integers are frame indices. Floats are seconds, interpolated between the frames' times; up to
    half a frame interval beyond the ends counts as the end. InputError for anything else.
    """
    several = isinstance(at, list | tuple | np.ndarray | range) and np.ndim(at) > 0
    if several and np.ndim(at) != 1:
        raise InputError(f"`at` has shape {np.shape(at)}; give one time or a flat sequence")
    # Element by element, since [0, 1.5] holds a frame index and a time in seconds.
    entries = list(at) if several else [at[()] if isinstance(at, np.ndarray) else at]  # type: ignore[arg-type]
    return np.array([_position(entry, times) for entry in entries], np.float64), not several


def _position(at: Any, times: Float[np.ndarray, " N"]) -> float:
    if isinstance(at, float | np.floating):
        return _position_of_seconds(float(at), times)
    return float(frame_index(at, len(times), what="`at`"))


def _position_of_seconds(seconds: float, times: Float[np.ndarray, " N"]) -> float:
    before, after = (times[1] - times[0], times[-1] - times[-2]) if len(times) > 1 else (0.0, 0.0)
    if not times[0] - before / 2 <= seconds <= times[-1] + after / 2:
        raise InputError(
            f"`at` = {seconds} s is outside the clip, {times[0]:.3f} s to {times[-1]:.3f} s "
            "(an int would be a frame index)"
        )
    return float(np.interp(seconds, times, np.arange(len(times))))
