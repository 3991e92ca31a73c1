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

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import pinhole
from worldline.datasets.clip import Clip
from worldline.datasets.files import json_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import exr, images, known, same_sizes

_SWAP = np.eye(4)[[1, 0, 2, 3]]


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``; InputError where there is none."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip, in the game's units; InputError for a file that is missing or broken."""
    folder = root / name
    listed = _stems(folder)
    stems = [listed[row] for row in indices(len(listed), frames, name)]
    pictures = images([folder / "images" / f"{stem}.png" for stem in stems])
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


def problems(root: Path) -> list[str]:
    """Pictures and depths that are missing or empty, of the frames that have a pose."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    wanted = []
    for stem in _stems(folder):
        wanted += [folder / "images" / f"{stem}.png", folder / "depths" / f"{stem}.exr"]
        wanted += [folder / "poses" / f"{stem}.json"]
    return missing(wanted)


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, "poses", 2, "MVS-Synth")


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "poses").glob("*.json"))


def _camera(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    note = json_of(path)
    with reading(path, "MVS-Synth's camera"):
        pose = np.linalg.inv(np.array(note["extrinsic"], float).reshape(4, 4))
        if not np.isfinite(pose).all():
            raise ValueError("its extrinsic has no inverse")
        if np.linalg.det(pose[:3, :3]) < 0:
            pose = _SWAP @ pose
        cx, cy = float(note["c_x"]), float(note["c_y"])
        half = 0.5 if abs(cx - (width - 1) / 2) < 0.25 else 0.0
        return pose, pinhole(float(note["f_x"]), float(note["f_y"]), cx + half, cy + half)
