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
    x, y = source.unbind(dim=-1)
    u, v = target.unbind(dim=-1)
    # Written out by component: this runs on every pixel of every pair of frames.
    f = fundamental[..., None].unbind(dim=-3)
    (a, b, c), (d, e, g), (h, i, j) = (row.unbind(dim=-2) for row in f)
    line_u, line_v = a * x + b * y + c, d * x + e * y + g
    line_x, line_y = a * u + d * v + h, b * u + e * v + i
    algebraic = u * line_u + v * line_v + h * x + i * y + j
    gradient = line_u**2 + line_v**2 + line_x**2 + line_y**2
    return algebraic**2 / gradient.clamp_min(torch.finfo(gradient.dtype).tiny)


def transfer_error(
    source: Float[Tensor, "*b M 2"],
    target: Float[Tensor, "*b M 2"],
    homography: Float[Tensor, "*b 3 3"],
) -> Float[Tensor, "*b M"]:
    """Squared distance in px^2 between `target` and `source` moved by a homography.

    It has two degrees of freedom where the Sampson error has one.
    """
    x, y = source.unbind(dim=-1)
    u, v = target.unbind(dim=-1)
    f = homography[..., None].unbind(dim=-3)
    (a, b, c), (d, e, g), (h, i, j) = (row.unbind(dim=-2) for row in f)
    z = h * x + i * y + j
    over_z = 1.0 / torch.where(z.abs() > 1e-9, z, torch.full_like(z, 1e-9))
    return ((a * x + b * y + c) * over_z - u) ** 2 + ((d * x + e * y + g) * over_z - v) ** 2


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
