"""Composites: a DAVIS object, cut out by its masks, crosses a static clip with known cameras.

What a real clip cannot give together: a large real mover, and the true path of the camera.

    python benchmarks/composites.py DATA OUT
    worldline eval --data OUT --out eval/composites
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from worldline.datasets import folder
from worldline.datasets.clip import Clip
from worldline.datasets.files import listed
from worldline.datasets.pictures import images
from worldline.errors import InputError, WorldlineError
from worldline.scene.store import atomic_directory, write_json

Picture = UInt8[np.ndarray, "H W 3"]  # RGB
Coverage = UInt8[np.ndarray, "H W"]  # 255: the object covers the pixel, 0: it does not

_FEWEST = 50  # pixels of a mask; an object smaller than this has left the picture


@dataclass(frozen=True)
class Composite:
    """Which object crosses which static clip; both are names of clips."""

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the clips that they are made of")
    parser.add_argument("out", type=Path, help="folder of the composites; those there are kept")
    arguments = parser.parse_args()
    check_parts(arguments.data)
    for composite in COMPOSITES:
        if not (arguments.out / composite.name).exists():
            make_composite(composite, arguments.data, arguments.out)
            print(arguments.out / composite.name, flush=True)


def check_parts(data: Path) -> None:
    """Raises InputError if `data` lacks a clip, or what a composite needs of it."""
    there = folder.names(data)
    for composite in COMPOSITES:
        for name in (composite.static, composite.mover):
            if name not in there:
                raise InputError(f"{data}: has no clip {name}, of which {composite.name} is made.")
        for needed in (f"{composite.static}/cameras.npz", f"{composite.mover}/masks"):
            if not (data / needed).exists():
                raise InputError(f"{data / needed}: is missing; {composite.name} is made of it.")


def make_composite(composite: Composite, data: Path, out: Path) -> None:
    """Write OUT/NAME as a clip: frames/, masks/ (255: the object), cameras.npz and meta.json.

    Frames and cameras are the static clip's as its files have them, so a bent lens stays bent, and
    is straightened where the composite is read. The mover starts again when it runs out of frames.
    """
    static = data / composite.static
    backgrounds = images(listed(static / "frames", "*"))
    mover = folder.read(data, composite.mover)
    scale = None
    with atomic_directory(out / composite.name) as made:
        (made / "frames").mkdir()
        (made / "masks").mkdir()
        for i, background in enumerate(backgrounds):
            frame, covered = background, np.zeros(background.shape[:2], np.uint8)
            cutout = cut_out(mover, i % len(mover))
            if cutout is not None:
                # one scale for all frames, or the object would breathe
                scale = scale or covering(cutout, composite.cover, background)
                centre = centre_of(i, len(backgrounds), background)
                frame, covered = paste(background, cutout.scaled(scale), centre)
            Image.fromarray(frame).save(made / "frames" / f"{i:05d}.png")
            Image.fromarray(covered).save(made / "masks" / f"{i:05d}.png")
        (made / "cameras.npz").write_bytes((static / "cameras.npz").read_bytes())
        write_json(made / "meta.json", meta_of(composite, static))


def meta_of(composite: Composite, static: Path) -> dict[str, str]:
    """What the composite is made of, and what the reader must know of the static clip's cameras."""
    file = static / "meta.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    convention = {key: told[key] for key in ("camera_convention",) if key in told}
    return {
        "kind": f"composite: the object of {composite.mover} crosses {composite.static}",
        "masks": "PNG 255 = the object",
        **convention,
    }


def cut_out(mover: Clip, i: int) -> Cutout | None:
    """The object of frame i where its mask has it; None where hardly any of it is seen."""
    assert mover.dynamic is not None
    covered = mover.dynamic[i]
    if covered.sum() < _FEWEST:
        return None
    rows, columns = np.nonzero(covered.any(axis=1))[0], np.nonzero(covered.any(axis=0))[0]
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Cutout(mover.frames[i][box], np.uint8(255) * covered[box].astype(np.uint8))


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


if __name__ == "__main__":
    try:
        main()
    except WorldlineError as refused:
        sys.exit(f"error: {refused}")
