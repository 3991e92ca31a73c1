"""The textures of random worlds."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import PARTS, PIECES, Layout
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.stage import Stage
from worldline.synth.textures import Bank, Textured, procedural

SMOOTH = 60.0  # times an object's size: a texture so wide is next to none


@lru_cache(maxsize=1)
def usual_bank() -> Bank:
    """The textures of all worlds that are not given others."""
    return procedural(0, count=72, size=256)


def looks(
    draw: Draws,
    mix: Mix,
    layout: Layout,
    stage: Stage,
    size: Float[Tensor, "B O"],
    bank: Bank,
) -> Textured:
    """A texture for each object, or for each of its faces; limbs have one of their own."""
    B, O = size.shape
    back = len(layout.backdrops)
    count = back + 2 * O  # everything has a second texture: a figure's limbs
    smooth = draw.uniform(1, low=mix.plain[0], high=mix.plain[1])
    plain = draw.chance(smooth, count)
    own = (len(bank) * draw.uniform(count, 6)).long()
    varied = draw.chance(0.4, count)
    varied[:, :back] = draw.chance(0.5, 1)
    texture = torch.where(varied[..., None], own, own[..., :1])
    texture[:, 0, 4:] = own[:, 0, 4:]  # ceilings and floors are not like walls
    repeat = draw.spread(count, low=0.9, high=5.0)
    wide = torch.where(stage.indoor, stage.hall.amin(dim=1), stage.scale)[:, None]
    first = wide.expand(-1, back) * draw.spread(back, low=0.25, high=0.9) / repeat[:, :back]
    repeat = repeat * torch.cat([first, size, size], dim=1)
    repeat = torch.where(plain, SMOOTH * repeat, repeat)
    slots = _slots(layout, O)
    return Textured(
        bank=bank,
        texture=texture[:, slots],
        tint=_tints(draw, count)[:, slots],
        repeat=repeat[:, slots],
        offset=draw.uniform(count, 2, high=2.0)[:, slots],
    )


def _slots(layout: Layout, objects: int) -> list[int]:
    """Which of the textures each slot has."""
    back = len(layout.backdrops)
    boxes = layout.furniture * PIECES
    found = list(range(back))
    for slot, o in enumerate(layout.owner):
        limb = slot >= boxes and slot < boxes + PARTS * layout.figures
        limb = limb and (slot - boxes) % PARTS > 1
        found.append(back + o + (objects if limb else 0))
    return found


def _tints(draw: Draws, count: int) -> Float[Tensor, "B count 3"]:
    """Dark and light, grey and coloured."""
    light = draw.spread(count, 1, low=0.5, high=1.5)
    colour = draw.uniform(count, 3, low=-1.0) * draw.uniform(count, 1, high=0.6)
    return light * (1 + colour)
