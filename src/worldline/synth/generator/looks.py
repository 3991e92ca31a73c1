"""The textures of random worlds, and what of them shines."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import PARTS, PIECES, Layout
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.stage import Stage
from worldline.synth.paintings import procedural
from worldline.synth.textures import Bank, Textured
from worldline.synth.world import Gloss

SMOOTH = 60.0  # times an object's size: a texture so wide is next to none


PAINTS = (
    (0.52, 0.40, 0.26), (0.13, 0.19, 0.07), (0.22, 0.14, 0.08), (0.38, 0.37, 0.35),
    (0.11, 0.11, 0.12), (0.40, 0.15, 0.09), (0.36, 0.20, 0.09), (0.70, 0.67, 0.60),
    (0.18, 0.22, 0.27), (0.52, 0.44, 0.24), (0.22, 0.29, 0.13), (0.08, 0.13, 0.32),
    (0.45, 0.22, 0.13), (0.72, 0.74, 0.76), (0.30, 0.06, 0.06), (0.10, 0.22, 0.22),
    (0.62, 0.53, 0.42), (0.27, 0.27, 0.24),
)  # fmt: skip
"""Linear colours of sand, grass, soil, concrete, asphalt, brick, wood, plaster, slate ..."""
LUMA = (0.2126, 0.7152, 0.0722)


@lru_cache(maxsize=1)
def usual_bank() -> Bank:
    """The textures of all worlds that are not given others: patterns in the colours of things."""
    return painted(procedural(0, count=110, size=256))


def painted(bank: Bank) -> Bank:
    """Every texture in a paint of its own, with some of the colours that it had.

    Its lights and darks stay. All levels change alike, so they stay each other's means.
    """
    count = len(bank)
    number = torch.arange(count)
    texels = bank.texels.reshape(count, -1, 3)
    luma = texels @ torch.tensor(LUMA)[:, None]
    # neither step shares a factor with the families or the paints: all pairs come up
    paint = torch.tensor(PAINTS)[(number * 7 + number // len(PAINTS)) % len(PAINTS)]
    kept = (0.05 + 0.25 * (number * 0.618 % 1))[:, None, None]
    shade = luma / luma.mean(dim=1, keepdim=True).clamp_min(0.02)
    shade = 1 + 0.85 * (shade - 1)
    mixed = paint[:, None] * shade + kept * (texels - luma)
    return Bank(mixed.clamp(0.01, 0.92).flatten(0, 1).contiguous(), bank.size)


def looks(
    draw: Draws,
    mix: Mix,
    layout: Layout,
    stage: Stage,
    size: Float[Tensor, "B O"],
    bank: Bank,
) -> Textured:
    """A texture for each object, or for each of its faces; limbs have one of their own."""
    objects = size.shape[1]
    back = len(layout.backdrops)
    count = back + 2 * objects  # everything has a second texture: a figure's limbs
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
    slots = _slots(layout, objects)
    return Textured(
        bank=bank,
        texture=texture[:, slots],
        tint=_tints(draw, back, count)[:, slots],
        repeat=repeat[:, slots],
        offset=draw.uniform(count, 2, high=2.0)[:, slots],
    )


def gloss(draw: Draws, mix: Mix, layout: Layout) -> Gloss:
    """Which slots shine, and how: lacquer, plastic, polished floors; figures as a whole."""
    slots = len(layout.kinds)
    whole = torch.arange(slots)
    whole[len(layout.backdrops) :] = len(layout.backdrops) + torch.tensor(layout.owner)
    strength = draw.spread(slots, low=0.03, high=0.6) * draw.chance(mix.glossy, slots)
    return Gloss(strength[:, whole], draw.spread(slots, low=6.0, high=300.0)[:, whole])


def _slots(layout: Layout, objects: int) -> list[int]:
    """Which of the textures each slot has."""
    back = len(layout.backdrops)
    boxes = layout.furniture * PIECES
    # the plain beyond the hills is of the same stuff
    found = [0, 2, 2] if layout.hills else [0, 1]
    for slot, o in enumerate(layout.owner):
        limb = slot >= boxes and slot < boxes + PARTS * layout.figures
        limb = limb and (slot - boxes) % PARTS > 1
        found.append(back + o + (objects if limb else 0))
    return found


def _tints(draw: Draws, back: int, count: int) -> Float[Tensor, "B count 3"]:
    """Dark and light, grey and coloured; backdrops are seldom bright or loud."""
    light = draw.spread(count, 1, low=0.6, high=1.7)
    strong = draw.uniform(count, 1) ** 2
    colour = 1 + 0.9 * strong * draw.uniform(count, 3, low=-1.0)
    light[:, :back], colour[:, :back] = (
        light[:, :back].clamp(0.7, 1.25),
        1 + 0.12 * (colour[:, :back] - 1),
    )
    return light * colour
