"""Smooth deformation that can be undone: closed forms both ways, so correspondence is exact.

A body is ripple(bend(twist(X))) of its rest pose X (its own metres, long along z):

- twist: the slice at height z is turned about z by ``twist * z``;
- bend: the z axis becomes an arc of curvature ``bend`` in the xz plane (lengths along it are kept);
- ripple: x and y are pushed by travelling waves of the bent z.

Each is a bijection near the body, so a ray is met by marching the rest pose's field at the unwarped
points. Points are [..., 3, P]; warps have a last axis too, of length P or 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_BEND = 1e-4  # 1/m: less is as good as straight, and the formulas divide by it


class Warp(NamedTuple):
    """Warps frozen at a time: any leading shape."""

    twist: Float[Tensor, "*b P"]  # rad/m
    bend: Float[Tensor, "*b P"]  # 1/m
    amplitude: Float[Tensor, "*b 2 P"]  # m, of the waves that push x and y
    wave: Float[Tensor, "*b 2 P"]  # rad/m along z
    phase: Float[Tensor, "*b 2 P"]  # rad


@dataclass(frozen=True)
class Deformation:
    """Warps of S bodies in each of B worlds that change with time.

    Twist and bend are ``middle + amplitude * sin(rate * t + phase)`` (the last axis); the ripples
    travel with ``speed`` rad/s. All of a body's warps start at ``start`` seconds, easing in over
    one second (-inf: they were always on).
    """

    twist: Float[Tensor, "B S 4"]
    bend: Float[Tensor, "B S 4"]
    amplitude: Float[Tensor, "B S 2"]
    wave: Float[Tensor, "B S 2"]
    phase: Float[Tensor, "B S 2"]
    speed: Float[Tensor, "B S 2"]
    start: Float[Tensor, "B S"]

    def at(self, times: Float[Tensor, "B N"]) -> Warp:
        """The warps [B, N, S, ..., 1] at times in seconds."""
        t = times.to(self.twist)[:, :, None]
        u = (t - self.start[:, None]).clamp(0, 1)
        on = u * u * (3 - 2 * u)
        warp = Warp(
            twist=on * _oscillation(self.twist, t),
            bend=on * _oscillation(self.bend, t),
            amplitude=on[..., None] * self.amplitude[:, None],
            wave=self.wave[:, None].expand(*on.shape, 2),
            phase=self.phase[:, None] + self.speed[:, None] * t[..., None],
        )
        return Warp(*(x[..., None] for x in warp))


def _oscillation(parameters: Tensor, t: Tensor) -> Tensor:
    middle, amplitude, rate, phase = parameters[:, None].unbind(dim=-1)
    return middle + amplitude * (rate * t + phase).sin()


def deform(warp: Warp, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b 3 P"]:
    """Where points of the rest pose are."""
    x, y, z = point.unbind(dim=-2)
    x, y = _turned(x, y, warp.twist * z)
    bend = _not_straight(warp.bend)
    angle = bend * z
    # x + (1 - cos) / bend - x (1 - cos), with no difference of large numbers
    lift = 2 * (0.5 * angle).sin().square()
    x, z = x + lift * (bend.reciprocal() - x), (bend.reciprocal() - x) * angle.sin()
    push = _ripple(warp, z)
    return torch.stack([x + push[..., 0, :], y + push[..., 1, :], z], dim=-2)


def undeform(warp: Warp, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b 3 P"]:
    """The points of the rest pose that are at ``point``: the inverse of ``deform``."""
    z = point[..., 2, :]
    push = _ripple(warp, z)
    x, y = point[..., 0, :] - push[..., 0, :], point[..., 1, :] - push[..., 1, :]
    bend = _not_straight(warp.bend)
    across, along = 1 - bend * x, bend * z
    far = torch.hypot(across, along)
    x, z = (2 * x - bend * (x * x + z * z)) / (1 + far), torch.atan2(along, across) / bend
    x, y = _turned(x, y, -warp.twist * z)
    return torch.stack([x, y, z], dim=-2)


def reach(warp: Warp, radius: Float[Tensor, "*b P"]) -> Float[Tensor, "*b P"]:
    """The radius of a ball about the origin that holds the warped ball of ``radius``."""
    bent = radius * (1 + 0.5 * _not_straight(warp.bend).abs() * radius).sqrt()
    return bent + warp.amplitude.norm(dim=-2)


def steepness(warp: Warp, radius: Float[Tensor, "*b P"]) -> Float[Tensor, "*b P"]:
    """A bound on how much ``undeform`` stretches distances near the ball of ``radius``.

    A field of distances in the rest pose, divided by it, is one in the warped space.
    """
    twist = _shear(warp.twist.abs() * radius)
    bend = (1 - _not_straight(warp.bend).abs() * radius).clamp_min(0.25).reciprocal()
    ripple = _shear((warp.amplitude * warp.wave).norm(dim=-2))
    return twist * bend * ripple


def _shear(slope: Tensor) -> Tensor:
    """The largest stretch of a shear."""
    return 0.5 * (slope + (slope * slope + 4).sqrt())


def _ripple(warp: Warp, z: Tensor) -> Tensor:
    return warp.amplitude * (warp.wave * z[..., None, :] + warp.phase).sin()


def _turned(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = angle.cos(), angle.sin()
    return x * cos - y * sin, x * sin + y * cos


def _not_straight(bend: Tensor) -> Tensor:
    return torch.where(bend.abs() < LEAST_BEND, LEAST_BEND, bend)
