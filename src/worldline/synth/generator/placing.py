"""Where things stand and go: every next one where it is least in the others' way."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.synth.generator.draw import Draws
from worldline.synth.generator.stage import Stage

TRIES = 6
MOMENTS = 3  # of a way, at which it is held against the others'
FREE = 0.15  # of its radius: the first try with so much room is as good as any
CROWDED = -0.6  # of its radius: what overlaps others by more is left out


class Spots(NamedTuple):
    """The straight ways of O objects, from (at the clip's start) and to (at its end), and room.

    ``clear`` is how far each disc is from those placed before it, in its own radii (< 0: overlaps).
    """

    start: Float[Tensor, "B O 2"]
    end: Float[Tensor, "B O 2"]
    clear: Float[Tensor, "B O"]


def place(
    draw: Draws,
    stage: Stage,
    active: Bool[Tensor, "B O"],
    radius: Float[Tensor, "B O"],
    way: Float[Tensor, "B O"],
    depth: Float[Tensor, "B F"],
) -> Spots:
    """Ways of at most ``way`` metres for discs of ``radius``; F stand at walls, ``depth`` off.

    What is placed first has the better choice.
    """
    B, count = active.shape
    starts, ends = _tries(draw, stage, radius, way, depth)
    u = torch.linspace(0, 1, MOMENTS, dtype=torch.float64)[:, None]
    paths = starts[..., None, :] + u * (ends - starts)[..., None, :]  # [B, O, TRIES, MOMENTS, 2]
    paths, size = paths.float(), radius.float()
    reach = torch.full_like(size, -torch.inf)
    chosen = paths.new_zeros(B, 1, MOMENTS, count, 2)
    best, clear = torch.zeros(B, count, dtype=torch.long), torch.full_like(size, FREE)
    row = torch.arange(B)
    for o in range(count):
        room = torch.full((B, TRIES), FREE)
        if o:
            gap = (paths[:, o, :, :, None] - chosen[..., :o, :]).square().sum(dim=-1).sqrt()
            nearest = (gap - reach[:, None, None, :o]).flatten(2).amin(dim=2)
            room = (nearest / size[:, o, None] - 1).clamp_max(FREE)
        clear[:, o], best[:, o] = room.max(dim=1)
        chosen[:, 0, :, o] = paths[row, o, best[:, o]]
        alone = active[:, o] & (clear[:, o] > CROWDED)
        reach[:, o] = torch.where(alone, size[:, o], -torch.inf)
    index = best[..., None, None].expand(-1, -1, 1, 2)
    return Spots(starts.gather(2, index)[:, :, 0], ends.gather(2, index)[:, :, 0], clear)


def _tries(
    draw: Draws, stage: Stage, radius: Tensor, way: Tensor, depth: Tensor
) -> tuple[Float[Tensor, "B O R 2"], Float[Tensor, "B O R 2"]]:
    """Starts and ends that are in the arena, whole discs and all."""
    count = radius.shape[1]
    inner = (stage.arena[:, None] - radius[..., None]).clamp_min(0)[:, :, None]
    start = inner * draw.uniform(count, TRIES, 2, low=-1.0)
    towards = inner * draw.uniform(count, TRIES, 2, low=-1.0) - start
    length = torch.hypot(towards[..., 0], towards[..., 1]).clamp_min(1e-6)
    end = start + towards * (way[..., None] / length).clamp_max(1)[..., None]
    F = depth.shape[1]
    wall = stage.hall[:, None]
    along = (wall - radius[:, :F, None]).clamp_min(0)[:, :, None]
    aside = along * draw.uniform(F, TRIES, 2, low=-1.0)
    off = (wall - depth[..., None]).clamp_min(0)[:, :, None]
    axis = draw.choice((1.0, 1.0), F, TRIES)[..., None]
    at_wall = (torch.arange(2) == axis) & stage.indoor[:, None, None, None]
    start[:, :F] = torch.where(at_wall, off * aside.sign(), aside)
    end[:, :F] = start[:, :F]
    return start, end
