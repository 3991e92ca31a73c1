"""The lens: what the user gives, what the source's metadata say, and undoing distortion.

Pixels are the upright original's; the centre of the top-left one is (0.5, 0.5).
"""

import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from worldline.errors import InputError

FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)  # mm
MM_PER_FOCAL_PLANE_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # EXIF: inch, cm, mm, um
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
JSON_KEYS = {"fx", "fy", "cx", "cy", *COEFFICIENTS, "pixel_center"}
SEQUENCE_LENGTHS = (4, 8, 9)


@dataclass(frozen=True)
class Lens:
    """A pinhole with OpenCV's distortion; cx and cy None: the picture's centre."""

    fx: float
    fy: float
    cx: float | None = None
    cy: float | None = None
    distortion: tuple[float, ...] | None = None  # k1 k2 p1 p2 k3; None: none

    def matrix(
        self, original: tuple[int, int], working: tuple[int, int]
    ) -> Float64[np.ndarray, "3 3"]:
        """The camera matrix in pixels of the working size.

        Sizes are (width, height). As pixel centres lie at +0.5, resizing is a plain product.
        Raises InputError where the principal point lies outside of the picture.
        """
        width, height = original
        cx = width / 2 if self.cx is None else self.cx
        cy = height / 2 if self.cy is None else self.cy
        if not (0 <= cx <= width and 0 <= cy <= height):
            raise InputError(
                f"the principal point ({cx:g}, {cy:g}) lies outside of the {width}x{height} "
                "picture: give --intrinsics in pixels of the original."
            )
        sx, sy = working[0] / width, working[1] / height
        return np.array([[self.fx * sx, 0, cx * sx], [0, self.fy * sy, cy * sy], [0, 0, 1.0]])


def given_lens(focal: float | None, intrinsics: str | Path | Sequence[float] | None) -> Lens | None:
    """The lens that the user gives, or None.

    `focal` in pixels of the original. `intrinsics`: (fx, fy, cx, cy[, k1, k2, p1, p2[, k3]]), or a
    .json file with those names, or an .npz file with `K` (3, 3) or (N, 3, 3) and perhaps `dist`
    (4 or 5). Pixel centres lie at +0.5 unless the file says `pixel_center` 0.
    Raises InputError for anything else.
    """
    if focal is not None and intrinsics is not None:
        raise InputError("--focal and --intrinsics are both given: give one of them.")
    if focal is not None:
        return _checked(Lens(focal, focal), "--focal")
    if intrinsics is None:
        return None
    if isinstance(intrinsics, str | Path):
        return _lens_of_file(Path(intrinsics))
    return _lens_of_numbers([float(value) for value in intrinsics])


def _lens_of_numbers(numbers: list[float]) -> Lens:
    if len(numbers) not in SEQUENCE_LENGTHS:
        raise InputError(
            f"--intrinsics has {len(numbers)} numbers: "
            "give fx, fy, cx, cy, or those and k1, k2, p1, p2, or those and k3."
        )
    fx, fy, cx, cy, *coefficients = numbers
    return _checked(Lens(fx, fy, cx, cy, tuple(coefficients)), "--intrinsics")


