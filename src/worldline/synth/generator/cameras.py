"""Random cameras: many ways for each, of which the one that sees most and touches nothing is taken.

A way is the same formula for all kinds: a point at an angle, a distance and a height about what is
looked at, all of which may change, plus a slide, a loop and the trembling of a hand.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.camera import Cameras, look_at
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.stage import Stage

TRIES = 14
LOOKS = 7  # moments at which the ways are compared
NEAR = 0.11  # of the world's scale: no nearer to anything
TREMBLES = 4


class Style(NamedTuple):
    """How much a kind of camera does of everything; 1 is usual."""

    sweep: float = 0.0  # turns about what it looks at
    dolly: float = 0.0  # nearer or farther
    rise: float = 0.0
    slide: float = 0.0  # straight on, its gaze with it
    ahead: float = 0.0  # 1: along the gaze, 0: across it
    loop: float = 0.0  # goes round and comes back
    pan: float = 0.0  # turns on the spot
    tremble: float = 0.0
    high: float = 0.0  # looks from above


STYLES = {
    "handheld": Style(sweep=0.25, dolly=0.2, rise=0.1, slide=0.2, pan=0.1, tremble=1.0),
    "dolly": Style(slide=1.0, dolly=0.2, ahead=0.3),
    "orbit": Style(sweep=1.0, rise=0.2),
    "pan": Style(pan=1.0, tremble=0.1),
    "drone": Style(sweep=0.5, dolly=0.5, rise=1.0, slide=0.3, ahead=0.5, tremble=0.2, high=1.0),
    "car": Style(slide=1.6, ahead=0.92, tremble=0.15),
    "static": Style(),
    "rotation": Style(pan=1.3),
    "loop": Style(loop=1.0, tremble=0.0),
}


class Plan(NamedTuple):
    """What decides the ways of B cameras, R tries each (or 1: the same for all tries).

    Angles in radians, lengths in metres; what changes does so from the clip's start to its end.
    """

    focus: Float[Tensor, "B R 3"]
    angle: Float[Tensor, "B R"]
    sweep: Float[Tensor, "B R"]
    away: Float[Tensor, "B R"]
    dolly: Float[Tensor, "B R"]  # share of ``away``
    high: Float[Tensor, "B R"]
    rise: Float[Tensor, "B R"]
    slide: Float[Tensor, "B R"]
    ahead: Float[Tensor, "B 1"]
    side: Float[Tensor, "B R"]  # 1 or -1: to which side it slides
    ring: Float[Tensor, "B R"]
    tremble: Float[Tensor, "B 1"]
    waves: Float[Tensor, "B 1 W 6 2"]  # rate in rad/s and phase of a hand's
    pan: Float[Tensor, "B R"]
    nod: Float[Tensor, "B R"]
    back: Float[Tensor, "B 1"]  # 1: pans there and back


class Ways(NamedTuple):
    """R tries for each of B cameras at N times: eyes, and what they look at."""

    eye: Float[Tensor, "B R N 3"]
    target: Float[Tensor, "B R N 3"]


class Obstacles(NamedTuple):
    """Boxes of K slots at N times: what makes world points into metres along their axes.

    A point is inside where ``|axes · point - offset| <= half``.
    """

    axes: Float[Tensor, "B N K 3 3"]
    offset: Float[Tensor, "B N K 3"]
    half: Float[Tensor, "B N K 3"]
    centre: Float[Tensor, "B N K 3"]
    active: Bool[Tensor, "B K"]
    moving: Bool[Tensor, "B K"]

    @classmethod
    def of(
        cls,
        place: Float[Tensor, "B N K 4 4"],
        middle: Float[Tensor, "B K 3"],
        half: Float[Tensor, "B K 3"],
        active: Bool[Tensor, "B K"],
    ) -> "Obstacles":
        """Boxes [-half, half] about ``middle`` in the frames of the slots; in float32."""
        turned = place[..., :3, :3].mT
        stretch = turned.norm(dim=-1)  # squashed objects' axes are no unit vectors
        axes = turned / stretch[..., None]
        centre = place[..., :3, 3] + (place[..., :3, :3] @ middle[:, None, ..., None])[..., 0]
        offset = (axes @ centre[..., None])[..., 0]
        moving = (place - place[:, :1]).abs().amax(dim=(1, 3, 4)) > 1e-6
        numbers = (axes, offset, half[:, None] * stretch, centre)
        return cls(*(x.float() for x in numbers), active, active & moving)


class Lens(NamedTuple):
    """Numbers of B cameras that do not depend on the way that is taken."""

    focal: Float[Tensor, "B N"]  # of half the width
    roll: Float[Tensor, "B N"]


def lens(draw: Draws, mix: Mix, count: int) -> Lens:
    """Fields of view within the mix's, those of cameras that zoom at both ends."""
    low, high = mix.fov
    first = draw.spread(low=low, high=high)
    zooms = draw.chance(mix.zoom)
    factor = draw.spread(low=0.55, high=1.8)
    last = torch.where(zooms, (first * factor).clamp(low, high), first)
    ends = (torch.stack([first, last]) * torch.pi / 360).tan().reciprocal()
    u = torch.linspace(0, 1, count, dtype=torch.float64)
    smooth = u * u * (3 - 2 * u)
    focal = ends[0, :, None] + smooth * (ends[1] - ends[0])[:, None]
    roll = 0.08 * draw.uniform(low=-1.0)[:, None] + 0.02 * (u * 9).sin()
    return Lens(focal, torch.where(draw.chance(0.6)[:, None], roll, 0.0))


