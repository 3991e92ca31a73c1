"""Optical flow in Middlebury's `.flo`, made of the scene's own motion and cameras."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from worldline.errors import InputError
from worldline.geometry.projection import pixel_grid
from worldline.io.exports.folder import export_folder
from worldline.io.exports.pictures import frame_name, known_depth
from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.visibility import project_to

_MAGIC = b"PIEH"  # 202021.25 as a little-endian float32
_UNKNOWN = 1e10  # Middlebury: what exceeds 1e9 is unknown


def export_flow(scene: Scene, path: Path, choices: Choices) -> None:
    """`000000.flo` and so on: where each pixel of frame i is in frame i+1, less where it was.

    (u, v) in pixels of the frames at the working size, x right and y down, of hidden pixels too;
    1e10 where the depth is unknown (or below `choices.min_confidence`) or the point comes to lie
    behind the camera. Raises InputError for a scene of one frame or where `path` may not be
    replaced, StorageError when the disk refuses.
    """
    if len(scene) < 2:
        raise InputError("flow goes from one frame to the next; this scene has one frame")
    needed = 2 * scene.depth.nbytes
    with export_folder(scene, path, "flow", choices, needed) as folder:
        for i in range(len(scene) - 1):
            flow = _flow(scene, i)
            flow[~known_depth(scene, i, choices.min_confidence)] = _UNKNOWN
            _write_flo(folder / frame_name(i, ".flo"), flow)


def _flow(scene: Scene, i: int) -> Float32[np.ndarray, "H W 2"]:
    width, height = scene.size
    points = scene.pointmap(i, at=i + 1).reshape(-1, 3)
    cameras = scene.cameras
    uv, _ = project_to(points, cameras.intrinsics[i + 1], cameras.camera_from_world[i + 1])
    flow = uv.reshape(height, width, 2) - pixel_grid(height, width, dtype=torch.float64).numpy()
    return np.nan_to_num(flow, nan=_UNKNOWN).astype(np.float32)


def _write_flo(path: Path, flow: Float32[np.ndarray, "H W 2"]) -> None:
    height, width = flow.shape[:2]
    with path.open("wb") as file:
        file.write(_MAGIC + np.array([width, height], "<i4").tobytes())
        file.write(flow.astype("<f4").tobytes())
