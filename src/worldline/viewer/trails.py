"""Points followed through time: the trails they leave, and what a click follows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from worldline.scene import PointCloud, Scene, Tracks
from worldline.viewer.layers import MOVES, rainbow
from worldline.viewer.state import ViewState

_REACH = 0.01  # of the distance along a click's ray: how far from it a point may lie
_SOURCES = 8  # frames in which the followed points start


@dataclass(frozen=True)
class Lines:
    """S straight segments in world axes, with a colour for each end."""

    ends: Float32[np.ndarray, "S 2 3"]
    rgb: UInt8[np.ndarray, "S 2 3"]


def choose_queries(scene: Scene, count: int) -> Float[np.ndarray, "M 3"]:
    """(frame, x, y) of at most `count` pixels to follow: ones that move, from all over the clip."""
    frames = np.unique(np.linspace(0, len(scene) - 1, _SOURCES).round().astype(int))
    queries = [np.empty((0, 3))]
    for i in frames:
        moves = (scene.dynamic[i] > MOVES) & np.isfinite(scene.depth[i]) & (scene.depth[i] > 0)
        chosen = np.flatnonzero(moves)
        quota = min(len(chosen), count // len(frames))
        chosen = np.random.default_rng(int(i)).choice(chosen, quota, replace=False)
        row, column = np.divmod(chosen, scene.size[0])
        queries.append(np.stack([np.full(quota, float(i)), column + 0.5, row + 0.5], axis=-1))
    return np.concatenate(queries)


def trails(tracks: Tracks, state: ViewState) -> Lines:
    """The way of every track up to `state.time`, `state.trail` frames back, fading with age."""
    first = max(0, state.time - state.trail)
    way = tracks.xyz[:, first : state.time + 1]
    ends = np.stack([way[:, :-1], way[:, 1:]], axis=2)
    age = (state.time - np.arange(first, state.time + 1)) / max(state.trail, 1)
    bright = 1 - 0.85 * np.stack([age[:-1], age[1:]], axis=-1)
    rgb = rainbow(_ranks(tracks.xyz[:, 0, 1]))[:, None, None] * bright[None, ..., None]
    return Lines(ends.reshape(-1, 2, 3), rgb.astype(np.uint8).reshape(-1, 2, 3))


def pick(
    cloud: PointCloud, origin: Float[np.ndarray, "3"], direction: Float[np.ndarray, "3"]
) -> int | None:
    """Index of the nearest point that a ray (world axes) meets; None if it meets none."""
    direction = direction / np.linalg.norm(direction)
    from_eye = cloud.xyz - origin
    along = from_eye @ direction
    aside = np.linalg.norm(from_eye - along[:, None] * direction, axis=-1)
    met = (along > 0) & (aside < _REACH * along)
    return int(np.where(met, along, np.inf).argmin()) if met.any() else None


def source_query(
    scene: Scene, source: int, xyz: Float[np.ndarray, "3"], time: int
) -> Float[np.ndarray, "1 3"]:
    """(frame, x, y) of the pixel of frame `source` whose point is at `xyz` at frame `time`."""
    points = scene.pointmap(source, at=time)
    apart = np.linalg.norm(points - xyz, axis=-1)
    row, column = np.unravel_index(np.nanargmin(apart), apart.shape)
    return np.array([[source, column + 0.5, row + 0.5]])


def way(tracks: Tracks) -> Lines:
    """The whole way of one track, from blue at the first frame to red at the last."""
    line = tracks.xyz[0]
    rgb = rainbow(np.linspace(0, 1, len(line)))
    return Lines(np.stack([line[:-1], line[1:]], axis=1), np.stack([rgb[:-1], rgb[1:]], axis=1))


def way_table(tracks: Tracks, unit: str) -> str:
    """Markdown: where one track is in each frame, and how far it has moved since the first."""
    xyz = tracks.xyz[0]
    moved = np.linalg.norm(xyz - xyz[0], axis=-1)
    hidden = ["" if seen else " (hidden)" for seen in tracks.visible[0]]
    rows = [
        f"| {frame}{note} | {x:.3f} {y:.3f} {z:.3f} | {far:.3f} |"
        for frame, (note, (x, y, z), far) in enumerate(zip(hidden, xyz, moved, strict=True))
    ]
    return "\n".join([f"| frame | x y z ({unit}) | moved |", "|---|---|---|", *rows])


def _ranks(values: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """Each value's place among all, in 0..1."""
    return np.argsort(np.argsort(values)) / max(len(values) - 1, 1)
