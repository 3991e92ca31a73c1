"""Three worlds with every kind of solid and of motion: in a room, on terrain, on flat ground."""

import math

import torch

from worldline.synth.camera import Cameras, look_at, pinhole
from worldline.synth.deformation import Deformation
from worldline.synth.fields import ABSENT, Blend, Terrain, blend
from worldline.synth.motion import (
    LEAN,
    STRETCH,
    TURN,
    Curves,
    Joints,
    bounce,
    collide,
    ease,
    rest,
    shift,
    stack,
)
from worldline.synth.paintings import FAMILIES, procedural
from worldline.synth.shapes import Kind
from worldline.synth.textures import Textured
from worldline.synth.world import Light, World

WORLDS = 3
SIZE = (96, 72)
DURATION = 2.0
HEAD = (0.0, 0.0, 0.0)

# kind, half sizes, motion; the arm's parts hang on each other
EASE = torch.tensor([0.8, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
OBJECTS = {
    "room": (Kind.ROOM, (5.0, 5.0, 2.5), rest((0.0, 4.0, 2.5))),
    "terrain": (Kind.TERRAIN, HEAD, rest((0.0, 4.0, -0.4))),
    "ground": (Kind.GROUND, (40.0, 40.0, 1.0), rest(HEAD)),
    "static box": (Kind.BOX, (0.4, 0.3, 0.5), rest((-2.2, 5.0, 0.5))),
    "spinning box": (Kind.BOX, (0.3, 0.4, 0.2), rest((1.6, 5.5, 1.6)).spin((0.3, 0.9, 0.5))),
    "bouncing ball": (Kind.BALL, (0.3, 0.3, 0.3), bounce((-1.0, 4.2, 0.3), 1.2, 0.2)),
    "pushed cylinder": (Kind.CYLINDER, (0.3, 0.3, 0.4),
                        rest((0.6, 6.4, 0.4)).push((-0.5, -0.2, 0.0))),
    "orbiting cone": (Kind.CONE, (0.3, 0.3, 0.4), rest((-0.4, 6.0, 1.7)).orbit(0.7, 1.6, 0.3)),
    "swaying torus": (Kind.TORUS, (0.5, 0.5, 0.13),
                      rest((1.4, 3.6, 0.9)).offset(TURN, (0.9, 0.0, 0.0))
                      .sway(TURN.start + 1, 0.5, 2.0, 0.0)),
    "starting blend": (Kind.BLEND, HEAD, ease((-1.9, 3.4, 0.5), EASE, 0.5, 1.5)),
    "twisting body": (Kind.BODY, HEAD, rest((0.2, 3.6, 0.75))),
    "walking body": (Kind.BODY, HEAD, rest((0.9, 4.8, 0.9)).push((-0.3, 0.1, 0.0))
                     .sway(LEAN.start, 0.2, 3.0, 0.0)),
    "upper arm": (Kind.BOX, (0.08, 0.08, 0.25), rest((-1.4, 5.2, 2.0))
                  .sway(TURN.start + 1, 0.6, 2.5, 0.0)),
    "lower arm": (Kind.CYLINDER, (0.07, 0.07, 0.22), rest((0.0, 0.0, -0.5))
                  .sway(TURN.start + 1, 0.8, 2.5, 0.7)),
    "squashed ball": (Kind.BALL, (0.25, 0.35, 0.3), rest((2.4, 4.6, 0.6))
                      .sway(STRETCH.start, 0.25, 4.0, 0.0)),
    "struck ball": (Kind.BALL, (0.2, 0.2, 0.2),
                    collide((-0.2, 2.9, 0.2), (1.0, 0.3, 0.0), (-0.6, 0.2, 0.0), 1.0)),
}  # fmt: skip
NAMES = list(OBJECTS)


def parts(*rows: tuple[tuple[float, ...], tuple[float, ...], float]) -> Blend:
    """One blend [WORLDS, 1] of parts (centre, half, radius)."""
    centre, half, radius = (torch.tensor(x).double() for x in zip(*rows, strict=True))
    stretch = torch.ones_like(centre)
    stretch[0, 0] = 1.3
    made = blend(centre, half, radius, turn=0.2 * half, stretch=stretch, smooth=0.06)
    return Blend(*(x.expand(WORLDS, 1, *x.shape).clone() for x in made))


def world(names: list[str] | None = None, look: Textured | None = None) -> World:
    """The zoo; `names` leaves only some objects in it."""
    kinds, half, curves = zip(*OBJECTS.values(), strict=True)
    parent = torch.full((len(NAMES),), -1)
    parent[NAMES.index("lower arm")] = NAMES.index("upper arm")
    after = torch.eye(4).double().repeat(len(NAMES), 1, 1)
    for name, drop in (("upper arm", -0.25), ("lower arm", -0.22)):
        after[NAMES.index(name)] = shift((0.0, 0.0, drop))
    active = torch.ones(WORLDS, len(NAMES), dtype=torch.bool)
    active[:, :3] = torch.eye(3, dtype=torch.bool)
    if names is not None:
        active &= torch.tensor([name in names for name in NAMES])
    low = ((0.0, 0.0, -0.35), (0.18, 0.1, 0.05), 0.12)
    bodies = [
        parts(low, ((0.05, 0.0, 0.1), (0.0, 0.0, 0.25), 0.14), ((0.0, 0.1, 0.5), HEAD, 0.16)),
        parts(((0.0, 0.0, 0.0), (0.06, 0.1, 0.5), 0.1), ((0.2, 0.0, 0.5), HEAD, 0.15),
              (HEAD, HEAD, ABSENT)),
    ]  # fmt: skip
    return World(
        kinds=kinds,
        half=torch.tensor(half).double().expand(WORLDS, -1, 3).clone(),
        active=active,
        joints=Joints.of(
            Curves(*(x.expand(WORLDS, *x.shape) for x in stack(curves))),
            parent.expand(WORLDS, -1),
            after=after.expand(WORLDS, -1, 4, 4),
        ),
        look=look or textured(len(NAMES)),
        light=light(),
        blends=parts(low, ((0.0, 0.0, 0.1), (0.0, 0.0, 0.2), 0.2), ((0.25, 0.0, 0.2), HEAD, 0.14)),
        bodies=Blend(*(torch.cat(pair, dim=1) for pair in zip(*bodies, strict=True))),
        deformation=deformation(),
        terrains=terrain(),
    )


def deformation() -> Deformation:
    def rows(*values: tuple[float, ...]) -> torch.Tensor:
        return torch.tensor(values).double().expand(WORLDS, -1, -1).clone()

    return Deformation(
        twist=rows((0.3, 1.2, 2.0, 0.1), (0.0, 0.0, 0.0, 0.0)),
        bend=rows((0.0, 0.3, 1.5, 0.4), (0.2, 0.5, 2.2, 0.0)),
        amplitude=rows((0.0, 0.0), (0.05, 0.03)),
        wave=rows((5.0, 4.0), (5.0, 4.0)),
        phase=rows((0.0, 0.5), (0.2, 0.9)),
        speed=rows((0.0, 0.0), (4.0, 3.0)),
        start=torch.full((WORLDS, 2), -math.inf).double(),
    )


def terrain() -> Terrain:
    wave = torch.tensor([[0.5, 0.2], [-0.3, 0.9], [1.3, 1.1], [2.1, -1.7]]).double()
    amplitude = torch.tensor([0.25, 0.2, 0.08, 0.04]).double()
    made = (wave, amplitude, torch.arange(4).double(), torch.tensor([30.0, 30.0]).double())
    return Terrain(*(x[..., None].expand(WORLDS, 1, *x.shape, 1).clone() for x in made))


def light() -> Light:
    one = Light.of((-0.5, -0.6, 1.1), (0.8, 0.75, 0.65), (0.4, 0.45, 0.55), (0.3, 0.28, 0.25))
    return Light(*(getattr(one, f).repeat_interleave(WORLDS, 0) for f in one.__match_args__))


def textured(slots: int, seed: int = 0) -> Textured:
    """Textures that can be resampled, chosen at random: no threads and letters of a pixel."""
    generator = torch.Generator().manual_seed(seed)
    bank = procedural(seed, count=33, size=128)
    calm = [i for i in range(33) if FAMILIES[i % len(FAMILIES)] not in ("fabric", "writing")]
    chosen = torch.randint(len(calm), (WORLDS, slots, 1), generator=generator)
    texture = torch.tensor(calm)[chosen].expand(-1, -1, 6)
    tint = 0.6 + 0.6 * torch.rand(WORLDS, slots, 3, generator=generator)
    repeat = torch.full((WORLDS, slots), 1.0)
    repeat[:, :3] = 4.0
    offset = torch.rand(WORLDS, slots, 2, generator=generator)
    return Textured(bank, texture, tint, repeat, offset)


def cameras(frames: int = 4, size: tuple[int, int] = SIZE) -> Cameras:
    """A camera that goes by, another way in each world."""
    times = torch.linspace(0, DURATION, frames).double().expand(WORLDS, -1)
    u = times / DURATION
    side = torch.tensor([-1.0, 0.3, 1.0]).double()[:, None]
    eye = torch.stack([side * (0.8 - 0.9 * u), 0.2 + 0.5 * u, 1.7 + 0.2 * side * u], dim=-1)
    target = torch.stack([0.2 * side * u, 4.5 + 0 * u, 0.8 + 0 * u], dim=-1)
    lens = pinhole(math.radians(65), size).expand(WORLDS, frames, 3, 3)
    return Cameras(look_at(eye, target, 0.05 * u), lens, size, times)
