"""A network's cameras as a Scene's: the world is the first of them, pixels begin at half."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldline.scene import Cameras

FIELDS = (5.0, 150.0)  # degrees


def posed(
    world_from_camera: Float[Tensor, "N _ 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    size: tuple[int, int],
    distortion: tuple[float, ...] | None = None,
) -> tuple[Cameras, Float[np.ndarray, "3 3"], list[str]]:
    """Cameras in the first one's world, the rotation that brings vectors there, and warnings.

    intrinsics: in pixels of frames of `size` (height, width) that count from 0, as networks do; in
        the house's pixels the centre of the top-left one is (0.5, 0.5).
    Fields of view beyond 5 to 150 degrees, which no lens has, become the nearest of these.
    """
    count = len(world_from_camera)
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, :3] = world_from_camera[:, :3].double().cpu()
    u, _, vh = torch.linalg.svd(poses[:, :3, :3])  # networks' rotations are only nearly so
    poses[:, :3, :3] = u @ vh
    poses = torch.linalg.inv(poses[0]) @ poses
    poses[0] = torch.eye(4, dtype=torch.float64)
    K = intrinsics.double().cpu().numpy().copy()
    K[:, :2, 2] += 0.5
    warnings = _lenses_made_possible(K, size)
    focal = K[:, [0, 1], [0, 1]].mean(axis=1)
    sigma = np.full(count, focal.std() if count > 1 else np.nan)  # how far the frames disagree
    cameras = Cameras(
        world_from_camera=poses.numpy(),
        intrinsics=K,
        registered=np.ones(count, bool),
        focal_sigma=sigma,
        motion="free" if count > 1 else "unknown",
        distortion=distortion,
    )
    first = (u @ vh)[0]
    return cameras, first.mT.numpy().astype(np.float32), warnings


def _lenses_made_possible(K: Float[np.ndarray, "N 3 3"], size: tuple[int, int]) -> list[str]:
    """Bring focal lengths, in place, to what lenses have; say so where any was not."""
    height, width = size
    focal, half = K[:, [0, 1], [0, 1]], np.array([width, height]) / 2
    with np.errstate(divide="ignore"):
        field = 2 * np.arctan2(half, np.where(np.isfinite(focal), focal, 0.0))  # in (0, 2 pi)
    possible = np.clip(field, *np.radians(FIELDS))
    K[:, [0, 1], [0, 1]] = np.where(field == possible, focal, half / np.tan(possible / 2))
    wrong = int((field != possible).any(axis=1).sum())
    if wrong == 0:
        return []
    return [f"the network gave {wrong} of {len(K)} frames a field of view that no lens has"]
