"""How far estimated cameras are from true ones (Sturm et al. 2012; as `evo` computes them).

Trajectories are ``world_from_camera`` [N, 4, 4]; translations are in the truth's units.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

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

    @property
    def inverse(self) -> "Similarity":
        """What carries the truth over to the estimate."""
        back = self.rotation.T / self.scale
        return Similarity(1 / self.scale, self.rotation.T, -back @ self.translation)


@dataclass(frozen=True)
class TrajectoryErrors:
    """Errors after alignment; see ``trajectory_errors``."""

    ate: float  # RMSE of the positions, truth units
    ate_percent: float  # of the true path's length
    rpe_translation: float  # RMSE from one frame to the next, truth units
    rpe_rotation: float  # RMSE from one frame to the next, degrees


@dataclass(frozen=True)
class Statistics:
    """What `evo` prints of a list of errors, in the errors' unit (``sse`` in its square)."""

    rmse: float
    mean: float
    median: float
    std: float  # of the population: divided by the number of errors
    min: float
    max: float
    sse: float  # sum of squares


@dataclass(frozen=True)
class RelativeAngles:
    """Errors in degrees of the relative poses of all pairs of frames; see ``relative_angles``."""

    rotation: Float[np.ndarray, " P"]
    direction: Float[np.ndarray, " P"]  # of the translation; NaN where the truth has none


def align(estimate: Trajectory, truth: Other, with_scale: bool = True) -> Similarity:
    """The similarity (or rigid motion) that brings the estimated positions nearest to the true.

    Positions all in a line leave a turn about that line open: one of the best is taken (the ATE is
    the same for all, the RPE is not), where `evo` refuses. Raises ``InputError`` for poses that
    are not finite and, where a scale is asked for, for estimated positions that coincide.
    """
    same_shape("Cameras", estimate, truth)
    if not (np.isfinite(estimate).all() and np.isfinite(truth).all()):
        raise InputError("Some camera poses are not finite; leave out the frames without a pose.")
    source, target = (
        torch.from_numpy(np.array(t[:, :3, 3], np.float64)) for t in (estimate, truth)
    )
    scale, rotation, translation = umeyama(source, target, with_scale=with_scale)
    return Similarity(scale.item(), rotation.numpy(), translation.numpy())


def absolute_error(estimate: Trajectory, truth: Other) -> float:
    """ATE: the RMSE of camera positions as given (align them before)."""
    return rmse(absolute_errors(estimate, truth)[0])


