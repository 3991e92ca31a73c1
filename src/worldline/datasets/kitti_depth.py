"""KITTI depth: driving with depth from accumulated laser scans (Uhrig et al., 3DV 2017).

Layouts, from cvlibs.net/datasets/kitti (depth prediction) and MonST3R's ``prepare_kitti.py``:
- ``val_selection_cropped/image/DRIVE_image_0000000005_image_02.png`` with the like in
  ``groundtruth_depth`` and in ``intrinsics`` (.txt, nine numbers): single frames of many drives;
- ``val/DRIVE/proj_depth/groundtruth/image_02/0000000005.png`` with the raw data's pictures in
  ``raw/[DATE/]DRIVE/image_02/data`` and ``raw/DATE/calib_cam_to_cam.txt``;
- ``image_gathered/DRIVE_02/0000000005.png`` with the like in ``groundtruth_depth_gathered``: the
  first 110 frames of each drive of that, which video depth is reported on.

Depth is z in uint16 / 256 m, 0 unknown (most pixels). K is that of the rectified camera, with
integer pixel centres. Licence of the data: CC BY-NC-SA 3.0.
"""

import re
from pathlib import Path

import numpy as np

from worldline.datasets.cameras import from_integer_centres
from worldline.datasets.clip import Clip
from worldline.datasets.files import (
    first_place,
    listed,
    missing,
    one_of,
    problems_in,
    reading,
    table,
)
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import depth_pictures, images
from worldline.errors import InputError

STEPS_PER_METRE = 256.0
_BASES = ("val_selection_cropped", "depth_selection/val_selection_cropped")
_SELECTED = re.compile(r"(?P<drive>.+_sync)_image_(?P<frame>\d+)_image_(?P<camera>\d\d)")


def names(root: Path) -> list[str]:
    """``2011_09_26_drive_0002_sync_02`` and so on: a drive and its camera."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """What video depth is reported on: the first 110 frames."""
    return slice(0, 110)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A drive's frames that have depth; ``frames`` are positions among them."""
    pairs = one_of(_clips(root), name, root)
    chosen = indices(len(pairs), frames, name)
    colour, depth = zip(*(pairs[k] for k in chosen), strict=True)
    pixels = images(colour)
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(file.stem for file in colour),
        metric=True,
        intrinsics=_intrinsics(colour),
        depth=depth_pictures(depth, STEPS_PER_METRE, pixels.shape[1:3]),
    )


def problems(root: Path) -> list[str]:
    """Depth without its picture, and empty files."""
    return problems_in(root, _clips, _lacking)


Pairs = list[tuple[Path, Path]]  # a picture and its depth


def _lacking(pairs: Pairs) -> list[str]:
    return missing(file for pair in pairs for file in pair)


def _clips(root: Path) -> dict[str, Pairs]:
    base = first_place(root, _BASES) or root
    found = _gathered(base) or _selected(base) or _raw(root)
    if not found:
        raise InputError(
            f"{root}: holds no KITTI depth; looked for image_gathered, val_selection_cropped/image "
            "and val/DRIVE/proj_depth/groundtruth/image_02."
        )
    return found


def _gathered(base: Path) -> dict[str, Pairs]:
    depth = base / "groundtruth_depth_gathered"
    return {
        folder.name: [
            (base / "image_gathered" / folder.name / file.name, file)
            for file in listed(folder, "*.png")
        ]
        for folder in listed(depth, "*")
        if any(folder.glob("*.png"))
    }


def _selected(base: Path) -> dict[str, Pairs]:
    clips: dict[str, Pairs] = {}
    for file in listed(base / "image", "*.png"):
        match = _SELECTED.fullmatch(file.stem)
        if match:
            name = file.name.replace("_sync_image_", "_sync_groundtruth_depth_")
            pair = (file, base / "groundtruth_depth" / name)
            clips.setdefault(f"{match['drive']}_{match['camera']}", []).append(pair)
    return clips


def _raw(root: Path) -> dict[str, Pairs]:
    clips: dict[str, Pairs] = {}
    for folder in listed(root, "val/*/proj_depth/groundtruth/image_*"):
        drive, camera = folder.parents[2].name, folder.name
        place = f"{drive}/{camera}/data"
        pictures = first_place(root / "raw", (place, f"{drive[:10]}/{place}"))
        pictures = pictures or root / "raw" / drive[:10] / place
        pairs = [(pictures / file.name, file) for file in listed(folder, "*.png")]
        if pairs:
            clips[f"{drive}_{camera[-2:]}"] = pairs
    return clips


def _intrinsics(colour: tuple[Path, ...]) -> np.ndarray | None:
    """The selection's own, or the drive's calibration; None where there is neither."""
    own = [file.parents[1] / "intrinsics" / f"{file.stem}.txt" for file in colour]
    if all(file.is_file() for file in own):
        K = np.stack([table(file, 9, "nine numbers of K").reshape(3, 3) for file in own])
        return from_integer_centres(K)
    camera = colour[0].parents[1].name.removeprefix("image_")  # .../image_02/data/0000000005.png
    calibration = colour[0].parents[3] / "calib_cam_to_cam.txt"
    if not calibration.is_file():
        return None
    with reading(calibration, "KITTI's calibration"):
        lines = dict(
            line.split(":", 1) for line in calibration.read_text().splitlines() if ":" in line
        )
        P = np.array(lines[f"P_rect_{camera}"].split(), dtype=np.float64).reshape(3, 4)
    return from_integer_centres(np.tile(P[:, :3], (len(colour), 1, 1)))
