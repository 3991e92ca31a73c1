"""How a scene lies in the world of a clip's truth."""

import numpy as np
from jaxtyping import Float

from worldline.datasets.clip import Clip
from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.trajectory import Similarity, path_length
from worldline.scene import Scene

STILL = 1e-6  # a path shorter than this share of the depth fixes no scale


def moved(
    pose: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 3"]:
    """Points carried along by a rigid motion."""
    return points @ pose[:3, :3].T + pose[:3, 3]


def similarity(scene: Scene, truth: Clip) -> Similarity:
    """What carries the scene's motion over to the truth.

    The rotation is the mean (chordal, Hartley et al. 2013) of those between the cameras: positions
    on a line would leave one open. The scale is that of the paths, or of the depths where one
    stands.
    """
    assert truth.world_from_camera is not None
    poses, true = poses_of(scene), truth.world_from_camera
    U, _, Vt = np.linalg.svd((true[:, :3, :3] @ poses[:, :3, :3].mT).sum(axis=0))
    rotation = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    ours, theirs = (path[:, :3, 3] - path[:, :3, 3].mean(axis=0) for path in (poses, true))
    scale = 1.0
    if extends(scene, truth):
        scale = float((theirs * (ours @ rotation.T)).sum() / (ours**2).sum())
    elif truth.depth is not None:
        scale = depth_errors(np.asarray(scene.depth), truth.depth, alignment="median").scale
    middle = true[:, :3, 3].mean(axis=0) - scale * rotation @ poses[:, :3, 3].mean(axis=0)
    return Similarity(scale, rotation, middle)


def poses_of(scene: Scene) -> Float[np.ndarray, "N 4 4"]:
    """A scene's ``world_from_camera`` in double precision."""
    return np.asarray(scene.cameras.world_from_camera, np.float64)


def extends(scene: Scene, truth: Clip) -> bool:
    """Whether both camera paths are long enough to align one to the other."""
    assert truth.world_from_camera is not None
    paths = (truth.world_from_camera, truth.depth), (poses_of(scene), np.asarray(scene.depth))
    return all(path_length(path) > STILL * _size(depth) for path, depth in paths)


def _size(depth: Float[np.ndarray, "N H W"] | None) -> float:
    """The median depth; 1 where none is known."""
    known = None if depth is None else depth[np.isfinite(depth)]
    return float(np.median(known)) if known is not None and known.size else 1.0
