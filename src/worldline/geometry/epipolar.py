"""Two-view geometry: how far a correspondence is from what a moving camera alone explains."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.geometry.projection import invert


def sampson_error(
    source: Float[Tensor, "*b M 2"],
    target: Float[Tensor, "*b M 2"],
    fundamental: Float[Tensor, "*b 3 3"],
) -> Float[Tensor, "*b M"]:
    """First-order squared distance of correspondences to the epipolar constraint, in px^2.

    `target^T F source = 0` holds for points at rest. Source: Hartley and Zisserman, eq. 11.9.
    """
    one = torch.ones_like(source[..., :1])
    x, y = torch.cat([source, one], dim=-1), torch.cat([target, one], dim=-1)
    line_in_target = x @ fundamental.mT
    line_in_source = y @ fundamental
    algebraic = (y * line_in_target).sum(dim=-1)
    gradient = (line_in_target[..., :2] ** 2).sum(dim=-1) + (line_in_source[..., :2] ** 2).sum(
        dim=-1
    )
    return algebraic**2 / gradient.clamp_min(torch.finfo(gradient.dtype).tiny)


def transfer_error(
    source: Float[Tensor, "*b M 2"],
    target: Float[Tensor, "*b M 2"],
    homography: Float[Tensor, "*b 3 3"],
) -> Float[Tensor, "*b M"]:
    """Squared distance in px^2 between `target` and `source` moved by a homography.

    It has two degrees of freedom where the Sampson error has one.
    """
    moved = torch.cat([source, torch.ones_like(source[..., :1])], dim=-1) @ homography.mT
    z = moved[..., 2:]
    safe = torch.where(z.abs() > 1e-9, z, torch.full_like(z, 1e-9))
    return ((moved[..., :2] / safe - target) ** 2).sum(dim=-1)


def fundamental_from_cameras(
    source_intrinsics: Float[Tensor, "*b 3 3"],
    target_intrinsics: Float[Tensor, "*b 3 3"],
    source_world_from_camera: Float[Tensor, "*b 4 4"],
    target_world_from_camera: Float[Tensor, "*b 4 4"],
) -> Float[Tensor, "*b 3 3"]:
    """Fundamental matrix of two known cameras; zero where their centres coincide."""
    relative = invert(target_world_from_camera) @ source_world_from_camera
    essential = cross_matrix(relative[..., :3, 3]) @ relative[..., :3, :3]
    return torch.linalg.inv(target_intrinsics).mT @ essential @ torch.linalg.inv(source_intrinsics)


def cross_matrix(v: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """The matrix whose product with w is the cross product v x w."""
    x, y, z = v.unbind(dim=-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).reshape(*v.shape[:-1], 3, 3)
