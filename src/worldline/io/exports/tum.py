"""The camera's path as a text file in the TUM RGB-D benchmark's format, which evo reads."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from worldline.io.exports.points import registered_frames
from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.store import atomic_file

_HEADER = (
    "timestamp tx ty tz qx qy qz qw: seconds, world_from_camera in scene units; OpenCV axes "
    "(x right, y down, z forward), the world is the first frame's camera"
)


def export_tum(scene: Scene, path: Path, _choices: Choices) -> None:
    """One line for each frame whose camera was solved from data: interpolated ones are left out.

    Raises InputError where no camera was solved, StorageError when the disk refuses.
    """
    frames = registered_frames(scene)
    poses = scene.cameras.world_from_camera[frames]
    left_out = f"; {len(scene) - len(frames)} of {len(scene)} frames are left out: interpolated"
    header = _HEADER + (left_out if len(frames) < len(scene) else "")
    lines = np.column_stack([scene.times[frames], poses[:, :3, 3], _quaternions(poses)])
    with atomic_file(path) as partial:
        np.savetxt(partial, lines, fmt="%.9f", header=header)


def _quaternions(poses: Float64[np.ndarray, "F 4 4"]) -> Float64[np.ndarray, "F 4"]:
    """(x, y, z, w) with w >= 0: of the two that mean one rotation, the same one always."""
    return Rotation.from_matrix(poses[:, :3, :3]).as_quat(canonical=True)
