"""Random cameras: many ways for each, of which the one that sees most and touches nothing is taken.

A way is the same formula for all kinds: a point at an angle, a distance and a height about what is
looked at, all of which may change, plus a slide, a loop and the trembling of a hand.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.synth.camera import Cameras, look_at
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.stage import Stage

TRIES = 16
LOOKS = 8  # moments at which the ways are compared
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


class Ways(NamedTuple):
    """R tries for each of B cameras at N times: eyes, and what they look at."""

    eye: Float[Tensor, "B R N 3"]
    target: Float[Tensor, "B R N 3"]


class Obstacles(NamedTuple):
    """Boxes [-half, half] about ``middle`` in the frames of K slots at N times, and which move."""

    place: Float[Tensor, "B N K 4 4"]
    middle: Float[Tensor, "B K 3"]
    half: Float[Tensor, "B K 3"]
    active: Bool[Tensor, "B K"]
    moving: Bool[Tensor, "B K"]


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


def ways(
    draw: Draws, mix: Mix, stage: Stage, focus: Float[Tensor, "B 3"], times: Float[Tensor, "N"]
) -> Ways:
    """Tries of each world's kind of camera at ``times``; the clip is from 0 to the last of them."""
    names = [name for name, _ in mix.cameras]
    table = torch.tensor([STYLES[name] for name in names], dtype=torch.float64)
    style = Style(*table[draw.choice([w for _, w in mix.cameras])].T[..., None, None].unbind())
    u = times / times[-1].clamp_min(1e-9)
    scale = stage.scale[:, None, None]
    reach = draw.uniform(1, 1, low=mix.reach[0], high=mix.reach[1])

    def either(low: float, high: float) -> Tensor:
        """A size between, of either sign, of each try."""
        sign = 1 - 2 * draw.chance(0.5, TRIES, 1).double()
        return sign * draw.uniform(TRIES, 1, low=low, high=high) * reach

    focus = focus[:, None] + stage.scale[:, None, None] * 0.25 * draw.uniform(TRIES, 3, low=-1.0)
    away = draw.uniform(TRIES, 1, low=mix.distance[0], high=mix.distance[1]) * scale
    pitch = draw.uniform(TRIES, 1, low=0.06, high=0.45) + 0.3 * style.high
    angle = draw.uniform(TRIES, 1, high=2 * torch.pi)
    angle = angle + style.sweep * either(0.35, 1.3) * (u - 0.5)
    distance = away * (1 + style.dolly * either(0.15, 0.45) * (u - 0.5))
    height = away * pitch + style.rise * either(0.1, 0.4) * scale * (u - 0.5)
    flat = torch.stack([angle.cos(), angle.sin()], dim=-1)
    eye = torch.cat([distance[..., None] * flat, height[..., None]], dim=-1) + focus[:, :, None]
    target = focus[:, :, None].expand_as(eye)
    aim = -flat.mean(dim=2, keepdim=True)
    across = torch.stack([-aim[..., 1], aim[..., 0]], dim=-1)
    ahead = style.ahead[..., None]
    heading = ahead * aim + (1 - ahead) * across * (1 - 2 * draw.chance(0.5, TRIES, 1, 1).double())
    along = style.slide * draw.uniform(TRIES, 1, low=0.25, high=0.6) * reach * scale * (u - 0.4)
    slide = torch.nn.functional.pad(along[..., None] * heading, (0, 1))
    turn = 2 * torch.pi * u
    ring = style.loop * 0.35 * reach * scale * draw.uniform(TRIES, 1, low=0.5)
    loop = torch.stack([ring * turn.sin(), ring * (1 - turn.cos()), 0.3 * ring * turn.sin()], -1)
    eye = eye + slide + loop
    target = target + slide + 0.3 * loop
    hand = style.tremble[..., None] * _tremble(draw, times) * away[..., None]
    eye, target = eye + 0.012 * hand[..., :3], target + 0.03 * hand[..., 3:]
    return Ways(eye, _panned(draw, eye, target, style.pan * reach, u))


