"""All numbers that the truth of a clip allows to say of a scene.

Truth is brought onto the scene's pixels (nearest values), so no true value is made up. Lengths are
in the truth's units. A number is NaN where the scene has nothing to compare; it is left out where
the truth does not know.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped

from worldline.datasets.clip import Clip, PointTracks
from worldline.errors import InputError
from worldline.evaluation.alignment import extends, moved, poses_of, similarity
from worldline.evaluation.consistency import consistency
from worldline.evaluation.metrics.camera_control import camera_control_errors
from worldline.evaluation.metrics.depth import best_scale, depth_errors
from worldline.evaluation.metrics.masks import mean_iou, pooled_iou
from worldline.evaluation.metrics.motion import THRESHOLDS, end_point_errors, within
from worldline.evaluation.metrics.surfaces import complete_4d_errors
from worldline.evaluation.metrics.trajectory import (
    absolute_error,
    align,
    path_length,
    relative_errors,
    rmse,
)
from worldline.evaluation.pictures import Numbers, flow, views
from worldline.evaluation.tracking import tracks
from worldline.scene import Scene

CAMERAS = (
    "ate", "ate_percent", "rpe_translation", "rpe_rotation",
    "control_rotation", "control_translation", "control_cam_mc",
)  # fmt: skip
GATHERED = 400  # points of each frame, for complete geometry
COMPLETE = (
    "acc", "acc_median", "comp", "comp_median", "nc", "nc_median",
    "acc_visible", "comp_visible", "acc_hidden", "comp_hidden",
)  # fmt: skip
SOURCES, REACHES, MOVING = 6, (6, 12), 4000  # frames, frames and pixels, of motion
NAN = float("nan")


def score(scene: Scene, clip: Clip) -> Numbers:
    """Every number by its name; see the functions below for what each is.

    Raises InputError if the scene and the clip have different numbers of frames.
    """
    if len(scene) != len(clip):
        raise InputError(f"the scene has {len(scene)} frames and the clip {len(clip)}.")
    truth = on_scene(clip, scene)
    found: Numbers = {}
    for part in (cameras, lens, depth, masks, tracks, motion, complete, flow, views):
        found |= part(scene, truth)
    return found | consistency(scene)


def cameras(scene: Scene, truth: Clip) -> Numbers:
    """ATE and one-frame RPE after Sim(3), in the truth's units, percent of its path, and degrees.

    A path that has no extent fixes no scale: its position errors are NaN, its rotation's are not.
    ``registered`` is the share of the frames whose camera was solved from data. Camera control
    (CameraCtrl's errors per frame, rotations in degrees, each path in units of its own reach) says
    how well the cameras follow the true ones from the first on.
    """
    if truth.world_from_camera is None:
        return {}
    true, poses = truth.world_from_camera, poses_of(scene)
    numbers = {"registered": float(np.mean(scene.cameras.registered))}
    numbers |= dict.fromkeys(CAMERAS, NAN)
    if len(truth) < 2:
        return numbers
    numbers["rpe_rotation"] = rmse(relative_errors(poses, true)[1])
    control = camera_control_errors(poses, true)
    numbers["control_rotation"] = math.degrees(control.rot_err) / control.frames
    numbers["control_translation"] = control.trans_err / control.frames
    numbers["control_cam_mc"] = control.cam_mc / control.frames
    if len(truth) > 2 and extends(scene, truth):
        aligned = align(poses, true).poses(poses)
        numbers["ate"] = absolute_error(aligned, true)
        numbers["ate_percent"] = 100 * numbers["ate"] / path_length(true)
        numbers["rpe_translation"] = rmse(relative_errors(aligned, true)[0])
    return numbers


def lens(scene: Scene, truth: Clip) -> Numbers:
    """The mean of |f - f_true| / f_true over both axes and all frames, in percent."""
    if truth.intrinsics is None:
        return {}
    found, true = (
        np.diagonal(np.asarray(K), axis1=1, axis2=2)[:, :2]
        for K in (scene.cameras.intrinsics, truth.intrinsics)
    )
    return {"focal_error_percent": 100 * float(np.mean(np.abs(found - true) / true))}


def depth(scene: Scene, truth: Clip) -> Numbers:
    """AbsRel and δ < 1.25 after one scale for the clip, of all pixels and of those measured.

    The scale is the best one (least absolute deviations) for what was measured, or for all where
    nothing was. ``measured`` is the share of the pixels with true depth that has confidence > 0.
    """
    if truth.depth is None:
        return {}
    known = np.isfinite(truth.depth) & (truth.depth > 0)
    estimate, measured = np.asarray(scene.depth), np.asarray(scene.confidence) > 0
    parts = {"": known, "_measured": known & measured}
    if truth.dynamic is not None:
        judged = known if truth.judged is None else known & truth.judged
        parts |= {"_static": judged & ~truth.dynamic, "_moving": judged & truth.dynamic}
    usable = {name: mask & np.isfinite(estimate) for name, mask in parts.items()}
    numbers = {"measured": float(measured[known].mean()) if known.any() else NAN}
    numbers |= {f"depth_{what}{name}": NAN for name in parts for what in ("abs_rel", "delta")}
    basis = usable["_measured"] if usable["_measured"].any() else usable[""]
    if not basis.any():
        return numbers
    scale = best_scale(estimate[basis].astype(np.float64), truth.depth[basis].astype(np.float64))
    for name, mask in usable.items():
        if mask.any():
            errors = depth_errors(estimate, truth.depth, mask, alignment=scale)
            numbers |= {f"depth_abs_rel{name}": errors.abs_rel, f"depth_delta{name}": errors.delta}
    return numbers


def masks(scene: Scene, truth: Clip) -> Numbers:
    """How well dynamic > 0.5 covers what moves: J (mean over frames), IoU (all frames together).

    ``false_moving`` is the share of the static pixels that are called moving.
    """
    if truth.dynamic is None:
        return {}
    judged = np.ones_like(truth.dynamic) if truth.judged is None else truth.judged
    found, true = (np.asarray(scene.dynamic) > 0.5) & judged, truth.dynamic & judged
    still = judged & ~truth.dynamic
    return {
        "mask_j": mean_iou(found, true),
        "mask_iou": pooled_iou(found, true),
        "false_moving": float(found[still].mean()) if still.any() else NAN,
        "moving": float(true.sum() / judged.sum()) if judged.any() else NAN,
    }


def motion(scene: Scene, truth: Clip) -> Numbers:
    """EPE and APD of displacements on pixels that truly move, and the EPE of "nothing moves".

    From every 6th frame to those 6 and 12 before and after it, at no more than 4000 of its moving
    pixels. ``similarity`` carries the scene's over. A displacement that is not finite counts as
    none at all.
    """
    if truth.motion is None or truth.dynamic is None or truth.world_from_camera is None:
        return {}
    carried, first = similarity(scene, truth), truth.world_from_camera[0, :3, :3]
    generator = np.random.default_rng(0)
    errors, lengths = [np.zeros(0)], [np.zeros(0)]
    for i in range(0, len(truth), SOURCES):
        at = [j for reach in REACHES for j in (i - reach, i + reach) if 0 <= j < len(truth)]
        y, x = np.nonzero(truth.dynamic[i])
        if not len(x) or not at:
            continue
        some = generator.permutation(len(x))[:MOVING]
        pixels = np.column_stack([x[some], y[some]]) + 0.5
        answer = truth.motion.query(i, np.array(at, np.float64), on_truth(pixels, truth, scene))
        # a motion field answers in the axes of its first camera
        true = np.asarray(answer.displacement, np.float64) @ first.T
        found = carried.vectors(np.asarray(scene.displacement(i, at, pixels), np.float64))
        found = np.where(np.isfinite(found).all(axis=-1, keepdims=True), found, 0.0)
        known = np.isfinite(true).all(axis=-1)
        errors.append(end_point_errors(found, true, known))
        lengths.append(np.linalg.norm(true[known], axis=-1))
    pooled, zero = np.concatenate(errors), np.concatenate(lengths)
    if not len(pooled):
        return dict.fromkeys(("motion_epe", "motion_apd", "motion_epe_of_zero"), NAN)
    return {
        "motion_epe": float(pooled.mean()),
        "motion_apd": within(pooled, THRESHOLDS),
        "motion_epe_of_zero": float(zero.mean()),
    }


def complete(
    scene: Scene, truth: Clip, icp_threshold: float | None = None, together: bool = False
) -> Numbers:
    """Acc, Comp and NC of all frames' points gathered at the first, the middle and the last frame.

    Complet4R's protocol on points drawn from every frame, as seen then and as hidden then.
    """
    if truth.motion is None or truth.depth is None or truth.world_from_camera is None:
        return {}
    if truth.intrinsics is None:
        return {}
    frames, targets = len(truth), np.unique([0, len(truth) // 2, len(truth) - 1])
    drawn = np.random.default_rng(0).random((frames, GATHERED, 2)) * scene.size
    pixels = np.floor(drawn) + 0.5
    at = targets.astype(np.float64)
    estimate, true, seen = [], [], []
    first = np.linalg.inv(truth.world_from_camera[0])
    for i in range(frames):
        answer = truth.motion.query(i, at, on_truth(pixels[i], truth, scene))
        x, y = np.floor(pixels[i]).astype(int).T
        rays = np.linalg.inv(truth.intrinsics[i]) @ np.stack([*pixels[i].T, np.ones(GATHERED)])
        points = (truth.depth[i, y, x] * rays).T
        base = moved(first @ truth.world_from_camera[i], points)
        true.append(base + answer.displacement)
        estimate.append(np.asarray(scene.pointmap(i, targets.tolist(), pixels[i]), np.float64))
        known = np.ones(answer.displacement.shape[:2], bool)
        seen.append(known if answer.visible is None else answer.visible)
    clouds = [np.concatenate(parts, axis=1) for parts in (estimate, true)]
    in_view = np.concatenate(seen, axis=1)
    try:
        found = complete_4d_errors(clouds[0], clouds[1], in_view, together, icp_threshold)
    except InputError:  # no point of one time is known, or none is estimated
        return {f"complete_{name}": NAN for name in COMPLETE}
    whole, seen_then, hidden = found.all, found.visible, found.occluded
    values = (
        whole.accuracy,
        whole.accuracy_median,
        whole.completion,
        whole.completion_median,
        whole.normal_consistency,
        0.5 * (whole.normals_accuracy_median + whole.normals_completion_median),
        seen_then.accuracy,
        seen_then.completion,
        hidden.accuracy,
        hidden.completion,
    )
    return {f"complete_{name}": value for name, value in zip(COMPLETE, values, strict=True)}


@dataclass(frozen=True)
class Grid:
    """Where a scene's pixels are in a clip's pictures: maps as ``cv2.remap`` takes them."""

    x: Float[np.ndarray, "H W"]
    y: Float[np.ndarray, "H W"]

    def picture(
        self, given: Shaped[np.ndarray, "h w"], outside: float
    ) -> Shaped[np.ndarray, "H W"]:
        """The nearest values."""
        border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": outside}
        return cv2.remap(given, self.x, self.y, cv2.INTER_NEAREST, **border)

    def mask(self, given: Bool[np.ndarray, "N h w"]) -> Bool[np.ndarray, "N H W"]:
        """The nearest values; False outside."""
        return np.stack([self.picture(part.astype(np.uint8), 0.0) > 0 for part in given])

    def depth(self, given: Float[np.ndarray, "N h w"]) -> Float[np.ndarray, "N H W"]:
        """The nearest values; NaN outside."""
        return np.stack([self.picture(part.astype(np.float32), np.nan) for part in given])


def grid_of(clip: Clip, scene: Scene) -> Grid | None:
    """How to bring a clip's truth onto a scene's pixels; None: they are the same."""
    (width, height), (true_width, true_height) = scene.size, clip.frames.shape[2:0:-1]
    if (width, height) == (true_width, true_height):
        return None
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = x * (true_width / width) - 0.5, y * (true_height / height) - 0.5
    return Grid(x.astype(np.float32), y.astype(np.float32))


def on_truth(
    pixels: Float[np.ndarray, "M 2"], truth: Clip, scene: Scene
) -> Float[np.ndarray, "M 2"]:
    """A scene's pixels where a clip's motion field, which is of its own size, has them."""
    assert truth.motion_size is not None
    return pixels * np.divide(truth.motion_size, scene.size)


def on_scene(clip: Clip, scene: Scene) -> Clip:
    """A clip's truth at a scene's pixels, with the scene's frames; of motion, see ``on_truth``.

    Flow and views keep the size they have.
    """
    grid = grid_of(clip, scene)
    if grid is None:
        return clip
    ratio = np.divide(scene.size, clip.frames.shape[2:0:-1])
    scale = np.array([[ratio[0]], [ratio[1]], [1.0]])
    return replace(
        clip,
        frames=np.asarray(scene.frames),
        depth=None if clip.depth is None else grid.depth(clip.depth),
        dynamic=None if clip.dynamic is None else grid.mask(clip.dynamic),
        judged=None if clip.judged is None else grid.mask(clip.judged),
        intrinsics=None if clip.intrinsics is None else clip.intrinsics * scale,
        tracks=None if clip.tracks is None else _scaled(clip.tracks, ratio),
        instance=None,
    )


def _scaled(tracks: PointTracks, ratio: Float[np.ndarray, "2"]) -> PointTracks:
    return tracks if tracks.uv is None else replace(tracks, uv=tracks.uv * ratio)
