"""The demo clip's world: a sunny court with a delivery cart and a walking figure.

Stage axes: x right, y away from the camera, z up, metres, the floor at z = 0. Two things move, each
made of rigid parts: the cart rolls along an arc towards the camera; the figure walks across in
front of it, turning, swaying and stretching (not rigid). Neither goes the camera's way, or their
motion would hide in the epipolar geometry.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.camera import Cameras, look_at, pinhole
from worldline.synth.materials import Material, Painted
from worldline.synth.motion import (
    LEAN,
    STRETCH,
    TURN,
    Curves,
    Joints,
    rest,
    shift,
    stack,
    turn,
)
from worldline.synth.shapes import Kind
from worldline.synth.world import Light, World

FRAMES = 48
FRAME_RATE = 24
SIZE = (480, 270)  # width, height
FIELD_OF_VIEW = math.radians(60)
DURATION = (FRAMES - 1) / FRAME_RATE  # from the first frame to the last

CREAM, WHITE, CLAY = (0.80, 0.70, 0.55), (0.83, 0.81, 0.77), (0.62, 0.27, 0.15)
TEAL, NAVY, MUSTARD = (0.07, 0.34, 0.36), (0.05, 0.09, 0.20), (0.80, 0.48, 0.08)
CORAL, LEAF = (0.78, 0.22, 0.14), (0.13, 0.28, 0.07)
OAK, WALNUT, RUBBER = (0.52, 0.31, 0.14), (0.24, 0.12, 0.05), (0.04, 0.04, 0.045)


@dataclass(frozen=True)
class Part:
    """One solid: what it is, where its middle is in its group (metres), and its material."""

    kind: Kind
    half: tuple[float, float, float]
    at: tuple[float, float, float]
    material: Material | tuple[Material, ...]
    yaw: float = 0.0  # degrees about z


def _paint(colour: tuple[float, float, float]) -> Material:
    return Material("plain", colour)


COURT_WALLS = (
    _paint(CREAM),  # left: flat plaster
    Material("wood", OAK, WALNUT, (0.34, 1.0)),  # right
    _paint(WHITE),  # behind the camera
    Material("bricks", (0.66, 0.36, 0.24), (0.74, 0.68, 0.60), (0.44, 0.15), 0.22),  # back
    Material("tiles", (0.70, 0.60, 0.46), (0.36, 0.30, 0.24), (0.7, 0.7), 0.32, 0.13),  # floor
    _paint(WHITE),
)

CRATE = Material("wood", (0.60, 0.39, 0.19), (0.36, 0.20, 0.09), (0.14, 1.0), 0.2)
STONE = Material("mottled", (0.72, 0.68, 0.62), (0.52, 0.47, 0.42), (0.4, 0.4), 0.15)
BUSH = Material("mottled", LEAF, (0.30, 0.44, 0.12), (0.11, 0.11), 0.6, 2.0)
RUG = Material("checker", (0.60, 0.17, 0.12), (0.78, 0.66, 0.45), (0.3, 0.3), 0.25, 0.02)

STATIC = (
    Part(Kind.ROOM, (4.3, 4.9, 4.0), (0.0, 3.3, 4.0), COURT_WALLS),
    Part(Kind.BOX, (4.3, 0.08, 0.10), (0.0, 8.12, 0.10), _paint((0.45, 0.40, 0.34))),
    Part(Kind.BOX, (0.50, 0.50, 0.50), (-3.25, 6.9, 0.50), CRATE, 12.0),
    Part(Kind.BOX, (0.36, 0.36, 0.36), (-3.15, 6.95, 1.36), CRATE, -20.0),
    Part(Kind.BOX, (0.38, 0.38, 0.38), (-2.25, 7.3, 0.38), CRATE, 35.0),
    Part(Kind.CYLINDER, (0.34, 0.34, 2.0), (2.35, 7.2, 2.0), STONE),
    Part(Kind.BOX, (0.46, 0.46, 0.12), (2.35, 7.2, 0.12), STONE),
    Part(Kind.BOX, (0.85, 0.32, 0.26), (0.35, 7.55, 0.26), _paint(TEAL)),
    Part(Kind.BALL, (0.42, 0.34, 0.36), (-0.10, 7.55, 0.70), BUSH),
    Part(Kind.BALL, (0.46, 0.36, 0.44), (0.42, 7.55, 0.74), BUSH),
    Part(Kind.BALL, (0.38, 0.32, 0.34), (0.88, 7.55, 0.68), BUSH),
    Part(Kind.BOX, (0.95, 0.60, 0.01), (-0.15, 2.75, 0.01), RUG, -14.0),
    Part(Kind.BALL, (0.24, 0.24, 0.24), (2.5, 5.3, 0.24),
         Material("wedges", CORAL, WHITE, (1 / 8, 1.0), 0.1), 20.0),
    Part(Kind.BOX, (0.28, 0.28, 0.45), (3.3, 6.2, 0.45), _paint(WHITE), 24.0),
    Part(Kind.BALL, (0.25, 0.25, 0.25), (3.3, 6.2, 1.15), Material("mottled", MUSTARD, CLAY)),
)  # fmt: skip

WHEEL = 0.23
SPOKES = Material("wedges", MUSTARD, NAVY, (1 / 10, 1.0), 0.1)
TYRE = (Material("checker", RUBBER, (0.12, 0.12, 0.12), (0.12, 0.06)),) * 4 + (SPOKES, SPOKES)
PLANKS = Material("wood", TEAL, NAVY, (0.18, 1.0), 0.2)
PARCEL = Material("checker", CORAL, CREAM, (0.22, 0.22), 0.25, 0.11)
CART = (
    Part(Kind.BOX, (0.85, 0.48, 0.16), (0.0, 0.0, 0.46), PLANKS),
    Part(Kind.BOX, (0.42, 0.42, 0.36), (-0.38, 0.0, 0.98), PARCEL),
    Part(Kind.BOX, (0.32, 0.36, 0.24), (0.40, 0.02, 0.86), CRATE, 10.0),
    Part(Kind.BALL, (0.19, 0.19, 0.19), (0.38, 0.02, 1.29),
         Material("wedges", MUSTARD, WHITE, (1 / 8, 1.0), 0.1)),
)  # fmt: skip
AXLES = tuple((x, y) for x in (-0.56, 0.56) for y in (-0.53, 0.53))

COAT = Material("stripes", MUSTARD, NAVY, (0.125, 1.0), 0.3, 0.01)
KNIT = Material("checker", TEAL, (0.55, 0.62, 0.52), (0.10, 0.10), 0.3)
SKIN = Material("mottled", (0.72, 0.45, 0.30), (0.66, 0.38, 0.25), (0.2, 0.2), 0.1)
FIGURE = (
    Part(Kind.CYLINDER, (0.37, 0.37, 0.42), (0.0, 0.0, 0.42), COAT),
    Part(Kind.BALL, (0.36, 0.33, 0.46), (0.0, 0.0, 1.08), KNIT),
    Part(Kind.CYLINDER, (0.20, 0.20, 0.06), (0.0, 0.0, 1.45), _paint(CORAL)),
    Part(Kind.BALL, (0.21, 0.20, 0.23), (0.0, 0.0, 1.66), SKIN),
    Part(Kind.BALL, (0.05, 0.04, 0.04), (0.21, 0.0, 1.65), _paint(CORAL)),
    Part(Kind.BALL, (0.03, 0.03, 0.04), (0.175, 0.075, 1.72), _paint(NAVY)),
    Part(Kind.BALL, (0.03, 0.03, 0.04), (0.175, -0.075, 1.72), _paint(NAVY)),
    Part(Kind.CYLINDER, (0.30, 0.30, 0.02), (0.0, 0.0, 1.80), _paint(NAVY)),
    Part(Kind.CYLINDER, (0.19, 0.19, 0.10), (0.0, 0.0, 1.91),
         Material("stripes", NAVY, CORAL, (0.1, 1.0), 0.2)),
)  # fmt: skip
ARM = Part(Kind.BALL, (0.085, 0.085, 0.33), (0.0, 0.0, -0.26), KNIT)
SHOULDERS = (0.36, -0.36)

SPEED, ROUND, HEADING = 1.5, 3.6, math.radians(-52)  # of the cart: m/s, m, at the start
STEP = 2 * math.pi * 0.95  # rad/s

SUN = Light.of(
    towards=(-0.62, -0.55, 0.95),
    sun=(0.86, 0.76, 0.60),
    sky=(0.46, 0.51, 0.60),
    bounce=(0.34, 0.29, 0.24),
    spread=0.05,
)


def demo_world() -> World:
    """The court with everything in it."""
    still = rest((0.0, 0.0, 0.0))
    wheels = [Part(Kind.CYLINDER, (WHEEL, WHEEL, 0.06), (0.0, 0.0, 0.0), TYRE) for _ in AXLES]
    arms = [ARM for _ in SHOULDERS]
    parts = [*STATIC, *CART, *wheels, *FIGURE, *arms]
    cart = len(STATIC)
    figure = cart + len(CART) + len(AXLES)
    curves = [still] * len(parts)
    parent = [-1] * cart + [cart] * (figure - cart) + [figure] * (len(parts) - figure)
    parent[cart] = parent[figure] = -1
    curves[cart], curves[figure] = _rolling(), _walking()
    curves[cart + len(CART) : figure] = [_wheel(*axle) for axle in AXLES]
    curves[-len(arms) :] = [_swinging(side) for side in SHOULDERS]
    before = torch.eye(4, dtype=torch.float64).repeat(len(parts), 1, 1)
    before[-len(arms) :] = torch.stack([_shoulder(side) for side in SHOULDERS])
    after = torch.stack([_placed(part) for part in parts])
    after[cart + len(CART) : figure] = turn((-math.pi / 2, 0.0, 0.0))  # axles lie along y
    return World(
        kinds=tuple(part.kind for part in parts),
        half=torch.tensor([[part.half for part in parts]], dtype=torch.float64),
        active=torch.ones(1, len(parts), dtype=torch.bool),
        joints=Joints.of(
            Curves(*(x[None] for x in stack(curves))),
            torch.tensor([parent]),
            before[None],
            after[None],
        ),
        look=Painted(tuple(part.material for part in parts)),
        light=SUN,
    )


def demo_cameras(size: tuple[int, int] = SIZE) -> Cameras:
    """The hand-held camera in stage axes, at any picture size (width, height)."""
    times = torch.arange(FRAMES, dtype=torch.float64) / FRAME_RATE
    u = times / DURATION
    bend = (math.pi * u).sin()
    eye = torch.stack([-0.75 + 1.4 * u, 0.05 + 0.25 * u + 0.22 * bend, 1.62 + 0.42 * u], dim=1)
    target = torch.stack([0.10 - 0.05 * u, 4.4 + 0 * u, 0.74 + 0.06 * bend], dim=1)
    shake = torch.stack([_wobble(times, k) for k in range(6)], dim=1)
    roll = 0.004 * _wobble(times, 6)
    pose = look_at(eye + 0.006 * shake[:, :3], target + 0.022 * shake[:, 3:], roll)
    lens = pinhole(FIELD_OF_VIEW, size).expand(1, FRAMES, 3, 3)
    return Cameras(pose[None], lens, size, times[None])


def _wobble(times: Float[Tensor, " N"], which: int) -> Float[Tensor, " N"]:
    """A smooth tremble of about unit size and no period within the clip."""
    slow, quick = 1.1 + 0.23 * which, 2.3 + 0.31 * which
    phase = 1.7 * which
    return (2 * math.pi * slow * times + phase).sin() + 0.35 * (2 * math.pi * quick * times).sin()


def _placed(part: Part) -> Float[Tensor, "4 4"]:
    return shift(part.at) @ turn((0.0, 0.0, math.radians(part.yaw)))


def _rolling() -> Curves:
    """The cart rolls along a circle, nose ahead."""
    middle = (-1.85 - ROUND * math.sin(HEADING), 5.75 + ROUND * math.cos(HEADING), 0.0)
    rolling = rest(middle).orbit(ROUND, SPEED / ROUND, HEADING - math.pi / 2)
    return rolling.offset(TURN, (0.0, 0.0, HEADING)).spin((0.0, 0.0, SPEED / ROUND))


def _wheel(x: float, y: float) -> Curves:
    """A wheel turns by the way it has come; the inner wheels go a shorter way."""
    return rest((x, y, WHEEL)).spin((0.0, SPEED * (1 - y / ROUND) / WHEEL, 0.0))


def _walking() -> Curves:
    """The figure walks along a bow with 1.9 steps a second; the skirt stays flat on the floor."""
    walking = rest((1.10, 3.22, 0.0)).push((-2.15 / DURATION, 1.05 / DURATION, 0.0))
    walking = walking.sway(1, 0.15, math.pi / DURATION, 0.0)
    walking = walking.offset(TURN, (0.0, 0.0, math.radians(162)))
    walking = walking.spin((0.0, 0.0, 1.05 / DURATION)).sway(TURN.start + 2, 0.12, STEP, 0.0)
    walking = walking.sway(LEAN.start, 0.05, 2 * STEP, 0.0).sway(LEAN.start + 1, 0.07, STEP, 0.0)
    return walking.sway(STRETCH.start, 0.035, 2 * STEP, 0.6)


def _shoulder(side: float) -> Float[Tensor, "4 4"]:
    return shift((0.0, side, 1.30)) @ turn((math.copysign(0.22, side), 0.0, 0.0))


def _swinging(side: float) -> Curves:
    return rest((0.0, 0.0, 0.0)).sway(TURN.start + 1, math.copysign(0.75, side), STEP, 0.0)
