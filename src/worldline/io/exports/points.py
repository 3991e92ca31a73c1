"""Points of single frames at their own time, and the sure ones of what stays."""

from dataclasses import fields

import numpy as np
from jaxtyping import Bool, Int

from worldline.errors import InputError
from worldline.io.exports.pictures import known_depth, moving
from worldline.io.exports.registry import Choices
from worldline.scene import PointCloud, Scene
from worldline.scene.cloud import even_quotas

MOST_STATIC = 100_000  # several times what structure from motion finds, and enough to start from


def frame_points(
    scene: Scene, i: int, keep: Bool[np.ndarray, "H W"], most: int | None = None
) -> PointCloud:
    """World points of frame i's pixels in `keep`, where they are at its own time.

    most: at most so many, the same ones each time.
    """
    chosen = np.flatnonzero(keep)
    if most is not None and most < len(chosen):
        chosen = np.sort(np.random.default_rng([0, i]).choice(chosen, most, replace=False))
    row, column = np.divmod(chosen, scene.size[0])
    return PointCloud(
        xyz=scene.pointmap(i, pixels=np.stack([column, row], axis=-1) + 0.5),
        rgb=scene.frames[i, row, column],
        confidence=scene.confidence[i, row, column],
        source_frame=np.full(len(chosen), i, np.int32),
        dynamic=scene.dynamic[i, row, column],
    )


def registered_frames(scene: Scene) -> Int[np.ndarray, " F"]:
    """Frames whose camera was solved from data. InputError where there is none."""
    frames = np.flatnonzero(scene.cameras.registered)
    if len(frames) == 0:
        raise InputError("no frame's camera was solved from data, so there are none to write")
    return frames


def static_cloud(
    scene: Scene, frames: Int[np.ndarray, " F"], choices: Choices, most: int = MOST_STATIC
) -> PointCloud:
    """Points of these frames that stay in the world and were measured.

    At most `most` and `choices.max_points`, as evenly over the frames as they allow. Without
    `choices.min_confidence`, the surer half of what each frame measured.
    """
    most = most if choices.max_points is None else min(choices.max_points, most)
    available = [int(_sure(scene, i, choices).sum()) for i in frames.tolist()]
    quotas = even_quotas(np.array(available), most)
    clouds = [
        frame_points(scene, i, _sure(scene, i, choices), quota)
        for i, quota in zip(frames.tolist(), quotas.tolist(), strict=True)
    ]
    parts = [part.name for part in fields(PointCloud)]
    return PointCloud(**{k: np.concatenate([getattr(one, k) for one in clouds]) for k in parts})


def _sure(scene: Scene, i: int, choices: Choices) -> Bool[np.ndarray, "H W"]:
    confidence = scene.confidence[i]
    # A confidence of 0 says that the depth was filled in from around it.
    measured = known_depth(scene, i) & ~moving(scene, i) & (confidence > 0)
    least = choices.min_confidence
    if least is None:
        least = float(np.median(confidence[measured])) if measured.any() else 0.0
    return measured & (confidence >= least)
