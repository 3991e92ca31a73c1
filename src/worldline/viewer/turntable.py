"""A short video that sways around the scene while its time passes."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from worldline.io.encoder import write_video
from worldline.render import View
from worldline.scene import Gathering, Scene
from worldline.scene.store import atomic_file
from worldline.viewer.placement import orbit, place

RATE, QUALITY = 24, 18.0
SIZE = (960, 540)  # width, height
_FIELD_OF_VIEW = np.radians(45)  # vertical


def write_turntable(
    scene: Scene, path: str | Path, *, count: int = 96, max_points: int = 300_000
) -> None:
    """Write an mp4 of `count` frames at `path`, drawn without a browser.

    Raises StorageError when the disk refuses.
    """
    with atomic_file(path) as partial:
        encode(partial, _pictures(scene, count, max_points), SIZE)


def encode(
    target: Path | BytesIO, pictures: Iterable[UInt8[np.ndarray, "H W 3"]], size: tuple[int, int]
) -> None:
    """Encode pictures of one size (width, height) as an mp4; odd last lines are cut."""
    width, height = (side // 2 * 2 for side in size)
    even = (np.ascontiguousarray(picture[:height, :width]) for picture in pictures)
    write_video(target, even, (width, height), Fraction(RATE), QUALITY)


def times_of(scene: Scene, count: int) -> list[int]:
    """The frame whose time it is in each of `count` pictures, once through the clip."""
    return [int(i) for i in np.linspace(0, len(scene) - 1, count).round()]


def _pictures(scene: Scene, count: int, max_points: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    width, height = SIZE
    focal = height / 2 / np.tan(_FIELD_OF_VIEW / 2)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    times = times_of(scene, count)
    wanted, which = np.unique(times, return_inverse=True)
    clouds = Gathering(scene, max_points).each(wanted.astype(np.float64))
    cloud, held = next(clouds), 0
    for pose, k in zip(orbit(place(scene), count), which, strict=True):
        if k > held:  # times only go on, so each is asked for once
            cloud, held = next(clouds), k
        yield scene.draw(cloud, View(intrinsics, pose, SIZE)).image