def plan(draw: Draws, mix: Mix, stage: Stage, focus: Float[Tensor, "B 3"]) -> Plan:
    """Tries of each world's kind of camera."""
    table = torch.tensor([STYLES[name] for name, _ in mix.cameras], dtype=torch.float64)
    own = table[draw.choice([weight for _, weight in mix.cameras])]
    style = Style(*own.T[..., None].unbind())
    scale = stage.scale[:, None]
    reach = draw.uniform(1, low=mix.reach[0], high=mix.reach[1])

    def either(low: float, high: float) -> Tensor:
        """A number between, of either sign, of each try."""
        sign = 1 - 2 * draw.chance(0.5, TRIES).double()
        return sign * draw.uniform(TRIES, low=low, high=high) * reach

    away = scale * draw.uniform(TRIES, low=mix.distance[0], high=mix.distance[1])
    rate = 2 * torch.pi * draw.spread(1, TREMBLES, 6, low=0.25, high=3.0)
    return Plan(
        focus=focus[:, None] + 0.25 * scale[..., None] * draw.uniform(TRIES, 3, low=-1.0),
        angle=draw.uniform(TRIES, high=2 * torch.pi),
        sweep=style.sweep * either(0.35, 1.3),
        away=away,
        dolly=style.dolly * either(0.15, 0.45),
        high=away * (draw.uniform(TRIES, low=0.06, high=0.45) + 0.3 * style.high),
        rise=scale * style.rise * either(0.1, 0.4),
        slide=scale * style.slide * reach * draw.uniform(TRIES, low=0.25, high=0.6),
        ahead=style.ahead,
        side=1 - 2 * draw.chance(0.5, TRIES).double(),
        ring=0.35 * scale * style.loop * reach * draw.uniform(TRIES, low=0.5),
        tremble=style.tremble,
        waves=torch.stack([rate, draw.uniform(1, TREMBLES, 6, high=2 * torch.pi)], dim=-1),
        pan=style.pan * either(0.25, 0.9),
        nod=style.pan * 0.15 * reach * draw.uniform(TRIES, low=-1.0),
        back=draw.chance(0.3, 1).double(),
    )


