"""Bonn RGB-D Dynamic: people and boxes that move before a hand-held sensor (Palazzolo 2019).

Layout, from www.ipb.uni-bonn.de/data/rgbd-dynamic-dataset: ``rgbd_bonn_NAME/rgb/SECONDS.png``,
``depth/SECONDS.png`` and ``groundtruth.txt`` (TUM's, sensor to world, metres); MonST3R's
``prepare_bonn.py`` adds ``rgb_110`` and ``depth_110``, which are read where they are all there is.
Depth is registered to colour, z in uint16 / 5000 m, 0 unknown. K is OpenCV's calibration with
integer pixel centres; the pictures keep their lens distortion (k1 0.04, k2 -0.1), so near the
corners K is a few pixels off. Poses are those of the file, as for TUM; the page's further transform
into the frame of its laser scan is not applied. Licence of the data: for research, no formal one
given.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import associated, from_integer_centres, pinhole, stamped_poses
from worldline.datasets.clip import Clip
from worldline.datasets.files import (
    clip_folders,
    listed,
    missing,
    one_of,
    problems_in,
    reading,
    some,
)
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images
from worldline.errors import InputError

STEPS_PER_METRE = 5000.0
APART = 0.02  # seconds
LENS = (542.822841, 542.576870, 315.593520, 237.756098)  # fx, fy, cx, cy
EVALUATED = tuple(
    f"rgbd_bonn_{name}"
    for name in ("balloon2", "crowd2", "crowd3", "person_tracking2", "synchronous")
)


def names(root: Path) -> list[str]:
    """The sequences' folders."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """The frames that video depth is reported on: 30 to 139, or all where only those were kept."""
    folder = one_of(_clips(root), name, root)
    return slice(30, 140) if (folder / "rgb").is_dir() else slice(0, 110)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A sequence; ``frames`` are positions among its colour pictures.

    Depth and poses are those nearest in time, within 0.02 s, and NaN where there are none. The
    published preparation pairs all three by position instead, though the poses come at another
    rate (its ``groundtruth_110.txt`` is a second long) and pictures are dropped on the way.
    """
    folder = one_of(_clips(root), name, root)
    colour = _pictures(folder, "rgb")
    chosen = indices(len(colour), frames, name)
    stamps = _stamps(colour)
    pixels = images([colour[k] for k in chosen])
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(colour[k].stem for k in chosen),
        metric=True,
        times=stamps[chosen],
        world_from_camera=_poses(folder, stamps)[chosen],
        intrinsics=from_integer_centres(np.tile(pinhole(*LENS), (len(chosen), 1, 1))),
        depth=_depth(folder, stamps, chosen, pixels.shape[1:3]),
    )


def problems(root: Path) -> list[str]:
    """Empty files, and folders that are not there."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    files = _pictures(folder, "rgb") + _pictures(folder, "depth")
    return missing([folder / "groundtruth.txt", *files])


def _clips(root: Path) -> dict[str, Path]:
    return clip_folders(root, _is_sequence, "rgbd_bonn_NAME with rgb or rgb_110 in it")


def _is_sequence(folder: Path) -> bool:
    name = folder.resolve().name
    return name.startswith("rgbd_bonn_") and any(
        (folder / one).is_dir() for one in ("rgb", "rgb_110")
    )


def _pictures(folder: Path, kind: str) -> list[Path]:
    files = listed(folder / kind, "*.png") or listed(folder / f"{kind}_110", "*.png")
    return some(files, folder, f"{kind}/*.png")


def _stamps(files: list[Path]) -> np.ndarray:
    with reading(files[0].parent, "pictures named by their seconds"):
        return np.array([float(file.stem) for file in files])


def _poses(folder: Path, stamps: np.ndarray) -> np.ndarray:
    pose_stamps, poses = stamped_poses(folder / "groundtruth.txt")
    # poses come faster than frames, so no frame takes another's; the nearest is the associated
    partner = associated(stamps, pose_stamps, APART)
    if not (partner >= 0).any():
        raise InputError(f"{folder}: no picture has a pose within {APART} s.")
    return np.where(partner[:, None, None] >= 0, poses[partner], np.nan)


def _depth(
    folder: Path, stamps: np.ndarray, chosen: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    files = _pictures(folder, "depth")
    partner = associated(stamps, _stamps(files), APART)[chosen]
    of_frames = [files[k] if k >= 0 else None for k in partner]
    return depth_pictures(of_frames, STEPS_PER_METRE, shape)
