"""What is known of a clip beforehand: cameras, depth and masks, from files of other programs.

Everything is brought to the clip's own frames and working size; NaN stands for unknown.
"""

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Float64
from PIL import Image

from worldline.errors import InputError
from worldline.io.stills import natural_key

_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # nerfstudio's cameras look along -z, y up
_NEAR = 0.5  # of the gap between frames: how far a time stamp may lie from a frame's
_MAPS = (".png", ".exr", ".npy")


@dataclass(frozen=True)
class Kept:
    """The frames that priors are for.

    names: file names of stills; empty for a video.
    total: frames of the range, of which every `stride`-th was kept.
    """

    times: Float64[np.ndarray, " N"]
    names: Sequence[str]
    total: int
    stride: int
    original_size: tuple[int, int]
    working_size: tuple[int, int]


@dataclass(frozen=True)
class KnownCameras:
    """Cameras of K frames, in some world and of some units; NaN: unknown.

    world_from_camera: OpenCV axes.
    intrinsics: in pixels of `size` (width, height), or of the clip's original where that is None.
    names: what frames they are of; or `times` in seconds; or, with neither, frames in order.
    """

    world_from_camera: Float64[np.ndarray, "K 4 4"]
    intrinsics: Float64[np.ndarray, "K 3 3"]
    size: Float64[np.ndarray, "K 2"] | None = None
    names: tuple[str, ...] = ()
    times: Float64[np.ndarray, " K"] | None = None


def known_cameras(
    path: Path, kept: Kept
) -> tuple[Float64[np.ndarray, "N 4 4"], Float64[np.ndarray, "N 3 3"]]:
    """Poses (OpenCV axes, any world) and intrinsics (working pixels) of the kept frames.

    path: a COLMAP model (its folder, or one that holds `sparse/0`), nerfstudio's
        `transforms.json` (or its folder), a TUM trajectory (.txt), or .npz with
        `world_from_camera` and `intrinsics` (of Worldline) or `c2w` and `K`.
    Raises InputError when it cannot be read or is not of these frames.
    """
    try:
        found = _camera_reader(path)(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file or folder; check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: cannot be read as cameras ({error}).") from error
    rows = _rows(found, kept, path)
    poses = np.full((len(rows), 4, 4), np.nan)
    intrinsics = np.full((len(rows), 3, 3), np.nan)
    there = rows >= 0
    poses[there] = found.world_from_camera[rows[there]]
    size = np.array(kept.original_size, float) if found.size is None else found.size[rows[there]]
    scale = np.ones((int(there.sum()), 3))
    scale[:, :2] = np.array(kept.working_size) / size
    intrinsics[there] = found.intrinsics[rows[there]] * scale[:, :, None]
    if not (np.isfinite(poses).any() or np.isfinite(intrinsics).any()):
        raise InputError(f"{path.name}: knows none of the clip's frames by name or time.")
    return poses, intrinsics


def known_maps(path: Path, kept: Kept, what: str) -> Float32[np.ndarray, "N H W"]:
    """Depth ("depth") or masks ("masks", 1: moving) of the kept frames at the working size.

    path: a folder of pictures or arrays in order (.png, .exr, .npy), or an .npz with `depth`, or
        with `dynamic` or `masks`. 16-bit depth is in units of `meta.json`'s `unit` there (0:
        unknown); masks move where they are white.
    Raises InputError when it cannot be read or is not of these frames.
    """
    try:
        pictures = _map_source(path, what)
        chosen = [pictures[k] for k in _in_order(len(pictures), kept, path)]
        return np.stack([_fitted(load(), kept, path) for load in chosen])
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file or folder; check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: cannot be read as {what} ({error}).") from error


def _camera_reader(path: Path) -> Callable[[Path], KnownCameras]:
    if path.is_dir():
        if (path / "transforms.json").is_file():
            return lambda folder: _of_nerfstudio(folder / "transforms.json")
        return _of_colmap
    readers = {".json": _of_nerfstudio, ".txt": _of_tum, ".npz": _of_npz}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path.name}: give cameras as a COLMAP folder, nerfstudio's transforms.json, a TUM "
            ".txt or an .npz."
        )
    return readers[path.suffix.lower()]