def one_of(own: Plan, taken: Int[Tensor, " B"]) -> Plan:
    """The plan of one try for each camera."""
    row = torch.arange(len(taken))
    return Plan(*(x if x.shape[1] == 1 else x[row, taken][:, None] for x in own))


def ways(own: Plan, times: Float[Tensor, " N"], duration: float) -> Ways:
    """Where cameras are at ``times`` of a clip of ``duration`` seconds."""
    u = times / duration
    v = u - 0.5
    p = Plan(*(x[:, :, None] if x.dim() == 2 else x for x in own))  # [B, R, 1]
    angle = p.angle + p.sweep * v
    distance = p.away * (1 + p.dolly * v)
    flat = torch.stack([angle.cos(), angle.sin()], dim=-1)
    target = p.focus[:, :, None].expand(*flat.shape[:3], 3)
    eye = target + torch.cat([distance[..., None] * flat, (p.high + p.rise * v)[..., None]], -1)
    aim = -torch.stack([p.angle.cos(), p.angle.sin()], dim=-1)
    across = torch.stack([-aim[..., 1], aim[..., 0]], dim=-1)
    heading = p.ahead[..., None] * aim + ((1 - p.ahead) * p.side)[..., None] * across
    slide = torch.nn.functional.pad((p.slide * (v + 0.1))[..., None] * heading, (0, 1))
    turn = 2 * torch.pi * u
    loop = torch.stack([turn.sin(), 1 - turn.cos(), 0.3 * turn.sin()], dim=-1)
    loop = p.ring[..., None] * loop
    hand = (p.tremble * p.away)[..., None] * _tremble(p.waves, times)
    eye = eye + slide + loop + 0.012 * hand[..., :3]
    target = target + slide + 0.3 * loop + 0.03 * hand[..., 3:]
    swing = torch.where(p.back > 0, 0.7 * turn.sin(), v)
    x, y, z = (target - eye).unbind(dim=-1)
    cos, sin = (p.pan * swing).cos(), (p.pan * swing).sin()
    rise = z + p.nod * (torch.pi * u).sin() * torch.hypot(x, y)
    return Ways(eye, eye + torch.stack([cos * x - sin * y, sin * x + cos * y, rise], dim=-1))


def focus(stage: Stage, things: Obstacles) -> Float[Tensor, "B 3"]:
    """The middle of what moves, or of everything where nothing does."""
    weight = things.active * torch.where(things.moving, 1.0, 0.02)
    weight = weight * things.half[:, 0].amax(dim=-1)
    middle = (weight[..., None] * things.centre.mean(dim=1)).sum(dim=1)
    return (middle / weight.sum(dim=1, keepdim=True).clamp_min(1e-6)).double()


def _tremble(waves: Tensor, times: Float[Tensor, " N"]) -> Float[Tensor, "B R N 6"]:
    """A hand's: slow waves are wide, quick ones narrow; about 1 in size."""
    rate, phase = waves[:, :, None].unbind(dim=-1)
    return 2.5 * ((rate * times[:, None, None] + phase).sin() / rate).sum(dim=-2)


def kept_in(stage: Stage, way: Ways) -> tuple[Ways, Float[Tensor, "B R"]]:
    """The ways held inside rooms and above the ground, and how far that moved them (scales)."""
    near = 1.3 * NEAR * stage.scale[:, None, None]
    inner = stage.room[:, None, None, :2] - near[..., None]
    wide = 4 * stage.arena[:, None, None]
    flat = torch.where(stage.indoor[:, None, None, None], inner, wide)
    xy = way.eye[..., :2].clamp(-flat, flat)
    ground = stage.ground(xy)
    # hills: one lift for the whole way, or it would follow every bump
    low = torch.where(stage.hilly[:, None, None], ground.amax(dim=-1, keepdim=True), 0.0) + near
    high = torch.where(stage.indoor, stage.tall, torch.inf)[:, None, None] - near
    z = way.eye[..., 2].maximum(low).minimum(high)
    eye = torch.cat([xy, z[..., None]], dim=-1)
    moved = (eye - way.eye).norm(dim=-1).mean(dim=-1) / stage.scale[:, None]
    ahead = way.target - eye
    least = 0.35 * stage.scale[:, None, None]
    # no camera looks straight down or at its own feet
    steep = torch.hypot(ahead[..., 0], ahead[..., 1])
    push = (least / steep.clamp_min(1e-6)).clamp_min(1)[..., None]
    ahead = torch.cat([ahead[..., :2] * push, ahead[..., 2:]], dim=-1)
    return Ways(eye, eye + ahead), moved


