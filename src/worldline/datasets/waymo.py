"""Waymo Open, as DUSt3R's and CUT3R's preprocessing writes it: streets, with sparse LiDAR depth.

Format: github.com/CUT3R/CUT3R, ``datasets_preprocess/preprocess_waymo.py``. The published TFRecords
need Waymo's own package to be decoded, so what that script makes of them is read: a folder for each
segment with ``00000_1.jpg``, ``.exr`` and ``.npz`` (``intrinsics``, ``cam2world``, ``distortion``)
of frame 00000 and camera 1. A clip is one camera of a segment: ``SEGMENT/1``.

z-depth is in metres where a LiDAR point fell, 0 elsewhere: unknown. ``cam2world`` has OpenCV's
axes; the world is the vehicle's global frame, z up. The script rounds LiDAR to pixels counted as
integers, so 0.5 is added to the principal point. It leaves the lens's distortion in pictures and
depth, at their edges a pixel or two: so it is here.
The data's licence: Waymo Dataset License Agreement for Non-Commercial Use.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import from_integer_centres
from worldline.datasets.clip import Clip
from worldline.datasets.files import marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import exr, images, known, same_sizes
from worldline.datasets.unpickling import arrays, required

RATE = 10.0  # frames a second
_CAMERAS = "12345"
_ARRAYS = ("cam2world", "intrinsics")


def names(root: Path) -> list[str]:
    """Each camera of the segments under ``root``; InputError where there is none."""
    return [
        f"{name}/{camera}"
        for name, segment in _segments(root).items()
        for camera in _CAMERAS
        if _stems(segment, camera)
    ]


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """What one camera of a segment saw, in metres; InputError if a file is missing or broken."""
    segment, _, camera = name.rpartition("/")
    folder = root / segment
    listed = _stems(folder, camera)
    stems = [listed[row] for row in indices(len(listed), frames, name)]
    pictures = images([folder / f"{stem}.jpg" for stem in stems])
    depths = [folder / f"{stem}.exr" for stem in stems]
    poses, lenses = [], []
    for stem in stems:
        path = folder / f"{stem}.npz"
        notes = arrays(path, _ARRAYS)
        required(notes, _ARRAYS, path)
        with reading(path, "Waymo's camera"):
            poses.append(notes["cam2world"].astype(float).reshape(4, 4))
            lenses.append(notes["intrinsics"].astype(float).reshape(3, 3))
    return Clip(
        name,
        pictures,
        tuple(stems),
        metric=True,
        times=np.array([int(stem.partition("_")[0]) for stem in stems]) / RATE,
        world_from_camera=np.stack(poses),
        intrinsics=from_integer_centres(np.stack(lenses)),
        depth=known(same_sizes([exr(path) for path in depths], depths)),
    )


def problems(root: Path) -> list[str]:
    """Pictures and depths that are missing or empty, of the frames that have a camera."""
    return problems_in(root, _segments, _lacking)


def _lacking(segment: Path) -> list[str]:
    stems = [stem for camera in _CAMERAS for stem in _stems(segment, camera)]
    kinds = ("jpg", "exr", "npz")
    return missing(segment / f"{stem}.{ending}" for stem in stems for ending in kinds)


def _segments(root: Path) -> dict[str, Path]:
    return marked_clips(root, "*_[1-5].npz", 2, "Waymo as CUT3R preprocesses it")


def _stems(folder: Path, camera: str) -> list[str]:
    return sorted(
        path.stem
        for path in folder.glob(f"*_{camera}.npz")
        if path.stem.partition("_")[0].isdecimal()
    )
