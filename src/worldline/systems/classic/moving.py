"""Depth and 3D tracks of what moves: no parallax to trust, but it stands on something and persists.

A mover touches the static scene where its outline ends at the bottom, and it is in front of
whatever it hides. Both give its depth in single frames; tracks carry it to the others and smooth
it over time (the part that C4D's point trajectory smoothness plays).
"""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from scipy.ndimage import maximum_filter1d
from scipy.spatial import cKDTree

from worldline.systems.classic.tracks import PixelTracks

_FEET = 0.12  # lowest share of a mover's height within which its outline may touch the ground
_SIGMA_FRAMES = 10.0  # how far in time depths of a track support each other
_LOOM_FRAMES = 4  # frames over which a mover's growth is measured
_LOOM_NEIGHBOURS = 16
_ALIKE = 0.15  # share of their distance by which neighbours on one mover may drift apart
_CLOSEST = 4  # neighbours nearer than the third are within the tracks' own noise
_CLEAR = 4  # px below the outline that must be clear of any mover
_HALO = 3  # px by which outlines run wide: the foot itself stands that much higher
_STRIDE = 0.15  # share of a mover's height within which columns share their ground
_NEIGHBOURS = 6
_LEADERS = 24
_UNLIKE = 6.0  # squared velocity differences, in their tolerance, of what is no leader
_DAMPING = 0.95  # of a hidden point's velocity from one frame to the next


def moving_depth(
    background: Float32[np.ndarray, "N H W"],
    confidence: Float32[np.ndarray, "N H W"],
    dynamic: Float32[np.ndarray, "N H W"],
    tracks: PixelTracks,
) -> tuple[Float32[np.ndarray, "N H W"], Float32[np.ndarray, "M N"]]:
    """Depth of every pixel, movers included, and the depth of each moving track in each frame.

    background: depth as if nothing moved, completed behind the movers. Tracks are the moving
    ones; their depth is NaN where they are not visible.
    """
    count = len(background)
    depth = background.copy()
    raw = np.full(tracks.visible.shape, np.nan, np.float32)
    weight = np.zeros(tracks.visible.shape, np.float32)
    islands: list[Int32[np.ndarray, "H W"]] = []
    standing: list[tuple[np.ndarray, np.ndarray]] = []
    for t in range(count):
        _, labels = cv2.connectedComponents((dynamic[t] > 0.5).astype(np.uint8), connectivity=8)
        islands.append(labels)
        standing.append(_contacts(labels, background[t], confidence[t]))
        at = np.flatnonzero(tracks.visible[:, t])
        island = _at(labels, tracks.uv[at, t])
        on = island > 0
        column = np.clip(tracks.uv[at[on], t, 0].astype(int), 0, labels.shape[1] - 1)
        raw[at[on], t] = standing[t][0][island[on], column]
        weight[at[on], t] = standing[t][1][island[on], column]
    growth = looming(tracks.uv, tracks.visible)
    smooth = smooth_in_time(np.log(raw) - growth, weight, tracks.visible) + growth
    track_depth = np.exp(smooth)
    for t in range(count):
        rows, columns = np.nonzero(islands[t])
        if len(rows) == 0:
            continue
        seen = np.flatnonzero(tracks.visible[:, t] & np.isfinite(track_depth[:, t]))
        spread = _spread(tracks.uv[seen, t], smooth[seen, t], rows, columns, max(dynamic.shape[1:]))
        alone = np.log(standing[t][0][islands[t][rows, columns], columns])
        depth[t][rows, columns] = np.exp(np.where(np.isnan(spread), alone, spread))
    return depth, track_depth.astype(np.float32)


