"""Rotary positions in two dimensions (RoPE 2D, as in CroCo v2).

The first half of a head's channels turns with a token's row, the second with its column; within a
half, channel d turns together with channel d + D/4 by position / base^(4d/D) radians. Attention
then depends on differences of positions alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

BASE = 100.0


@dataclass(frozen=True)
class Rotation:
    """The rotations of T tokens, made once and used by every block.

    cos, sin: the sine is negative where the channel is the first of its pair.
    group: rotate the first T of every `group` consecutive tokens; None: every T consecutive ones
        (one frame, or all frames in one sequence).
    """

    cos: Float[Tensor, "T D"]
    sin: Float[Tensor, "T D"]
    group: int | None = None

    def __call__(self, x: Float[Tensor, "B heads N D"]) -> Float[Tensor, "B heads N D"]:
        """The tokens, rotated. With a group, `x` itself is changed."""
        if self.group is None:
            return self._rotated(x.unflatten(2, (-1, len(self.cos)))).flatten(2, 3)
        lead = x.unflatten(2, (-1, self.group))[..., : len(self.cos), :]
        lead.copy_(self._rotated(lead))
        return x

    def _rotated(self, x: Float[Tensor, "... T D"]) -> Float[Tensor, "... T D"]:
        partner = x.unflatten(-1, (2, 2, -1)).flip(-2).flatten(-3)
        return torch.addcmul(x * self.cos.to(x.dtype), partner, self.sin.to(x.dtype))


def rotation(positions: Int[Tensor, "T 2"], dim: int, group: int | None = None) -> Rotation:
    """The rotations of tokens at (row, column), for heads of `dim` channels."""
    exponents = torch.arange(0, dim // 2, 2, device=positions.device).float() / (dim // 2)
    angles = positions[:, :, None].float() * BASE**-exponents  # [T, row or column, D/4]
    cos, sin = angles.cos(), angles.sin()
    return Rotation(
        torch.stack([cos, cos], dim=2).flatten(1), torch.stack([-sin, sin], dim=2).flatten(1), group
    )


def patch_positions(
    rows: int, columns: int, device: torch.device | str | None = None
) -> Int[Tensor, "P 2"]:
    """(row, column) of every patch, from 0, in reading order."""
    return torch.cartesian_prod(
        torch.arange(rows, device=device), torch.arange(columns, device=device)
    )


def positions_with_specials(
    specials: int, rows: int, columns: int, device: torch.device | str | None = None
) -> Int[Tensor, "T 2"]:
    """Special tokens at (0,0), then the patches, which are counted from 1."""
    patches = patch_positions(rows, columns, device) + 1
    return torch.cat([patches.new_zeros(specials, 2), patches])
