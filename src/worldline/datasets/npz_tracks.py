"""What TAPVid-3D, WorldTrack and the dense benchmarks share: one npz a clip, with its JPEGs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from worldline.datasets.cameras import inverse, moved, pinhole, projected
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import listed, one_of
from worldline.datasets.frames import Frames, indices, moves_by_path, where_asked
from worldline.datasets.pictures import decoded_frames, known
from worldline.datasets.unpickling import array_shapes, arrays, required
from worldline.errors import InputError

NEEDED = ("images_jpeg_bytes", "tracks_XYZ", "visibility", "fx_fy_cx_cy")
MOVES = 0.01  # metres of path: St4RTrack's and 4RC's bound for a point that moves

Shapes = dict[str, tuple[int, ...]]


def npz_clips(root: Path, fits: Callable[[Shapes], bool], wanted: str) -> dict[str, Path]:
    """The npz files at ``root``, or a folder below, whose arrays fit; by name without ending."""
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; give the one that holds the npz files.")
    files = listed(root, "*.npz") or listed(root, "*/*.npz")
    found = {}
    for file in files:
        if fits(_shapes(file)):
            found[file.relative_to(root).with_suffix("").as_posix()] = file
    if not found:
        raise InputError(f"{root}: holds no clip; looked for {wanted}.")
    return found


def npz_clip(root: Path, name: str, clips: Callable[[Path], dict[str, Path]]) -> Path:
    """A clip's file, without a look into all the others where its name is that of a file."""
    file = root / f"{name}.npz"
    return file if file.is_file() else one_of(clips(root), name, root)


def npz_problems(root: Path, needed: tuple[str, ...]) -> list[str]:
    """A line for each npz file that is broken or lacks an array."""
    lines = []
    for file in listed(root, "*.npz") or listed(root, "*/*.npz"):
        lacking = [name for name in needed if name not in _shapes(file)]
        if lacking:
            lines.append(f"{file}: is broken or lacks {', '.join(lacking)}")
    return lines or ([] if listed(root, "*.npz") + listed(root, "*/*.npz") else [_none(root)])


def camera_tracks(
    name: str, file: Path, frames: Frames, query_of: str, still: bool = False
) -> Clip:
    """A clip whose ``tracks_XYZ`` (N M 3) are in each frame's camera, in metres.

    World is that of ``extrinsics_w2c``. Without it the camera stands ``still``, or else
    ``world_from_camera`` is None and ``xyz`` stay in each frame's own camera. ``query_of`` is
    "queries_xyt", or "first frame": frame 0 for points that it sees. Depth that is not positive is
    unknown.
    """
    extra = ("extrinsics_w2c", "depth_map", "queries_xyt")
    content = arrays(file, (*NEEDED, *extra))
    required(content, NEEDED, file)
    xyz = np.asarray(content["tracks_XYZ"], dtype=np.float64).swapaxes(0, 1)
    visible = np.asarray(content["visibility"]).astype(bool).T
    count = len(content["images_jpeg_bytes"])
    if xyz.ndim != 3 or xyz.shape[:2] != visible.shape or visible.shape[1] != count:
        raise InputError(
            f"{file}: has {count} frames, tracks of {content['tracks_XYZ'].shape} and visibility "
            f"of {content['visibility'].shape}; they must agree."
        )
    chosen = indices(count, frames, name)
    pixels = decoded_frames([content["images_jpeg_bytes"][k] for k in chosen], name)
    K = lens(content["fx_fy_cx_cy"], len(chosen), file)
    poses = world_from_camera(content, chosen, file)
    if poses is None and still:
        poses = np.tile(np.eye(4), (len(chosen), 1, 1))
    in_camera = xyz[:, chosen]
    in_world = in_camera if poses is None else moved(poses, in_camera)
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(f"{k:05d}" for k in chosen),
        metric=True,
        world_from_camera=poses,
        intrinsics=K,
        depth=_depth(content, chosen, pixels.shape[:3], file),
        tracks=PointTracks(
            visible=visible[:, chosen],
            uv=projected(in_camera, K),
            xyz=in_world,
            dynamic=None if poses is None else moves_by_path(in_world, MOVES),
            query=where_asked(_query(content, visible, query_of, file), chosen),
        ),
    )


def lens(numbers: np.ndarray, count: int, file: Path) -> Float[np.ndarray, "count 3 3"]:
    """``fx_fy_cx_cy`` as matrices."""
    if numbers.shape != (4,):
        raise InputError(f"{file}: fx_fy_cx_cy has shape {numbers.shape}, not (4,).")
    fx, fy, cx, cy = (float(one) for one in numbers)
    return np.tile(pinhole(fx, fy, cx, cy), (count, 1, 1))


def world_from_camera(
    content: dict[str, np.ndarray], chosen: np.ndarray, file: Path
) -> np.ndarray | None:
    """Poses of the chosen frames from ``extrinsics_w2c``; None without it."""
    if "extrinsics_w2c" not in content:
        return None
    w2c = np.asarray(content["extrinsics_w2c"], dtype=np.float64)
    if w2c.ndim != 3 or w2c.shape[1:] != (4, 4) or len(w2c) <= chosen.max():
        raise InputError(f"{file}: extrinsics_w2c has shape {w2c.shape}, not (frames, 4, 4).")
    return inverse(w2c[chosen])


def _query(
    content: dict[str, np.ndarray], visible: np.ndarray, query_of: str, file: Path
) -> np.ndarray:
    if query_of == "first frame":
        return np.where(visible[:, 0], 0, -1)
    required(content, ("queries_xyt",), file)
    return content["queries_xyt"][:, 2].astype(np.int64)


def _depth(
    content: dict[str, np.ndarray], chosen: np.ndarray, shape: tuple[int, ...], file: Path
) -> np.ndarray | None:
    if "depth_map" not in content:
        return None
    depth = content["depth_map"][chosen].astype(np.float32)
    if depth.shape != shape:
        raise InputError(f"{file}: depth_map is {depth.shape}, its frames {shape}.")
    return known(depth)


def _shapes(file: Path) -> Shapes:
    try:
        return array_shapes(file)
    except InputError:
        return {}


def _none(root: Path) -> str:
    return f"{root}: holds no npz file"
