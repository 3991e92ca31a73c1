"""Points from many views with known cameras: batched, one small linear system a point."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.geometry.projection import rays


def triangulate(
    uv: Float[Tensor, "M N 2"],
    visible: Bool[Tensor, "M N"],
    intrinsics: Float[Tensor, "N 3 3"],
    camera_from_world: Float[Tensor, "N 4 4"],
    rounds: int = 2,
) -> Float[Tensor, "M 3"]:
    """World points that M tracks see, by the direct linear transform over all their views.

    Two rounds of reweighting by inverse depth turn the algebraic error into the reprojection
    error (Hartley and Sturm, 1997). NaN for tracks with fewer than two views, and for points
    that come out behind a camera that sees them.
    """
    ray = rays(uv.transpose(0, 1), intrinsics).transpose(0, 1)  # [M,N,3]
    focal = intrinsics[:, 0, 0]
    top = camera_from_world[:, :3]  # [N,3,4]
    # (x P_3 - P_1) X = 0 and (y P_3 - P_2) X = 0 for each view, in pixels.
    equations = ray[..., :2, None] * top[None, :, 2:3] - top[None, :, :2]  # [M,N,2,4]
    seen = (visible * focal).to(uv.dtype)
    weight = seen
    point = torch.zeros(len(uv), 3, dtype=uv.dtype, device=uv.device)
    z = torch.ones_like(weight)
    for _ in range(rounds + 1):
        rows = equations * weight[..., None, None]
        normal = torch.einsum("mnki,mnkj->mij", rows, rows)
        _, vectors = torch.linalg.eigh(normal)
        homogeneous = vectors[..., 0]
        w = homogeneous[:, 3:]
        point = homogeneous[:, :3] / torch.where(w.abs() > 1e-12, w, torch.full_like(w, 1e-12))
        z = torch.einsum("nj,mj->mn", top[:, 2, :3], point) + top[:, 2, 3]
        weight = seen / z.abs().clamp_min(1e-6)
    bad = (visible.sum(dim=1) < 2) | ((z <= 0) & visible).any(dim=1)
    return torch.where(bad[:, None], torch.nan, point)


def parallax(
    points: Float[Tensor, "M 3"],
    visible: Bool[Tensor, "M N"],
    centres: Float[Tensor, "N 3"],
) -> Float[Tensor, " M"]:
    """Largest angle in radians between a point's viewing ray at its first view and any other."""
    direction = torch.nn.functional.normalize(points[:, None] - centres, dim=-1)  # [M,N,3]
    first = visible.int().argmax(dim=1)
    home = direction[torch.arange(len(points), device=points.device), first]
    # The chord is exact for small angles, where the arc cosine loses half its digits.
    chord = (direction - home[:, None]).norm(dim=-1).masked_fill(~visible, 0.0)
    return 2.0 * torch.asin((chord / 2.0).clamp(max=1.0)).amax(dim=1)
