"""The numbers of one scene: against its truth, and against its own pictures.

A number is NaN where there is no truth for it, or where the scene measured nothing.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64

from sequences import Truth
from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.masks import mean_iou
from worldline.evaluation.metrics.trajectory import (
    Other,
    Similarity,
    Trajectory,
    absolute_error,
    align,
    path_length,
    relative_errors,
    rmse,
)
from worldline.scene import Scene
from worldline.scene.motion import look_up
from worldline.selfcheck.residuals import predicted_flow
from worldline.systems.classic.flow import DisFlow

FLOW_GAPS = (1, 4)  # frames
_NO_PATH = 1e-9  # scene units


def scene_numbers(scene: Scene, truth: Truth) -> dict[str, float]:
    """All that is measured of a scene, by the names that the tables use."""
    return {
        **path_numbers(scene.cameras.world_from_camera, truth.world_from_camera),
        "focal_error": focal_error(scene.cameras.intrinsics[:, [0, 1], [0, 1]], truth.focal),
        **depth_numbers(scene, truth.depth),
        "mask_iou": mask_iou(scene, truth),
        "moving": float(np.mean([(frame > 0.5).mean() for frame in scene.dynamic])),
        "registered": float(scene.cameras.registered.mean()),
        **{f"flow_{gap}": flow_residual(scene, gap) for gap in FLOW_GAPS},
    }


def path_numbers(estimate: Trajectory, truth: Other | None) -> dict[str, float]:
    """ATE and one-frame RPE after Sim(3): percent of the true path's length, and degrees."""
    if truth is None:
        return dict.fromkeys(("ate", "rpe_translation", "rpe_rotation"), float("nan"))
    translation, rotation = relative_errors(aligned(estimate, truth), truth)
    return {
        "ate": ate_percent(estimate, truth, np.ones(len(truth), bool)),
        "rpe_translation": 100 * rmse(translation) / path_length(truth),
        "rpe_rotation": rmse(rotation),
    }


def ate_percent(estimate: Trajectory, truth: Other, used: Bool[np.ndarray, " N"]) -> float:
    """RMSE of the positions of the used frames after Sim(3), in percent of the whole true path."""
    if used.sum() < 3:  # two points can always be aligned
        return float("nan")
    poses = aligned(estimate[used], truth[used])
    return 100 * absolute_error(poses, truth[used]) / path_length(truth)


def aligned(estimate: Trajectory, truth: Other) -> Trajectory:
    """The estimate carried over by Sim(3).

    A camera that was taken to stand has no scale; it stands best where the true one was on average.
    """
    if path_length(estimate) > _NO_PATH:
        return align(estimate, truth).poses(estimate)
    rotation = truth[0, :3, :3] @ estimate[0, :3, :3].T
    middle = truth[:, :3, 3].mean(axis=0)
    return Similarity(1.0, rotation, middle - rotation @ estimate[0, :3, 3]).poses(estimate)


def focal_error(
    focal: Float64[np.ndarray, "*N 2"], truth: Float64[np.ndarray, "*N 2"] | None
) -> float:
    """Mean of |f - f_true| / f_true over both axes and all frames, in percent."""
    if truth is None:
        return float("nan")
    return 100 * float(np.mean(np.abs(focal - truth) / truth))


def depth_numbers(scene: Scene, truth: Float32[np.ndarray, "N H W"] | None) -> dict[str, float]:
    """AbsRel and δ < 1.25 (shares) of the depth that was measured, after one scale for all frames.

    `measured` is the share of the pixels with sensor depth that those are.
    """
    numbers = dict.fromkeys(("abs_rel", "delta", "measured"), float("nan"))
    if truth is None or not (truth > 0).any():
        return numbers
    mask = (truth > 0) & (scene.confidence > 0)
    numbers["measured"] = float(mask.sum() / (truth > 0).sum())
    if mask.any():
        errors = depth_errors(scene.depth, truth, mask, alignment="scale")
        numbers |= {"abs_rel": errors.abs_rel, "delta": errors.delta}
    return numbers


def mask_iou(scene: Scene, truth: Truth) -> float:
    """DAVIS's J: intersection over union, the mean over frames; unjudged pixels do not count."""
    if truth.moving is None or truth.judged is None:
        return float("nan")
    return mean_iou((scene.dynamic > 0.5) & truth.judged, truth.moving & truth.judged)


def flow_residual(scene: Scene, gap: int) -> float:
    """How far, in the median, static pixels are seen from where depth and cameras put them.

    In pixels of the scene's frames: optical flow to the frame `gap` later against the flow that the
    scene predicts, on static pixels with measured depth. A camera that does not travel needs no
    depth, so then all static pixels count.
    """
    flow = DisFlow()
    residuals = [np.zeros(0)]
    for i in range(len(scene) - gap):
        uv, target, usable = predicted_flow(scene, i, i + gap)
        seen = uv + look_up(flow(scene.frames[i], scene.frames[i + gap]), uv)
        residuals.append(np.linalg.norm(seen - target, axis=-1)[usable])
    pooled = np.concatenate(residuals)
    return float(np.median(pooled)) if len(pooled) else float("nan")
