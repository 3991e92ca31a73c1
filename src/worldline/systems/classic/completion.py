"""Edge-aware completion: values known at some pixels spread to all along the smooth parts."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_EDGE = 12.0  # grey levels: a step this large between neighbours lets 1/e of the value through
_COARSEST = 12  # pixels on the short side of the first level
_ITERATIONS = 24  # relaxation steps a level
_FIRST_ITERATIONS = 240  # on the first level, which starts from nothing but the mean


def complete(
    value: Float32[np.ndarray, "H W"],
    weight: Float32[np.ndarray, "H W"],
    frame: UInt8[np.ndarray, "H W 3"],
) -> Float32[np.ndarray, "H W"]:
    """The map that stays near `value` where `weight` says so and is smooth within the picture's
    regions elsewhere.

    Minimises  sum_p weight_p (x_p - value_p)^2 + sum_pq exp(-|I_p - I_q| / s) (x_p - x_q)^2  from
    coarse to fine: each level starts from the one above, so a few relaxation steps suffice. The
    finest level solved is half the picture's size: the completion is smooth by construction.
    """
    levels = [_half(value * weight, weight, frame)]
    while min(levels[-1][1].shape) > 2 * _COARSEST:
        levels.append(_half(*levels[-1]))
    total = weight.sum()
    mean = float((value * weight).sum() / total) if total > 0 else float(np.median(value))
    x = np.full(levels[-1][1].shape, mean, np.float32)
    steps = _FIRST_ITERATIONS
    for weighted, known, picture in reversed(levels):
        x = cv2.resize(x, known.shape[::-1], interpolation=cv2.INTER_LINEAR)
        x = _relax(x, weighted, known, picture, steps)
        steps = _ITERATIONS
    return cv2.resize(x, value.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _half(
    weighted: Float32[np.ndarray, "H W"],
    weight: Float32[np.ndarray, "H W"],
    picture: UInt8[np.ndarray, "H W 3"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = (max(1, (weight.shape[1] + 1) // 2), max(1, (weight.shape[0] + 1) // 2))
    # Sums, not means, would let one known pixel speak as loudly at every level; means times two
    # grow its reach with the level instead.
    return (
        2.0 * cv2.resize(weighted, size, interpolation=cv2.INTER_AREA),
        2.0 * cv2.resize(weight, size, interpolation=cv2.INTER_AREA),
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA),
    )


def _relax(
    x: Float32[np.ndarray, "h w"],
    weighted: Float32[np.ndarray, "h w"],
    known: Float32[np.ndarray, "h w"],
    picture: UInt8[np.ndarray, "h w 3"],
    steps: int,
) -> Float32[np.ndarray, "h w"]:
    """Damped Jacobi steps of the quadratic problem on one level."""
    colour = picture.astype(np.float32)
    right = np.zeros_like(x)
    down = np.zeros_like(x)
    right[:, :-1] = np.exp(-np.abs(np.diff(colour, axis=1)).max(axis=-1) / _EDGE) + 1e-3
    down[:-1] = np.exp(-np.abs(np.diff(colour, axis=0)).max(axis=-1) / _EDGE) + 1e-3
    total = known + right + down
    total[:, 1:] += right[:, :-1]
    total[1:] += down[:-1]
    total += 1e-9
    for _ in range(steps):
        flow = weighted.copy()
        flow[:, :-1] += right[:, :-1] * x[:, 1:]
        flow[:, 1:] += right[:, :-1] * x[:, :-1]
        flow[:-1] += down[:-1] * x[1:]
        flow[1:] += down[:-1] * x[:-1]
        x = 0.1 * x + 0.9 * flow / total
    return x