def _contacts(
    labels: Int32[np.ndarray, "H W"],
    background: Float32[np.ndarray, "H W"],
    confidence: Float32[np.ndarray, "H W"],
) -> tuple[Float32[np.ndarray, "L W"], Float32[np.ndarray, "L W"]]:
    """Depth at which each island stands and how far to believe it, column by column.

    Column by column, since two movers that overlap in the picture are one island on two grounds.
    A column's ground is that of the lowest parts of the outline around it: those are the feet.
    """
    height, width = labels.shape
    most = int(labels.max()) + 1
    depth, weight = np.full((most, width), np.nan, np.float32), np.zeros((most, width), np.float32)
    for label in range(1, most):
        inside = labels == label
        columns = np.flatnonzero(inside.any(axis=0))
        inside = inside[:, columns[0] : columns[-1] + 1]
        occupied = inside.any(axis=0)
        # The lowest pixel of the island in each of its columns.
        lowest = np.where(occupied, height - 1 - inside[::-1].argmax(axis=0), -height)
        tall = occupied.size and np.ptp(np.flatnonzero(inside.any(axis=1))) + 1
        reach = max(3, round(_STRIDE * tall))
        feet = lowest >= maximum_filter1d(lowest, 2 * reach + 1) - _FEET * tall
        below = np.clip(lowest + _CLEAR, 0, height - 1)
        foot = np.clip(lowest - _HALO, 0, height - 1)
        x = np.arange(columns[0], columns[-1] + 1)
        usable = feet & (lowest + _CLEAR < height) & (labels[below, x] == 0)
        z = np.where(usable, background[foot, x], np.float32(np.nan))
        sure = np.where(usable, 0.05 + (confidence[below, x] > 0), 0.0).astype(np.float32)
        near, share = _windowed(z, sure, reach)
        # Cut off by the picture's edge: all that is known is that it is in front.
        fallback = 0.9 * np.percentile(background[:, columns[0] : columns[-1] + 1][inside], 10)
        span = slice(columns[0], columns[-1] + 1)
        depth[label, span] = np.where(np.isnan(near), fallback, near)
        weight[label, span] = np.where(np.isnan(near), 0.05, share)
    return depth, weight


