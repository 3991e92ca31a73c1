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
_SAME = 0.01  # of that gap: a time stamp that is so near is the frame's own
_MAPS = (".png", ".exr", ".npy")
_PLACES = {"depth": "depths", "masks": "masks"}  # of maps, in the folders of other programs


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
    same_clock: the times are those of the clip's own source, so they decide.
    """

    world_from_camera: Float64[np.ndarray, "K 4 4"]
    intrinsics: Float64[np.ndarray, "K 3 3"]
    size: Float64[np.ndarray, "K 2"] | None = None
    names: tuple[str, ...] = ()
    times: Float64[np.ndarray, " K"] | None = None
    same_clock: bool = False


@dataclass(frozen=True)
class _Maps:
    """Loaders of float32 maps with NaN where unknown; `times` if they are of the clip's source."""

    load: Sequence[Callable[[], np.ndarray]]
    times: Float64[np.ndarray, " K"] | None = None


def known_cameras(
    path: Path, kept: Kept
) -> tuple[Float64[np.ndarray, "N 4 4"], Float64[np.ndarray, "N 3 3"]]:
    """Poses (OpenCV axes, any world) and intrinsics (working pixels) of the kept frames.

    path: a COLMAP model (its folder, or one that holds `sparse/0`), nerfstudio's
        `transforms.json` (or its folder), a TUM trajectory (.txt), or .npz with
        `world_from_camera` and `intrinsics` (of Worldline) or `c2w` and `K`.
    Frames whose camera was not solved, where the source tells it, are NaN.
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

    path: a folder of pictures or arrays in order (.png, .exr, .npy), the folder of a COLMAP
        project or a nerfstudio data set that holds such a folder (`depths`, `masks`), or an .npz
        with `depth`, or with `dynamic` or `masks`. 16-bit depth is in units of `meta.json`'s
        `unit` or nerfstudio's `depth_unit_scale_factor` (0: unknown); masks move where they are
        white, but where they are black in COLMAP's and nerfstudio's folders.
    Frames that a scene's export leaves out are NaN.
    Raises InputError when it cannot be read or is not of these frames.
    """
    unknown = np.full(kept.working_size[::-1], np.nan, np.float32)
    try:
        maps = _map_source(path, what)
        rows = _at_their_times(maps.times, kept)
        rows = _in_order(len(maps.load), kept, path) if rows is None else rows
        return np.stack(
            [_fitted(maps.load[k](), kept, path) if k >= 0 else unknown for k in rows.tolist()]
        )
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

    inside = ("", "0", "sparse/0", "sparse")
    homes = [folder / name for name in inside if _is_model(folder / name)]
    if not homes:
        raise InputError(f"{folder.name}: holds no COLMAP model (cameras.bin or cameras.txt).")
    model = pycolmap.Reconstruction(homes[0])
    images = [image for image in model.images.values() if image.has_pose]
    images.sort(key=lambda image: natural_key(Path(image.name)))
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    poses[:, :3] = [image.cam_from_world().inverse().matrix() for image in images]
    names = tuple(image.name for image in images)
    times = _export_times(folder, names)
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
        names,
        times,
        times is not None,
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
    times = _export_times(path.parent, names)
    size = np.stack([width, height], axis=-1)
    return KnownCameras(poses, intrinsics, size, names, times, times is not None)


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
        solved, times = _solved_and_times(content)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InputError(f"{path.name}: its poses have shape {poses.shape}; give [N,4,4].")
    if solved is not None:
        poses[~solved] = np.nan
    intrinsics = np.broadcast_to(intrinsics, (len(poses), 3, 3))
    return KnownCameras(poses, intrinsics, times=times, same_clock=times is not None)


