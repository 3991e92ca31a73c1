"""Neural RGB-D: rendered rooms with a Kinect's noise left out (Azinovic et al., CVPR 2022).

Layout, from github.com/dazinovic/neural-rgbd-surface-reconstruction: ``SCENE/images/img0.png``,
``depth/depth0.png``, ``poses.txt`` (four lines a frame, camera to world in OpenGL axes, metres; nan
where lost) and ``focal.txt`` (pixels). Depth is z in millimetres, 0 unknown. The principal point is
half of the 640x480, so pixel centres already lie at +0.5. Camera axes are turned to OpenCV's; the
world stays. Licence of the data: for research, no formal one given.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import OPENGL, lost_as_nan, pinhole
from worldline.datasets.clip import Clip
from worldline.datasets.files import clip_folders, listed, missing, one_of, problems_in, some, table
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images, resized_to
from worldline.errors import InputError

STEPS_PER_METRE = 1000.0
FOCAL = 554.2562584220408  # of 640 columns; what focal.txt says in every scene


def names(root: Path) -> list[str]:
    """The scenes' folders."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """What multi-view reconstruction is reported on: every 500th frame (Spann3R, CUT3R)."""
    pictures = listed(one_of(_clips(root), name, root) / "images", "img*.png")
    return slice(0, None, max(1, min(500, len(pictures) // 2)))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A scene; ``frames`` are positions from 0, which are the numbers in the files' names."""
    folder = one_of(_clips(root), name, root)
    colour = some(listed(folder / "images", "img*.png"), folder, "images/img*.png")
    chosen = indices(len(colour), frames, name)
    files = [colour[k] for k in chosen]
    depth = depth_pictures([_depth_of(file) for file in files], STEPS_PER_METRE)
    count, height, width = depth.shape
    focal = _focal(folder) * width / 640
    return Clip(
        name=name,
        frames=resized_to(images(files), (height, width)),
        frame_names=tuple(file.stem for file in files),
        metric=True,
        world_from_camera=_poses(folder, np.array([_number(file) for file in files])),
        intrinsics=np.tile(pinhole(focal, focal, width / 2, height / 2), (count, 1, 1)),
        depth=depth,
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their depth, and scenes that lack their poses."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    colour = some(listed(folder / "images", "img*.png"), folder, "images/img*.png")
    return missing([*colour, *map(_depth_of, colour), folder / "poses.txt"])


def _clips(root: Path) -> dict[str, Path]:
    return clip_folders(root, _is_scene, "SCENE/images/img0.png with SCENE/poses.txt")


def _is_scene(folder: Path) -> bool:
    first = next((folder / "images").glob("img*.png"), None) if folder.is_dir() else None
    return first is not None and (folder / "poses.txt").is_file()


def _number(file: Path) -> int:
    digits = file.stem.removeprefix("img")
    if not digits.isdecimal():
        raise InputError(f"{file}: is not named img0.png, img1.png, ...; rename or remove it.")
    return int(digits)


def _depth_of(file: Path) -> Path:
    return file.parent.parent / "depth" / f"depth{_number(file)}.png"


def _poses(folder: Path, numbers: np.ndarray) -> np.ndarray:
    rows = table(folder / "poses.txt", 4, "4x4 matrices")
    if len(rows) % 4 or len(rows) // 4 <= numbers.max():
        raise InputError(f"{folder / 'poses.txt'}: has {len(rows)} lines; a frame needs four.")
    return lost_as_nan(rows.reshape(-1, 4, 4)[numbers]) @ OPENGL


def _focal(folder: Path) -> float:
    file = folder / "focal.txt"
    return float(table(file, 1, "a focal length")[0, 0]) if file.is_file() else FOCAL
