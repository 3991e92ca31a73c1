"""How well a generated video follows the cameras it was asked for (CameraCtrl, CamI2V).

Trajectories are ``world_from_camera`` [N, 4, 4], in any frame: each is taken relative to its first
camera, ``inv(pose 0) @ pose i``.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.trajectory import Other, Trajectory, rotation_angle

Scale = Literal["each", "truth", "none"]


@dataclass(frozen=True)
class CameraControlErrors:
    """Sums over the frames, as published; divide by ``frames`` to compare clips of other lengths.

    ``rot_err`` is in radians; the others are in units of the scale (see
    ``camera_control_errors``), ``cam_mc`` also counting the rotation matrices' entries.
    """

    rot_err: float  # Σ angle of true^T @ estimated rotation
    trans_err: float  # Σ distance between true and estimated position
    cam_mc: float  # Σ Frobenius norm of the difference of the [R | t]
    frames: int


def camera_control_errors(
    estimate: Trajectory, truth: Other, scale: Scale = "each"
) -> CameraControlErrors:
    """RotErr, TransErr and CamMC (He et al. 2024; Zheng et al. 2024).

    ``scale`` says what the translations are divided by: "each" trajectory's own largest distance
    from its first camera (CamI2V's relative errors), that of the "truth" for both (its absolute
    errors), or nothing: "none". A trajectory that does not move keeps its translations of zero.
    Raises ``InputError`` for differing shapes, poses that are not finite, or a "truth" that does
    not move to take the scale from.
    """
    same_shape("Cameras", estimate, truth)
    if not (np.isfinite(estimate).all() and np.isfinite(truth).all()):
        raise InputError("Some camera poses are not finite; leave out the frames without a pose.")
    found, true = _from_first(estimate), _from_first(truth)
    found_scale, true_scale = _scales(_reach(found), _reach(true), scale)
    found[:, :3, 3] /= found_scale
    true[:, :3, 3] /= true_scale
    turn = rotation_angle(np.swapaxes(true[:, :3, :3], 1, 2) @ found[:, :3, :3])
    difference = (found - true)[:, :3]
    return CameraControlErrors(
        rot_err=float(np.radians(turn).sum()),
        trans_err=float(np.linalg.norm(difference[:, :, 3], axis=1).sum()),
        cam_mc=float(np.linalg.norm(difference, axis=(1, 2)).sum()),
        frames=len(truth),
    )


def _from_first(poses: Trajectory) -> Float[np.ndarray, "N 4 4"]:
    poses = poses.astype(np.float64)
    return np.linalg.inv(poses[:1]) @ poses


def _reach(poses: Trajectory) -> float:
    return float(np.linalg.norm(poses[:, :3, 3], axis=1).max())


def _scales(found: float, true: float, scale: Scale) -> tuple[float, float]:
    if scale == "none":
        return 1.0, 1.0
    if scale == "each":
        return found or 1.0, true or 1.0
    if true == 0:
        raise InputError("The true camera does not move, so it gives no scale; ask for another.")
    return true, true
