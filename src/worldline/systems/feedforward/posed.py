"""A network's cameras as a Scene's: the world is the first of them, pixels begin at half."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldline.scene import Cameras


def posed(
    world_from_camera: Float[Tensor, "N _ 4"],
    intrinsics: Float[Tensor, "N 3 3"],
    distortion: tuple[float, ...] | None = None,
    *,
    half: float = 0.5,
) -> tuple[Cameras, Float[np.ndarray, "3 3"]]:
    """Cameras in the first one's world, and the rotation that brings vectors there.

    half: what the network's pixel coordinates lack to the house's, in which the centre of the
        top-left pixel is (0.5, 0.5): 0.5 for networks that count pixels from 0.
    """
    count = len(world_from_camera)
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, :3] = world_from_camera[:, :3].double().cpu()
    u, _, vh = torch.linalg.svd(poses[:, :3, :3])  # networks' rotations are only nearly so
    poses[:, :3, :3] = u @ vh
    poses = torch.linalg.inv(poses[0]) @ poses
    poses[0] = torch.eye(4, dtype=torch.float64)
    K = intrinsics.double().cpu().numpy().copy()
    K[:, :2, 2] += half
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
    return cameras, first.mT.numpy().astype(np.float32)
