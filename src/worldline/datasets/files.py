"""What the readers share: finding a dataset's files, and one clear line when they are wrong."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from PIL import Image

from worldline.errors import InputError
from worldline.io.stills import natural_key

Place = TypeVar("Place")  # where a clip is: its folder, its file, or the files of its frames

BROKEN = (  # what decoders raise where a file is not what its name says
    OSError, ValueError, KeyError, TypeError, IndexError, EOFError,
    zipfile.BadZipFile, zlib.error, struct.error,
    SyntaxError, Image.DecompressionBombError,  # Pillow's
)  # fmt: skip


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while decoding ``file`` into an ``InputError`` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{file}: is missing; download or extract the dataset again.") from error
    except BROKEN as error:
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
        raise _no_clip(root, wanted)
    return {one.relative_to(root).as_posix(): one for one in found}


def marked_clips(root: Path, marker: str, levels: int, dataset: str) -> dict[str, Path]:
    """The folders under ``root``, to ``levels`` below it, that hold ``marker``, by relative name.

    ``marker`` may be a pattern. A folder's name is its place below ``root``, so that a clip among
    ten thousand is read without looking for the others. Raises ``InputError`` where there is none.
    """
    _check_root(root)
    above = len(Path(marker).parts) - 1
    found = {
        file.parents[above].relative_to(root).as_posix()
        for level in range(levels + 1)
        for file in root.glob("*/" * level + marker)
    }
    if not found:
        raise _no_clip(root, f"{marker} of {dataset}")
    return {name: root / name for name in sorted(found)}


def one_of(found: Mapping[str, Place], name: str, root: Path) -> Place:
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
    root: Path, clips: Callable[[Path], Mapping[str, Place]], of_clip: Callable[[Place], list[str]]
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


def json_of(file: Path) -> Any:
    """What a JSON file says."""
    with reading(file, "JSON"):
        return json.loads(file.read_text(encoding="utf-8"))


def array_of(file: Path) -> np.ndarray:
    """The array of an .npy; what is pickled in one is not loaded."""
    with reading(file, "an .npy"):
        return np.asarray(np.load(file, allow_pickle=False))


def table(file: Path, columns: int, what: str) -> Float[np.ndarray, "rows columns"]:
    """Rows of numbers in a text file; # begins a comment, commas and blanks part the columns."""
    with reading(file, what):
        lines = file.read_text(encoding="utf-8").replace(",", " ").splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        numbers = np.array(rows, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != columns:
            raise ValueError(f"its rows have not {columns} numbers")
    return numbers


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; give the one that the dataset was extracted to.")


def _no_clip(root: Path, wanted: str) -> InputError:
    return InputError(f"{root}: holds no clip; looked for {wanted}.")


def _folders(folder: Path) -> list[Path]:
    inside = (one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    return sorted(inside, key=natural_key)
