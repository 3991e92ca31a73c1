"""What the readers of training sets share: finding clips, decoding files, errors in one line."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from worldline.errors import InputError

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # x right, y up, z backward: OpenGL's and Blender's
MOVES = 0.01  # units of the world: a point that is ever farther from its first place moves
_BROKEN = (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, SyntaxError)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file inside becomes an InputError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: is missing; get the whole clip of the dataset.") from error
    except _BROKEN as error:
        raise InputError(f"{path}: cannot be read ({error}); get it again.") from error


def clips_with(root: Path, marker: str, levels: int, what: str) -> list[str]:
    """Names of the folders under ``root``, to ``levels`` below it, that hold ``marker``.

    ``marker`` may be a pattern. Raises InputError where there is none; ``what`` says what was
    looked for.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; give the dataset's.")
    depth = len(Path(marker).parts)
    found = {
        file.parents[depth - 1].relative_to(root).as_posix()
        for level in range(levels + 1)
        for file in root.glob("*/" * level + marker)
    }
    if not found:
        raise InputError(f"{root}: holds no clip of {what} (looked for {marker}).")
    return sorted(found)


def chosen(count: int, frames: Sequence[int] | None, name: str) -> list[int]:
    """Which of ``count`` frames to read; InputError where one of them is not in the clip."""
    if count == 0:
        raise InputError(f"{name}: has no frames.")
    if frames is None:
        return list(range(count))
    wrong = [frame for frame in frames if not 0 <= frame < count]
    if wrong or not frames:
        asked = f"frame {wrong[0]} was asked for" if wrong else "no frame was asked for"
        raise InputError(f"{name}: {asked}; it has frames 0 to {count - 1}.")
    return [int(frame) for frame in frames]


def consecutive(rows: Sequence[int]) -> Bool[np.ndarray, " L"]:
    """Whether each chosen frame is followed by the one that follows it in the dataset."""
    return np.asarray(np.diff(np.asarray(rows, int)) == 1)


def rgb(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An 8-bit colour picture as it is stored; alpha is left out."""
    with reading(path), Image.open(path) as image:
        return np.asarray(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))[..., :3].copy()


def rgb_stack(paths: Sequence[Path]) -> UInt8[np.ndarray, "N H W 3"]:
    """Pictures of one size; InputError names the first that differs."""
    return same_sizes([rgb(path) for path in paths], paths)


def same_sizes(arrays: Sequence[np.ndarray], paths: Sequence[Path]) -> np.ndarray:
    """Stack arrays of the files ``paths``; InputError names the first whose shape differs."""
    for array, path in zip(arrays, paths, strict=True):
        if array.shape != arrays[0].shape:
            size, first = ("x".join(map(str, one.shape[1::-1])) for one in (array, arrays[0]))
            raise InputError(f"{path}: is {size}, but {paths[0].name} is {first}; get it again.")
    return np.stack(arrays)


def picture(path: Path) -> np.ndarray:
    """A picture's numbers as stored, 8 or 16 bits or float, palettes as their indices."""
    with reading(path):
        return decoded(path.read_bytes())


def decoded(content: bytes) -> np.ndarray:
    """A picture's numbers out of the bytes of its file: [H,W] or [H,W,channels], RGB in order.

    Raises ValueError where they are no picture.
    """
    with Image.open(io.BytesIO(content)) as image:
        # Pillow would cut 16-bit colours to 8 bits, and OpenCV turn palettes into colours
        deep = image.mode == "RGB" and image.format == "PNG" and content[24] == 16
        if image.mode in ("P", "L", "F", "RGB") and not deep:
            return np.asarray(image).copy()
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("it is no picture that can be decoded")
    order = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    channels = array.shape[2] if array.ndim == 3 else 1
    return cv2.cvtColor(array, order[channels]) if channels in order else array


def exr(path: Path) -> Float[np.ndarray, "H W"]:
    """The first channel of an OpenEXR picture."""
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise InputError("to read EXR, OpenEXR is needed: pip install 'worldline[exr]'") from error
    with reading(path):
        if not path.is_file():
            raise FileNotFoundError(path)
        try:
            with OpenEXR.File(str(path), separate_channels=True) as content:
                channels = content.channels()
                return np.asarray(next(iter(channels.values())).pixels, np.float64)
        except RuntimeError as error:
            raise ValueError(str(error)) from error


def content_of(path: Path) -> Any:
    """What a JSON file says."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz."""
    with reading(path), np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def array_of(path: Path) -> np.ndarray:
    """The array of an .npy."""
    with reading(path):
        return np.asarray(np.load(path, allow_pickle=False))


def known(depth: np.ndarray) -> Float[np.ndarray, "..."]:
    """Depths in double precision, NaN where they are not above 0 or not finite."""
    values = np.asarray(depth, np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def pinhole(fx: Any, fy: Any, cx: Any, cy: Any) -> Float[np.ndarray, "*b 3 3"]:
    """Camera matrices of numbers, or of arrays of one shape."""
    fx, fy, cx, cy = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (fx, fy, cx, cy)))
    K = np.zeros((*fx.shape, 3, 3))
    K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = fx, fy, cx, cy, 1.0
    return K


def moving(xyz: Float[np.ndarray, "M N 3"]) -> Bool[np.ndarray, " M"]:
    """Whether points are ever farther than ``MOVES`` from where they are first known."""
    there = np.isfinite(xyz).all(axis=-1)
    first = xyz[np.arange(len(xyz)), there.argmax(axis=1)]
    way = np.linalg.norm(xyz - first[:, None], axis=-1)
    return np.asarray((np.where(there, way, 0.0) > MOVES).any(axis=1))


def first_visible(visible: Bool[np.ndarray, "M N"]) -> Int[np.ndarray, " M"]:
    """The first frame that sees each point; -1 where none does."""
    return np.where(visible.any(axis=1), visible.argmax(axis=1), -1)


def told(problems: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    """Problems of a dataset that stop the search for problems are one of them, too."""

    @wraps(problems)
    def find(root: Path) -> list[str]:
        try:
            return problems(root)
        except InputError as error:
            return [str(error)]

    return find


def missing(paths: Sequence[Path], root: Path) -> list[str]:
    """A line for each file that is not there or empty."""
    lines = []
    for path in paths:
        if not path.is_file():
            lines.append(f"{path.relative_to(root)}: is missing.")
        elif path.stat().st_size == 0:
            lines.append(f"{path.relative_to(root)}: is empty.")
    return lines
