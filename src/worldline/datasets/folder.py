"""A plain folder a clip, for one's own footage and for clips gathered from here and there.

Layout, all but the frames optional: ``frames/00000.jpg`` or ``video.mp4`` (or ``frame*.png`` in the
folder itself), ``depth/00000.png`` (uint16; ``meta.json``'s "depth" says "metres = value/1000"; 0
unknown), ``masks/00000.png`` (255 moves, 85 and 170 are not judged), ``cameras.npz`` with ``K`` (3
3 or N 3 3), ``c2w`` (N 4 4, OpenCV axes), ``timestamps`` and ``dist`` (OpenCV's k1 k2 p1 p2 k3,
undone here for all that is read), ``flow*.npz`` with ``flow`` (H W 2) and ``valid`` named by its
frame, ``points2d.npz`` with ``frame_index``, ``xy`` and ``visible``. Lengths are metres where
"camera_convention" or "depth" in ``meta.json`` says metres. Licence of the data: the clip's own.

K comes in either pixel convention, so its principal point tells: half of the size has pixel centres
at +0.5, as COLMAP's calibrations have; all others are taken as OpenCV's, with integer ones.
"""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worldline.datasets.cameras import from_integer_centres, to_integer_centres
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import (
    clip_folders,
    json_of,
    listed,
    missing,
    one_of,
    problems_in,
    reading,
)
from worldline.datasets.frames import Frames, flow_of_pairs, indices
from worldline.datasets.pictures import depth_pictures, picture
from worldline.datasets.unpickling import arrays
from worldline.errors import InputError
from worldline.io.lens import undistort
from worldline.io.selection import Selection
from worldline.io.stills import read_stills
from worldline.io.video import read_video

MOVES, UNJUDGED = 255, (85, 170)  # labels; CDnet's for outside, and for motion nobody can tell
_PICTURES = (".jpg", ".jpeg", ".png")
_CAMERAS = ("K", "c2w", "timestamps", "dist")


def names(root: Path) -> list[str]:
    """The clips' folders."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip; ``frames`` are positions from 0."""
    folder = one_of(_clips(root), name, root)
    meta, files = _meta(folder), _frame_files(folder)
    every = None if files else _video(folder)
    chosen = indices(len(files) if every is None else len(every), frames, name)
    pixels = _pictures([files[k] for k in chosen]) if every is None else every[chosen]
    count = len(files) if every is None else len(every)
    shape = pixels.shape[1:3]
    cameras = _cameras(folder, count)
    K = _intrinsics(cameras, chosen, shape, meta)
    depth, labels = _depth(folder, meta, chosen, count), _masks(folder, chosen, count)
    for what, maps in (("depth", depth), ("masks", labels)):
        if maps is not None and maps.shape[1:] != shape:
            raise InputError(f"{folder / what}: are {maps.shape[1:]}, the frames {shape}.")
    dist = cameras.get("dist")
    if dist is not None and K is not None and np.any(dist):
        pixels = pixels.copy()
        undistort(pixels, K[0], dist.ravel().tolist())
        depth, labels = _straight(depth, K[0], dist), _straight(labels, K[0], dist)
    as_it_is = frames is None and (dist is None or not np.any(dist))
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(files[k].stem if files else f"{k:05d}" for k in chosen),
        metric=_is_metric(meta),
        times=_rows(cameras, "timestamps", chosen),
        world_from_camera=_rows(cameras, "c2w", chosen),
        intrinsics=K,
        depth=depth,
        dynamic=None if labels is None else labels == MOVES,
        judged=None if labels is None else ~np.isin(labels, UNJUDGED),
        source=_source(folder) if as_it_is else None,
        flow=_flow(folder, files, chosen, shape),
        tracks=_points(folder, chosen, count),
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their depth or mask, and files that are empty."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    files = _frame_files(folder)
    lines = missing(files or [folder / "video.mp4"])
    for kind in ("depth", "masks"):
        many = len(listed(folder / kind, "*.png"))
        if files and many not in (0, len(files)):
            lines.append(f"{folder / kind}: has {many} pictures for {len(files)} frames")
    others = [folder / name for name in ("cameras.npz", "points2d.npz", "meta.json")]
    return lines + missing(file for file in others if file.exists())


def _clips(root: Path) -> dict[str, Path]:
    return clip_folders(root, _is_clip, "CLIP/frames, CLIP/video.mp4 or CLIP/frame*.png")


def _is_clip(folder: Path) -> bool:
    return bool(_frame_files(folder)) or (folder / "video.mp4").is_file()


def _frame_files(folder: Path) -> list[Path]:
    inside = [f for f in listed(folder / "frames", "*") if f.suffix.lower() in _PICTURES]
    return inside or [f for f in listed(folder, "frame*.*") if f.suffix.lower() in _PICTURES]


def _source(folder: Path) -> Path | None:
    """What holds the frames and nothing else."""
    held = [place for place in (folder / "frames", folder / "video.mp4") if place.exists()]
    return held[0] if held else None


def _pictures(files: list[Path]) -> np.ndarray:
    """Anyone's pictures: upright and over black, as a system that is given ``source`` has them."""
    absent = missing(files)
    if absent:
        raise InputError(f"{absent[0]}; restore it, or remove the clip.")
    return read_stills(files, Selection(size=None)).frames


def _video(folder: Path) -> np.ndarray:
    return read_video(folder / "video.mp4", Selection(size=None)).frames


