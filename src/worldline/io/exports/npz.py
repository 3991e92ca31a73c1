"""A scene as one NumPy archive, for whoever wants arrays and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np

from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.store import atomic_file

CONVENTIONS = (
    "OpenCV axes: x right, y down, z forward; the world is the first frame's camera. "
    "depth is z-depth in scene units (NaN: unknown). Pixels are (x, y), the top-left pixel's "
    "centre at (0.5, 0.5). `intrinsics` are in pixels of the input (`original_size`, lens "
    "distortion undone), `intrinsics_working` in pixels of frames, depth, confidence and dynamic."
)


def export_npz(scene: Scene, path: Path, _choices: Choices) -> None:
    """All arrays of the scene, the frames among them."""
    write_npz(scene, path)


def write_npz(scene: Scene, path: str | Path, *, frames: bool = True) -> None:
    """Write cameras, depth, confidence and dynamic as named arrays, uncompressed.

    frames: whether the RGB frames are included.
    Keys: times [N] s, world_from_camera [N,4,4], intrinsics [N,3,3] (input pixels),
    intrinsics_working [N,3,3], registered [N], focal_sigma [N] (input pixels), depth, confidence,
    dynamic [N,H,W], original_size (width, height), metric, conventions, and frames [N,H,W,3].
    What was at `path` is replaced only by the whole new file. Raises StorageError when the disk
    refuses.
    """
    cameras = scene.cameras
    arrays: dict[str, Any] = {
        "times": scene.times,
        "world_from_camera": cameras.world_from_camera,
        "intrinsics": scene.original_intrinsics,
        "intrinsics_working": cameras.intrinsics,
        "registered": cameras.registered,
        "focal_sigma": cameras.focal_sigma * (scene.original_size[0] / scene.size[0]),
        "depth": scene.depth,
        "confidence": scene.confidence,
        "dynamic": scene.dynamic,
        "original_size": np.array(scene.original_size),
        "metric": np.array(scene.metric),
        "conventions": np.array(CONVENTIONS),
    }
    if frames:
        arrays["frames"] = scene.frames
    needed = sum(array.nbytes for array in arrays.values())
    # An open file, since np.savez would add ".npz" to the temporary name.
    with atomic_file(path, needed=needed) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
