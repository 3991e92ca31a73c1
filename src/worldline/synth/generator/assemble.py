"""Puts the objects of random worlds together: joints, sizes, and the boxes that hold them."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.generator import motions, parts
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.grounds import Ground, ground
from worldline.synth.generator.layout import PARTS, PIECES, Layout
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.motions import Doing
from worldline.synth.generator.solids import Solids, solids
from worldline.synth.generator.stage import Stage
from worldline.synth.generator.who import Cast, with_meetings
from worldline.synth.motion import PLACE, TURN, Curves, choose, join, rest, shift, turn


class Slots(NamedTuple):
    """Slots of B worlds: joints, sizes, and a box about each, [-box, box] about ``middle``.

    ``half`` and the box are in the solid's own frame. A half size of 0 is a part that is not there.
    """

    curves: Curves
    before: Float[Tensor, "B S 4 4"]
    after: Float[Tensor, "B S 4 4"]
    half: Float[Tensor, "B S 3"]
    middle: Float[Tensor, "B S 3"]
    box: Float[Tensor, "B S 3"]


class Things(NamedTuple):
    """All slots after the backdrops; ``parent`` counts the backdrops, too."""

    slots: Slots
    parent: Int[Tensor, "B S"]
    active: Bool[Tensor, "B S"]
    solids: Solids


def things(
    draw: Draws, mix: Mix, layout: Layout, stage: Stage, who: Cast, duration: float
) -> Things:
    """Everything that stands or goes on the stage."""
    first, P = layout.furniture + layout.figures, len(layout.solids)
    delayed, delay = draw.chance(mix.resting, P), draw.uniform(P, high=0.5) * duration
    late = torch.where(delayed, delay, -torch.inf)
    own = solids(draw, layout, who.size[:, first:], who.moving[:, first:], late)
    who = with_meetings(draw, layout, who, own.round)
    spots = ground(draw, layout, stage, who, own, duration)
    slots = [
        _furniture(layout, who, spots),
        _figures(draw, mix, layout, who, spots, duration),
        _single(draw, layout, stage, who, own, spots, duration),
    ]
    curves, *rest_of = zip(*slots, strict=True)
    joined = Slots(join(curves), *(torch.cat(column, dim=1) for column in rest_of))
    there = (who.active & spots.clear)[:, layout.owner] & (joined.half.amax(dim=-1) > 0)
    return Things(joined, _parents(layout, who), there, own)


def _parents(layout: Layout, who: Cast) -> Int[Tensor, "B S"]:
    boxes, B = layout.furniture * PIECES, len(who.figure)
    trunk = len(layout.backdrops) + boxes + PARTS * torch.arange(layout.figures)[:, None]
    hung = torch.where(torch.arange(PARTS) == 0, -1, parts.PARENT[who.figure] + trunk)
    free = torch.full((B, boxes + len(layout.solids)), -1)
    return torch.cat([free[:, :boxes], hung.flatten(1), free[:, boxes:]], dim=1)


def _furniture(layout: Layout, who: Cast, spots: Ground) -> Slots:
    F = layout.furniture
    template = parts.FURNITURE[who.piece] * who.size[:, :F, None, None, None]
    centre, half = template.flatten(1, 2).unbind(dim=2)
    frame = spots.frame[:, :F].repeat_interleave(PIECES, dim=1)
    still = torch.eye(4).double().expand_as(frame)
    return Slots(rest(centre), frame, still, half, torch.zeros_like(half), half)


def _figures(
    draw: Draws, mix: Mix, layout: Layout, who: Cast, spots: Ground, duration: float
) -> Slots:
    """Six joints each: the trunk goes, the limbs hang on it and swing in step."""
    F, G = layout.furniture, layout.figures
    own = slice(F, F + G)
    size, moving, way = who.size[:, own], who.moving[:, own], spots.way[:, own]
    travels = parts.TRAVELS[who.figure] & moving
    trunk = motions.journey(draw, draw.chance(mix.resting, G), way, duration)
    leg = size * parts.LEG[who.figure]
    pace = motions.stride(draw, torch.where(travels, way / duration, 0.0), leg)
    wheel = parts.WHEEL[who.figure]
    is_trunk = torch.arange(PARTS) == 0
    rides = torch.where(is_trunk, True, wheel == 2)
    trunk = Curves(*(x[:, :, None].expand(-1, -1, PARTS, *x.shape[2:]) for x in trunk))
    at = parts.AT[who.figure] * size[..., None, None]
    curves = choose(rides, trunk, rest(torch.zeros_like(at)))
    curves = motions.wheels(curves, leg[..., None], wheel == 2)
    axis, amplitude, phase = parts.SWAY[who.figure].unbind(dim=-1)
    strength = moving[..., None] * draw.uniform(G, 1, low=0.6, high=1.1)
    phase = phase + draw.uniform(G, 1, high=2 * torch.pi)
    for channel in range(3):
        on = torch.where(axis == channel, amplitude, 0.0) * strength
        curves = curves.sway(TURN.start + channel, on, pace[..., None], phase)
    spin = torch.where(wheel == 0, (pace * moving)[..., None], 0.0)
    curves = curves.spin(torch.nn.functional.pad(spin[..., None], (0, 2)))
    curves = curves.offset(PLACE, torch.where(is_trunk[:, None], at, 0.0))
    hung = shift(at) @ turn(parts.TURNED[who.figure])
    before = torch.where(is_trunk[:, None, None], spots.frame[:, own, None], hung)
    drop = parts.DROP[who.figure] * size[..., None]
    after = shift(torch.nn.functional.pad(-drop[..., None], (2, 0)))
    half = parts.HALF[who.figure] * size[..., None, None]
    flat = [x.flatten(1, 2) for x in (before, after, half)]
    joints = Curves(*(x.flatten(1, 2) for x in curves))
    return Slots(joints, *flat, torch.zeros_like(flat[2]), flat[2])


def _single(
    draw: Draws,
    layout: Layout,
    stage: Stage,
    who: Cast,
    own: Solids,
    spots: Ground,
    duration: float,
) -> Slots:
    first = layout.furniture + layout.figures
    size, pace = who.size[:, first:], who.pace[:, first:]
    frame, way = spots.frame[:, first:].clone(), spots.way[:, first:]
    P = size.shape[1]
    curves = motions.solids(draw, who.doing, size, way, pace / size, who.floats, duration)
    curves = motions.rolling(curves, own.stand, own.round & ~who.floats)
    curves = motions.meetings(draw, curves, who.doing, own.stand, pace, stage.scale, duration)
    # what is squashed keeps its foot on the floor: its joint is there
    foot = torch.where((who.doing == int(Doing.SQUASH)) & ~who.floats, own.stand, 0.0)
    ceiling = (stage.tall[:, None] - 2.5 * own.disc).minimum(1.2 * stage.scale[:, None])
    hang = draw.uniform(P, low=0.15, high=0.9) * ceiling.clamp_min(0)
    up = own.stand - foot + torch.where(who.floats, hang + 0.3 * own.disc, 0.0)
    frame[..., :3, 3] += up[..., None] * frame[..., :3, 2]
    after = torch.eye(4).double().repeat(*size.shape, 1, 1)
    after[..., :3, :3] = own.lie
    after[..., 2, 3] = foot
    return Slots(curves, frame, after, own.half, own.middle, own.box)