def _meta(folder: Path) -> dict[str, Any]:
    file = folder / "meta.json"
    if not file.is_file():
        return {}
    content = json_of(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: is no JSON object.")
    return content


def _is_metric(meta: dict[str, Any]) -> bool:
    return any("metres" in str(meta.get(key, "")) for key in ("camera_convention", "depth"))


def _cameras(folder: Path, count: int) -> dict[str, np.ndarray]:
    file = folder / "cameras.npz"
    if not file.is_file():
        return {}
    cameras = {name: np.asarray(v, np.float64) for name, v in arrays(file, _CAMERAS).items()}
    shapes = {
        "K": ((3, 3), (count, 3, 3)),
        "c2w": ((count, 4, 4),),
        "timestamps": ((count,),),
        "dist": ((4,), (5,)),
    }
    for name, value in cameras.items():
        if value.shape not in shapes[name]:
            raise InputError(f"{file}: {name} is {value.shape}, and there are {count} frames.")
    return cameras


def _rows(cameras: dict[str, np.ndarray], name: str, chosen: np.ndarray) -> np.ndarray | None:
    return cameras[name][chosen] if name in cameras else None


def _intrinsics(
    cameras: dict[str, np.ndarray], chosen: np.ndarray, shape: tuple[int, ...], meta: dict[str, Any]
) -> np.ndarray | None:
    if "K" not in cameras:
        return None
    K = cameras["K"]
    K = K[chosen] if K.ndim == 3 else np.tile(K, (len(chosen), 1, 1))
    centre, size = K[0, :2, 2], np.array(shape[::-1], float)
    halved = bool((centre == size / 2).all())
    integers = bool((centre == (size - 1) / 2).all())
    colmap = "COLMAP" in str(meta.get("camera_convention", ""))
    return K if halved or (colmap and not integers) else from_integer_centres(K)


def _depth(folder: Path, meta: dict[str, Any], chosen: np.ndarray, count: int) -> np.ndarray | None:
    files = _one_each(folder / "depth", count)
    if files is None:
        return None
    unit = re.search(r"value\s*/\s*([0-9.]*[0-9])", str(meta.get("depth", "")))
    if unit is None:
        raise InputError(f'{folder / "meta.json"}: let "depth" say "metres = value/1000".')
    return depth_pictures([files[k] for k in chosen], float(unit[1]))


def _masks(folder: Path, chosen: np.ndarray, count: int) -> np.ndarray | None:
    """Labels: ``MOVES``, those of ``UNJUDGED``, and any others for what stands."""
    files = _one_each(folder / "masks", count)
    if files is None:
        return None
    masks = [picture(files[k]) for k in chosen]
    return np.stack([one if one.ndim == 2 else one[..., 0] for one in masks])


def _one_each(folder: Path, count: int) -> list[Path] | None:
    files = listed(folder, "*.png")
    if files and len(files) != count:
        raise InputError(f"{folder}: has {len(files)} pictures for {count} frames.")
    return files or None


def _straight(maps: np.ndarray | None, K: np.ndarray, dist: np.ndarray) -> np.ndarray | None:
    """Depth or labels without lens distortion: nearest values, unknown or not judged outside."""
    if maps is None:
        return None
    centred = to_integer_centres(K)
    size = (maps.shape[2], maps.shape[1])
    x, y = cv2.initUndistortRectifyMap(centred, dist, None, centred, size, cv2.CV_32FC1)
    border: dict[str, Any] = {
        "borderMode": cv2.BORDER_CONSTANT,
        "borderValue": UNJUDGED[0] if maps.dtype == np.uint8 else np.nan,
    }
    moved = [cv2.remap(one, x, y, cv2.INTER_NEAREST, **border) for one in maps]
    return np.stack(moved).astype(maps.dtype)


def _flow(
    folder: Path, files: list[Path], chosen: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Flow files are named by their frame's number: ``flow_0001`` is from ``frame_0001``."""
    numbers = {_number(file): k for k, file in enumerate(files)}
    flows = {}
    for file in listed(folder, "flow*.npz"):
        start = numbers.get(_number(file))
        if start is None:
            continue
        content = arrays(file, ("flow", "valid"))
        if content.get("flow", np.empty(0)).shape != (*shape, 2):
            raise InputError(f"{file}: its flow is not of {shape} pixels, as the frames are.")
        flow = content["flow"].astype(np.float32)
        flows[start] = (
            np.where(content["valid"][..., None], flow, np.nan) if "valid" in content else flow
        )
    return flow_of_pairs(flows, chosen, (shape[0], shape[1]))


def _number(file: Path) -> int:
    digits = re.search(r"\d+", file.stem)
    return int(digits[0]) if digits else -1


def _points(folder: Path, chosen: np.ndarray, count: int) -> PointTracks | None:
    """Points that were marked in some frames."""
    file = folder / "points2d.npz"
    if not file.is_file():
        return None
    content = arrays(file, ("frame_index", "xy", "visible"))
    with reading(file, "points"):
        at, xy, seen = (content[name] for name in ("frame_index", "xy", "visible"))
        uv = np.full((count, xy.shape[1], 2), np.nan)
        visible = np.zeros((count, xy.shape[1]), bool)
        uv[at], visible[at] = xy, seen
    known = np.isin(chosen, at)
    return PointTracks(visible[chosen].T, uv[chosen].swapaxes(0, 1), known=known)
