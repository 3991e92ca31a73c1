"""Whole-or-absent directories of memory-mapped safetensors arrays.

What is written goes to a temporary sibling, is flushed to the disk and renamed, so that a kill or
a full disk at any moment leaves either the whole thing or nothing. Reading maps files without
copying them. `worldline.scene.scene_files` lays a Scene out on top of this.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from worldline.errors import InputError, StorageError

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as one safetensors file and flush it to the disk.

    Each array goes straight to the file: nothing is held twice unless it is not contiguous.
    Raises InputError for dtypes other than bool, uint8/16, int32/64 and float16/32/64. Errors of
    the disk stay OSErrors, for `atomic_directory` to explain.
    """
    # Largest items first, as safetensors itself does, so that every array starts aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, dict[str, object]] = {}
    end = 0
    for name in names:
        array = arrays[name]
        if array.dtype not in _CODES:
            raise InputError(f"array {name!r} is {array.dtype}; the store has {list(_CODES)}")
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
        flush(file.fileno())


def map_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file as read-only memory maps: nothing is read until it is used.

    Raises StorageError when the file is missing, truncated or damaged.
    """
    try:
        size = path.stat().st_size
        if size < 8:
            raise StorageError(f"{path} is damaged: it holds {size} bytes; make it again")
        raw = np.memmap(path, np.uint8, mode="r")
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    if start > size:
        raise StorageError(f"{path} is damaged: it ends inside its header; make it again")
    try:
        header = json.loads(raw[8:start].tobytes())
        header.pop("__metadata__", None)
        return {name: _view(raw[start:], entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged ({error}); make it again") from error


def _view(data: np.ndarray, entry: dict) -> np.ndarray:
    """The array that one header entry describes. ValueError or KeyError where it cannot be."""
    dtype, shape, (start, end) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not 0 <= start <= end <= len(data):
        raise ValueError(f"{end} bytes of arrays are announced, {len(data)} are there")
    return data[start:end].view(dtype).reshape(shape)


@contextlib.contextmanager
def atomic_directory(
    path: str | Path, *, overwrite: bool = False, marker: str = "scene.json", needed: int = 0
) -> Iterator[Path]:
    """Yield an empty directory to fill; it becomes `path` when the block ends without an error.

    overwrite: replace what is at `path`, as long as it is a directory that holds `marker`.
    needed: bytes that will be written, checked against the free space beforehand.

    Raises InputError when `path` exists and may not be replaced, StorageError when the disk
    refuses. After any error or Ctrl-C nothing new is left and what was at `path` still is.
    """
    path = Path(path).absolute()
    _check_target(path, overwrite, marker)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_space(path, needed)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        for inside in [*partial.rglob("*"), partial]:
            _flush_path(inside)
        _swap_in(partial, path)
    except OSError as error:
        raise _explain(error, path, needed) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(path: str | Path, *, needed: int = 0) -> Iterator[Path]:
    """Yield a temporary path to write; it replaces `path` when the block ends without an error.

    Raises StorageError when the disk refuses; after any error `path` is as it was.
    """
    path = Path(path).absolute()
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_space(path, needed)
        yield partial
        with partial.open("rb") as file:
            flush(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise _explain(error, path, needed) from error
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file or none; what was at `path` is replaced. StorageError as `atomic_file`."""
    with atomic_file(path, needed=len(data)) as partial, partial.open("wb") as file:
        file.write(data)


def write_json(path: Path, value: object) -> None:
    """Write JSON and flush it to the disk. Raises InputError for what JSON cannot hold."""
    write_text(path, to_json(value))


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 and flush it to the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        flush(file.fileno())


def to_json(value: object) -> str:
    """Strict JSON, numpy scalars and paths included. InputError for what it cannot hold."""
    try:
        return json.dumps(value, indent=2, allow_nan=False, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"provenance and settings must be plain JSON values: {error}") from error


def flush(descriptor: int) -> None:
    """Force a file to the disk: a rename is only worth what has arrived there."""
    os.fsync(descriptor)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def _check_target(path: Path, overwrite: bool, marker: str) -> None:
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise InputError(f"{path} exists already; pass overwrite=True to replace it")
    if not (path / marker).is_file():
        raise InputError(f"{path} is not replaced: it holds no {marker}, so it may be anything")


def _check_space(path: Path, needed: int) -> None:
    if needed > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, "No space left on device")


def _flush_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def _swap_in(partial: Path, path: Path) -> None:
    """Rename `partial` to `path`; what was there is removed only once the new one is in place."""
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    replaces = path.exists()
    if replaces:
        path.rename(old)
    try:
        partial.rename(path)
    except BaseException:
        if replaces:
            old.rename(path)
        raise
    _flush_path(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _explain(error: OSError, path: Path, needed: int) -> StorageError:
    if error.errno in _DISK_FULL:
        free = 0
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(path.parent).free
        amount = f"{needed / 1e6:.0f} MB needed, " if needed else ""
        return StorageError(
            f"{path}: disk is full: {amount}{free / 1e6:.0f} MB free; nothing was written"
        )
    if error.errno == errno.EFBIG:
        return StorageError(
            f"{path}: a file is larger than this disk or the user's limit (ulimit -f) allows; "
            "nothing was written"
        )
    reason = error.strerror or str(error)
    return StorageError(f"{path} cannot be written: {reason}; nothing was written")
