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

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worldline.datasets.clip import Clip
from worldline.datasets.files_of_training import (
    arrays_of,
    chosen,
    clips_with,
    exr,
    known,
    missing,
    reading,
    rgb_stack,
    same_sizes,
    told,
)

RATE = 10.0  # frames a second
_HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def names(root: Path) -> list[str]:
    """Each camera of the segments under ``root``; InputError where there is none."""
    segments = clips_with(root, "*_[1-5].npz", 2, "Waymo as CUT3R preprocesses it")
    return [
        f"{segment}/{camera}"
        for segment in segments
        for camera in "12345"
        if _stems(root / segment, camera)
    ]


def read(root: Path, name: str, frames: Sequence[int] | None = None) -> Clip:
    """What one camera of a segment saw, in metres; InputError if a file is missing or broken."""
    segment, _, camera = name.rpartition("/")
    folder = root / segment
    listed = _stems(folder, camera)
    stems = [listed[row] for row in chosen(len(listed), frames, name)]
    pictures = rgb_stack([folder / f"{stem}.jpg" for stem in stems])
    depths = [folder / f"{stem}.exr" for stem in stems]
    poses, lenses = [], []
    for stem in stems:
        path = folder / f"{stem}.npz"
        notes = arrays_of(path)
        with reading(path):
            poses.append(notes["cam2world"].astype(float).reshape(4, 4))
            lenses.append(notes["intrinsics"].astype(float).reshape(3, 3) + _HALF)
    return Clip(
        name,
        pictures,
        tuple(stems),
        metric=True,
        times=np.array([int(stem.partition("_")[0]) for stem in stems]) / RATE,
        world_from_camera=np.stack(poses),
        intrinsics=np.stack(lenses),
        depth=known(same_sizes([exr(path) for path in depths], depths)),
    )


@told
def problems(root: Path) -> list[str]:
    """Pictures and depths that are missing or empty, of the frames that have a camera."""
    wanted = []
    for name in names(root):
        segment, _, camera = name.rpartition("/")
        for stem in _stems(root / segment, camera):
            wanted += [root / segment / f"{stem}.{ending}" for ending in ("jpg", "exr", "npz")]
    return missing(wanted, root)


def _stems(folder: Path, camera: str) -> list[str]:
    return sorted(
        path.stem
        for path in folder.glob(f"*_{camera}.npz")
        if path.stem.partition("_")[0].isdecimal()
    )
