"""Tracks in the pictures become tracks in the world, and say what moves."""

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy.spatial import cKDTree

from worldline.scene.motion import look_up
from worldline.systems.classic.moving import carry_on, lift

_MOVES = 0.01  # of the picture's diagonal that a still point may seem to wander, to be half sure
_NEIGHBOURS = 4
_COARSE = 2  # pixels between those whose motion is looked up
_LIKE = 0.1  # log depth by which a track's surface may differ from a pixel's


def in_world(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    depth: Float32[np.ndarray, "N H W"],
    intrinsics: Float64[np.ndarray, "N 3 3"],
    world_from_camera: Float64[np.ndarray, "N 4 4"],
) -> Float32[np.ndarray, "M N 3"]:
    """World points of the tracks in every frame; unseen, they go on with those around them."""
    below = np.full(visible.shape, np.nan, np.float32)
    for t in range(len(depth)):
        below[visible[:, t], t] = look_up(depth[t], uv[visible[:, t], t])
    return carry_on(lift(uv, below, intrinsics, world_from_camera), visible)


def mobility(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    xyz: Float32[np.ndarray, "M N 3"],
    intrinsics: Float64[np.ndarray, "N 3 3"],
    camera_from_world: Float64[np.ndarray, "N 4 4"],
    size: tuple[int, int],
) -> Float32[np.ndarray, " M"]:
    """Probability that each track's point moves: by how far it strays from where a still one would.

    The still point is the one in the middle of the track's life. Pixels are compared rather than
    points: errors of depth move a point along its ray, which cameras nearby hardly notice.
    """
    seen = np.cumsum(visible, axis=1)
    middle = (seen >= (seen[:, -1:] + 1) // 2).argmax(axis=1)
    home = xyz[np.arange(len(xyz)), middle].astype(np.float64)
    rotation, shift = camera_from_world[:, :3, :3], camera_from_world[:, :3, 3]
    local = np.einsum("nij,mj->mni", rotation, home) + shift
    z = np.where(local[..., 2] > 1e-6, local[..., 2], np.nan)
    focal, centre = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    strays = np.linalg.norm(local[..., :2] / z[..., None] * focal + centre - uv, axis=-1)
    strays = np.where(visible, np.nan_to_num(strays, nan=np.inf), -np.inf)
    kept = np.sort(strays, axis=1)[:, ::-1]
    rank = (0.1 * seen[:, -1]).astype(int)  # a tenth of the frames may be wrong
    worst = np.clip(kept[np.arange(len(kept)), rank], 0, 1e6)
    allowed = _MOVES * np.hypot(*size)
    return (worst**2 / (worst**2 + allowed**2)).astype(np.float32)


def spread(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    moves: Float32[np.ndarray, " M"],
    depth: Float32[np.ndarray, "N H W"],
) -> Float32[np.ndarray, "N H W"]:
    """The tracks' mobility at every pixel: of the nearest ones at about its depth."""
    count, height, width = depth.shape
    rows, columns = np.arange(0, height, _COARSE), np.arange(0, width, _COARSE)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    places = np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5
    dynamic = np.zeros((count, *y.shape), np.float32)
    for t in range(count):
        here = np.flatnonzero(visible[:, t])
        if len(here) == 0:
            continue
        k = min(_NEIGHBOURS, len(here))
        distance, index = cKDTree(uv[here, t]).query(places, k=range(1, k + 1))
        own, theirs = look_up(depth[t], places), look_up(depth[t], uv[here, t])
        apart = np.log(own)[:, None] - np.log(theirs)[index]
        weight = np.exp(-0.5 * (apart / _LIKE) ** 2) / (1 + distance**2) + 1e-9
        likely = (weight * moves[here][index]).sum(axis=1) / weight.sum(axis=1)
        dynamic[t] = likely.reshape(y.shape)
    fine = dynamic.repeat(_COARSE, axis=1).repeat(_COARSE, axis=2)
    return fine[:, :height, :width]
