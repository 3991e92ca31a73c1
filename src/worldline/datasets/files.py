"""What the readers share: finding files, decoding them, and one clear line when they are wrong."""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.io.selection import Selection
from worldline.io.stills import natural_key, read_stills

Frames: TypeAlias = Sequence[int] | slice | None  # which of a clip's frames to read; None: all
Paths: TypeAlias = Sequence[Path]

HALF = 0.5  # from integer pixel centres to ours


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while decoding ``file`` into an ``InputError`` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{file}: is missing; download or extract the dataset again.") from error
    except (
        OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise InputError(f"{file}: cannot be read as {what} ({error}); replace it.") from error


def clip_folders(root: Path, holds: Callable[[Path], bool], wanted: str) -> dict[str, Path]:
    """The folders at, in or two levels under ``root`` that hold a clip, by their relative name.

    ``wanted`` says in words what was looked for. Raises ``InputError`` where there is none.
    """
    _check_root(root)
    if holds(root):
        return {root.resolve().name: root}
    inside = _folders(root)
    found = [one for one in inside if holds(one)] or [
        deeper for one in inside for deeper in _folders(one) if holds(deeper)
    ]
    if not found:
        raise InputError(f"{root}: holds no clip; looked for {wanted}.")
    return {one.relative_to(root).as_posix(): one for one in found}


def one_of(found: Mapping[str, Path], name: str, root: Path) -> Path:
    """The clip's place; ``InputError`` tells the known names where it has none."""
    if name not in found:
        known = ", ".join(list(found)[:5]) + (", ..." if len(found) > 5 else "")
        raise InputError(f"{root}: has no clip {name!r}; it has {known}.")
    return found[name]


def first_place(root: Path, places: Iterable[str]) -> Path | None:
    """The first of the folders (relative to ``root``) that exists, or None."""
    return next((root / place for place in places if (root / place).is_dir()), None)


def listed(folder: Path, pattern: str) -> list[Path]:
    """A folder's files by a pattern, in natural order (2 before 10); empty where there is none."""
    hits = folder.glob(pattern) if folder.is_dir() else []
    return sorted((one for one in hits if not one.name.startswith(".")), key=natural_key)


def some(files: list[Path], folder: Path, what: str) -> list[Path]:
    """The files; ``InputError`` where there are none."""
    if not files:
        raise InputError(f"{folder}: holds no {what}; download or extract the dataset again.")
    return files


def missing(files: Iterable[Path]) -> list[str]:
    """A line for each of the files that is not there or is empty."""
    return [
        f"{file}: is {'empty' if file.is_file() else 'missing'}"
        for file in files
        if not file.is_file() or file.stat().st_size == 0
    ]


def problems_in(
    root: Path, clips: Callable[[Path], Mapping[str, Path]], of_clip: Callable[[Path], list[str]]
) -> list[str]:
    """A line for all that is wrong with each of a root's clips, or for there being none."""
    try:
        found = clips(root)
    except InputError as error:
        return [str(error)]
    lines: list[str] = []
    for place in found.values():
        try:
            lines += of_clip(place)
        except InputError as error:
            lines.append(str(error))
    return list(dict.fromkeys(lines))  # clips may share what they lack


def indices(count: int, frames: Frames, name: str) -> Int[np.ndarray, " N"]:
    """The asked frames as indices into ``count``; ``InputError`` where a clip lacks one of them."""
    every = np.arange(count)
    if frames is None or isinstance(frames, slice):
        chosen = every if frames is None else every[frames]
    else:
        chosen = np.array(list(frames), dtype=int)
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= count:
        raise InputError(f"{name}: has frames 0 to {count - 1}; ask for some of those.")
    return chosen


def images(files: Paths) -> UInt8[np.ndarray, "N H W 3"]:
    """Pictures of one size, at that size, as RGB."""
    absent = missing(files)
    if absent:
        raise InputError(f"{absent[0]}; download or extract the dataset again.")
    return read_stills(list(files), Selection(size=None)).frames


def resized_to(
    frames: UInt8[np.ndarray, "N H W 3"], shape: tuple[int, int]
) -> UInt8[np.ndarray, "N h w 3"]:
    """Frames at (height, width) of their depth, by area averages where they shrink."""
    if frames.shape[1:3] == shape:
        return frames
    size = (shape[1], shape[0])
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in frames])