def _lens_of_file(path: Path) -> Lens:
    readers = {".json": _lens_of_json, ".npz": _lens_of_npz}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path.name}: give --intrinsics as a .json or an .npz file, or numbers.")
    try:
        lens = readers[path.suffix.lower()](path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; give an --intrinsics file.") from error
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: cannot be read as intrinsics ({error}).") from error
    return _checked(lens, path.name)


def _lens_of_json(path: Path) -> Lens:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not {"fx", "fy", "cx", "cy"} <= content.keys():
        raise InputError(f'{path.name}: give {{"fx": .., "fy": .., "cx": .., "cy": ..}} in it.')
    unknown = sorted(content.keys() - JSON_KEYS)
    if unknown:
        raise InputError(
            f"{path.name}: {', '.join(unknown)} is not known; use {', '.join(sorted(JSON_KEYS))}."
        )
    shift = _shift_of_pixel_center(content.get("pixel_center", 0.5), path)
    coefficients = tuple(float(content.get(name, 0.0)) for name in COEFFICIENTS)
    fx, fy, cx, cy = (float(content[name]) for name in ("fx", "fy", "cx", "cy"))
    return Lens(fx, fy, cx + shift, cy + shift, coefficients)


def _lens_of_npz(path: Path) -> Lens:
    with np.load(path, allow_pickle=False) as content:
        if "K" not in content:
            raise InputError(f"{path.name}: has no K; store the 3x3 camera matrix under that name.")
        K = np.asarray(content["K"], np.float64)
        dist = np.asarray(content["dist"], np.float64) if "dist" in content else np.zeros(5)
        center = float(content["pixel_center"]) if "pixel_center" in content else 0.5
    K = _one_matrix(K, path)
    if dist.size not in (4, 5):
        raise InputError(f"{path.name}: dist has {dist.size} numbers; give k1 k2 p1 p2 [k3].")
    shift = _shift_of_pixel_center(center, path)
    return Lens(K[0, 0], K[1, 1], K[0, 2] + shift, K[1, 2] + shift, tuple(dist.ravel().tolist()))


def _one_matrix(K: np.ndarray, path: Path) -> np.ndarray:
    if K.ndim == 3 and len(K) and K.shape[1:] == (3, 3):
        if not np.allclose(K, K[0], rtol=1e-6, atol=1e-6):
            raise InputError(
                f"{path.name}: K differs from frame to frame, and per-frame intrinsics are not "
                "supported; give one 3x3 K."
            )
        K = K[0]
    if K.shape != (3, 3):
        raise InputError(f"{path.name}: K has shape {K.shape}; give (3, 3).")
    expected = np.array([[K[0, 0], 0, K[0, 2]], [0, K[1, 1], K[1, 2]], [0, 0, 1]])
    if not np.allclose(K, expected, atol=1e-6 * abs(K[0, 0])):
        raise InputError(f"{path.name}: K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].")
    return K


def _shift_of_pixel_center(center: float, path: Path) -> float:
    if center not in (0.0, 0.5):
        raise InputError(f"{path.name}: pixel_center is {center}; give 0.5 or 0.0.")
    return 0.5 - center


def _checked(lens: Lens, name: str) -> Lens:
    numbers = [lens.fx, lens.fy, lens.cx or 0.0, lens.cy or 0.0, *(lens.distortion or ())]
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(f"{name}: every number must be finite, not {numbers}.")
    if lens.fx <= 0 or lens.fy <= 0:
        raise InputError(f"{name}: the focal length must be positive, in pixels of the original.")
    coefficients = (lens.distortion or ()) + (0.0,) * (5 - len(lens.distortion or ()))
    return Lens(lens.fx, lens.fy, lens.cx, lens.cy, coefficients if any(coefficients) else None)


def focal_of_exif(exif: Mapping[int, object], size: tuple[int, int]) -> float | None:
    """The focal length in pixels of a (width, height) picture from its EXIF tags, or None.

    The equivalent on 35 mm film is read along the diagonal, as CIPA DCG-001 defines it: along the
    width, a 4:3 phone would come out 4 % too long. Without it, the focal length in mm and the
    sensor's pixels per unit serve, scaled by what the picture has been resized since.
    """
    equivalent = _positive(exif.get(0xA405))  # FocalLengthIn35mmFilm
    if equivalent:
        return _plausible(focal_of_35mm(equivalent, size), size)
    focal_mm, resolution = _positive(exif.get(0x920A)), _positive(exif.get(0xA20E))
    unit_mm = MM_PER_FOCAL_PLANE_UNIT.get(int(_positive(exif.get(0xA210)) or 2))
    if not (focal_mm and resolution and unit_mm):
        return None
    taken_at = max(_positive(exif.get(0xA002)) or 0, _positive(exif.get(0xA003)) or 0)
    resize = max(size) / taken_at if taken_at else 1.0
    return _plausible(focal_mm * resolution / unit_mm * resize, size)


def focal_of_metadata(metadata: Mapping[str, str], size: tuple[int, int]) -> float | None:
    """The focal length in pixels from a video's tags (QuickTime's 35 mm equivalent), or None."""
    for key, value in metadata.items():
        if "focal_length" in key.lower() and "35mm" in key.lower():
            number = re.search(r"\d+(\.\d+)?", value)
            if number and float(number[0]) > 0:
                return _plausible(focal_of_35mm(float(number[0]), size), size)
    return None


def focal_of_35mm(equivalent: float, size: tuple[int, int]) -> float:
    """Pixels from the 35 mm equivalent in mm: the picture's diagonal stands for 43.27 mm."""
    return equivalent * math.hypot(*size) / FULL_FRAME_DIAGONAL


def _positive(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type] # EXIF holds ints, rationals, even text
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _plausible(focal: float, size: tuple[int, int]) -> float | None:
    # wrong tags are common; 0.2 is a 136 degree view, 50 a 1800 mm telephoto
    return focal if 0.2 < focal / max(size) < 50 else None


def undistort(
    frames: UInt8[np.ndarray, "N H W 3"],
    K: Float64[np.ndarray, "3 3"],
    distortion: Sequence[float],
) -> float:
    """Undo lens distortion in place; K stays the camera's matrix.

    Returns the part of the pixels that the source does not show: there the edge is repeated, as a
    black border would be tracked like a thing.
    """
    height, width = frames.shape[1:3]
    K_opencv = K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # its pixel centres are integers
    map_x, map_y = cv2.initUndistortRectifyMap(
        K_opencv, np.asarray(distortion, np.float64), None, K_opencv, (width, height), cv2.CV_32FC1
    )
    outside = (map_x < -0.5) | (map_x > width - 0.5) | (map_y < -0.5) | (map_y > height - 0.5)
    # fixed-point maps: same to 1/32 px, half the time
    maps = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
    for index in range(len(frames)):
        frames[index] = cv2.remap(
            frames[index], *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return float(outside.mean())