def _solved_and_times(content: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What only a scene's own export tells: whose cameras were solved, and its frames' seconds."""
    if not {"registered", "times"} <= set(content):
        return None, None
    return content["registered"].astype(bool), content["times"].astype(float)


def _export_times(folder: Path, names: Sequence[str]) -> Float64[np.ndarray, " K"] | None:
    """Seconds of the frames that a scene's export names by number; None if this is no export.

    folder: the export's, or one inside of it.
    """
    for home in (folder, folder.absolute().parent, folder.absolute().parent.parent):
        for note in sorted(home.glob("worldline-*.json")):
            times = json.loads(note.read_text(encoding="utf-8"))["times"]
            stems = [Path(name).name.partition(".")[0] for name in names]
            if all(stem.isdecimal() and int(stem) < len(times) for stem in stems):
                return np.array([times[int(stem)] for stem in stems], float)
    return None


def _first(content: Any, names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in content:
            return name
    raise InputError(f"{path.name}: holds no {' or '.join(names)}, only {sorted(content)}.")


def _rows(found: KnownCameras, kept: Kept, path: Path) -> np.ndarray:
    """Row of each kept frame among the known cameras; -1 where there is none."""
    rows = _at_their_times(found.times if found.same_clock else None, kept)
    if rows is not None:
        return rows
    if found.names and kept.names:
        place = {Path(name).name: k for k, name in enumerate(found.names)}
        rows = np.array([place.get(name, -1) for name in kept.names])
        if (rows >= 0).any():
            return rows
    count = len(found.world_from_camera)
    if found.times is not None and count:
        # As many as the clip has may be in order on another clock, unless most stamps agree.
        on_time = np.mean(_nearest(found.times, kept, _SAME) >= 0) >= 0.5
        if on_time or count not in (len(kept.times), kept.total):
            return _nearest(found.times, kept)
    return _in_order(count, kept, path)


def _at_their_times(times: Float64[np.ndarray, " K"] | None, kept: Kept) -> np.ndarray | None:
    """Rows by times of the source's clock; None where there are none, or none of these frames."""
    rows = None if times is None or not len(times) else _nearest(times, kept)
    return rows if rows is not None and (rows >= 0).any() else None


def _nearest(times: Float64[np.ndarray, " K"], kept: Kept, near: float = _NEAR) -> np.ndarray:
    """Which of the times is each kept frame's; -1 where none is near."""
    gap = np.median(np.diff(kept.times)) if len(kept.times) > 1 else np.inf
    rows = np.abs(times[:, None] - kept.times).argmin(axis=0)
    return np.where(np.abs(times[rows] - kept.times) < near * gap, rows, -1)


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


def _map_source(path: Path, what: str) -> _Maps:
    """The maps in a file or folder, one for each frame."""
    if not path.is_dir():
        if path.suffix.lower() != ".npz":
            raise InputError(f"{path.name}: give {what} as a folder of pictures or an .npz.")
        with np.load(path, allow_pickle=False) as content:
            names = ("depth",) if what == "depth" else ("dynamic", "masks")
            maps = content[_first(content, names, path)].astype(np.float32)
            _, times = _solved_and_times(content)
        return _Maps([lambda one=one: one for one in maps], times)  # type: ignore[misc]
    path = path / _PLACES[what] if (path / _PLACES[what]).is_dir() else path
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
    load = [lambda file=file: read[file.suffix.lower()](file) for file in files]
    return _Maps(load, _export_times(path, [file.name for file in files]))


def _unit(folder: Path) -> float:
    """Scene units of one step of 16-bit depth, from `meta.json` or nerfstudio there or beside."""
    home = folder.absolute().parent
    for meta in (folder / "meta.json", home / "meta.json", home / "transforms.json"):
        if meta.is_file():
            content = json.loads(meta.read_text(encoding="utf-8"))
            for name in ("unit", "depth_unit", "depth_unit_scale_factor"):
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
    white = np.asarray(Image.open(file).convert("L")) > 127
    home = file.absolute().parent.parent
    # COLMAP and nerfstudio leave out what is black, and both are given what stays.
    inverted = (home / "transforms.json").is_file() or (home / "sparse").is_dir()
    return (white ^ inverted).astype(np.float32)


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