def distance(eye: Float[Tensor, "B R N 3"], things: Obstacles) -> Float[Tensor, "B N R K"]:
    """How far eyes are from the boxes (0: inside); inf for what is switched off."""
    points = eye.transpose(1, 2).float()
    B, N, K = things.centre.shape[:3]
    local = points @ things.axes.reshape(B, N, 3 * K, 3).mT  # [B, N, R, 3K]
    local -= things.offset.reshape(B, N, 1, 3 * K)
    local = local.abs_().sub_(things.half.reshape(B, N, 1, 3 * K)).clamp_min_(0).square_()
    far = local.unflatten(-1, (K, 3)).sum(dim=-1).sqrt_()
    return far.masked_fill_(~things.active[:, None, None], torch.inf)


def best(
    stage: Stage, way: Ways, moved: Tensor, things: Obstacles, focal: Float[Tensor, "B N"]
) -> Int[Tensor, " B"]:
    """Which try to take: free of obstacles, and with much to see, most of all of what moves."""
    apart = distance(way.eye, things).amin(dim=1)  # [B, R, K]
    touched = (apart < NEAR * stage.scale[:, None, None]).double().sum(dim=-1)
    cover = _cover(way, things, focal)  # [B, N, R, K]
    movers = (cover @ things.moving[:, None, :, None].float())[..., 0]
    # the moment at which least moves counts, too
    seen = movers.clamp_max(2.0).mean(dim=1) + 0.5 * movers.clamp_max(0.2).amin(dim=1)
    seen = 2.0 * seen + 0.6 * cover.sum(dim=-1).clamp_max(1.0).mean(dim=1)
    return (seen - 4.0 * touched - 3.0 * moved).argmax(dim=1)


def _cover(way: Ways, things: Obstacles, focal: Tensor) -> Float[Tensor, "B N R K"]:
    """About which share of the picture each slot has, whatever stands before it."""
    eye, target = (x.transpose(1, 2).float() for x in way)
    ahead = torch.nn.functional.normalize(target - eye, dim=-1)
    centre = things.centre
    depth = ahead @ centre.mT - (ahead * eye).sum(dim=-1, keepdim=True)
    square = centre.square().sum(dim=-1)[:, :, None] + eye.square().sum(dim=-1, keepdim=True)
    square = (square - 2 * eye @ centre.mT).clamp_min(0)
    aside = (square - depth.square()).clamp_min(0).sqrt()
    size = things.half.amax(dim=-1)[:, :, None]
    zoom = focal[..., None, None].float() / depth.maximum(0.2 * size).clamp_min(1e-6)
    inside = (depth > 0) & (aside * zoom < 1) & things.active[:, None, None]
    return (size * zoom).square().clamp_max(0.25) * inside


def cameras(way: Ways, view: Lens, size: tuple[int, int], times: Float[Tensor, "B N"]) -> Cameras:
    """The cameras of ways of one try [B, 1, N, 3]."""
    eye, target = way.eye[:, 0], way.target[:, 0]
    width, height = size
    focal = 0.5 * width * view.focal
    intrinsics = torch.zeros(*focal.shape, 3, 3).double()
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = focal
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2, height / 2
    intrinsics[..., 2, 2] = 1.0
    return Cameras(look_at(eye, target, view.roll), intrinsics, size, times)
