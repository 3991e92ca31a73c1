"""Depth and 3D tracks of what moves: no parallax to trust, but it stands on something and persists.

A mover touches the static scene where its outline ends at the bottom, and it is in front of
whatever it hides. Both give its depth in single frames; tracks carry it to the others and smooth
it over time (the part that C4D's point trajectory smoothness plays).
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from scipy.spatial import cKDTree

from worldline.systems.classic.tracks import PixelTracks

_FEET = 0.12  # lowest share of a mover's height within which its outline may touch the ground
_SIGMA_FRAMES = 3.0  # how far in time depths of a track support each other
_GROUND = 4  # px below the outline where the ground is read
_NEIGHBOURS = 6


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
        raw[at[on], t] = standing[t][0][island[on]]
        weight[at[on], t] = standing[t][1][island[on]]
    smooth = smooth_in_time(np.log(raw), weight, tracks.visible)
    track_depth = np.exp(smooth)
    for t in range(count):
        moving = islands[t] > 0
        if not moving.any():
            continue
        seen = np.flatnonzero(tracks.visible[:, t] & np.isfinite(track_depth[:, t]))
        spread = _spread(tracks.uv[seen, t], smooth[seen, t], moving)
        alone = np.log(standing[t][0][islands[t][moving]])
        depth[t][moving] = np.exp(np.where(np.isnan(spread), alone, spread))
    return depth, track_depth.astype(np.float32)


def _contacts(
    labels: Int32[np.ndarray, "H W"],
    background: Float32[np.ndarray, "H W"],
    confidence: Float32[np.ndarray, "H W"],
) -> tuple[Float32[np.ndarray, " L"], Float32[np.ndarray, " L"]]:
    """Depth at which each island stands and how far to believe it (index 0 is no island)."""
    height = labels.shape[0]
    most = int(labels.max()) + 1
    depth, weight = np.full(most, np.nan, np.float32), np.zeros(most, np.float32)
    for label in range(1, most):
        inside = labels == label
        rows = np.flatnonzero(inside.any(axis=1))
        columns = np.flatnonzero(inside.any(axis=0))
        # The lowest pixel of the island in each of its columns.
        lowest = height - 1 - inside[::-1, columns].argmax(axis=0)
        tall = rows[-1] - rows[0] + 1
        feet = lowest >= rows[-1] - _FEET * tall
        ground = lowest + _GROUND
        usable = feet & (ground < height)
        usable[usable] = labels[ground[usable], columns[usable]] == 0
        if usable.sum() >= 3:
            z = background[ground[usable], columns[usable]]
            sure = 0.05 + (confidence[ground[usable], columns[usable]] > 0)
            depth[label] = _weighted_median(z, sure)
            weight[label] = float(sure.mean())
        else:
            # Cut off by the picture's edge: all that is known is that it is in front.
            depth[label] = 0.9 * np.percentile(background[inside], 10)
            weight[label] = 0.05
    return depth, weight


def _weighted_median(value: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(value)
    cumulative = np.cumsum(weight[order])
    return float(value[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def _at(labels: np.ndarray, uv: Float32[np.ndarray, "P 2"]) -> np.ndarray:
    height, width = labels.shape
    x = np.clip(uv[:, 0].astype(int), 0, width - 1)
    y = np.clip(uv[:, 1].astype(int), 0, height - 1)
    return labels[y, x]


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
    uv: Float32[np.ndarray, "P 2"], value: Float32[np.ndarray, " P"], where: Bool[np.ndarray, "H W"]
) -> Float32[np.ndarray, " Q"]:
    """Values at the pixels of `where` from the nearest tracks; NaN if there are none."""
    y, x = np.nonzero(where)
    if len(uv) == 0:
        return np.full(len(x), np.nan, np.float32)
    near = min(_NEIGHBOURS, len(uv))
    distance, index = cKDTree(uv).query(np.stack([x, y], axis=-1) + 0.5, k=[*range(1, near + 1)])
    weight = 1.0 / (distance + 1.0) ** 2
    spread = (weight * value[index]).sum(axis=1) / weight.sum(axis=1)
    # A track far away belongs to something else.
    spread[distance[:, 0] > 0.08 * max(where.shape)] = np.nan
    return spread.astype(np.float32)


def lift(
    uv: Float32[np.ndarray, "M N 2"],
    depth: Float32[np.ndarray, "M N"],
    intrinsics: Float64[np.ndarray, "3 3"],
    world_from_camera: Float64[np.ndarray, "N 4 4"],
) -> Float32[np.ndarray, "M N 3"]:
    """World points of tracks from their depth in each frame (NaN stays NaN)."""
    focal = np.array([intrinsics[0, 0], intrinsics[1, 1]])
    xy = (uv - intrinsics[:2, 2]) / focal
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
    for t in range(count - 1):
        _step(out, visible, died <= t, t, t + 1)
    for t in range(count - 1, 0, -1):
        _step(out, visible, born >= t, t, t - 1)
    return out


def _step(out: np.ndarray, visible: np.ndarray, gone: np.ndarray, start: int, end: int) -> None:
    """Move the tracks that are `gone` from frame `start` to `end` as their neighbours moved."""
    leaders = np.flatnonzero(visible[:, start] & visible[:, end])
    followers = np.flatnonzero(gone)
    if len(followers) == 0:
        return
    if len(leaders) == 0:
        out[followers, end] = out[followers, start]
        return
    near = min(_NEIGHBOURS, len(leaders))
    distance, index = cKDTree(out[leaders, start]).query(
        out[followers, start], k=[*range(1, near + 1)]
    )
    weight = 1.0 / (distance**2 + 1e-6 * (distance[:, -1:] ** 2 + 1e-12) + 1e-12)
    motion = out[leaders, end] - out[leaders, start]
    mean = (weight[..., None] * motion[index]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    out[followers, end] = out[followers, start] + mean
