"""How far a reconstructed scene is from the truth of a synthetic clip."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.masks import pooled_iou
from worldline.evaluation.metrics.motion import end_point_errors
from worldline.evaluation.metrics.trajectory import (
    Similarity,
    align,
    path_length,
    relative_errors,
    rmse,
    trajectory_errors,
)
from worldline.scene import Scene

STRIDE = 6  # frames between the sources of the motion that is compared
REACHES = (6, 12)  # how many frames away, either way, it is compared
STILL = 1e-6  # a path shorter than this share of the depth fixes no scale


@runtime_checkable
class CameraPath(Protocol):
    """What is asked of a scene's cameras."""

    @property
    def world_from_camera(self) -> np.ndarray:
        """Rigid poses [N, 4, 4]."""

    @property
    def intrinsics(self) -> np.ndarray:
        """Pinhole matrices [N, 3, 3] in pixels."""


@runtime_checkable
class SceneLike(Protocol):
    """What is asked of a scene (``worldline.scene.Scene`` has it all)."""

    @property
    def depth(self) -> np.ndarray:
        """Z-depth [N, H, W]; NaN: unknown."""

    @property
    def confidence(self) -> np.ndarray:
        """Of the depth [N, H, W]: above 0 measured, exactly 0 filled in."""

    @property
    def dynamic(self) -> np.ndarray:
        """Probability [N, H, W] that a pixel's point moves."""

    @property
    def cameras(self) -> CameraPath:
        """The camera of every frame."""

    def displacement(self, i: int, at: int) -> np.ndarray:
        """World motion [H, W, 3] of frame i's points until frame ``at``."""


@runtime_checkable
class Truth(Protocol):
    """What is asked of the truth of N frames (a ``DemoTruth``; a true scene, as ``SceneTruth``)."""

    @property
    def depth(self) -> np.ndarray:
        """Z-depth [N, H, W]; NaN: nothing is seen."""

    @property
    def dynamic(self) -> np.ndarray:
        """Whether a pixel's point moves, bool [N, H, W]."""

    @property
    def world_from_camera(self) -> np.ndarray:
        """Rigid poses [N, 4, 4]."""

    @property
    def intrinsics(self) -> np.ndarray:
        """Pinhole matrices in pixels, one [3, 3] or [N, 3, 3]."""

    def displacement(self, i: int, at: int) -> np.ndarray:
        """World motion [H, W, 3] of frame i's points until frame ``at``."""

    def __len__(self) -> int:
        """N."""


@dataclass(frozen=True)
class SceneTruth:
    """A scene that is the truth, such as a synthetic clip's, as a ``Truth``."""

    scene: Scene

    @property
    def depth(self) -> np.ndarray:
        """Its depth."""
        return np.asarray(self.scene.depth)

    @property
    def dynamic(self) -> np.ndarray:
        """What surely moves."""
        return np.asarray(self.scene.dynamic) > 0.5

    @property
    def world_from_camera(self) -> np.ndarray:
        """Its cameras' poses."""
        return np.asarray(self.scene.cameras.world_from_camera)

    @property
    def intrinsics(self) -> np.ndarray:
        """Its cameras' lenses."""
        return np.asarray(self.scene.cameras.intrinsics)

    def displacement(self, i: int, at: int) -> np.ndarray:
        """Its motion."""
        return self.scene.displacement(i, at).astype(np.float64)

    def __len__(self) -> int:
        return len(self.scene)


@dataclass(frozen=True)
class SceneErrors:
    """What ``evaluate_against`` found; NaN where there was nothing to compare."""

    ate_percent: float  # position RMSE after Sim(3), percent of the true path
    rpe_rotation: float  # RMSE from frame to frame, degrees
    focal_error_percent: float  # mean over frames of |f - f_true| / f_true
    depth_absrel_static_measured: float  # AbsRel on truly static pixels with confidence > 0
    static_measured_share: float  # of the truly static pixels, how many those are
    depth_absrel_moving: float  # AbsRel on truly moving pixels, measured or filled
    mask_iou: float  # dynamic > 0.5 against truly moving, all frames together
    displacement_epe_moving: float  # truth's units, on truly moving pixels
    displacement_epe_zero: float  # the same for the answer "nothing moves"


