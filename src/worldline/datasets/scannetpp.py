"""ScanNet++: rooms scanned by laser and photographed by a camera with a fisheye lens.

Format: github.com/scannetpp/scannetpp (``dslr/undistort.py``, ``common/render.py``). A clip is a
scene's folder with ``dslr/nerfstudio/transforms_undistorted.json`` and pictures in
``dslr/resized_undistorted_images`` (or ``undistorted_images``), both made by the toolkit's
``dslr.undistort``; with depth where ``common.render`` wrote it to ``dslr/render_depth``: 16 bits in
millimetres, 0 unknown, of the laser scan's mesh.

The toolkit renders depth with the fisheye lens of ``transforms.json``. As undistortion only moves
pixels, z-depth stays what it is: each undistorted pixel gets the nearest value. (The toolkit moves
the pictures without regard to half pixels, which all but cancels out.) Cameras are OpenGL's and
become OpenCV's; the world is nerfstudio's, in metres. Principal points are COLMAP's or the middle
of the picture, in pixels whose top-left centre is (0.5, 0.5): nothing is added. Frames that the
dataset marks as bad are left out. The pictures are stills: there are no times.
The data's licence: the ScanNet++ terms of use (non-commercial), which have to be signed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

from worldline.datasets.cameras import OPENGL, pinhole, to_integer_centres
from worldline.datasets.clip import Clip
from worldline.datasets.files import json_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import images, known, picture

_UNDISTORTED = Path("dslr/nerfstudio/transforms_undistorted.json")
_FISHEYE = Path("dslr/nerfstudio/transforms.json")
_PICTURES = ("resized_undistorted_images", "undistorted_images")
_LENS = ("fl_x", "fl_y", "cx", "cy")


def names(root: Path) -> list[str]:
    """The scenes' folders under ``root``; InputError where none is undistorted."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A scene's undistorted pictures, in metres; InputError if a file is missing or broken.

    Depth is None where no frame has it, and NaN in those that have none.
    """
    scene = root / name
    note = json_of(scene / _UNDISTORTED)
    with reading(scene / _UNDISTORTED, "ScanNet++'s cameras"):
        listed = _frames(note)
        stills = [listed[row] for row in indices(len(listed), frames, name)]
        paths = [_picture(scene, one) for one in stills]
        K = pinhole(*(float(note[one]) for one in _LENS))
        poses = np.array([one["transform_matrix"] for one in stills], float) @ OPENGL
        if str(note.get("camera_model", "PINHOLE")) != "PINHOLE":
            raise ValueError("its camera is no pinhole; undistort with the toolkit")
    pictures = images(paths)
    stems = tuple(path.stem for path in paths)
    return Clip(
        name,
        pictures,
        stems,
        metric=True,
        world_from_camera=poses,
        intrinsics=np.tile(K, (len(stems), 1, 1)),
        depth=_depth(scene, stems, K, pictures.shape[1:3]),
    )


def problems(root: Path) -> list[str]:
    """Pictures that are missing or empty, and files of cameras that cannot be read."""
    return problems_in(root, _clips, _lacking)


def _lacking(scene: Path) -> list[str]:
    note = json_of(scene / _UNDISTORTED)
    with reading(scene / _UNDISTORTED, "ScanNet++'s cameras"):
        wanted = [_picture(scene, one) for one in _frames(note)]
    return missing(wanted)


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, _UNDISTORTED.as_posix(), 2, "ScanNet++, undistorted by its toolkit")


def _frames(note: Any) -> list[Any]:
    good = [one for one in note["frames"] if not one.get("is_bad", False)]
    return sorted(good, key=lambda one: str(one["file_path"]))


def _picture(scene: Path, note: Any) -> Path:
    homes = [scene / "dslr" / one for one in _PICTURES]
    home = next((one for one in homes if one.is_dir()), homes[0])
    return home / str(note["file_path"])


def _depth(
    scene: Path, stems: Sequence[str], K: np.ndarray, size: tuple[int, ...]
) -> np.ndarray | None:
    """Depth of the fisheye's pixels, moved to where the undistorted pictures have them."""
    home = scene / "dslr" / "render_depth"
    if not home.is_dir():
        return None
    maps = np.full((len(stems), *size), np.nan)
    note = json_of(scene / _FISHEYE)
    with reading(scene / _FISHEYE, "ScanNet++'s fisheye lens"):
        moved = _moved(note, K, size)
    for row, stem in enumerate(stems):
        path = home / f"{stem}.png"
        if path.is_file():
            levels = picture(path)
            with reading(path, "ScanNet++'s depth"):
                if levels.shape != tuple(size):
                    raise ValueError("it has another size than the pictures")
                maps[row] = known(cv2.remap(levels, *moved, cv2.INTER_NEAREST) / 1000.0)
    return maps


def _moved(
    note: Any, K: np.ndarray, size: tuple[int, ...]
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Where in the fisheye's picture, in OpenCV's pixels, each undistorted pixel is."""
    fisheye = pinhole(*(float(note[one]) for one in _LENS))
    bends = np.array([float(note[one]) for one in ("k1", "k2", "k3", "k4")])
    lenses = to_integer_centres(fisheye), to_integer_centres(K)
    both = cv2.fisheye.initUndistortRectifyMap(
        lenses[0], bends, np.eye(3), lenses[1], (size[1], size[0]), cv2.CV_32FC1
    )
    return both[0], both[1]
