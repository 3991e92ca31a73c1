"""The Kubric clips that CoTracker3 was trained on: 120 frames with point tracks, no cameras.

Format: github.com/facebookresearch/co-tracker, ``cotracker/datasets/kubric_movif_dataset.py``; the
data is facebook/CoTracker3_Kubric on Hugging Face. A clip is a folder ``NAME`` with ``frames/`` and
``NAME/NAME.npy``, a pickled dictionary with ``coords`` [M,T,2] in pixels and ``visibility`` [M,T],
which, other than its name says, is True where a point is hidden.

Coordinates are Kubric's, whose top-left pixel has its centre at (0.5, 0.5): nothing is added. A
point that is not in the picture is not visible. Pickles can hold programs: only arrays are let in.
The data's licence: as its page says; the code's is CC BY-NC 4.0.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, first_visible, indices
from worldline.datasets.pictures import images
from worldline.io.stills import IMAGE_SUFFIXES, natural_key

_ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``; InputError where there is none."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip, without depth and cameras; InputError for a file that is missing or broken."""
    notes = _notes(root / name)
    files = _frames(root / name)
    rows = indices(len(files), frames, name)
    paths = [files[row] for row in rows]
    pictures = images(paths)
    content = _dictionary(notes)
    with reading(notes, "CoTracker3's tracks"):
        uv = np.asarray(content["coords"], float)[:, rows]
        hidden = np.asarray(content["visibility"])[:, rows] > 0
        inside = ((uv >= 0) & (uv <= pictures.shape[2:0:-1])).all(axis=-1)
        visible = np.asarray(~hidden & inside)
        tracks = PointTracks(visible, uv, query=first_visible(visible))
    stems = tuple(path.stem for path in paths)
    return Clip(name, pictures, stems, metric=False, tracks=tracks)


def looks_like(root: Path) -> bool:
    """Whether a clip has notes under its own name: frames alone are any folder's."""
    return any(_notes(folder).is_file() for folder in _clips(root).values())


def problems(root: Path) -> list[str]:
    """Notes and pictures that are missing or empty."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    files = _frames(folder)
    none = [] if files else [f"{folder / 'frames'}: holds no pictures"]
    return missing([_notes(folder), *files]) + none


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, "frames", 2, "CoTracker3's Kubric")


def _notes(folder: Path) -> Path:
    return folder / f"{folder.resolve().name}.npy"


def _frames(folder: Path) -> list[Path]:
    with reading(folder / "frames", "a folder of pictures"):
        files = (folder / "frames").iterdir()
        return sorted((one for one in files if one.suffix in IMAGE_SUFFIXES), key=natural_key)


class _Arrays(pickle.Unpickler):
    """Loads nothing but arrays and what Python itself writes without naming a class."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise ValueError(f"it asks for {module}.{name}; only arrays are loaded")
        return super().find_class(module, name)


def _dictionary(path: Path) -> Any:
    """The dictionary in an .npy of one pickled object."""
    with reading(path, "CoTracker3's tracks"), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        _, _, dtype = header[version](file)
        if not dtype.hasobject:
            raise ValueError("it holds an array, not a dictionary")
        try:
            return _Arrays(file).load().item()
        except (pickle.UnpicklingError, AttributeError) as error:
            raise ValueError(f"it is no pickled dictionary: {error}") from error
