"""The spot of every object on the ground, and the frame that its motion is told in."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.synth.generator import motions, parts
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import Layout
from worldline.synth.generator.motions import Doing
from worldline.synth.generator.placing import CROWDED, place
from worldline.synth.generator.solids import Solids
from worldline.synth.generator.stage import Stage
from worldline.synth.generator.who import Cast


class Ground(NamedTuple):
    """The frames that O objects' motions are told in (x ahead, z = 0 the ground), and their ways.

    ``clear`` are those that have a place of their own.
    """

    frame: Float[Tensor, "B O 4 4"]
    way: Float[Tensor, "B O"]
    clear: Bool[Tensor, "B O"]


def ground(
    draw: Draws, layout: Layout, stage: Stage, who: Cast, own: Solids, duration: float
) -> Ground:
    """Everyone's spot and way; a struck ball shares the frame of the one that strikes it."""
    F, first = layout.furniture, layout.furniture + layout.figures
    standing = torch.zeros_like(who.piece, dtype=torch.bool)
    goes = [standing, parts.TRAVELS[who.figure], motions.travels(who.doing)]
    way = torch.where(torch.cat(goes, dim=1) & who.moving, who.pace * duration, 0.0)
    struck = who.doing == int(Doing.STRUCK)
    placed = who.active.clone()
    placed[:, first:] &= ~struck
    desk = stage.table[:, None] & (torch.arange(F) == 0)  # all else stands on it
    placed[:, :F] &= ~desk
    depth = who.size[:, :F] * parts.DEPTH[who.piece]
    radius = _radii(layout, stage, who, own, duration)
    spots = place(draw, stage, placed, radius, way, depth)
    start, end, clear = spots.start, spots.end, spots.clear > CROWDED
    start[:, :F] = torch.where(desk[..., None], 0.0, start[:, :F])
    end[:, :F] = torch.where(desk[..., None], 0.0, end[:, :F])
    clear[:, :F] |= desk
    frame, way = _frames(draw, stage, start, end, F)
    before = torch.arange(first, layout.objects).sub(1).clamp_min(first)
    frame[:, first:] = torch.where(struck[..., None, None], frame[:, before], frame[:, first:])
    clear[:, first:] = torch.where(struck, clear[:, before], clear[:, first:])
    return Ground(frame, way, clear)


def _radii(
    layout: Layout, stage: Stage, who: Cast, own: Solids, duration: float
) -> Float[Tensor, "B O"]:
    """Of the discs that objects need on the ground, beside their ways."""
    F, first = layout.furniture, layout.furniture + layout.figures
    orbit, strike = who.doing == int(Doing.ORBIT), who.doing == int(Doing.STRIKE)
    disc = own.disc + torch.where(orbit, motions.ORBIT * who.size[:, first:], 0.0)
    blow = motions.BLOW * motions.approach(who.pace[:, first:], stage.scale, duration)
    disc = torch.where(strike, 3 * own.disc + blow, disc)
    furniture = who.size[:, :F] * parts.BREADTH[who.piece]
    figures = who.size[:, F:first] * parts.WIDTH[who.figure]
    return torch.cat([furniture, figures, disc], dim=1)


def _frames(
    draw: Draws, stage: Stage, start: Tensor, end: Tensor, walled: int
) -> tuple[Float[Tensor, "B O 4 4"], Float[Tensor, "B O"]]:
    """Frames on the ground that look along the ways, and the ways' lengths up and down hills.

    What stands looks anywhere; furniture in rooms, away from its wall.
    """
    u = torch.linspace(0, 1, 5, dtype=torch.float64)
    below = stage.ground(start[:, :, None] + u[:, None] * (end - start)[:, :, None])
    rise = below[..., -1] - below[..., 0]
    line = below[..., :1] + u * rise[..., None]
    lift = (below - line).amax(dim=-1)  # nothing goes through a hill on its way
    flat = end - start
    angle = draw.uniform(flat.shape[1], high=2 * torch.pi)
    look = torch.stack([angle.cos(), angle.sin()], dim=-1)
    inward = _inward(stage, start[:, :walled])
    look[:, :walled] = torch.where(stage.indoor[:, None, None], inward, look[:, :walled])
    goes = (flat.abs().amax(dim=-1) > 1e-6)[..., None]
    ahead = torch.cat([torch.where(goes, flat, look), rise[..., None] * goes], dim=-1)
    length = ahead.norm(dim=-1, keepdim=True)
    x = ahead / length
    y = torch.stack([-x[..., 1], x[..., 0], torch.zeros_like(x[..., 0])], dim=-1)
    y = y / y.norm(dim=-1, keepdim=True)
    frame = torch.eye(4).double().repeat(*rise.shape, 1, 1)
    frame[..., :3, :3] = torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)
    frame[..., :2, 3] = start
    frame[..., 2, 3] = below[..., 0] + lift
    frame[:, :walled, 2, 3] += stage.floor[:, None]
    return frame, torch.where(goes, length, 0.0)[..., 0]


def _inward(stage: Stage, at: Float[Tensor, "B F 2"]) -> Float[Tensor, "B F 2"]:
    """From the nearest wall into the room; along x in its very middle."""
    beside = at / stage.hall[:, None]
    axis = beside.abs().argmax(dim=-1, keepdim=True)
    side = torch.where(beside > 0, -1.0, 1.0).double()
    return (torch.arange(2) == axis) * side
