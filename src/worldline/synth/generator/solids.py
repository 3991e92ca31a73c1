"""The shapes of random single solids, and how they stand."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.deformation import Deformation
from worldline.synth.fields import ABSENT, Blend, blend
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import Layout
from worldline.synth.motion import rotation
from worldline.synth.shapes import Kind

LUMPS = 4  # parts of a blend or a body
PLANT, WORM = 0, 1  # bodies that stand on a foot, that lie; others are blobs


@dataclass(frozen=True)
class Solids:
    """P solids of B worlds.

    ``lie`` turns the solid into the pose it stands in, ``stand`` is how high its origin then is,
    ``disc`` the radius of its floor space. ``middle`` and ``box`` are a box around it in its own
    frame, whatever it does there. ``round`` are true balls.
    """

    half: Float[Tensor, "B P 3"]
    lie: Float[Tensor, "B P 3 3"]
    stand: Float[Tensor, "B P"]
    disc: Float[Tensor, "B P"]
    middle: Float[Tensor, "B P 3"]
    box: Float[Tensor, "B P 3"]
    round: Tensor
    blends: Blend | None
    bodies: Blend | None
    deformation: Deformation | None


def solids(
    draw: Draws,
    layout: Layout,
    size: Float[Tensor, "B P"],
    moving: Tensor,
    late: Float[Tensor, "B P"],
) -> Solids:
    """Shapes of about ``size`` metres; bodies that are ``moving`` deform, from ``late`` on."""
    P = size.shape[1]
    half, ball = _half(draw, layout, size)
    lying = draw.chance(0.35, P) & _mask(layout, Kind.CYLINDER, Kind.TORUS)
    lie = torch.where(lying[..., None, None], _QUARTER_X, torch.eye(3).double())
    tall = torch.where(_mask(layout, Kind.TORUS), half[..., 0], half[..., 2])
    tube = _mask(layout, Kind.TORUS)
    stand = torch.where(lying, half[..., 0], torch.where(tube, half[..., 2], tall))
    disc = torch.hypot(half[..., 0], half[..., 1])
    disc = torch.where(_mask(layout, Kind.BOX), disc, half[..., 0].maximum(half[..., 1]))
    disc = torch.where(lying, half[..., 0].maximum(tall), disc)
    middle, box = torch.zeros_like(half), half.clone()
    blends = bodies = warp = None
    some = layout.which(Kind.BLEND)
    if some:
        blends, stand[:, some], disc[:, some] = _blends(draw, size[:, some])
        box[:, some] = disc[:, some, None].maximum(stand[:, some, None]).expand(-1, -1, 3)
    some = layout.which(Kind.BODY)
    if some:
        bodies, form, high = _bodies(draw, size[:, some])
        warp = _deformation(draw, form, high, moving[:, some], late[:, some])
        worm, plant = form == WORM, form == PLANT
        lie[:, some] = torch.where(worm[..., None, None], _QUARTER_Y, lie[:, some])
        thick = torch.where(worm, 0.09, 0.5) * high
        stand[:, some] = torch.where(plant, 0.0, thick)
        disc[:, some] = 0.5 * high
        middle[:, some, 2] = torch.where(plant, 0.5 * high, 0.0)
        wide = torch.where(worm, 0.3, 0.45) * high
        box[:, some] = torch.stack([wide, wide, 0.6 * high], dim=-1)
    return Solids(half, lie, stand, disc, middle, box, ball, blends, bodies, warp)


_QUARTER_X = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).double()
_QUARTER_Y = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).double()


def _mask(layout: Layout, *kinds: Kind) -> Tensor:
    return torch.tensor([kind in kinds for kind in layout.solids], dtype=torch.bool)


def _half(draw: Draws, layout: Layout, size: Tensor) -> tuple[Tensor, Tensor]:
    """Half sizes of the solids with a formula, and which are true balls."""
    P = size.shape[1]
    aspect = draw.spread(P, 3, low=0.55, high=1.6)
    ball = draw.chance(0.7, P) & _mask(layout, Kind.BALL)
    aspect = torch.where(ball[..., None], 1.0, aspect)
    turned = torch.stack([aspect[..., 0], aspect[..., 0], 1.3 * aspect[..., 2]], dim=-1)
    aspect = torch.where(_mask(layout, Kind.CYLINDER, Kind.CONE)[:, None], turned, aspect)
    tube = draw.uniform(P, low=0.18, high=0.42)
    ring = 1.2 * torch.stack([torch.ones_like(tube), torch.ones_like(tube), tube], dim=-1)
    aspect = torch.where(_mask(layout, Kind.TORUS)[:, None], ring, aspect)
    return aspect * size[..., None], ball


def _blends(draw: Draws, size: Float[Tensor, "B S"]) -> tuple[Blend, Tensor, Tensor]:
    """Lumpy things, how high their origin stands, and their radius."""
    S, unit = size.shape[1], size[..., None, None]
    centre = unit * draw.uniform(S, LUMPS, 3, low=-0.5, high=0.5)
    half = unit * draw.uniform(S, LUMPS, 3, high=0.4) * draw.chance(0.6, S, LUMPS, 3)
    radius = size[..., None] * draw.uniform(S, LUMPS, low=0.18, high=0.45)
    there = draw.chance(0.75, S, LUMPS)
    there[..., :2] = True
    turn = draw.uniform(S, LUMPS, 3, low=-2.0, high=2.0)
    stretch = draw.spread(S, LUMPS, 3, low=0.75, high=1.3)
    smooth = size * draw.uniform(S, low=0.04, high=0.15)
    made = blend(
        centre, half, torch.where(there, radius, ABSENT), turn, stretch, smooth.clamp_min(1e-4)
    )
    stretched = rotation(turn) * stretch[..., None, :]
    down = stretched[..., 2, :]
    support = (down.abs() * half).sum(dim=-1) + radius * down.norm(dim=-1)
    low = torch.where(there, centre[..., 2] - support, torch.inf).amin(dim=-1)
    out = centre.norm(dim=-1) + 1.3 * (half.norm(dim=-1) + radius)
    return made, -low, torch.where(there, out, 0.0).amax(dim=-1)


def _bodies(draw: Draws, size: Float[Tensor, "B S"]) -> tuple[Blend, Tensor, Tensor]:
    """Soft bodies along z: their rest poses, forms and lengths."""
    S = size.shape[1]
    form = draw.choice((1.2, 0.8, 1.0), S)
    high = size * draw.uniform(S, low=2.0, high=2.8)
    blob = (form > WORM)[..., None]
    # in lengths: a row of capsules, each as thick as it likes
    thick = torch.where(blob, 0.2, 0.09) * draw.uniform(S, LUMPS, low=0.65, high=1.25)
    thick = torch.where((form == WORM)[..., None], 0.08 + 0.15 * (thick - 0.08), thick)
    reach = 0.5 - 0.12 - thick[..., [0, -1]]
    step = torch.linspace(0, 1, LUMPS).double()
    along = -reach[..., :1] + step * (reach[..., :1] + reach[..., 1:])
    foot = torch.where(form == PLANT, 0.5, 0.0)
    aside = torch.where(blob[..., None], 0.06, 0.035) * draw.uniform(S, LUMPS, 2, low=-1.0)
    centre = torch.cat([aside, (along + foot[..., None])[..., None]], dim=-1)
    half = torch.tensor([0.0, 0.0, 0.12]).double().expand_as(centre)
    unit = high[..., None, None]
    made = blend(centre * unit, half * unit, thick * high[..., None], smooth=0.04 * high)
    return made, form, high


def _deformation(
    draw: Draws, form: Tensor, high: Tensor, moving: Tensor, late: Tensor
) -> Deformation:
    """Plants bend and twist about their foot, worms wriggle, blobs ripple."""
    S = high.shape[1]
    plant, worm, on = form == PLANT, form == WORM, moving.double()
    reach = high * torch.where(plant, 1.0, 0.5)
    twist = torch.where(worm, 0.2, 0.9) * draw.uniform(S, low=0.3) / reach
    bend = torch.where(worm, 0.05, 0.5) * draw.uniform(S, low=0.3) / reach
    push = torch.where(worm, 0.09, torch.where(plant, 0.015, 0.05)) * high
    push = torch.stack([torch.where(worm, 0.0, push), push], dim=-1)
    wave = 2 * torch.pi / (high * torch.where(plant, 1.5, 0.8))
    rate = draw.uniform(S, 3, low=1.5, high=5.0)
    phase = draw.uniform(S, 4, high=2 * torch.pi)
    zero = torch.zeros_like(high)

    def swing(amount: Tensor, i: int) -> Tensor:
        middle = 0.3 * amount * phase[..., i].cos()
        return torch.stack([middle, amount * on, rate[..., i], phase[..., i]], dim=-1)

    return Deformation(
        twist=swing(twist, 0),
        bend=swing(bend, 1),
        amplitude=push,
        wave=wave[..., None].expand(-1, -1, 2),
        phase=phase[..., 2:],
        speed=torch.stack([rate[..., 2], rate[..., 2]], dim=-1) * on[..., None],
        start=torch.where(moving, late, zero - torch.inf),
    )
