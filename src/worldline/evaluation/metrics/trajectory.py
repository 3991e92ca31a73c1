"""How far estimated cameras are from true ones (Sturm et al. 2012; as `evo` computes them).

Trajectories are ``world_from_camera`` [N, 4, 4]; translations are in the truth's units.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.geometry.alignment import umeyama

Trajectory = Float[np.ndarray, "N 4 4"]
Other = Float[np.ndarray, "M 4 4"]  # M = N, or else an InputError says so


@dataclass(frozen=True)
class Similarity:
    """``truth = scale * rotation @ estimate + translation``."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def points(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Positions carried over."""
        return self.vectors(points) + self.translation

    def vectors(self, vectors: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Displacements carried over: turned and scaled, not moved."""
        return self.scale * vectors @ self.rotation.T

    def poses(self, world_from_camera: Trajectory) -> Trajectory:
        """Cameras carried over; they stay rigid."""
        moved = np.array(world_from_camera, dtype=np.float64)
        moved[:, :3, :3] = self.rotation @ moved[:, :3, :3]
        moved[:, :3, 3] = self.points(moved[:, :3, 3])
        return moved


@dataclass(frozen=True)
class TrajectoryErrors:
    """Errors after alignment; see ``trajectory_errors``."""

    ate: float  # RMSE of the positions, truth units
    ate_percent: float  # of the true path's length
    rpe_translation: float  # RMSE from one frame to the next, truth units
    rpe_rotation: float  # RMSE from one frame to the next, degrees


def align(estimate: Trajectory, truth: Other, with_scale: bool = True) -> Similarity:
    """The similarity (or rigid motion) that brings the estimated positions nearest to the true."""
    same_shape("Cameras", estimate, truth)
    source, target = (
        torch.from_numpy(np.array(t[:, :3, 3], np.float64)) for t in (estimate, truth)
    )
    scale, rotation, translation = umeyama(source, target, with_scale=with_scale)
    return Similarity(scale.item(), rotation.numpy(), translation.numpy())


def absolute_error(estimate: Trajectory, truth: Other) -> float:
    """ATE: the RMSE of camera positions as given (align them before)."""
    same_shape("Cameras", estimate, truth)
    return rmse(np.linalg.norm(estimate[:, :3, 3] - truth[:, :3, 3], axis=1))


def path_length(trajectory: Trajectory) -> float:
    """The way that the camera goes, in its own units."""
    return float(np.linalg.norm(np.diff(trajectory[:, :3, 3], axis=0), axis=1).sum())


def relative_errors(
    estimate: Trajectory, truth: Other, delta: int = 1
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """RPE of every pair ``delta`` frames apart: translation in truth units, rotation in degrees.

    Each is the motion left over when the true relative motion is undone; the scale must have been
    aligned before, the common frame need not. Fewer than ``delta + 1`` frames raise ``InputError``.
    """
    same_shape("Cameras", estimate, truth)
    if len(truth) <= delta:
        raise InputError(f"Relative errors over {delta} frames need more than {len(truth)} frames.")
    left = np.linalg.inv(_steps(truth, delta)) @ _steps(estimate, delta)
    return np.linalg.norm(left[:, :3, 3], axis=1), rotation_angle(left[:, :3, :3])


def rotation_angle(rotation: Float[np.ndarray, "*shape 3 3"]) -> Float[np.ndarray, "*shape"]:
    """Angles of rotations in degrees, exact for small ones too (which acos of the trace is not)."""
    skew = rotation - np.swapaxes(rotation, -1, -2)
    sine = np.sqrt(skew[..., 2, 1] ** 2 + skew[..., 0, 2] ** 2 + skew[..., 1, 0] ** 2)
    cosine = np.trace(rotation, axis1=-2, axis2=-1) - 1
    return np.degrees(np.arctan2(sine, cosine))


def trajectory_errors(
    estimate: Trajectory, truth: Other, with_scale: bool = True
) -> TrajectoryErrors:
    """ATE and one-frame RPE after Sim(3) alignment (SE(3) without ``with_scale``)."""
    aligned = align(estimate, truth, with_scale).poses(estimate)
    ate = absolute_error(aligned, truth)
    translation, rotation = relative_errors(aligned, truth)
    length = path_length(truth)
    percent = 100 * ate / length if length > 0 else float("nan")
    return TrajectoryErrors(ate, percent, rmse(translation), rmse(rotation))


def rmse(errors: Float[np.ndarray, "*shape"]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def _steps(trajectory: Trajectory, delta: int) -> Float[np.ndarray, "P 4 4"]:
    return np.linalg.inv(trajectory[:-delta]) @ trajectory[delta:]