def picture(file: Path) -> np.ndarray:
    """The numbers in a picture's file as stored: 16-bit depth, or a palette's indices."""
    with reading(file, "a picture"), Image.open(file) as image:
        return np.asarray(image)


def decoded(jpegs: Sequence[bytes], name: str) -> UInt8[np.ndarray, "N H W 3"]:
    """Frames stored as the bytes of JPEG or PNG files."""
    frames = []
    for index, one in enumerate(jpegs):
        bgr = cv2.imdecode(np.frombuffer(bytes(one), np.uint8), cv2.IMREAD_COLOR) if one else None
        if bgr is None:
            raise InputError(f"{name}: frame {index} is no JPEG or PNG; replace the file.")
        frames.append(bgr[..., ::-1])
    if len({frame.shape for frame in frames}) > 1:
        raise InputError(f"{name}: its frames differ in size; replace the file.")
    return np.stack(frames)


def depth_pictures(
    files: Sequence[Path | None],
    per_unit: float,
    shape: tuple[int, int] | None = None,
    unknown: Sequence[int] = (0,),
) -> Float32[np.ndarray, "N H W"]:
    """16-bit depth in metres: steps / ``per_unit``; NaN for ``unknown`` steps and absent files.

    ``shape``, (height, width), is what the maps must have; needed where the first may be absent.
    """
    maps: list[np.ndarray | None] = []
    for file in files:
        steps = None if file is None else picture(file)
        if steps is not None and (steps.ndim != 2 or shape not in (None, steps.shape)):
            raise InputError(f"{file}: has shape {steps.shape}, not {shape or '(height, width)'}.")
        shape = shape if steps is None else steps.shape
        maps.append(steps)
    if shape is None:
        raise InputError("there is no depth at all; download or extract the dataset again.")
    depth = np.full((len(maps), *shape), np.nan, np.float32)
    for row, steps in zip(depth, maps, strict=True):
        if steps is not None:
            known = ~np.isin(steps, unknown)
            row[known] = steps[known] / np.float32(per_unit)
    return depth


