"""The curves of random motions, for all objects of all worlds at once.

Curves are those of joints that stand where the object is at time 0 and look along its way: x is
ahead. What an object does is one of a few numbers (``Doing``).
"""

from enum import IntEnum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.generator.draw import Draws
from worldline.synth.motion import (
    CHANNELS,
    EARTH,
    STRETCH,
    TURN,
    Curves,
    bounce,
    choose,
    collide,
    ease,
    rest,
)


class Doing(IntEnum):
    """What an object does."""

    REST = 0
    PUSH = 1  # slides or rolls, at one speed
    START_STOP = 2  # rests first, then goes, then rests
    PATROL = 3  # to and fro
    SPIN = 4
    ORBIT = 5
    BOUNCE = 6
    SQUASH = 7
    STRIKE = 8  # goes until it meets its partner, the next solid of its kind ...
    STRUCK = 9  # ... which is this


WEIGHTS = (0.0, 3.0, 2.0, 1.5, 2.0, 1.0, 2.0, 1.0, 0.0, 0.0)
ORBIT = 1.25  # of its size: the radius of an orbit
BLOW = 2.0  # times their approach: how far balls that strike each other go at most
TRAVELLING = (Doing.PUSH, Doing.START_STOP, Doing.PATROL)


def travels(doing: Int[Tensor, "*b"]) -> Bool[Tensor, "*b"]:
    """Which go from where they start to somewhere else."""
    return torch.isin(doing, torch.tensor([int(d) for d in TRAVELLING]))


def solids(
    draw: Draws,
    doing: Int[Tensor, "B P"],
    size: Float[Tensor, "B P"],
    way: Float[Tensor, "B P"],
    pace: Float[Tensor, "B P"],
    floats: Bool[Tensor, "B P"],
    duration: float,
) -> Curves:
    """Curves of single solids of ``size`` metres that go ``way`` metres in ``duration`` seconds.

    ``pace`` is in their sizes a second and sets how fast they turn and orbit.
    """
    shape = doing.shape
    count = shape[1]
    zero = torch.zeros(*shape, 3).double()
    still = rest(zero)
    ahead = torch.nn.functional.pad(way[..., None] / duration, (0, 2))
    turn = draw.uniform(count, 3, low=-1.0)
    turn = torch.where(floats[..., None], turn, turn * torch.tensor([0.0, 0.0, 1.0]))
    rate = (0.6 * pace).clamp(0.4, 7.0)
    spin = turn / turn.norm(dim=-1, keepdim=True).clamp_min(1e-3) * rate[..., None]
    phase = draw.uniform(count, high=2 * torch.pi)
    first = draw.uniform(count, low=0.1, high=0.5) * duration
    last = first + draw.uniform(count, low=0.3, high=0.7) * duration
    whole = torch.zeros(*shape, CHANNELS).double()
    whole[..., 0], whole[..., TURN.start + 2] = way, draw.uniform(count, low=-1.5, high=1.5)
    # to and fro over all of the way, from its middle
    fro = (2 * pace * size / way.clamp_min(1e-3)).clamp(0.8, 8.0)
    patrol = rest(ahead * 0.5 * duration).sway(0, 0.5 * way, fro, phase)
    squash = 0.12 + 0.2 * draw.uniform(count)
    high = size * draw.uniform(count, low=1.5, high=5.0)
    # it falls early enough for the clip to show it
    begin = (0.4 * duration * draw.uniform(count)).minimum(
        (duration - (2 * high / EARTH).sqrt()).clamp_min(0)
    )
    curves = still
    for what, how in (
        (Doing.PUSH, still.push(ahead)),
        (Doing.PATROL, patrol),
        (Doing.SPIN, still.spin(spin)),
        (Doing.ORBIT, still.orbit(ORBIT * size, rate, phase).spin(spin)),
        (Doing.SQUASH, still.sway(STRETCH.start, squash, rate * 1.5, phase)),
    ):
        curves = choose(doing == int(what), how, curves)
    bob = floats & ((doing == int(Doing.PUSH)) | (doing == int(Doing.SPIN)))
    curves = curves.sway(2, torch.where(bob, 0.25 * size, 0.0), 0.6 * rate + 0.5, phase)
    curves = choose(doing == int(Doing.START_STOP), ease(zero, whole, first, last), curves)
    return choose(doing == int(Doing.BOUNCE), bounce(zero, high, begin, bounces=3), curves)


