"""The axes of glTF and USD: y up, -z forward, right-handed, in the world and in the camera."""

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

_FLIP = np.array([1.0, -1.0, -1.0])  # half a turn about x


def points_y_up(xyz: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
    """World points of a scene (y down, z forward) in a world whose y is up."""
    return xyz * _FLIP.astype(xyz.dtype)


def poses_y_up(world_from_camera: Float64[np.ndarray, "N 4 4"]) -> Float64[np.ndarray, "N 4 4"]:
    """Poses of a scene's cameras as those of cameras that look along -z in a world of y up."""
    flip = np.append(_FLIP, 1.0)
    return world_from_camera * flip[:, None] * flip


def quaternions(poses: Float64[np.ndarray, "N 4 4"]) -> Float64[np.ndarray, "N 4"]:
    """Rotations as (x, y, z, w); neighbours on one side, so that blending goes the short way."""
    turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    flips = np.where((turns[1:] * turns[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    return turns * np.cumprod(np.append(1.0, flips))[:, None]
