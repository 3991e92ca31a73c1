"""Who is in random worlds, how large they are, and what they do."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.generator import motions, parts
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import Layout
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.motions import Doing
from worldline.synth.generator.stage import Stage
from worldline.synth.shapes import Kind


class Cast(NamedTuple):
    """Who is there: O objects (furniture, figures, solids) of B worlds, and what they do.

    ``size`` is about half of a solid's width, a figure's height, the factor of furniture; metres.
    ``pace`` is in metres a second.
    """

    active: Bool[Tensor, "B O"]
    moving: Bool[Tensor, "B O"]
    size: Float[Tensor, "B O"]
    pace: Float[Tensor, "B O"]
    doing: Int[Tensor, "B P"]
    piece: Int[Tensor, "B F"]  # the templates of furniture ...
    figure: Int[Tensor, "B G"]  # ... and of figures
    floats: Bool[Tensor, "B P"]


def cast(draw: Draws, mix: Mix, layout: Layout, stage: Stage) -> Cast:
    """Who is there, and who moves."""
    F, G, P, count = layout.furniture, layout.figures, len(layout.solids), layout.objects
    low, high = mix.objects
    number = draw.spread(1, low=low - 0.4, high=min(high, count) + 0.4).round()
    active = draw.uniform(count).argsort(dim=1).argsort(dim=1) < number
    floats = draw.chance(mix.floating, P)
    lively = draw.uniform(1, low=mix.moving[0], high=mix.moving[1])
    wish = torch.where(active, draw.uniform(count), 2.0)
    wish[:, :F] = 2.0
    moving = (wish < lively) | ((wish == wish.amin(dim=1, keepdim=True)) & (wish < 2))
    moving = moving & (mix.moving[1] > 0)
    doing = draw.choice(motions.WEIGHTS, P)
    start_stop = draw.chance(mix.resting, P) & motions.travels(doing)
    doing = torch.where(start_stop, int(Doing.START_STOP), doing)
    soft = torch.tensor([kind is Kind.BODY for kind in layout.solids])
    still = soft & draw.chance(0.5, P)
    doing = torch.where(still | ~moving[:, F + G :], int(Doing.REST), doing)
    size = draw.spread(count, low=mix.size[0], high=mix.size[1]) * stage.scale[:, None]
    size = size * (14 / number).clamp(0.5, 1.0).sqrt()
    figure = draw.spread(G, low=0.22, high=0.5) * stage.scale[:, None]
    human = draw.uniform(G, low=0.9, high=1.8)
    roomy = (stage.indoor & ~stage.table)[:, None]
    size[:, F : F + G] = torch.where(roomy, human, figure)
    outside = stage.scale[:, None] * draw.spread(F, low=0.08, high=0.28)
    size[:, :F] = torch.where(stage.indoor[:, None], draw.uniform(F, low=0.85, high=1.25), outside)
    inside, outdoors = draw.choice(parts.INDOORS, F), draw.choice(parts.OUTDOORS, F)
    piece = torch.where(stage.indoor[:, None], inside, outdoors)
    desk = stage.table[:, None] & (torch.arange(F) == 0)
    piece = torch.where(desk, parts.TABLE, piece)
    size[:, :F] = torch.where(desk, stage.scale[:, None] / parts.TOP, size[:, :F])
    active[:, :F] |= desk
    figure = draw.choice(parts.FIGURE_WEIGHTS, G)
    speed = draw.spread(count, low=mix.speed[0], high=mix.speed[1])
    pace = 0.2 * speed * stage.scale[:, None]
    return Cast(active, moving, size, pace, doing, piece, figure, floats)


def with_meetings(draw: Draws, layout: Layout, who: Cast, balls: Bool[Tensor, "B P"]) -> Cast:
    """Neighbouring ``balls`` that both move may strike each other."""
    doing = who.doing.clone()
    slots = layout.which(Kind.BALL)
    first = layout.furniture + layout.figures
    able = (who.active & who.moving)[:, first:] & balls & ~who.floats
    for a, b in zip(slots[::2], slots[1::2], strict=False):
        both = able[:, a] & able[:, b] & draw.chance(0.6)
        doing[:, a] = torch.where(both, int(Doing.STRIKE), doing[:, a])
        doing[:, b] = torch.where(both, int(Doing.STRUCK), doing[:, b])
    return who._replace(doing=doing)