def absolute_errors(
    estimate: Trajectory, truth: Other
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """APE of every frame as given: distance in truth units, turn of the camera in degrees."""
    same_shape("Cameras", estimate, truth)
    turn = np.swapaxes(truth[:, :3, :3], 1, 2) @ estimate[:, :3, :3]
    return np.linalg.norm(estimate[:, :3, 3] - truth[:, :3, 3], axis=1), rotation_angle(turn)


def path_length(trajectory: Trajectory) -> float:
    """The way that the camera goes, in its own units."""
    return float(np.linalg.norm(np.diff(trajectory[:, :3, 3], axis=0), axis=1).sum())


def relative_errors(
    estimate: Trajectory, truth: Other, delta: int = 1, all_pairs: bool = True
) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """RPE of the pairs ``delta`` frames apart: translation in truth units, rotation in degrees.

    Each is the motion left over when the true relative motion is undone; the scale must have been
    aligned before, the common frame need not. Pairs start at every frame, or without ``all_pairs``
    where the one before ended. Fewer than ``delta + 1`` frames raise ``InputError``.
    """
    same_shape("Cameras", estimate, truth)
    if delta < 1:
        raise InputError(f"Relative errors are between different frames, not {delta} apart.")
    if len(truth) <= delta:
        raise InputError(f"Relative errors over {delta} frames need more than {len(truth)} frames.")
    stride = 1 if all_pairs else delta
    left = np.linalg.inv(_steps(truth, delta)[::stride]) @ _steps(estimate, delta)[::stride]
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


def relative_angles(estimate: Trajectory, truth: Other) -> RelativeAngles:
    """How far each relative pose of frames i < j, ``inv(pose i) @ pose j``, is off the true.

    No alignment is needed: neither error changes with the common frame or the scale. An estimate
    without any translation where the truth has one is 180 degrees off. Fewer than two frames raise
    ``InputError``.
    """
    same_shape("Cameras", estimate, truth)
    if len(truth) < 2:
        raise InputError("Relative poses need at least two frames.")
    i, j = np.triu_indices(len(truth), 1)
    # the turn from true to estimated camera, per frame; its change from i to j is the pair's error
    turn = estimate[:, :3, :3] @ np.swapaxes(truth[:, :3, :3], 1, 2)
    rotation = rotation_angle(np.swapaxes(turn[i], 1, 2) @ turn[j])
    found, true = (
        np.einsum("pba,pb->pa", t[i, :3, :3], t[j, :3, 3] - t[i, :3, 3]) for t in (estimate, truth)
    )
    sine = np.linalg.norm(np.cross(found, true), axis=1)
    direction = np.degrees(np.arctan2(sine, (found * true).sum(axis=1)))
    direction[~found.any(axis=1)] = 180
    direction[~true.any(axis=1)] = np.nan
    return RelativeAngles(rotation, direction)


def pose_auc(estimate: Trajectory, truth: Other, threshold: float = 30.0) -> float:
    """AUC@``threshold`` (degrees) of relative poses over all pairs of frames, from 0 to 1.

    The area under the share of pairs whose error, the larger one of rotation and translation
    direction, is below a threshold, from 0 to ``threshold``, as a fraction: exactly the mean of
    1 - error / threshold, at least 0. Where the truth does not move, rotation alone counts; an
    error that is not finite is a miss.
    """
    if not threshold > 0:
        raise InputError(f"An AUC needs a threshold above 0 degrees, not {threshold}.")
    angles = relative_angles(estimate, truth)
    direction = np.where(_without_motion(truth), 0, angles.direction)
    error = np.maximum(angles.rotation, direction)
    return float(np.clip(1 - np.nan_to_num(error, nan=np.inf) / threshold, 0, 1).mean())


def pose_auc_as_published(estimate: Trajectory, truth: Other, threshold: int = 30) -> float:
    """AUC@``threshold`` as VGGT's and DA3's evaluations compute it; prefer ``pose_auc``.

    The area is a sum over thresholds of whole degrees, which is too large by up to one step. A
    direction and its opposite count as the same one, as if poses came from essential matrices; a
    pair without translation is 90 degrees off.
    """
    angles = relative_angles(estimate, truth)
    moves = ~_without_motion(truth) & ~_without_motion(estimate)
    folded = np.where(moves, np.minimum(angles.direction, 180 - angles.direction), 90)
    error = np.nan_to_num(np.maximum(angles.rotation, folded), nan=np.inf)
    counts, _ = np.histogram(error, bins=np.arange(threshold + 1))
    return float(np.cumsum(counts / len(error)).mean())


def statistics(errors: Float[np.ndarray, "*shape"]) -> Statistics:
    """The statistics that `evo` gives of errors; all are NaN where there is none."""
    if errors.size == 0:
        return Statistics(*[float("nan")] * 7)
    return Statistics(
        rmse=rmse(errors),
        mean=float(errors.mean()),
        median=float(np.median(errors)),
        std=float(errors.std()),
        min=float(errors.min()),
        max=float(errors.max()),
        sse=float(np.square(errors).sum()),
    )


def rmse(errors: Float[np.ndarray, "*shape"]) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def _steps(trajectory: Trajectory, delta: int) -> Float[np.ndarray, "P 4 4"]:
    return np.linalg.inv(trajectory[:-delta]) @ trajectory[delta:]


def _without_motion(trajectory: Trajectory) -> Bool[np.ndarray, " P"]:
    i, j = np.triu_indices(len(trajectory), 1)
    return (trajectory[i, :3, 3] == trajectory[j, :3, 3]).all(axis=1)
