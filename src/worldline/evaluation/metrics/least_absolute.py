"""Fits of least absolute deviations, solved exactly rather than by steps towards the optimum."""

import numpy as np
from jaxtyping import Float

from worldline.errors import InputError

SAMPLE = 20_000  # of more points than this, some are fitted first: a start near the optimum
ROUNDING = 1e-12  # residuals up to this share of the largest value count as zero


def weighted_median(values: Float[np.ndarray, " M"], weights: Float[np.ndarray, " M"]) -> float:
    """The (lower) value m that minimises Σ weight · |value - m|; weights > 0."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(below, 0.5 * below[-1])]])


def best_line(x: Float[np.ndarray, " M"], y: Float[np.ndarray, " M"]) -> tuple[float, float]:
    """The scale and shift that minimise Σ |scale · x + shift - y|, exactly.

    Some optimal line passes through two points. From a line through one of them, the best one
    through it is a weighted median of slopes (Bloomfield and Steiger 1983); then it turns about
    another point that it passes through, as long as the sum falls in any such direction: where it
    falls in none, the line is optimal, the sum being convex. Raises ``InputError`` where all x are
    the same.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    if not (x != x[:1]).any():
        raise InputError("The estimated depth is the same everywhere; align it by scale alone.")
    centre = float(np.median(x))
    scale, shift = _descend(x - centre, y, *_start(x - centre, y))
    return scale, shift - scale * centre


def _start(x: Float[np.ndarray, " M"], y: Float[np.ndarray, " M"]) -> tuple[float, float]:
    step = len(x) // SAMPLE
    if step > 1:
        some = np.random.default_rng(0).integers(len(x), size=SAMPLE)
        if (x[some] != x[some[0]]).any():
            return _descend(x[some], y[some], *_start(x[some], y[some]))
    scale = float(x @ (y - y.mean()) / (x @ (x - x.mean())))
    return scale, float(np.median(y - scale * x))


def _descend(
    x: Float[np.ndarray, " M"], y: Float[np.ndarray, " M"], scale: float, shift: float
) -> tuple[float, float]:
    """From a line that passes through a point (or nearly) down to the optimal one."""
    pivot: int | None = int(np.abs(scale * x + shift - y).argmin())
    line, cost = (scale, shift), np.inf
    while pivot is not None:
        turned = _best_through(x, y, pivot)
        turned_cost = float(np.abs(turned[0] * x + turned[1] - y).sum())
        if not turned_cost < cost:
            break  # only rounding is left
        line, cost = turned, turned_cost
        pivot = _falls(x, y, *line)
    return line


def _best_through(
    x: Float[np.ndarray, " M"], y: Float[np.ndarray, " M"], pivot: int
) -> tuple[float, float]:
    run, rise = x - x[pivot], y - y[pivot]
    used = run != 0
    scale = weighted_median(rise[used] / run[used], np.abs(run[used]))
    return scale, float(y[pivot] - scale * x[pivot])


def _falls(
    x: Float[np.ndarray, " M"], y: Float[np.ndarray, " M"], scale: float, shift: float
) -> int | None:
    """The point on the line to turn about so that the sum falls most; None where it never falls.

    Turning about point i, (scale, shift) goes along ±(1, -x_i): the sum changes by
    ±Σ sign(residual) (x - x_i) off the line and by Σ |x - x_i| over the points on it. Between
    neighbours of these directions the change is linear, and they are less than half a turn apart
    (the line passes through points of different x), so if none of them falls, no direction does.
    """
    residual = scale * x + shift - y
    size = np.abs(scale) * np.abs(x).max() + np.abs(y).max()
    on = np.abs(residual) <= ROUNDING * size
    side = np.sign(residual[~on])
    points = np.flatnonzero(on)
    off_line = np.abs((side @ x[~on]) - side.sum() * x[points])
    change = _distances(x[points]) - off_line
    best = int(change.argmin())
    return int(points[best]) if change[best] < -ROUNDING * np.abs(x).sum() else None


def _distances(x: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Σ_j |x_j - x_i| for every i."""
    order = np.argsort(x)
    ordered = x[order]
    before, count = np.cumsum(ordered) - ordered, np.arange(len(x))
    after = ordered.sum() - before - ordered
    total = np.empty_like(x)
    total[order] = (count * ordered - before) + (after - (len(x) - 1 - count) * ordered)
    return total