def evaluate_against(truth: Truth, scene: SceneLike) -> SceneErrors:
    """Compares a scene with the truth of the same frames at the same size.

    One Sim(3), that of the camera positions, carries everything over: its scale multiplies the
    depth, its scale and rotation the displacements. Where a camera path has no extent, the scale is
    the ratio of the median depths and the rotation that of the first camera.

    Motion is compared from every 6th frame to the frames 6 and 12 before and after it. Depth that
    is not finite does not count; a displacement that is not finite counts as none at all.

    Raises ``InputError`` if frame counts or sizes differ.
    """
    _check_shapes(truth, scene)
    poses = np.asarray(scene.cameras.world_from_camera, np.float64)
    depth, measured = np.asarray(scene.depth), np.asarray(scene.confidence) > 0
    alignment = _alignment(truth, scene)
    static = ~truth.dynamic & np.isfinite(truth.depth)
    epe, epe_zero = _motion_errors(truth, scene, alignment)
    return SceneErrors(
        ate_percent=_path_error(truth, scene),
        rpe_rotation=_turn_error(truth, poses),
        focal_error_percent=_focal_error(truth, scene),
        depth_absrel_static_measured=_abs_rel(truth, depth, static & measured, alignment.scale),
        static_measured_share=float(measured[static].mean()) if static.any() else float("nan"),
        depth_absrel_moving=_abs_rel(truth, depth, truth.dynamic, alignment.scale),
        mask_iou=pooled_iou(np.asarray(scene.dynamic) > 0.5, truth.dynamic),
        displacement_epe_moving=epe,
        displacement_epe_zero=epe_zero,
    )


def _check_shapes(truth: Truth, scene: SceneLike) -> None:
    same_shape("Depth", scene.depth, truth.depth)
    same_shape("Confidence", scene.confidence, truth.depth)
    same_shape("Dynamic mask", scene.dynamic, truth.dynamic)
    same_shape("Cameras", scene.cameras.world_from_camera, truth.world_from_camera)
    intrinsics = np.broadcast_to(truth.intrinsics, (len(truth), 3, 3))
    same_shape("Intrinsics", scene.cameras.intrinsics, intrinsics)


def _extends(truth: Truth, scene: SceneLike) -> bool:
    """Whether both camera paths are long enough to align one to the other."""
    paths = (truth.world_from_camera, truth.depth), (scene.cameras.world_from_camera, scene.depth)
    return all(path_length(path) > STILL * np.nanmedian(depth) for path, depth in paths)


def _alignment(truth: Truth, scene: SceneLike) -> Similarity:
    poses = np.asarray(scene.cameras.world_from_camera, np.float64)
    if _extends(truth, scene):
        return align(poses, truth.world_from_camera)
    scale = depth_errors(np.asarray(scene.depth), truth.depth, alignment="median").scale
    rotation = truth.world_from_camera[0, :3, :3] @ poses[0, :3, :3].T
    offset = truth.world_from_camera[0, :3, 3] - scale * rotation @ poses[0, :3, 3]
    return Similarity(scale, rotation, offset)


def _path_error(truth: Truth, scene: SceneLike) -> float:
    if not _extends(truth, scene):
        return float("nan")
    poses = np.asarray(scene.cameras.world_from_camera, np.float64)
    return trajectory_errors(poses, truth.world_from_camera).ate_percent


def _turn_error(truth: Truth, poses: Float[np.ndarray, "N 4 4"]) -> float:
    """Needs no alignment, so it also judges a camera that only turns."""
    return rmse(relative_errors(poses, truth.world_from_camera)[1]) if len(truth) > 1 else np.nan


def _focal_error(truth: Truth, scene: SceneLike) -> float:
    """Over both axes and all frames."""
    focal = np.diagonal(np.asarray(scene.cameras.intrinsics), axis1=1, axis2=2)[:, :2]
    true = np.diagonal(truth.intrinsics, axis1=-2, axis2=-1)[..., :2]
    return 100 * float(np.mean(np.abs(focal - true) / true))


def _abs_rel(truth: Truth, depth: np.ndarray, mask: np.ndarray, scale: float) -> float:
    if not (mask & np.isfinite(depth)).any():
        return float("nan")
    return depth_errors(depth, truth.depth, mask, alignment=scale).abs_rel


def _motion_errors(truth: Truth, scene: SceneLike, alignment: Similarity) -> tuple[float, float]:
    """Mean end-point error of the scene's displacements and of zero, over truly moving pixels."""
    errors, lengths = [np.zeros(0)], [np.zeros(0)]
    for i, j in _pairs(len(truth)):
        true: Float[np.ndarray, "H W 3"] = truth.displacement(i, j)
        found = alignment.vectors(np.asarray(scene.displacement(i, at=j), np.float64))
        found = np.where(np.isfinite(found).all(axis=-1, keepdims=True), found, 0.0)
        errors.append(end_point_errors(found, true, truth.dynamic[i]))
        lengths.append(np.linalg.norm(true[truth.dynamic[i]], axis=-1))
    pooled, zero = np.concatenate(errors), np.concatenate(lengths)
    return (float(pooled.mean()), float(zero.mean())) if len(pooled) else (np.nan, np.nan)


def _pairs(frames: int) -> Iterator[tuple[int, int]]:
    for i in range(0, frames, STRIDE):
        for reach in REACHES:
            for j in (i - reach, i + reach):
                if 0 <= j < frames:
                    yield i, j