def table(file: Path, columns: int, what: str) -> Float[np.ndarray, "rows columns"]:
    """Rows of numbers in a text file; # begins a comment, commas and blanks part the columns."""
    with reading(file, what):
        lines = file.read_text(encoding="utf-8").replace(",", " ").splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        numbers = np.array(rows, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != columns:
            raise ValueError(f"its rows have not {columns} numbers")
    return numbers


def matrices(files: Paths) -> Float[np.ndarray, "N 4 4"]:
    """One 4x4 matrix a text file; NaN where a pose was lost (not finite in the file)."""
    result = np.stack([table(file, 4, "a 4x4 matrix") for file in files])
    if result.shape[1:] != (4, 4):
        raise InputError(f"{files[0]}: holds {result.shape[1]} rows; a 4x4 matrix has 4.")
    return lost_as_nan(result)


def lost_as_nan(poses: Float[np.ndarray, "N 4 4"]) -> Float[np.ndarray, "N 4 4"]:
    """Poses that are not finite as a whole become NaN as a whole."""
    known = np.isfinite(poses).all(axis=(1, 2), keepdims=True)
    return np.where(known, poses, np.nan)


def stamped_poses(file: Path) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 4 4"]]:
    """Seconds and poses of a TUM trajectory: ``t x y z qx qy qz qw``, camera to world."""
    rows = table(file, 8, "a TUM trajectory")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    with reading(file, "a TUM trajectory"):
        poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
    poses[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], poses


def stamped_files(file: Path) -> tuple[Float[np.ndarray, " K"], list[Path]]:
    """Seconds and files of a TUM list (``rgb.txt``, ``depth.txt``): ``t relative/name.png``."""
    with reading(file, "a TUM list of files"):
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        stamps = np.array([float(row[0]) for row in rows])
        files = [file.parent / row[1] for row in rows]
    return stamps, some(files, file, "line with a time stamp and a file")


def associated(
    a: Float[np.ndarray, " A"], b: Float[np.ndarray, " B"], most: float
) -> Int[np.ndarray, " A"]:
    """Which of the times ``b`` belongs to each of ``a``; -1 for none.

    Closer than ``most`` seconds, each used once, the closest pairs first: TUM RGB-D's
    ``associate.py``, which decides what the field counts as a frame.
    """
    order = np.argsort(b)
    low = np.searchsorted(b[order], a - most)
    many = np.searchsorted(b[order], a + most, side="right") - low
    rows = np.repeat(np.arange(len(a)), many)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
    columns = order[np.repeat(low, many) + offset]
    gaps = np.abs(a[rows] - b[columns])
    partner = np.full(len(a), -1)
    taken = np.zeros(len(b), bool)
    for k in np.lexsort((b[columns], a[rows], gaps)):  # greedy: each choice depends on the last
        i, j = rows[k], columns[k]
        if gaps[k] < most and partner[i] < 0 and not taken[j]:
            partner[i], taken[j] = j, True
    return partner


def pinhole(
    fx: float, fy: float, cx: float, cy: float, count: int
) -> Float[np.ndarray, "count 3 3"]:
    """The same 3x3 camera matrix for each of ``count`` frames."""
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return np.tile(K, (count, 1, 1))


def from_integer_centres(K: Float[np.ndarray, "*b 3 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Camera matrices whose top-left pixel has its centre at (0, 0), brought to (0.5, 0.5)."""
    shifted = np.array(K, dtype=np.float64)
    shifted[..., :2, 2] += HALF
    return shifted


def inverse(poses: Float[np.ndarray, "N 4 4"]) -> Float[np.ndarray, "N 4 4"]:
    """Inverse rigid transforms, NaN where unknown."""
    turned = np.swapaxes(poses[:, :3, :3], 1, 2)
    result = np.tile(np.eye(4), (len(poses), 1, 1))
    result[:, :3, :3] = turned
    result[:, :3, 3] = -(turned @ poses[:, :3, 3:])[..., 0]
    return lost_as_nan(result)


def projected(
    xyz: Float[np.ndarray, "*b 3"], K: Float[np.ndarray, "*c 3 3"]
) -> Float[np.ndarray, "*b 2"]:
    """Pixels of points in camera coordinates; NaN behind the camera."""
    z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
    focal = np.stack([K[..., 0, 0], K[..., 1, 1]], axis=-1)
    return xyz[..., :2] / z[..., None] * focal + K[..., :2, 2]


def moved(
    b_from_a: Float[np.ndarray, "N 4 4"], xyz: Float[np.ndarray, "M N 3"]
) -> Float[np.ndarray, "M N 3"]:
    """Each frame's points moved by its own rigid transform."""
    return np.einsum("nij,mnj->mni", b_from_a[:, :3, :3], xyz) + b_from_a[:, :3, 3]


def flow_of_pairs(
    flows: Mapping[int, np.ndarray], chosen: Int[np.ndarray, " N"], shape: tuple[int, int]
) -> Float32[np.ndarray, "N-1 H W 2"] | None:
    """Flow from each chosen frame to the next; NaN where they are not neighbours in the dataset.

    ``flows`` holds by the dataset's own index the flow to the frame after it. None where no pair
    of the chosen frames has any.
    """
    starts = [i for i, j in pairwise(chosen.tolist()) if j == i + 1]
    if not any(i in flows for i in starts):
        return None
    result = np.full((len(chosen) - 1, *shape, 2), np.nan, np.float32)
    for k, i in enumerate(chosen[:-1].tolist()):
        if chosen[k + 1] == i + 1 and i in flows:
            result[k] = flows[i]
    return result


def where_asked(
    query: Int[np.ndarray, " M"], chosen: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " M"]:
    """Query frames of the dataset as positions among the chosen frames; -1 where left out."""
    hits = query[:, None] == chosen[None, :]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def moves(xyz: Float[np.ndarray, "M N 3"], more_than: float) -> Bool[np.ndarray, " M"]:
    """Whether a point's path through the world is longer than ``more_than``."""
    steps = np.linalg.norm(np.diff(xyz, axis=1), axis=-1)
    return np.nansum(steps, axis=1) > more_than


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; give the one that the dataset was extracted to.")


def _folders(folder: Path) -> list[Path]:
    inside = (one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    return sorted(inside, key=natural_key)