def _of_colmap(folder: Path) -> KnownCameras:
    import pycolmap

    homes = [home for home in (folder, folder / "sparse/0", folder / "sparse") if _is_model(home)]
    if not homes:
        raise InputError(f"{folder.name}: holds no COLMAP model (cameras.bin or cameras.txt).")
    model = pycolmap.Reconstruction(homes[0])
    images = [image for image in model.images.values() if image.has_pose]
    images.sort(key=lambda image: natural_key(Path(image.name)))
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    poses[:, :3] = [image.cam_from_world().inverse().matrix() for image in images]
    lenses = [model.cameras[image.camera_id] for image in images]
    for lens in lenses:
        if np.any(np.abs(lens.params[len(lens.focal_length_idxs()) + 2 :]) > 0):
            raise InputError(
                f"{folder.name}: its cameras distort ({lens.model_name}): undistort the images "
                "with COLMAP first, or give the lens by --intrinsics."
            )
    return KnownCameras(
        poses,
        np.array([lens.calibration_matrix() for lens in lenses]).reshape(-1, 3, 3),
        np.array([(lens.width, lens.height) for lens in lenses], float).reshape(-1, 2),
        tuple(image.name for image in images),
    )


def _is_model(folder: Path) -> bool:
    return any((folder / f"cameras.{ending}").is_file() for ending in ("bin", "txt"))


def _of_nerfstudio(path: Path) -> KnownCameras:
    content = json.loads(path.read_text(encoding="utf-8"))
    frames = sorted(content["frames"], key=lambda one: natural_key(Path(one["file_path"])))
    poses = np.array([one["transform_matrix"] for one in frames], float) @ _OPENGL
    lenses = [{**content, **one} for one in frames]
    if any(abs(one.get(name, 0.0)) > 0 for one in lenses for name in ("k1", "k2", "p1", "p2")):
        raise InputError(f"{path.name}: its cameras distort: undistort the images first.")
    fx, fy, cx, cy, width, height = (
        np.array([float(one[name]) for one in lenses])
        for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")
    )
    intrinsics = np.zeros((len(frames), 3, 3))
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = fx, fy
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = cx, cy, 1.0
    names = tuple(one["file_path"] for one in frames)
    return KnownCameras(poses, intrinsics, np.stack([width, height], axis=-1), names)


def _of_tum(path: Path) -> KnownCameras:
    from scipy.spatial.transform import Rotation

    rows = np.loadtxt(path, comments="#", ndmin=2)
    if rows.shape[1] != 8:
        raise InputError(f"{path.name}: has {rows.shape[1]} columns: give t x y z qx qy qz qw.")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, 3] = rows[:, 1:4]
    poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
    return KnownCameras(poses, np.full((len(rows), 3, 3), np.nan), times=rows[:, 0])


def _of_npz(path: Path) -> KnownCameras:
    with np.load(path, allow_pickle=False) as content:
        poses = content[_first(content, ("world_from_camera", "c2w"), path)].astype(float)
        names = [name for name in ("intrinsics", "K") if name in content]
        intrinsics = content[names[0]].astype(float) if names else np.full((3, 3), np.nan)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InputError(f"{path.name}: its poses have shape {poses.shape}; give [N,4,4].")
    return KnownCameras(poses, np.broadcast_to(intrinsics, (len(poses), 3, 3)))


