"""MVS-Synth: streets of a game from a car, with depth and cameras that a game engine knows.

Format: phuang17.github.io/DeepMVS/mvs-synth.html, as it is read by github.com/CUT3R/CUT3R,
``datasets_preprocess/preprocess_mvs_synth.py``. A clip is a folder ``0000`` with
``images/0000.png``, ``depths/0000.exr`` and ``poses/0000.json`` (``f_x``, ``f_y``, ``c_x``,
``c_y`` and ``extrinsic``, which takes the world to OpenCV's camera axes).

z-depth is in the game's units; infinite is the sky, and unknown. Where ``extrinsic`` mirrors, as
the published ones do, the world's x and y are swapped, so that the world is right-handed; nothing
else is changed in it. The game looks through the middle of its pictures: a principal point that
lies half a pixel before that counts from the top-left pixel's centre, and 0.5 is added.
The data's licence: for research, as its page says.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worldline.datasets.clip import Clip
from worldline.datasets.files_of_training import (
    chosen,
    clips_with,
    content_of,
    exr,
    known,
    missing,
    pinhole,
    reading,
    rgb_stack,
    same_sizes,
    told,
)

_SWAP = np.eye(4)[[1, 0, 2, 3]]


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``; InputError where there is none."""
    return clips_with(root, "poses", 2, "MVS-Synth")


def read(root: Path, name: str, frames: Sequence[int] | None = None) -> Clip:
    """A clip, in the game's units; InputError for a file that is missing or broken."""
    folder = root / name
    listed = _stems(folder)
    stems = [listed[row] for row in chosen(len(listed), frames, name)]
    pictures = rgb_stack([folder / "images" / f"{stem}.png" for stem in stems])
    depths = [folder / "depths" / f"{stem}.exr" for stem in stems]
    cameras = [_camera(folder / "poses" / f"{stem}.json", pictures.shape[2]) for stem in stems]
    return Clip(
        name,
        pictures,
        tuple(stems),
        metric=False,
        world_from_camera=np.stack([pose for pose, _ in cameras]),
        intrinsics=np.stack([K for _, K in cameras]),
        depth=known(same_sizes([exr(path) for path in depths], depths)),
    )


@told
def problems(root: Path) -> list[str]:
    """Pictures and depths that are missing or empty, of the frames that have a pose."""
    wanted = []
    for name in names(root):
        for stem in _stems(root / name):
            wanted += [root / name / "images" / f"{stem}.png"]
            wanted += [
                root / name / "depths" / f"{stem}.exr",
                root / name / "poses" / f"{stem}.json",
            ]
    return missing(wanted, root)


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "poses").glob("*.json"))


def _camera(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    note = content_of(path)
    with reading(path):
        pose = np.linalg.inv(np.array(note["extrinsic"], float).reshape(4, 4))
        if not np.isfinite(pose).all():
            raise ValueError("its extrinsic has no inverse")
        if np.linalg.det(pose[:3, :3]) < 0:
            pose = _SWAP @ pose
        cx, cy = float(note["c_x"]), float(note["c_y"])
        half = 0.5 if abs(cx - (width - 1) / 2) < 0.25 else 0.0
        return pose, pinhole(note["f_x"], note["f_y"], cx + half, cy + half)