def rolling(curves: Curves, radius: Float[Tensor, "*b"], which: Bool[Tensor, "*b"]) -> Curves:
    """Balls roll as far as they go ahead: a turn about y of the way over the radius."""
    cubics, waves = curves.cubics.clone(), curves.waves.clone()
    about = TURN.start + 1
    on = which[..., None, None]
    roll = cubics[..., :, 0, :] / radius[..., None, None]
    cubics[..., TURN, :] = torch.where(on[..., None], 0.0, cubics[..., TURN, :])
    cubics[..., about, :] = torch.where(on, roll, cubics[..., about, :])
    share = torch.stack([radius.reciprocal(), torch.ones_like(radius), torch.ones_like(radius)], -1)
    own = waves[..., 0, :] * share
    waves[..., about, :] = torch.where(which[..., None], own, waves[..., about, :])
    return Curves(curves.knots, cubics, waves)


def approach(
    pace: Float[Tensor, "B P"], scale: Float[Tensor, " B"], duration: float
) -> Float[Tensor, "B P"]:
    """How far balls that strike another come from where they meet it."""
    return (0.5 * pace * duration).minimum(0.25 * scale[:, None])


def meetings(
    draw: Draws,
    curves: Curves,
    doing: Int[Tensor, "B P"],
    radius: Float[Tensor, "B P"],
    pace: Float[Tensor, "B P"],
    scale: Float[Tensor, " B"],
    duration: float,
) -> Curves:
    """Balls that strike their next neighbours, by momentum and energy (elastic); they roll.

    Both are told in the first one's frame, which is where it is when they meet, half-way through.
    Masses go with the cube of the radius.
    """
    ahead, behind = torch.roll(radius, -1, dims=1), torch.roll(radius, 1, dims=1)
    struck = doing == int(Doing.STRUCK)
    own, other = radius**3, torch.where(struck, behind, ahead) ** 3
    speed = approach(pace, scale, duration) / (0.5 * duration)
    comes = -speed * draw.uniform(len(radius[0]), low=0.0, high=0.6)
    first = torch.where(struck, torch.roll(speed, 1, dims=1), speed)
    second = torch.where(struck, comes, torch.roll(comes, -1, dims=1))
    mine, theirs = torch.where(struck, second, first), torch.where(struck, first, second)
    after = 2 * (own * mine + other * theirs) / (own + other) - mine
    gap = torch.where(struck, 2 * (radius * behind).sqrt(), 0.0)  # of balls on one floor
    at, before, after = (torch.nn.functional.pad(x[..., None], (0, 2)) for x in (gap, mine, after))
    half = torch.full_like(radius, 0.5 * duration)
    blow = collide(at, before, after, half)
    blow = rolling(blow, radius, torch.ones_like(struck))
    return choose(struck | (doing == int(Doing.STRIKE)), blow, curves)


def journey(
    draw: Draws, resting: Bool[Tensor, "B G"], way: Float[Tensor, "B G"], duration: float
) -> Curves:
    """Straight on for ``way`` metres, or resting first and stopping then."""
    first = draw.uniform(way.shape[1], low=0.05, high=0.3) * duration
    last = first + draw.uniform(way.shape[1], low=0.5, high=0.7) * duration
    zero = torch.zeros(*way.shape, 3).double()
    whole = torch.nn.functional.pad(way[..., None], (0, CHANNELS - 1))
    ahead = torch.nn.functional.pad(way[..., None] / duration, (0, 2))
    return choose(resting, ease(zero, whole, first, last), rest(zero).push(ahead))


def stride(
    draw: Draws, speed: Float[Tensor, "B G"], leg: Float[Tensor, "B G"]
) -> Float[Tensor, "B G"]:
    """How fast limbs swing, rad/s: as fast as the feet ask for, or as what stands likes."""
    free = draw.spread(speed.shape[1], low=1.5, high=5.0)
    return torch.where(speed > 0, (2 * speed / leg).clamp(2.5, 12.0), free)


def wheels(curves: Curves, radius: Float[Tensor, "*#b"], which: Bool[Tensor, "*b"]) -> Curves:
    """Turns the way of joints into a turn about their z axis, which points to the right."""
    cubics = curves.cubics.clone()
    on = which[..., None, None]
    turn = -cubics[..., 0, :] / radius[..., None, None]
    cubics[..., TURN.start + 2, :] = torch.where(on, turn, cubics[..., TURN.start + 2, :])
    cubics[..., 0, :] = torch.where(on, 0.0, cubics[..., 0, :])
    return Curves(curves.knots, cubics, curves.waves)