def focus(stage: Stage, things: Obstacles) -> Float[Tensor, "B 3"]:
    """The middle of what moves, or of everything where nothing does."""
    centre = things.place[..., :3, 3].mean(dim=1)
    weight = things.active.double() * torch.where(things.moving, 1.0, 0.02)
    weight = weight * things.half.amax(dim=-1)
    middle = (weight[..., None] * centre).sum(dim=1)
    return middle / weight.sum(dim=1, keepdim=True).clamp_min(1e-9)


def _tremble(draw: Draws, times: Tensor) -> Float[Tensor, "B R N 6"]:
    """A hand's: slow waves are wide, quick ones narrow; about 1 in size."""
    rate = 2 * torch.pi * draw.spread(1, 1, TREMBLES, 6, low=0.25, high=3.0)
    phase = draw.uniform(1, 1, TREMBLES, 6, high=2 * torch.pi)
    wave = (rate * times[:, None, None] + phase).sin() / rate
    return 2.5 * wave.sum(dim=-2)


def _panned(draw: Draws, eye: Tensor, target: Tensor, pan: Tensor, u: Tensor) -> Tensor:
    """Targets turned about the eye: a sweep to one side, or there and back, and a nod."""
    sweep = draw.uniform(TRIES, 1, low=0.25, high=0.9)
    sign = 1 - 2 * draw.chance(0.5, TRIES, 1).double()
    back = (2 * torch.pi * u).sin()
    angle = pan * sign * sweep * torch.where(draw.chance(0.3, 1, 1), 0.7 * back, u - 0.5)
    nod = pan * 0.15 * draw.uniform(TRIES, 1, low=-1.0) * (torch.pi * u).sin()
    x, y, z = (target - eye).unbind(dim=-1)
    cos, sin = angle.cos(), angle.sin()
    rise = z + nod * torch.hypot(x, y)
    return eye + torch.stack([cos * x - sin * y, sin * x + cos * y, rise], dim=-1)


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


def distance(eye: Float[Tensor, "B R N 3"], things: Obstacles) -> Float[Tensor, "B R N K"]:
    """How far eyes are from the boxes (0: inside); inf for what is switched off."""
    place = things.place[:, None]
    to = eye[:, :, :, None] - place[..., :3, 3]
    along = (place[..., :3, :3] * to[..., None]).sum(dim=-2)
    square = place[..., :3, :3].square().sum(dim=-2)  # squashed objects' axes are no unit vectors
    local = along / square - things.middle[:, None, None]
    outside = (local.abs() - things.half[:, None, None]).clamp_min(0) * square.sqrt()
    far = outside.norm(dim=-1)
    return torch.where(things.active[:, None, None], far, torch.inf)


def best(stage: Stage, way: Ways, moved: Tensor, things: Obstacles, focal: Tensor) -> Tensor:
    """Which try [B] to take: free of obstacles, and with much to see."""
    apart = distance(way.eye, things).amin(dim=2) / stage.scale[:, None, None]
    touched = (apart < NEAR).double().sum(dim=-1)
    centre = things.place[..., :3, 3]
    ahead = torch.nn.functional.normalize(way.target - way.eye, dim=-1)
    to = centre[:, None] - way.eye[:, :, :, None]
    depth = (to * ahead[:, :, :, None]).sum(dim=-1)
    aside = (to.square().sum(dim=-1) - depth.square()).clamp_min(0).sqrt()
    size = things.half.amax(dim=-1)[:, None, None]
    safe = depth.maximum(0.2 * size.expand_as(depth)).clamp_min(1e-6)
    zoom = focal[:, None, :, None] / safe
    inside = (depth > 0) & (aside * zoom < 1.0) & things.active[:, None, None]
    cover = torch.where(inside, (size * zoom).square().clamp_max(0.25), 0.0)
    movers = torch.where(things.moving[:, None, None], cover, 0.0).sum(dim=-1)
    # the moment at which least moves counts, too
    seen = movers.clamp_max(1.2).mean(dim=-1) + 0.5 * movers.clamp_max(0.2).amin(dim=-1)
    seen = 2.0 * seen + 0.6 * cover.sum(dim=-1).clamp_max(1.0).mean(dim=-1)
    return (seen - 4.0 * touched - 3.0 * moved).argmax(dim=1)


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
