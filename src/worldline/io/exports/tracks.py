"""3D tracks of a grid of pixels through the whole clip, as a table or as arrays."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from worldline.io.exports.pictures import known_depth, moving
from worldline.io.exports.registry import Choices
from worldline.scene import Scene, Tracks
from worldline.scene.store import atomic_file

_SOURCES = 4  # frames whose pixels are followed, spread evenly over the clip
_ACROSS = 96  # grid points along the longer side of the frame; where nothing moves, every second
_MOST_ROWS = 1_000_000  # tracks times frames: a spreadsheet opens 1 048 576
_COLUMNS = "track,frame,time,x,y,z,u,v,visible,confidence,dynamic,source_frame"
_FORMATS = ("%d", "%d", "%.9f", *["%.9g"] * 5, "%d", "%.6g", "%.6g", "%d")

CONVENTIONS = (
    "Tracks [M] of a grid of pixels of some frames, finer where they move, followed through all "
    "frames [N]. xyz [M,N,3]: scene units, OpenCV axes (x right, y down, z forward), the world is "
    "the first frame's camera. uv [M,N,2]: (x, y) in pixels of the input (`original_size`), lens "
    "distortion undone, the top-left pixel's centre at (0.5, 0.5); NaN behind the camera. visible "
    "[M,N]: inside the frame and not hidden. confidence [M,N] of the motion, 0..1. dynamic [M]: "
    "probability that the point moves. source_frame [M]: the frame whose pixel it is. times [N]: "
    "seconds."
)


def export_tracks_npz(scene: Scene, path: Path, choices: Choices) -> None:
    """The arrays that `CONVENTIONS` names, as `_grid` chooses them.

    Raises StorageError when the disk refuses.
    """
    queries = _grid(scene, choices)
    tracks = scene.tracks(queries)
    with atomic_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            times=scene.times,
            xyz=tracks.xyz,
            uv=_original(scene, tracks),
            visible=tracks.visible,
            confidence=tracks.confidence,
            dynamic=_dynamic(scene, queries),
            source_frame=queries[:, 0].astype(np.int32),
            original_size=np.array(scene.original_size),
            conventions=np.array(CONVENTIONS),
        )


def export_tracks_csv(scene: Scene, path: Path, choices: Choices) -> None:
    """A row for each track and frame: times in s, xyz in scene units, (u, v) in input pixels.

    The same tracks and meanings as in the arrays of `export_tracks_npz`. Raises StorageError
    when the disk refuses.
    """
    queries = _grid(scene, choices)
    with atomic_file(path) as partial, partial.open("w", encoding="ascii") as file:
        file.write(_COLUMNS + "\n")
        for source in np.unique(queries[:, 0]):
            rows = np.flatnonzero(queries[:, 0] == source)
            np.savetxt(file, _table(scene, queries[rows], int(rows[0])), _FORMATS, delimiter=",")


def _grid(scene: Scene, choices: Choices) -> Float64[np.ndarray, "M 3"]:
    """Queries (frame, x, y) at pixel centres of known depth: a grid on each source frame, twice as
    fine where the picture moves.

    At most `choices.max_points` of them, thinned evenly, and fewer in a long clip.
    """
    width, height = scene.size
    step = max(1, max(width, height) // _ACROSS)
    sources = np.unique(np.linspace(0, len(scene) - 1, _SOURCES).astype(np.int64))
    row, column = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    coarse = np.zeros(row.shape, bool)
    coarse[::2, ::2] = True
    queries = []
    for i in sources.tolist():
        asked = coarse | moving(scene, i)[row, column]
        asked &= known_depth(scene, i, choices.min_confidence)[row, column]
        pixels = np.stack([column, row], axis=-1)[asked] + 0.5
        queries.append(np.insert(pixels, 0, i, axis=1))
    grid = np.concatenate(queries)
    most = _MOST_ROWS // len(scene)
    most = most if choices.max_points is None else min(choices.max_points, most)
    return grid if len(grid) <= most else grid[np.arange(most) * len(grid) // max(most, 1)]


def _table(
    scene: Scene, queries: Float64[np.ndarray, "M 3"], first: int
) -> Float64[np.ndarray, "rows 12"]:
    """The rows of these tracks, numbered from `first`."""
    tracks = scene.tracks(queries)
    count, frames = tracks.visible.shape
    number, frame = np.divmod(np.arange(count * frames), frames)
    return np.column_stack(
        [
            number + first,
            frame,
            scene.times[frame],
            tracks.xyz.reshape(-1, 3),
            _original(scene, tracks).reshape(-1, 2),
            tracks.visible.reshape(-1),
            tracks.confidence.reshape(-1),
            _dynamic(scene, queries)[number],
            queries[number, 0],
        ]
    ).astype(np.float64)


def _original(scene: Scene, tracks: Tracks) -> Float32[np.ndarray, "M N 2"]:
    """(x, y) in pixels of the input."""
    return tracks.uv * np.divide(scene.original_size, scene.size).astype(np.float32)


def _dynamic(scene: Scene, queries: Float64[np.ndarray, "M 3"]) -> Float32[np.ndarray, " M"]:
    """Of each query's own pixel."""
    frame, x, y = queries.astype(np.int64).T
    return scene.dynamic[frame, y, x]
