"""Composites: a DAVIS object, cut out by its masks, crosses a static sequence with known cameras.

What a real clip cannot give together: a large real mover, and the true path of the camera.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from worldline.scene.store import atomic_directory

Picture = UInt8[np.ndarray, "H W 3"]  # BGR, as OpenCV reads and writes it
Coverage = UInt8[np.ndarray, "H W"]  # 255: the object covers the pixel, 0: it does not

_FEWEST = 50  # pixels of a mask; an object smaller than this has left the picture


@dataclass(frozen=True)
class Composite:
    """Which object crosses which sequence; both are names of data folders."""

    name: str
    static: str
    mover: str
    cover: float  # share of the picture that the object covers where it is first seen


COMPOSITES = (
    Composite("fr1_horse", "tum_fr1_xyz", "davis_horsejump-high", 0.35),
    Composite("fr1_camel", "tum_fr1_xyz", "davis_camel", 0.50),
    Composite("rk_camel", "7scenes_redkitchen", "davis_camel", 0.45),
    Composite("rk_park", "7scenes_redkitchen", "davis_parkour", 0.35),
    Composite("fox_park", "nerf_fox", "davis_parkour", 0.40),
    Composite("fox_horse", "nerf_fox", "davis_horsejump-high", 0.30),
    Composite("kitti_horse", "kitti_odom_01_start", "davis_horsejump-high", 0.30),
    Composite("nr_camel", "nrnerf_example", "davis_camel", 0.40),
)


@dataclass(frozen=True)
class Cutout:
    """An object in its bounding box."""

    picture: Picture
    alpha: Coverage

    def scaled(self, factor: float) -> "Cutout":
        """The same object, `factor` times as wide and as high."""
        kernel = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(self.picture, None, fx=factor, fy=factor, interpolation=kernel)
        return Cutout(picture, cv2.resize(self.alpha, picture.shape[1::-1]))


def make_composite(composite: Composite, data: Path, out: Path) -> Path:
    """Write frames/, masks/ (255: the object) and the cameras of the static sequence to `out`.

    Nothing is done where `out` is there already. The mover starts again when it runs out of frames.
    """
    if out.exists():
        return out
    static, mover = data / composite.static, data / composite.mover
    backgrounds = _files(static / "frames")
    pictures, masks = _files(mover / "frames"), _files(mover / "masks")
    scale = None
    with atomic_directory(out) as folder:
        (folder / "frames").mkdir()
        (folder / "masks").mkdir()
        for i, file in enumerate(backgrounds):
            background = _read(file)
            frame, covered = background, np.zeros(background.shape[:2], np.uint8)
            cutout = cut_out(_read(pictures[i % len(pictures)]), _read(masks[i % len(pictures)]))
            if cutout is not None:
                # one scale for all frames, or the object would breathe
                scale = scale or covering(cutout, composite.cover, background)
                centre = centre_of(i, len(backgrounds), background)
                frame, covered = paste(background, cutout.scaled(scale), centre)
            cv2.imwrite(str(folder / "frames" / f"{i:05d}.png"), frame)
            cv2.imwrite(str(folder / "masks" / f"{i:05d}.png"), covered)
        (folder / "cameras.npz").write_bytes((static / "cameras.npz").read_bytes())
    return out


def cut_out(picture: Picture, mask: Picture) -> Cutout | None:
    """The object where its mask is brighter than half; None where hardly any of it is seen."""
    covered = mask[..., 0] > 127
    if covered.sum() < _FEWEST:
        return None
    rows, columns = np.nonzero(covered.any(axis=1))[0], np.nonzero(covered.any(axis=0))[0]
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Cutout(picture[box], np.uint8(255) * covered[box].astype(np.uint8))


def covering(cutout: Cutout, cover: float, background: Picture) -> float:
    """The scale at which the object's area is the share `cover` of the background."""
    height, width = background.shape[:2]
    return float(np.sqrt(cover * height * width / np.count_nonzero(cutout.alpha)))


def centre_of(i: int, count: int, background: Picture) -> tuple[int, int]:
    """Where the object's box is centred in frame i: it crosses the middle half, left to right."""
    height, width = background.shape[:2]
    return int(width * (0.25 + 0.5 * i / max(count - 1, 1))), int(height * 0.55)


def paste(background: Picture, cutout: Cutout, centre: tuple[int, int]) -> tuple[Picture, Coverage]:
    """The background with the object over it, cut at the edges, and where the object is."""
    height, width = cutout.alpha.shape
    shift = np.array(
        [[1, 0, centre[0] - width / 2], [0, 1, centre[1] - height / 2]], dtype=np.float32
    )
    size = background.shape[1::-1]
    alpha = cv2.warpAffine(cutout.alpha, shift, size)
    share: Float64[np.ndarray, "H W 1"] = (alpha / 255.0)[..., None]
    mixed = cv2.warpAffine(cutout.picture, shift, size) * share + background * (1 - share)
    return mixed.astype(np.uint8), np.where(alpha > 127, np.uint8(255), np.uint8(0))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _read(file: Path) -> Picture:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{file} is no picture")
    return picture
