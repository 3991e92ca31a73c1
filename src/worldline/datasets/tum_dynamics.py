"""TUM RGB-D, whose freiburg3 walking and sitting sequences are "TUM-dynamics" (Sturm et al. 2012).

Layout, from cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats: a folder a sequence with
``rgb.txt`` and ``depth.txt`` (``seconds rgb/NAME.png``) and ``groundtruth.txt`` (``seconds x y z qx
qy qz qw``: camera to world, OpenCV axes, metres). Depth is registered to colour, z in uint16 / 5000
m, 0 unknown. K is OpenCV's calibration, with integer pixel centres; freiburg3 comes undistorted,
freiburg1 and 2 do not, so theirs is None. Licence of the data: CC BY 4.0.

A frame is a colour picture with a pose within 0.02 s, as ``associate.py`` of the benchmark pairs
them; depth is paired in the same way, and NaN for a frame that has none.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import (
    associated,
    from_integer_centres,
    pinhole,
    stamped_files,
    stamped_poses,
)
from worldline.datasets.clip import Clip
from worldline.datasets.files import clip_folders, missing, one_of, problems_in
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images
from worldline.errors import InputError

STEPS_PER_METRE = 5000.0
APART = 0.02  # seconds
FREIBURG3 = (535.4, 539.2, 320.1, 247.6)  # fx, fy, cx, cy


def names(root: Path) -> list[str]:
    """The sequences' folders."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """The frames that the field reports on: every third, ninety of them (MonST3R's prepare_tum)."""
    return slice(0, 270, 3)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A sequence; ``frames`` are positions among the colour pictures that have a pose."""
    folder = one_of(_clips(root), name, root)
    stamps, files = stamped_files(folder / "rgb.txt")
    pose_stamps, poses = stamped_poses(folder / "groundtruth.txt")
    pose_of = associated(stamps, pose_stamps, APART)
    posed = np.flatnonzero(pose_of >= 0)
    if not len(posed):
        raise InputError(f"{folder}: no colour picture has a pose within {APART} s.")
    rows = posed[indices(len(posed), frames, name)]
    pixels = images([files[k] for k in rows])
    fine = "freiburg3" in folder.name
    K = from_integer_centres(pinhole(*FREIBURG3))
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(files[k].stem for k in rows),
        metric=True,
        times=stamps[rows],
        world_from_camera=poses[pose_of[rows]],
        intrinsics=np.tile(K, (len(rows), 1, 1)) if fine else None,
        depth=_depth(folder, stamps, rows, pixels.shape[1:3]),
    )


def problems(root: Path) -> list[str]:
    """Pictures that the lists name and that are not there, and lists that are not."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    lines = missing([folder / "groundtruth.txt"])
    for kind in ("rgb.txt", "depth.txt"):
        there = missing([folder / kind])
        lines += there or missing(stamped_files(folder / kind)[1])
    return lines


def _depth(
    folder: Path, stamps: np.ndarray, rows: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    if not (folder / "depth.txt").is_file():
        return None
    depth_stamps, files = stamped_files(folder / "depth.txt")
    partner = associated(stamps, depth_stamps, APART)[rows]
    of_frames = [files[k] if k >= 0 else None for k in partner]
    return depth_pictures(of_frames, STEPS_PER_METRE, shape)


def _clips(root: Path) -> dict[str, Path]:
    return clip_folders(root, _is_sequence, "SEQUENCE/rgb.txt with SEQUENCE/groundtruth.txt")


def _is_sequence(folder: Path) -> bool:
    both = (folder / "rgb.txt").is_file() and (folder / "groundtruth.txt").is_file()
    return both and not folder.name.startswith("rgbd_bonn")  # Bonn's have the same files
