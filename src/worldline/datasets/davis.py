"""DAVIS 2016 and 2017: videos with the objects that stand out masked in every frame.

Layout, from davischallenge.org and github.com/fperazzi/davis-2017:
``JPEGImages/480p/SEQ/00000.jpg``, ``Annotations/480p/SEQ/00000.png`` (2017: a palette's index is
the object's number, 0 none; 2016: 255 where any object is) and
``ImageSets/{2016,2017,480p}/{train,val}.txt``. No cameras, no depth. Licence of the data: CC BY 4.0
(most sequences), many projects treat it as non-commercial.

Motion is DAVIS-16's: an annotated object counts as moving in every frame (Perazzi et al. 2016).
"""

from pathlib import Path

import numpy as np

from worldline.datasets.clip import Clip
from worldline.datasets.files import (
    clip_folders,
    first_place,
    listed,
    missing,
    one_of,
    problems_in,
    reading,
    some,
)
from worldline.datasets.frames import Frames, indices
from worldline.datasets.pictures import images, picture
from worldline.errors import InputError

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
WHITE = 255  # the one object of a 2016 mask


def names(root: Path) -> list[str]:
    """All sequences whose frames are there."""
    return list(_clips(root))


def split(root: Path, year: str = "2016", subset: str = "val") -> list[str]:
    """The sequences of a split, in its file's order: ``ImageSets/YEAR/SUBSET.txt``."""
    base = _base(root)
    for folder in (year, "480p"):
        file = base / "ImageSets" / folder / f"{subset}.txt"
        if file.is_file():
            with reading(file, "a list of sequences"):
                lines = file.read_text(encoding="utf-8").split("\n")
            # 2016 lists each frame, as /JPEGImages/480p/bear/00000.jpg and its mask
            first = [line.split()[0] for line in lines if line.strip()]
            found = [one.split("/")[-2] if "/" in one else one for one in first]
            return list(dict.fromkeys(found))
    raise InputError(f"{base}: has no ImageSets/{year}/{subset}.txt; extract that DAVIS release.")


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A sequence; ``frames`` are positions from 0. Without masks in all of them, none are given."""
    folder = one_of(_clips(root), name, root)
    pictures = some(listed(folder, "*.jpg"), folder, "*.jpg")
    files = [pictures[k] for k in indices(len(pictures), frames, name)]
    pixels = images(files)
    instance = _instance(files, pixels.shape[1:3])
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(file.stem for file in files),
        metric=False,
        dynamic=None if instance is None else instance >= 0,
        instance=instance,
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their mask, of sequences that have any (test sets have none but one)."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    pictures = some(listed(folder, "*.jpg"), folder, "*.jpg")
    masks = [_mask_of(file) for file in pictures]
    few = sum(mask.is_file() for mask in masks) <= 1
    return missing(pictures) + ([] if few else missing(masks))


def _base(root: Path) -> Path:
    base = first_place(root, ("JPEGImages", "DAVIS/JPEGImages"))
    if base is None:
        raise InputError(f"{root}: is no DAVIS; looked for JPEGImages/480p/SEQUENCE/00000.jpg.")
    return base.parent


def _clips(root: Path) -> dict[str, Path]:
    base = _base(root) / "JPEGImages"
    place = first_place(base, RESOLUTIONS) or base
    return clip_folders(place, lambda folder: any(folder.glob("*.jpg")), "SEQUENCE/00000.jpg")


def _mask_of(file: Path) -> Path:
    resolution, sequence = file.parent.parent.name, file.parent.name
    return file.parents[3] / "Annotations" / resolution / sequence / f"{file.stem}.png"


def _instance(files: list[Path], shape: tuple[int, ...]) -> np.ndarray | None:
    """Each pixel's object from 0, and -1 for none."""
    masks = [_mask_of(file) for file in files]
    if not all(mask.is_file() for mask in masks):
        return None
    numbers = [picture(mask) for mask in masks]
    flat = [one if one.ndim == 2 else one[..., 0] for one in numbers]
    for mask, one in zip(masks, flat, strict=True):
        if one.shape != shape:
            raise InputError(f"{mask}: is {one.shape}, its frame {shape}; replace one of them.")
    objects = np.stack(flat).astype(np.int64)
    return np.where(objects == WHITE, 1, objects) - 1
