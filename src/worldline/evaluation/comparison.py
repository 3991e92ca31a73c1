"""How far two scenes of the same clip are from each other; neither of them is the truth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.masks import pooled_iou
from worldline.evaluation.metrics.trajectory import (
    Other,
    Trajectory,
    path_length,
    rmse,
    trajectory_errors,
)
from worldline.scene import Scene

_MOST_PIXELS = 4_000_000  # compared, of all frames: bounds the memory of long clips
_NO_PATH = 1e-6  # scene units: a shorter path fixes no scale
_SHAPE = 0.02  # by which width / height may differ: sizes are rounded to whole pixels


@dataclass(frozen=True)
class Side:
    """One of the two scenes in numbers; shares are of all pixels, pixels the input's."""

    frames: int
    size: tuple[int, int]  # working size
    camera: str
    focal: float  # median over the frames
    path_length: float  # scene units
    registered: int
    measured: float
    moving: float
    seconds: float  # of all stages; NaN if the provenance does not tell
    fingerprint: str | None  # of the input


@dataclass(frozen=True)
class Comparison:
    """Scene B against scene A; NaN where there is nothing to compare.

    ate_percent: RMSE of the camera positions after Sim(3), percent of A's path. NaN if one of the
        cameras does not travel.
    rotation: RMSE of the cameras' rotations, each relative to its scene's first, degrees.
    focal_percent: mean over the frames of the difference of the focal lengths, percent of A's.
    depth_abs_rel: mean of |scale B - A| / A where both measured the depth.
    depth_scale: what B's depth was multiplied by.
    both_measured: share of the pixels where that is.
    mask_iou: intersection over union of what moves, all frames together; 1 if nothing does.
    same_input: whether both were made of the same input; None if their provenance does not tell.
    """

    a: Side
    b: Side
    ate_percent: float
    rotation: float
    focal_percent: float
    depth_abs_rel: float
    depth_scale: float
    both_measured: float
    mask_iou: float
    same_input: bool | None


def compare_scenes(a: Scene, b: Scene) -> Comparison:
    """Compare two scenes of the same frames; working sizes may differ.

    Depth and masks are compared at A's pixels, B's being the nearest; on long clips, at every
    second or third of them, both ways. Raises InputError if the scenes cannot show the same frames.
    """
    _check(a, b)
    poses = [np.array(scene.cameras.world_from_camera) for scene in (a, b)]
    abs_rel, scale, both = _depth_difference(a, b)
    sides = _side(a), _side(b)
    prints = [side.fingerprint for side in sides]
    return Comparison(
        a=sides[0],
        b=sides[1],
        ate_percent=path_difference(poses[0], poses[1]),
        rotation=rotation_difference(poses[0], poses[1]),
        focal_percent=_focal_difference(a, b),
        depth_abs_rel=abs_rel,
        depth_scale=scale,
        both_measured=both,
        mask_iou=pooled_iou(*(moving > 0.5 for moving in _sampled(a, b, "dynamic"))),
        same_input=None if None in prints else prints[0] == prints[1],
    )


def path_difference(a: Trajectory, b: Other) -> float:
    """RMSE of B's camera positions after Sim(3) to A's, in percent of the length of A's path.

    NaN if one of the cameras does not travel or there are fewer than three frames, which can
    always be aligned.
    """
    if len(a) < 3 or min(path_length(a), path_length(b)) <= _NO_PATH:
        return float("nan")
    return trajectory_errors(b, a).ate_percent


def rotation_difference(a: Trajectory, b: Other) -> float:
    """RMSE of the angles between the cameras' rotations since the first frame, in degrees."""
    turned = [poses[:1, :3, :3].mT @ poses[:, :3, :3] for poses in (a, b)]
    left = Rotation.from_matrix(turned[0].mT @ turned[1])
    return rmse(np.degrees(left.magnitude()))


def _check(a: Scene, b: Scene) -> None:
    if len(a) != len(b):
        raise InputError(
            f"A has {len(a)} frames and B has {len(b)}: compare scenes of the same frames (the "
            "same --start, --end, --stride and --max-frames)"
        )
    (wide, high), (width, height) = a.size, b.size
    if abs(wide * height / (high * width) - 1) > _SHAPE:
        raise InputError(
            f"A is {wide}x{high} and B is {width}x{height}, which are not of one shape: compare "
            "scenes of the same clip"
        )


def _side(scene: Scene) -> Side:
    stages = scene.provenance.get("stages")
    shares = [
        ((scene.confidence[i] > 0).mean(), (scene.dynamic[i] > 0.5).mean())
        for i in range(len(scene))
    ]
    measured, moving = np.mean(shares, axis=0).tolist()
    return Side(
        frames=len(scene),
        size=scene.size,
        camera=scene.cameras.motion,
        focal=float(np.median(scene.original_intrinsics[:, 0, 0])),
        path_length=path_length(scene.cameras.world_from_camera),
        registered=int(scene.cameras.registered.sum()),
        measured=measured,
        moving=moving,
        seconds=float(sum(s["seconds"] for s in stages)) if stages else float("nan"),
        fingerprint=scene.provenance.get("fingerprint"),
    )


def _focal_difference(a: Scene, b: Scene) -> float:
    """In shares of the pictures' widths, so that sizes may differ."""
    focal = [scene.cameras.intrinsics[:, 0, 0] / scene.size[0] for scene in (a, b)]
    return 100 * float(np.mean(np.abs(focal[1] - focal[0]) / focal[0]))


def _depth_difference(a: Scene, b: Scene) -> tuple[float, float, float]:
    """AbsRel, the scale that makes it least, and the share of the pixels both measured."""
    confidence = _sampled(a, b, "confidence")
    both = (confidence[0] > 0) & (confidence[1] > 0)
    if not both.any():
        return float("nan"), float("nan"), 0.0
    depth = _sampled(a, b, "depth")
    errors = depth_errors(depth[1], depth[0], both, alignment="scale")
    return errors.abs_rel, errors.scale, float(both.mean())


def _sampled(a: Scene, b: Scene, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Both scenes' arrays of that name [N,h,w], at a grid of A's pixels and B's nearest to them."""
    rows, columns = (_grid(a, axis) for axis in (1, 0))
    nearest = [
        ((at + 0.5) * b.size[axis] / a.size[axis]).astype(np.int64)
        for at, axis in ((rows, 1), (columns, 0))
    ]
    return (
        np.stack([frame[rows[:, None], columns] for frame in getattr(a, name)]),
        np.stack([frame[nearest[0][:, None], nearest[1]] for frame in getattr(b, name)]),
    )


def _grid(scene: Scene, axis: int) -> Int64[np.ndarray, " P"]:
    width, height = scene.size
    step = int(np.ceil(np.sqrt(len(scene) * width * height / _MOST_PIXELS)))
    return np.arange(step // 2, scene.size[axis], step)
