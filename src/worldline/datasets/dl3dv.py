"""DL3DV-10K: places filmed by hand and by drones, with COLMAP's cameras and no depth.

Format: github.com/DL3DV-10K/Dataset (nerfstudio's ``transforms.json``,
docs.nerf.studio/quickstart/data_conventions.html). A clip is a folder with ``transforms.json`` and
pictures in ``images_4`` (960P; else ``images_2``, ``images_8`` or ``images``), or, as in the
benchmark, one with all that in ``nerfstudio/``.

The file's numbers are of the full size: they are scaled to the pictures there are (some clips are
smaller than their folder's name says). The cameras are OpenGL's and become OpenCV's; their lenses
distort, which is undone in the frames. COLMAP's principal points are in pixels whose top-left
centre is (0.5, 0.5): nothing is added. The world is nerfstudio's, of no known scale.
The data's licence: the DL3DV-10K terms of use (non-commercial), which have to be accepted.
"""

from pathlib import Path
from typing import Any

import numpy as np

from worldline.datasets.cameras import OPENGL, pinhole
from worldline.datasets.clip import Clip
from worldline.datasets.files import json_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import images
from worldline.errors import InputError
from worldline.io.lens import undistort

_NOTES = "transforms.json"
_PICTURES = ("images_4", "images_2", "images_8", "images")
_BENDS = ("k1", "k2", "p1", "p2", "k3")


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``; InputError where there is none."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip without depth, in the order of its file; InputError if a file is missing or broken."""
    folder = root / name
    note = json_of(folder / _NOTES)
    with reading(folder / _NOTES, "DL3DV's cameras"):
        listed = note["frames"]
        rows = indices(len(listed), frames, name)
        paths = [_picture(folder, listed[row]) for row in rows]
        pictures = images(paths)
        lenses = [{**note, **listed[row]} for row in rows]
        K = np.stack([_matrix(lens, pictures.shape[2:0:-1]) for lens in lenses])
        for row, lens in enumerate(lenses):
            bends = [float(lens.get(bend, 0.0)) for bend in _BENDS]
            if np.any(np.abs(bends) > 0):
                undistort(pictures[row : row + 1], K[row], bends)
        poses = np.array([listed[row]["transform_matrix"] for row in rows], float) @ OPENGL
    stems = tuple(path.stem for path in paths)
    return Clip(name, pictures, stems, metric=False, world_from_camera=poses, intrinsics=K)


def problems(root: Path) -> list[str]:
    """Pictures that are missing or empty, and files of cameras that cannot be read."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    note = json_of(folder / _NOTES)
    with reading(folder / _NOTES, "DL3DV's cameras"):
        wanted = [_picture(folder, one) for one in note["frames"]]
    return missing(wanted)


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, _NOTES, 3, "DL3DV")


def _picture(folder: Path, note: Any) -> Path:
    home = next((folder / one for one in _PICTURES if (folder / one).is_dir()), None)
    if home is None:
        raise InputError(f"{folder}: has none of {', '.join(_PICTURES)}; get its pictures.")
    return home / Path(note["file_path"]).name


def _matrix(lens: Any, size: tuple[int, ...]) -> np.ndarray:
    model = str(lens.get("camera_model", "OPENCV"))
    if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE"):
        raise InputError(f"{_NOTES}: {model} cameras are none of DL3DV's; OPENCV is read.")
    K = pinhole(*(float(lens[one]) for one in ("fl_x", "fl_y", "cx", "cy")))
    K[:2] *= (np.array(size) / [float(lens["w"]), float(lens["h"])])[:, None]
    return K