def _first(content: Any, names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in content:
            return name
    raise InputError(f"{path.name}: holds no {' or '.join(names)}, only {sorted(content)}.")


def _rows(found: KnownCameras, kept: Kept, path: Path) -> np.ndarray:
    """Row of each kept frame among the known cameras; -1 where there is none."""
    if found.names and kept.names:
        place = {Path(name).name: k for k, name in enumerate(found.names)}
        rows = np.array([place.get(name, -1) for name in kept.names])
        if (rows >= 0).any():
            return rows
    count = len(found.world_from_camera)
    if found.times is not None and count not in (len(kept.times), kept.total) and count:
        gap = np.median(np.diff(kept.times)) if len(kept.times) > 1 else np.inf
        rows = np.abs(found.times[:, None] - kept.times).argmin(axis=0)
        return np.where(np.abs(found.times[rows] - kept.times) < _NEAR * gap, rows, -1)
    return _in_order(count, kept, path)


def _in_order(count: int, kept: Kept, path: Path) -> np.ndarray:
    """Which of `count` things belong to the kept frames; InputError if that cannot be told."""
    frames = len(kept.times)
    if count == frames:
        return np.arange(frames)
    if count == kept.total:
        return np.arange(frames) * kept.stride
    every = "" if kept.total == frames else f", or for each of the source's {kept.total}"
    raise InputError(
        f"{path.name}: is of {count} frames, the clip has {frames}: give one for each{every}."
    )


def _map_source(path: Path, what: str) -> list[Callable[[], np.ndarray]]:
    """One loader for each frame, of float32 with NaN where unknown."""
    if not path.is_dir():
        if path.suffix.lower() != ".npz":
            raise InputError(f"{path.name}: give {what} as a folder of pictures or an .npz.")
        with np.load(path, allow_pickle=False) as content:
            names = ("depth",) if what == "depth" else ("dynamic", "masks")
            maps = content[_first(content, names, path)].astype(np.float32)
        return [lambda one=one: one for one in maps]  # type: ignore[misc]
    files = sorted(
        (file for file in path.iterdir() if file.suffix.lower() in _MAPS), key=natural_key
    )
    if not files:
        raise InputError(f"{path.name}: holds no {', '.join(_MAPS)} files.")
    unit = _unit(path) if what == "depth" and files[0].suffix.lower() == ".png" else 1.0
    read = {
        ".npy": lambda file: np.load(file, allow_pickle=False).astype(np.float32),
        ".exr": _exr,
        ".png": (lambda file: _depth_png(file, unit)) if what == "depth" else _mask_png,
    }
    return [lambda file=file: read[file.suffix.lower()](file) for file in files]  # type: ignore[misc]


def _unit(folder: Path) -> float:
    """Scene units of one step of 16-bit depth, from `meta.json` there or beside."""
    for meta in (folder / "meta.json", folder.parent / "meta.json"):
        if meta.is_file():
            content = json.loads(meta.read_text(encoding="utf-8"))
            for name in ("unit", "depth_unit"):
                if isinstance(content.get(name), int | float):
                    return float(content[name])
    raise InputError(
        f'{folder.name}: what is one step of depth? Put {{"unit": 0.001}} in meta.json.'
    )


def _depth_png(file: Path, unit: float) -> Float32[np.ndarray, "h w"]:
    steps = np.asarray(Image.open(file))
    if steps.ndim != 2:
        raise InputError(f"{file.name}: is no single-channel picture; give 16-bit depth.")
    return np.where(steps > 0, steps * unit, np.nan).astype(np.float32)


def _mask_png(file: Path) -> Float32[np.ndarray, "h w"]:
    return (np.asarray(Image.open(file).convert("L")) > 127).astype(np.float32)


def _exr(file: Path) -> Float32[np.ndarray, "h w"]:
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise InputError("to read EXR, OpenEXR is needed: pip install 'worldline[exr]'") from error
    with OpenEXR.File(str(file)) as content:
        channels = content.channels()
        return np.asarray(next(iter(channels.values())).pixels, np.float32)


def _fitted(
    values: Float32[np.ndarray, "h w"], kept: Kept, path: Path
) -> Float32[np.ndarray, "H W"]:
    """The map at the working size; nearest values, which are no mixtures."""
    size = values.shape[::-1]
    if size == kept.working_size:
        return values
    if size != kept.original_size:
        one, other = (f"{w}x{h}" for w, h in (kept.original_size, kept.working_size))
        sizes = one if one == other else f"{one} or {other}"
        raise InputError(f"{path.name}: is {size[0]}x{size[1]}, the clip {sizes}: resize it.")
    return cv2.resize(values, kept.working_size, interpolation=cv2.INTER_NEAREST)
