"""Numbers out of pickle and npz files from the internet, without running what is in them.

A pickle is a program: loading one may do anything. Here only what numpy arrays, numbers, text,
lists and dictionaries are made of may be named in it; everything else is an ``InputError``.
"""

import codecs
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from worldline.datasets.files import reading
from worldline.errors import InputError

_REBUILD: Any = np.empty(0).__reduce__()[0]  # numpy's own maker of empty arrays
_SCALAR: Any = np.float64(0).__reduce__()[0]
_FROM_BUFFER: Any = np.empty(1).__reduce_ex__(5)[0]


def unpickled(file: Path) -> Any:
    """The arrays, numbers, text, lists and dictionaries in a pickle file."""
    with reading(file, "a pickle"), file.open("rb") as stream:
        return _load(stream, file)


def arrays(file: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an npz file has; lists of bytes may be pickled in it."""
    with reading(file, "an npz"), zipfile.ZipFile(file) as members:
        there = set(members.namelist())
        return {
            name: _array(members, f"{name}.npy", file) for name in names if f"{name}.npy" in there
        }


def array_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an npz file's arrays; nothing but their headers is read."""
    with reading(file, "an npz"), zipfile.ZipFile(file) as members:
        shapes = {}
        for name in members.namelist():
            with members.open(name) as stream:
                shapes[name.removesuffix(".npy")] = _header(stream)[0]
    return shapes


def required(content: dict[str, np.ndarray], names: Iterable[str], file: Path) -> None:
    """``InputError`` unless all the named arrays were in the file."""
    lacking = [name for name in names if name not in content]
    if lacking:
        raise InputError(f"{file}: lacks {', '.join(lacking)}; download it again.")


def _array(members: zipfile.ZipFile, name: str, file: Path) -> np.ndarray:
    data = io.BytesIO(members.read(name))
    shape, _, dtype = _header(data)
    if not dtype.hasobject:
        data.seek(0)
        return np.lib.format.read_array(data, allow_pickle=False)
    loaded = _load(data, file)
    result = np.empty(shape, dtype=object)
    result[...] = loaded if isinstance(loaded, np.ndarray) else np.array(loaded, dtype=object)
    return result


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _load(stream: Any, file: Path) -> Any:
    try:
        return _OnlyData(stream).load()
    except (pickle.UnpicklingError, AttributeError, TypeError) as error:
        raise InputError(f"{file}: is not loaded: {error}.") from error


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """What older pickles call to make bytes; with other codecs it could do more than that."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return codecs.encode(text, "latin1")


def _scalar(dtype: np.dtype, *value: Any) -> Any:
    if dtype.hasobject:
        raise pickle.UnpicklingError("it has a numpy scalar that is an object")
    return _SCALAR(dtype, *value)


class _Array:
    """Stands for numpy.ndarray, which a pickle may name, but not call with what it likes."""

    def __new__(cls, *_: Any) -> "_Array":
        raise pickle.UnpicklingError("it makes an array in a way of its own")


def _plain_array(kind: type, shape: Any, code: Any) -> np.ndarray:
    if kind is not _Array:
        raise pickle.UnpicklingError(f"it asks for an array of the type {kind!r}")
    return _REBUILD(np.ndarray, shape, code)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("multiarray", "_reconstruct"): _plain_array,
    ("multiarray", "scalar"): _scalar,
    ("numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): lambda: b"",  # how protocol 2 writes bytes of no length
    ("collections", "OrderedDict"): OrderedDict,
}
_NUMPY = ("numpy.core.", "numpy._core.")


class _OnlyData(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        short = next((module.removeprefix(p) for p in _NUMPY if module.startswith(p)), module)
        if (short, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no data")
        return _ALLOWED[short, name]
