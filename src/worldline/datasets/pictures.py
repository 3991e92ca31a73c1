"""Pictures and depth maps as arrays: colours are 8-bit RGB, all else is as it is stored."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from worldline.datasets.files import BROKEN, missing, reading
from worldline.errors import InputError
from worldline.io.stills import rgb_of


def images(files: Sequence[Path]) -> UInt8[np.ndarray, "N H W 3"]:
    """Pictures of one size as RGB, in the pixels that are stored: those that the cameras are of.

    Alpha is left out, and no picture is turned. Raises ``InputError`` for a file that is missing,
    empty or broken, and for the first whose size differs.
    """
    absent = missing(files)
    if absent:
        raise InputError(f"{absent[0]}; download or extract the dataset again.")
    frames = []
    for file in files:
        with reading(file, "a picture"), Image.open(file) as image:
            frames.append(_rgb(image))
    return same_sizes(frames, files)


def decoded_frames(pictures: Sequence[bytes], name: str) -> UInt8[np.ndarray, "N H W 3"]:
    """Frames of a clip stored as the bytes of JPEG or PNG files, as RGB."""
    frames = []
    for index, one in enumerate(pictures):
        try:
            with Image.open(io.BytesIO(bytes(one))) as image:
                frames.append(_rgb(image))
        except BROKEN as error:
            raise InputError(
                f"{name}: frame {index} is no JPEG or PNG; replace the file."
            ) from error
    if len({frame.shape for frame in frames}) > 1:
        raise InputError(f"{name}: its frames differ in size; replace the file.")
    return np.stack(frames)


def resized_to(
    frames: UInt8[np.ndarray, "N H W 3"], shape: tuple[int, int]
) -> UInt8[np.ndarray, "N h w 3"]:
    """Frames at (height, width) of their depth, by area averages where they shrink."""
    if frames.shape[1:3] == shape:
        return frames
    size = (shape[1], shape[0])
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in frames])


def picture(file: Path) -> np.ndarray:
    """A picture's numbers as stored: 8 or 16 bits or float, a palette's indices."""
    with reading(file, "a picture"):
        return decoded(file.read_bytes())


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


def same_sizes(arrays: Sequence[np.ndarray], files: Sequence[Path]) -> np.ndarray:
    """Stack the arrays of ``files``; ``InputError`` names the first whose shape differs."""
    for array, file in zip(arrays, files, strict=True):
        if array.shape != arrays[0].shape:
            size, first = ("x".join(map(str, one.shape[1::-1])) for one in (array, arrays[0]))
            raise InputError(f"{file}: is {size}, but {files[0].name} is {first}; replace it.")
    return np.stack(arrays)


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
            there = ~np.isin(steps, unknown)
            row[there] = steps[there] / np.float32(per_unit)
    return depth


def exr(file: Path) -> Float[np.ndarray, "H W"]:
    """The first channel of an OpenEXR picture; ``InputError`` also where OpenEXR is not there."""
    try:
        import OpenEXR
    except ModuleNotFoundError as error:
        raise InputError("to read EXR, OpenEXR is needed: pip install 'worldline[exr]'") from error
    with reading(file, "OpenEXR"):
        if not file.is_file():
            raise FileNotFoundError(file)
        try:
            with OpenEXR.File(str(file), separate_channels=True) as content:
                channels = content.channels()
                return np.asarray(next(iter(channels.values())).pixels, np.float64)
        except RuntimeError as error:
            raise ValueError(str(error)) from error


def known(depth: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b"]:
    """Depths in the precision they have, NaN where they are not above 0 or not finite."""
    there = np.isfinite(depth) & (depth > 0)
    return np.where(there, depth, depth.dtype.type(np.nan))


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    if image.mode.startswith(("I", "F")):  # 16 bits are scaled, floats refused
        return rgb_of(image)[0]
    return np.asarray(image.convert("RGB"))
