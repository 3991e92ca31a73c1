"""7-Scenes: rooms scanned by a Kinect (Shotton et al., CVPR 2013).

Layout, from microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes:
``SCENE/seq-01/frame-000000.color.png``, ``.depth.png`` and ``.pose.txt`` (4x4, camera to world,
OpenCV axes, metres). Depth is z in millimetres; 0 and 65535 are unknown.

The page gives K = (585, 585, 320, 240) of 640x480, the half of the size, so its pixel centres
already lie at +0.5. That is the depth camera's: the archive's depth is not registered to colour
(some 2 px). Where ``.depth.proj.png`` was made (SimpleRecon's, which CUT3R and 4RC report on), it
is read instead, with the colour camera's 525. Licence: Microsoft Research, non-commercial.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import matrices, pinhole
from worldline.datasets.clip import Clip
from worldline.datasets.files import clip_folders, listed, missing, one_of, problems_in, some
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images, resized_to

STEPS_PER_METRE = 1000.0
UNKNOWN = (0, 65535)
CENTRE = (320.0, 240.0)
FOCAL = {"depth.proj": 525.0, "depth": 585.0}


def names(root: Path) -> list[str]:
    """``chess/seq-01`` and so on."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """What multi-view reconstruction is reported on: every 200th frame (Spann3R, CUT3R)."""
    return slice(0, None, 200)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A sequence; ``frames`` are positions from 0."""
    folder = one_of(_clips(root), name, root)
    colour = some(listed(folder, "frame-*.color.png"), folder, "frame-*.color.png")
    chosen = indices(len(colour), frames, name)
    files = [colour[k] for k in chosen]
    kind = _kind(folder)
    depth = depth_pictures(
        [_beside(f, f"{kind}.png") for f in files], STEPS_PER_METRE, None, UNKNOWN
    )
    return Clip(
        name=name,
        frames=resized_to(images(files), depth.shape[1:]),
        frame_names=tuple(file.name.split(".")[0] for file in files),
        metric=True,
        world_from_camera=matrices([_beside(file, "pose.txt") for file in files]),
        intrinsics=_intrinsics(FOCAL[kind], depth.shape),
        depth=depth,
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their depth or pose."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    colour = some(listed(folder, "frame-*.color.png"), folder, "frame-*.color.png")
    wanted = (f"{_kind(folder)}.png", "pose.txt")
    return missing([*colour, *(_beside(file, what) for what in wanted for file in colour)])


def _clips(root: Path) -> dict[str, Path]:
    return clip_folders(root, _is_sequence, "SCENE/seq-01/frame-000000.color.png")


def _is_sequence(folder: Path) -> bool:
    return next(folder.glob("frame-*.color.png"), None) is not None


def _kind(folder: Path) -> str:
    registered = next(folder.glob("frame-*.depth.proj.png"), None) is not None
    return "depth.proj" if registered else "depth"


def _beside(file: Path, what: str) -> Path:
    return file.with_name(f"{file.name.split('.')[0]}.{what}")


def _intrinsics(focal: float, shape: tuple[int, ...]) -> np.ndarray:
    K = pinhole(focal, focal, *CENTRE)
    K[0] *= shape[2] / 640  # SimpleRecon writes its maps at other sizes, too
    K[1] *= shape[1] / 480
    return np.tile(K, (shape[0], 1, 1))