def _windowed(
    value: Float32[np.ndarray, " W"], weight: Float32[np.ndarray, " W"], reach: int
) -> tuple[Float32[np.ndarray, " W"], Float32[np.ndarray, " W"]]:
    """Median of the known values within `reach` of each column (NaN: none), and mean weight."""
    padded = np.pad(value, reach, constant_values=np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    known = np.isfinite(windows).sum(axis=1)  # NaN sorts last
    middle = windows[np.arange(len(value)), np.maximum(known - 1, 0) // 2]
    total = np.convolve(weight, np.ones(2 * reach + 1), mode="full")[reach : reach + len(weight)]
    return middle, (total / np.maximum(known, 1)).astype(np.float32)


def _at(labels: np.ndarray, uv: Float32[np.ndarray, "P 2"]) -> np.ndarray:
    height, width = labels.shape
    x = np.clip(uv[:, 0].astype(int), 0, width - 1)
    y = np.clip(uv[:, 1].astype(int), 0, height - 1)
    return labels[y, x]


def looming(
    uv: Float32[np.ndarray, "M N 2"], visible: Bool[np.ndarray, "M N"]
) -> Float32[np.ndarray, "M N"]:
    """Log depth of each track relative to its first frame, from how the things around it grow.

    Between frames a few apart the distances from a track to its neighbours on a rigid mover scale
    as the inverse of its depth: a far finer measure of depth's change than where the mover stands.
    """
    count = uv.shape[1]
    rate = np.zeros((2, *visible.shape), np.float32)  # sum and number of estimates a frame step
    for t in range(count):
        ahead = min(t + _LOOM_FRAMES, count - 1)
        both = np.flatnonzero(visible[:, t] & visible[:, ahead])
        if ahead - t < 1 or len(both) < 2 * _CLOSEST:
            continue
        a, b = uv[both, t], uv[both, ahead]
        near = min(_LOOM_NEIGHBOURS, len(both) - 1)
        _, index = cKDTree(a).query(a, k=[*range(_CLOSEST, near + 1)])
        before = np.linalg.norm(a[index] - a[:, None], axis=-1)
        after = np.linalg.norm(b[index] - b[:, None], axis=-1)
        moved = b - a
        apart = np.linalg.norm(moved[index] - moved[:, None], axis=-1)
        same = apart < _ALIKE * before + 1.5  # a rigid mover's parts go nearly the same way
        growth = _masked_median(np.log((after + 0.5) / (before + 0.5)), same)
        # Neighbours share their mover's growth: their median is steadier than each one's own.
        growth = _masked_median(growth[index], same & np.isfinite(growth[index])) / (ahead - t)
        known = np.isfinite(growth)
        rate[0, both[known], t:ahead] -= growth[known, None]
        rate[1, both[known], t:ahead] += 1.0
    mean = rate[0] / np.maximum(rate[1], 1.0)
    depth = np.zeros(visible.shape, np.float32)
    np.cumsum(mean[:, :-1], axis=1, out=depth[:, 1:])
    return depth


def _masked_median(
    value: Float32[np.ndarray, "M K"], mask: Bool[np.ndarray, "M K"]
) -> Float32[np.ndarray, " M"]:
    """Median of each row's chosen values; NaN where fewer than three are chosen."""
    ordered = np.sort(np.where(mask, value, np.inf), axis=1)
    chosen = mask.sum(axis=1)
    middle = ordered[np.arange(len(value)), np.maximum(chosen - 1, 0) // 2]
    return np.where(chosen >= 3, middle, np.nan)


def smooth_in_time(
    value: Float32[np.ndarray, "M N"],
    weight: Float32[np.ndarray, "M N"],
    visible: Bool[np.ndarray, "M N"],
) -> Float32[np.ndarray, "M N"]:
    """Each track's values under a Gaussian in time, outliers against its own median given little
    weight; NaN where the track is not visible or never had a value."""
    count = value.shape[1]
    known = np.isfinite(value) & visible
    filled = np.where(known, value, 0.0)
    with np.errstate(invalid="ignore"):
        middle = _row_median(value, known)
    away = np.where(known, np.abs(filled - middle), 0.0)
    trust = np.where(known, weight / (1.0 + (away / 0.15) ** 2), 0.0)
    gap = np.arange(count)[:, None] - np.arange(count)[None]
    # A faint uniform part lets a whole life speak where the near frames say nothing.
    kernel = np.exp(-0.5 * (gap / _SIGMA_FRAMES) ** 2) + 1e-3
    total = trust @ kernel
    smooth = (trust * filled) @ kernel / np.maximum(total, 1e-12)
    return np.where(visible & (total > 0), smooth, np.nan).astype(np.float32)


def _row_median(value: np.ndarray, known: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.where(known, value, np.inf), axis=1)
    middle = np.maximum(known.sum(axis=1) - 1, 0) // 2
    return np.take_along_axis(ordered, middle[:, None], axis=1)


def _spread(
    uv: Float32[np.ndarray, "P 2"],
    value: Float32[np.ndarray, " P"],
    rows: Int64[np.ndarray, " Q"],
    columns: Int64[np.ndarray, " Q"],
    longer_side: int,
) -> Float32[np.ndarray, " Q"]:
    """Values at pixels from the nearest tracks; NaN where none is near."""
    if len(uv) == 0:
        return np.full(len(rows), np.nan, np.float32)
    near = min(_NEIGHBOURS, len(uv))
    pixels = np.stack([columns, rows], axis=-1) + 0.5
    distance, index = cKDTree(uv).query(pixels, k=[*range(1, near + 1)])
    weight = 1.0 / (distance + 1.0) ** 2
    spread = (weight * value[index]).sum(axis=1) / weight.sum(axis=1)
    # A track far away belongs to something else.
    spread[distance[:, 0] > 0.08 * longer_side] = np.nan
    return spread.astype(np.float32)


def lift(
    uv: Float32[np.ndarray, "M N 2"],
    depth: Float32[np.ndarray, "M N"],
    intrinsics: Float64[np.ndarray, "N 3 3"],
    world_from_camera: Float64[np.ndarray, "N 4 4"],
) -> Float32[np.ndarray, "M N 3"]:
    """World points of tracks from their depth in each frame (NaN stays NaN)."""
    focal = intrinsics[:, [0, 1], [0, 1]]
    xy = (uv - intrinsics[:, :2, 2]) / focal
    ray = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1) * depth[..., None]
    turned = np.einsum("nij,mnj->mni", world_from_camera[:, :3, :3], ray)
    return (turned + world_from_camera[:, :3, 3]).astype(np.float32)


def carry_on(
    xyz: Float32[np.ndarray, "M N 3"], visible: Bool[np.ndarray, "M N"]
) -> Float32[np.ndarray, "M N 3"]:
    """Tracks completed beyond their lives: unseen points go on with those that moved beside them.

    From its last (first) seen place a track takes the mean step of the nearest tracks that were
    seen at both ends of the step.
    """
    out = xyz.copy()
    count = xyz.shape[1]
    born = visible.argmax(axis=1)
    died = count - 1 - visible[:, ::-1].argmax(axis=1)
    # Gaps within a life (a track may be found again) are bridged straight.
    for m in np.flatnonzero(visible.sum(axis=1) < died - born + 1):
        at = np.flatnonzero(visible[m])
        for axis in range(3):
            out[m, born[m] : died[m] + 1, axis] = np.interp(
                np.arange(born[m], died[m] + 1), at, xyz[m, at, axis]
            )
    for order, gone in ((range(count), died), (range(count - 1, -1, -1), born)):
        _sweep(out, visible, list(order), gone)
    return out


def _sweep(out: np.ndarray, visible: np.ndarray, order: list[int], end: np.ndarray) -> None:
    """Carry the tracks on beyond their `end` frame, in the direction of `order`."""
    sign = order[1] - order[0] if len(order) > 1 else 1
    velocity = np.zeros_like(out[:, 0])
    steps = np.zeros(len(out))
    for t, ahead in pairwise(order):
        leaders = np.flatnonzero(visible[:, t] & visible[:, ahead])
        step = out[leaders, ahead] - out[leaders, t]
        # What each point does now, remembered for when it is hidden: a mean at first, then one
        # that forgets.
        steps[leaders] += 1
        share = np.maximum(1.0 / steps[leaders], 0.3)[:, None]
        velocity[leaders] += share * (step - velocity[leaders])
        followers = np.flatnonzero(sign * (t - end) >= 0)
        if len(followers):
            moved = _follow(out[followers, t], velocity[followers], out[leaders, t], step)
            out[followers, ahead] = out[followers, t] + moved
            velocity[followers] = moved


def _follow(
    place: Float32[np.ndarray, "F 3"],
    velocity: Float32[np.ndarray, "F 3"],
    leader_place: Float32[np.ndarray, "L 3"],
    leader_step: Float32[np.ndarray, "L 3"],
) -> Float32[np.ndarray, "F 3"]:
    """Steps of hidden points: those of near points that move alike, else as before.

    Without the likeness, a point that another mover hides would be dragged along by it.
    """
    if len(leader_place) == 0:
        return _DAMPING * velocity
    near = min(_LEADERS, len(leader_place))
    distance, index = cKDTree(leader_place).query(place, k=[*range(1, near + 1)])
    step = leader_step[index]
    speed2 = (velocity**2).sum(axis=-1, keepdims=True)
    tolerance = 0.1 * (speed2 + np.median((leader_step**2).sum(axis=-1))) + 1e-12
    unlike = ((step - velocity[:, None]) ** 2).sum(axis=-1) / tolerance
    scale2 = np.median(distance[:, 0]) ** 2 + 1e-8
    weight = np.exp(-0.5 * unlike) / (1.0 + distance**2 / scale2)
    weight[unlike > _UNLIKE] = 0.0  # many a little unlike would drag it along in the end
    alone = 0.05
    total = weight.sum(axis=1, keepdims=True) + alone
    moved = ((weight[..., None] * step).sum(axis=1) + alone * _DAMPING * velocity) / total
    return moved.astype(np.float32)
