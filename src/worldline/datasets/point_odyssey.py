"""PointOdyssey: people, animals and things in rendered rooms and landscapes, with long tracks.

Format: github.com/y-zheng18/point_odyssey (``utils/gen_tracking.py`` and ``utils/reprojection.py``;
version 1.1 and later) and github.com/aharley/pips2, ``datasets/pointodysseydataset_3d.py``. A clip
is a folder with ``rgbs/rgb_00000.jpg``, ``depths/depth_00000.png``, ``masks/mask_00000.png`` and
``anno.npz``: ``trajs_2d`` [T,M,2], ``trajs_3d`` [T,M,3], ``visibs``, ``valids``, ``intrinsics``,
``extrinsics``.

z-depth is 16 bits over 0 to 1000 m; 0, and 65535 where all that is farther was cut, are unknown.
``extrinsics`` takes the world to OpenCV's axes. The principal point is the image's centre in
Blender's pixels, whose top-left centre is (0.5, 0.5), and the tracks are projected with it: nothing
is added to either. Masks hold a colour for each object; black is the background.
The data's licence: as its site says; the repository's MIT licence is of the code.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, first_visible, indices, moves_by_distance
from worldline.datasets.pictures import images, known, picture, same_sizes
from worldline.datasets.unpickling import arrays, required

FAR = 1000.0  # metres at 65535
_NOTES = "anno.npz"
_ARRAYS = ("trajs_2d", "trajs_3d", "visibs", "valids", "intrinsics", "extrinsics")


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``; InputError where there is none."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip, in metres; InputError for a file that is missing or broken.

    What moves of the tracks is told by all frames of the clip, whichever are read.
    """
    folder = root / name
    notes = _notes(folder, _ARRAYS)
    with reading(folder / _NOTES, "PointOdyssey's annotations"):
        rows = indices(len(notes["extrinsics"]), frames, name)
        poses = np.linalg.inv(notes["extrinsics"][rows].astype(float))
        K = notes["intrinsics"][rows].astype(float)
        tracks = _tracks(notes, rows)
    depths = _paths(folder, "depth", rows)
    levels = same_sizes([picture(path) for path in depths], depths).astype(float)
    return Clip(
        name,
        images(_paths(folder, "rgb", rows)),
        tuple(f"{row:05d}" for row in rows),
        metric=True,
        world_from_camera=poses,
        intrinsics=K,
        depth=known(np.where(levels < 65535, levels / 65535 * FAR, np.nan)),
        instance=_instances(folder, rows),
        tracks=tracks,
    )


def problems(root: Path) -> list[str]:
    """Pictures and depth that are missing or empty, and annotations that cannot be read."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    rows = np.arange(len(_notes(folder, ("extrinsics",))["extrinsics"]))
    return missing(_paths(folder, "rgb", rows) + _paths(folder, "depth", rows))


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, _NOTES, 2, "PointOdyssey")


def _notes(folder: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    content = arrays(folder / _NOTES, names)
    required(content, names, folder / _NOTES)
    return content


def _paths(folder: Path, what: str, rows: Int[np.ndarray, " N"]) -> list[Path]:
    ending = "jpg" if what == "rgb" else "png"
    return [folder / f"{what}s" / f"{what}_{row:05d}.{ending}" for row in rows]


def _tracks(notes: dict[str, np.ndarray], rows: Int[np.ndarray, " N"]) -> PointTracks:
    uv, xyz = (notes[f"trajs_{d}d"].astype(float).transpose(1, 0, 2) for d in (2, 3))
    valid = notes["valids"].T > 0
    known_uv = valid & np.isfinite(uv).all(axis=-1)  # some points are known in 3D alone
    known_xyz = valid & np.isfinite(xyz).all(axis=-1)
    uv = np.where(known_uv[..., None], uv, np.nan)
    xyz = np.where(known_xyz[..., None], xyz, np.nan)
    visible = ((notes["visibs"].T > 0) & known_uv)[:, rows]
    return PointTracks(
        visible, uv[:, rows], xyz[:, rows], moves_by_distance(xyz), first_visible(visible)
    )


def _instances(folder: Path, rows: Int[np.ndarray, " N"]) -> np.ndarray | None:
    if not (folder / "masks").is_dir():
        return None
    paths = _paths(folder, "mask", rows)
    colours = same_sizes([picture(path) for path in paths], paths)
    colours = colours.reshape(*colours.shape[:3], -1)[..., :3].astype(int)
    codes = colours @ np.array([65536, 256, 1])[-colours.shape[-1] :]
    return np.where(codes > 0, codes, -1)
