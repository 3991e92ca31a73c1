"""Affine maps over time, from which motions are put together (all [N, 4, 4], z up, metres)."""

import torch
from jaxtyping import Float
from torch import Tensor

Maps = Float[Tensor, "N 4 4"]


def shift(offset: Float[Tensor, "N 3"]) -> Maps:
    """Translations."""
    maps = torch.eye(4).to(offset).repeat(len(offset), 1, 1)
    maps[:, :3, 3] = offset
    return maps


def turn(angle: Float[Tensor, " N"], axis: int) -> Maps:
    """Rotations by ``angle`` radians about coordinate axis 0, 1 or 2 (right-handed)."""
    maps = torch.eye(4).to(angle).repeat(len(angle), 1, 1)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    cos, sin = angle.cos(), angle.sin()
    maps[:, i, i], maps[:, i, j] = cos, -sin
    maps[:, j, i], maps[:, j, j] = sin, cos
    return maps


def stretch(factor: Float[Tensor, " N"]) -> Maps:
    """Squash and stretch along z that keeps the volume, about the origin: not rigid."""
    side = factor.rsqrt()
    return torch.diag_embed(torch.stack([side, side, factor, torch.ones_like(factor)], dim=1))


def lean(slope: Float[Tensor, "N 2"]) -> Maps:
    """Shears that push x and y by ``slope`` per metre of height: what is at z = 0 stays."""
    maps = torch.eye(4).to(slope).repeat(len(slope), 1, 1)
    maps[:, :2, 2] = slope
    return maps


def chain(*maps: Maps) -> Maps:
    """The maps one after the other, the last one first."""
    result = maps[0]
    for following in maps[1:]:
        result = result @ following
    return result
