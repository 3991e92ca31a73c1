"""Images through Pillow: folders, globs and single files, upright, as 8-bit RGB."""

import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from worldline.errors import InputError
from worldline.io.lens import focal_of_exif
from worldline.io.pixels import TURN_BY_ORIENTATION, UPRIGHT, Turn, over_black, resized, stacked
from worldline.io.selection import Progress, Reading, Selection

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".tif",
        ".tiff",
        ".bmp",
        ".webp",
        ".ppm",
        ".pgm",
        ".pnm",
        ".jp2",
        ".avif",
    }
)
# what holds pictures, too, but is not read from a folder: said, never left out silently
LEFT_OUT_SUFFIXES = frozenset(
    {
        ".heic",
        ".heif",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raf",
        ".gif",
        ".exr",
        ".hdr",
        ".psd",
        ".jxl",
    }
)
VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mov",
        ".m4v",
        ".webm",
        ".mkv",
        ".avi",
        ".gif",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
    }
)
SECONDS_APART = 1.0  # stills have an order, no clock
SAME_FOCAL = 0.01  # stills within 1 % of each other share one lens


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame2 before frame10."""
    parts = re.findall(r"\d+|\D+", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.casefold()) for p in parts]


@dataclass(frozen=True)
class Header:
    """What an image says of itself before its pixels are read."""

    size: tuple[int, int]  # (width, height), upright
    turn: Turn
    focal: float | None  # pixels
    pages: int


def read_stills(
    files: Sequence[Path], selection: Selection, progress: Progress | None = None
) -> Reading:
    """Read images as frames one second apart, in the order given.

    Raises InputError for an unreadable file, sizes that differ, or no image in the range.
    """
    in_range = [
        (index * SECONDS_APART, file)
        for index, file in enumerate(files)
        if not selection.before(index * SECONDS_APART)
        and not selection.after(index * SECONDS_APART)
    ]
    chosen = in_range[:: selection.stride][: selection.max_frames]
    if not chosen:
        raise InputError(
            f"no image lies {selection.range_words()}: stills are taken as {SECONDS_APART:g} s "
            f"apart, so these {len(files)} span 0 to {(len(files) - 1) * SECONDS_APART:g} s."
        )
    headers = [read_header(file) for _, file in chosen]
    _check_sizes([file for _, file in chosen], headers)
    original = headers[0].size
    working = selection.working_size(original)
    frames, any_alpha = [], False
    for count, ((_, file), header) in enumerate(zip(chosen, headers, strict=True), start=1):
        frame, alpha = read_image(file, header, working)
        frames.append(frame)
        any_alpha |= alpha
        if progress:
            progress(count, len(chosen))
    focal, notes = _shared_focal(headers)
    if any_alpha:
        notes.append("Transparent pixels were composed over black.")
    notes += [
        f"{file.name} holds {header.pages} pictures; the first was read."
        for (_, file), header in zip(chosen, headers, strict=True)
        if header.pages > 1
    ]
    notes += selection.cut_notes(len(frames), len(in_range))
    times = np.array([time for time, _ in chosen], np.float64)
    names = tuple(file.name for _, file in chosen)
    return Reading(stacked(frames), times, len(in_range), original, focal, notes, names)


def read_header(file: Path) -> Header:
    """Size, orientation and focal length of an image; raises InputError if it cannot be read."""
    with _opened(file) as image:
        exif = image.getexif()
        turn = TURN_BY_ORIENTATION.get(exif.get(0x0112, 1), UPRIGHT)
        size = turn.size(image.size)
        focal = focal_of_exif({**exif, **exif.get_ifd(0x8769)}, size)
        # a phone's MPO holds a second view or a gain map, not a second picture
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        return Header(size, turn, focal, pages)


def read_image(
    file: Path, header: Header, working: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "H W 3"], bool]:
    """The upright picture at its working size, and whether any of it was transparent."""
    stored_working = header.turn.size(working)
    with _opened(file) as image:
        _draft(image, stored_working)
        pixels, alpha = rgb_of(image)
    return header.turn.apply(resized(pixels, stored_working)), alpha


def rgb_of(image: Image.Image) -> tuple[UInt8[np.ndarray, "h w 3"], bool]:
    """8-bit RGB of any Pillow picture, and whether any of it was transparent.

    16-bit greys are scaled to 8 bits, never clipped; alpha is composed over black.
    Raises ValueError for floating-point pictures, whose white is anyone's guess.
    """
    if image.mode == "F":
        raise ValueError("it has floating-point pixels; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64)
        levels = np.rint(np.clip(grey, 0, 65535) / 257).astype(np.uint8)
        return np.repeat(levels[..., None], 3, axis=2), False
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return over_black(rgba), bool(rgba[..., 3].min() < 255)
    return np.asarray(image.convert("RGB")), False


def _draft(image: Image.Image, working: tuple[int, int]) -> None:
    """Let the JPEG decoder shrink a large photo, which saves most of its memory.

    Only by a factor that divides both sides, or the picture would be shifted by a part of a pixel,
    and to no less than twice the working size, so that the last step still averages.
    """
    width, height = image.size
    for factor in (8, 4, 2):
        divides = width % factor == 0 and height % factor == 0
        if divides and width >= 2 * factor * working[0] and height >= 2 * factor * working[1]:
            image.draft(None, (width // factor, height // factor))
            return


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong inside becomes an InputError that names the file."""
    try:
        with warnings.catch_warnings():
            # broken EXIF and large pictures are no news to the user; true bombs still raise
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                yield image
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{file.name}: the picture has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; "
            "make it smaller first."
        ) from error
    except PermissionError as error:
        raise InputError(f"{file.name}: may not be read; change its permissions.") from error
    except Image.UnidentifiedImageError as error:
        empty = file.stat().st_size == 0
        what = "is empty" if empty else "is damaged, or not an image"
        raise InputError(f"{file.name}: {what}; replace or remove it.") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"{file.name}: cannot be read ({error}); replace or remove it.") from error


def _check_sizes(files: Sequence[Path], headers: Sequence[Header]) -> None:
    width, height = headers[0].size
    for file, header in zip(files, headers, strict=True):
        if header.size != (width, height):
            raise InputError(
                f"images differ in size: {files[0].name} is {width}x{height} and {file.name} is "
                f"{header.size[0]}x{header.size[1]}. Give images of one camera, all of one size "
                "and all upright or all sideways."
            )


def _shared_focal(headers: Sequence[Header]) -> tuple[float | None, list[str]]:
    focals = [header.focal for header in headers if header.focal is not None]
    if not focals:
        return None, []
    if max(focals) > (1 + SAME_FOCAL) * min(focals):
        return None, [
            f"The images' focal lengths differ ({min(focals):.0f} to {max(focals):.0f} px), "
            "so none of them was used."
        ]
    return float(np.median(focals)), []
