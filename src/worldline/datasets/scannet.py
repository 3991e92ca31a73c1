"""ScanNet, as its SensReader exports the .sens files (Dai et al., CVPR 2017).

Layout, from github.com/ScanNet/ScanNet (SensReader/python): ``SCENE/color/0.jpg``, ``depth/0.png``,
``pose/0.txt`` (4x4, camera to world, OpenCV axes, metres; -inf where tracking was lost) and
``intrinsic/intrinsic_depth.txt`` (4x4); or what MonST3R's ``prepare_scannet.py`` keeps of it:
``color_90/frame_0000.jpg``, ``depth_90/frame_0000.png`` and ``pose_90.txt``. Depth is z in
millimetres, 0 unknown. Colour (1296x968) is shrunk to the depth's 640x480, as the field does, where
the depth's K holds; its principal point (319.5, 239.5) has integer pixel centres. Licence of the
data: ScanNet Terms of Use, non-commercial research.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import from_integer_centres, lost_as_nan, matrices
from worldline.datasets.clip import Clip
from worldline.datasets.files import clip_folders, listed, missing, one_of, problems_in, some, table
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images, resized_to
from worldline.errors import InputError

STEPS_PER_METRE = 1000.0
INTRINSICS = "intrinsic/intrinsic_depth.txt"


def names(root: Path) -> list[str]:
    """The scenes' folders."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """What camera poses are reported on: every third frame, ninety of them."""
    folder = one_of(_clips(root), name, root)
    return slice(0, 270, 3) if (folder / "color").is_dir() else slice(0, 90)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A scene; ``frames`` are positions from 0. Without its file the intrinsics are None."""
    folder = one_of(_clips(root), name, root)
    colour = _colour(folder)
    chosen = indices(len(colour), frames, name)
    files = [colour[k] for k in chosen]
    depth = depth_pictures([_depth_of(file) for file in files], STEPS_PER_METRE)
    return Clip(
        name=name,
        frames=resized_to(images(files), depth.shape[1:]),
        frame_names=tuple(file.stem for file in files),
        metric=True,
        world_from_camera=_poses(folder, files, chosen),
        intrinsics=_intrinsics(folder, len(files)),
        depth=depth,
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their depth or pose, and scenes that lack their intrinsics."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    colour = _colour(folder)
    full = (folder / "color").is_dir()
    poses = [_pose_of(file) for file in colour] if full else [folder / "pose_90.txt"]
    return missing([*colour, *map(_depth_of, colour), *poses, folder / INTRINSICS])


def _clips(root: Path) -> dict[str, Path]:
    wanted = "SCENE/color with SCENE/pose, or SCENE/color_90 with SCENE/pose_90.txt"
    return clip_folders(root, _is_scene, wanted)


def _is_scene(folder: Path) -> bool:
    full = (folder / "color").is_dir() and (folder / "pose").is_dir()
    return full or ((folder / "color_90").is_dir() and (folder / "pose_90.txt").is_file())


def _colour(folder: Path) -> list[Path]:
    files = listed(folder / "color", "*.jpg") or listed(folder / "color_90", "*.jpg")
    return some(files, folder, "color/*.jpg")


def _depth_of(file: Path) -> Path:
    return file.parent.parent / file.parent.name.replace("color", "depth") / f"{file.stem}.png"


def _pose_of(file: Path) -> Path:
    return file.parent.parent / "pose" / f"{file.stem}.txt"


def _poses(folder: Path, files: list[Path], chosen: np.ndarray) -> np.ndarray:
    if files[0].parent.name == "color":
        return matrices([_pose_of(file) for file in files])
    rows = table(folder / "pose_90.txt", 16, "a pose a line")
    if len(rows) <= chosen.max():
        raise InputError(f"{folder / 'pose_90.txt'}: has {len(rows)} poses, too few for {folder}.")
    return lost_as_nan(rows.reshape(-1, 4, 4)[chosen])


def _intrinsics(folder: Path, count: int) -> np.ndarray | None:
    file = folder / INTRINSICS
    if not file.is_file():
        return None
    K = table(file, 4, "a 4x4 matrix")[:3, :3]
    return from_integer_centres(np.tile(K, (count, 1, 1)))
