"""Frames, masks and depth as PNG files, which the folders of other programs hold."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16
from PIL import Image

from worldline.scene import Scene

_MOST = 65535  # what 16 bits hold


def frame_name(i: int, ending: str) -> str:
    """The file name of frame i, which sorts as the frames do."""
    return f"{i:06d}{ending}"


def write_png(
    path: Path,
    picture: UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"],
) -> None:
    """Write RGB, 8-bit or 16-bit grey. OSError where the disk refuses."""
    Image.fromarray(np.ascontiguousarray(picture)).save(path, "PNG")


def moving(scene: Scene, i: int) -> Bool[np.ndarray, "H W"]:
    """Pixels of frame i that more likely move in the world than not."""
    return scene.dynamic[i] > 0.5


def static_mask(scene: Scene, i: int) -> UInt8[np.ndarray, "H W"]:
    """255 where frame i shows what stays, 0 (for COLMAP and nerfstudio: ignore) where it moves."""
    return np.where(moving(scene, i), 0, 255).astype(np.uint8)


def known_depth(
    scene: Scene, i: int, min_confidence: float | None = None
) -> Bool[np.ndarray, "H W"]:
    """Pixels of frame i whose depth means something and, where asked, is at least that sure."""
    known = np.isfinite(scene.depth[i]) & (scene.depth[i] > 0)
    return known if min_confidence is None else known & (scene.confidence[i] >= min_confidence)


def depth_unit(scene: Scene) -> float:
    """The finest power of ten, in scene units, of which 16 bits reach the largest depth."""
    farthest = max(
        float(np.max(scene.depth[i], where=known_depth(scene, i), initial=0.0))
        for i in range(len(scene))
    )
    if farthest == 0.0:
        return 1e-3
    return float(f"1e{math.ceil(math.log10(farthest / _MOST))}")  # the nearest float to it


def depth_steps(
    depth: Float32[np.ndarray, "H W"], known: Bool[np.ndarray, "H W"], unit: float
) -> UInt16[np.ndarray, "H W"]:
    """z-depth in steps of `unit`, rounded; 0 is kept for unknown, so what is nearer is 1."""
    steps = np.rint(np.where(known, depth, 0).astype(np.float64) / unit)
    return np.where(known, np.clip(steps, 1, _MOST), 0).astype(np.uint16)
