"""How objects move: a tree of joints whose places are closed forms of time.

A joint has nine numbers that change with time (its channels): a place, a rotation vector, a lean
and a stretch. Each channel is a piecewise cubic plus a wave,

    channel(t) = a0 + a1 s + a2 s² + a3 s³ + amplitude * sin(rate * t + phase),    s = t - knot,

which holds what we want to move exactly: rest, push, ease, free fall and impact (cubics with
knots), spin, orbit, swing and step (lines and waves). Everything is a tensor with any leading
shape, so the motions of all objects of all worlds are made, and evaluated at any times, at once:

    curves = rest(at).spin(rate)                    # [B, K]: what all objects do ...
    curves = choose(falls, bounce(at, 2.0, start), curves)    # ... except those that fall
    Joints.of(curves, parent).place(times)          # [B, N, K, 4, 4]

Maps are affine, z is up, lengths are metres, angles radians, times seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PLACE, TURN, LEAN, STRETCH = slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 9)
CHANNELS = 9
EARTH = 9.81  # m/s²
LONG = 1e5  # seconds before which nothing is asked: the first knot of what is there from the start

Vector = Float[Tensor, "*#b 3"] | Sequence[float]  # of each joint, or of all of them
Number = Float[Tensor, "*#b"] | float


class Curves(NamedTuple):
    """The channels of joints of any leading shape.

    Pieces hold from their knot to the next; the first one also before its own. Unused pieces have
    knots at inf. ``waves`` are (amplitude, rate in rad/s, phase in rad).
    """

    knots: Float[Tensor, "*b M"]
    cubics: Float[Tensor, "*b M 9 4"]
    waves: Float[Tensor, "*b 9 3"]

    def at(self, times: Float[Tensor, "*#b N"]) -> Float[Tensor, "*b N 9"]:
        """The channels' values at times in seconds."""
        t = times.to(self.knots)
        t = t.expand(*self.knots.shape[:-1], t.shape[-1])
        piece = (t[..., None] >= self.knots[..., None, 1:]).sum(dim=-1)
        s = (t - self.knots.gather(-1, piece))[..., None]
        index = piece[..., None, None].expand(*piece.shape, CHANNELS, 4)
        a = self.cubics.gather(-3, index)
        curve = a[..., 0] + s * (a[..., 1] + s * (a[..., 2] + s * a[..., 3]))
        amplitude, rate, phase = self.waves[..., None, :, :].unbind(dim=-1)
        return curve + amplitude * (rate * t[..., None] + phase).sin()

    def drift(self, channels: slice, rate: Vector | Float[Tensor, "*#b C"]) -> "Curves":
        """Adds a constant rate (per second); nothing is added at time 0."""
        rate = _like(rate, self.knots)
        cubics = self.cubics.clone()
        knots = torch.where(self.knots.isfinite(), self.knots, 0)
        cubics[..., channels, 0] += rate[..., None, :] * knots[..., None]
        cubics[..., channels, 1] += rate[..., None, :]
        return self._replace(cubics=cubics)

    def push(self, velocity: Vector) -> "Curves":
        """A constant velocity in m/s."""
        return self.drift(PLACE, velocity)

    def spin(self, rate: Vector) -> "Curves":
        """A constant turn about the axis ``rate``, in rad/s (about one axis for good)."""
        return self.drift(TURN, rate)

    def offset(self, channels: slice, by: Vector | Float[Tensor, "*#b C"]) -> "Curves":
        """Adds a constant."""
        cubics = self.cubics.clone()
        cubics[..., channels, 0] += _like(by, self.knots)[..., None, :]
        return self._replace(cubics=cubics)

    def sway(self, channel: int, amplitude: Number, rate: Number, phase: Number) -> "Curves":
        """Replaces one channel's wave: swings, steps, breathing."""
        wave = torch.stack(
            torch.broadcast_tensors(*(_like(x, self.knots) for x in (amplitude, rate, phase))),
            dim=-1,
        )
        waves = self.waves.clone()
        waves[..., channel, :] = wave
        return self._replace(waves=waves)

    def orbit(self, radius: Number, rate: Number, phase: Number, axis: int = 2) -> "Curves":
        """A circle about the place, square to a coordinate axis."""
        quarter = _like(phase, self.knots) + torch.pi / 2
        circle = self.sway((axis + 1) % 3, radius, rate, quarter)
        return circle.sway((axis + 2) % 3, radius, rate, phase)


def rest(at: Vector) -> Curves:
    """Stands at a place."""
    at = _like(at)
    cubics = at.new_zeros(*at.shape[:-1], 1, CHANNELS, 4)
    cubics[..., 0, PLACE, 0] = at
    cubics[..., 0, STRETCH, 0] = 1
    return Curves(
        at.new_zeros(*at.shape[:-1], 1), cubics, at.new_zeros(*at.shape[:-1], CHANNELS, 3)
    )


def ease(
    at: Vector,
    way: Float[Tensor, "*b 9"] | Sequence[float],
    start: Number,
    end: Number,
) -> Curves:
    """Rests until ``start``, goes smoothly along ``way`` (in all channels) until ``end``, rests."""
    standing = rest(at)
    way, start, end = (_like(x, standing.knots) for x in (way, start, end))
    span = (end - start)[..., None]
    cubics = standing.cubics.repeat_interleave(3, dim=-3)
    cubics[..., 1, :, 2] += 3 * way / span**2
    cubics[..., 1, :, 3] -= 2 * way / span**3
    cubics[..., 2, :, 0] += way
    return Curves(torch.stack([start - LONG, start, end], dim=-1), cubics, standing.waves)


def collide(
    at: Vector,
    before: Vector,
    after: Vector,
    time: Number,
) -> Curves:
    """Passes ``at`` at ``time`` and goes on with another velocity (m/s)."""
    standing = rest(at)
    before, after, time = (_like(x, standing.knots) for x in (before, after, time))
    cubics = standing.cubics.repeat_interleave(3, dim=-3)
    cubics[..., 0, PLACE, 0] -= before  # a piece that starts a second early
    cubics[..., :2, PLACE, 1] = torch.stack([before, after], dim=-2)
    return Curves(
        torch.stack([time - 1, time, torch.full_like(time, torch.inf)], dim=-1),
        cubics,
        standing.waves,
    )


def bounce(
    at: Vector,
    height: Number,
    start: Number,
    keep: float = 0.7,
    bounces: int = 5,
) -> Curves:
    """Hangs ``height`` metres above ``at`` until ``start``, falls, bounces, and rests on ``at``.

    Gravity is the Earth's; every bounce keeps ``keep`` of the speed, and there are ``bounces``.
    """
    standing = rest(at)
    height, start = _like(height, standing.knots), _like(start, standing.knots)
    fall = (2 * height / EARTH).sqrt()
    arcs = [(start - LONG, height, 0 * fall, 0.0), (start, height, 0 * fall, -EARTH / 2)]
    knot, speed = start + fall, keep * EARTH * fall
    for _ in range(bounces):
        arcs.append((knot, 0 * fall, speed, -EARTH / 2))
        knot, speed = knot + 2 * speed / EARTH, keep * speed
    arcs.append((knot, 0 * fall, 0 * fall, 0.0))
    cubics = standing.cubics.repeat_interleave(len(arcs), dim=-3)
    for i, (_, high, rise, bend) in enumerate(arcs):
        cubics[..., i, 2, 0] += high
        cubics[..., i, 2, 1] += rise
        cubics[..., i, 2, 2] += bend
    return Curves(torch.stack([arc[0] for arc in arcs], dim=-1), cubics, standing.waves)


def choose(which: Bool[Tensor, "*b"], yes: Curves, no: Curves) -> Curves:
    """One curve or the other for every joint."""
    pieces = max(yes.knots.shape[-1], no.knots.shape[-1])
    pairs = zip(_padded(yes, pieces), _padded(no, pieces), strict=True)
    parted = (which.reshape(*which.shape, *[1] * (a.dim() - which.dim())) for a, _ in pairs)
    pairs = zip(_padded(yes, pieces), _padded(no, pieces), strict=True)
    return Curves(*(torch.where(w, a, b) for w, (a, b) in zip(parted, pairs, strict=True)))


def stack(curves: Sequence[Curves]) -> Curves:
    """Curves of one joint each, side by side: [K] of K curves without a leading shape."""
    pieces = max(one.knots.shape[-1] for one in curves)
    padded = [_padded(one, pieces) for one in curves]
    return Curves(*(torch.stack(parts) for parts in zip(*padded, strict=True)))


def join(curves: Sequence[Curves]) -> Curves:
    """Curves of several joints each, one after the other along the last leading axis."""
    pieces = max(some.knots.shape[-1] for some in curves)
    knots, cubics, waves = zip(*(_padded(some, pieces) for some in curves), strict=True)
    return Curves(torch.cat(knots, dim=-2), torch.cat(cubics, dim=-4), torch.cat(waves, dim=-3))


def _padded(curves: Curves, pieces: int) -> Curves:
    more = pieces - curves.knots.shape[-1]
    pad = torch.nn.functional.pad
    knots = pad(curves.knots, (0, more), value=torch.inf)
    return Curves(knots, pad(curves.cubics, (0, 0, 0, 0, 0, more)), curves.waves)


@dataclass(frozen=True)
class Joints:
    """K joints of each of B worlds.

    joint(t) = parent's joint(t) · before · shift · turn · lean · stretch, and the solid's own
    metres are placed by joint(t) · ``after``: a child hangs on its parent's joint, not on its
    solid, and inherits lean and stretch. ``parent`` is a slot or -1; ``depth`` is the most parents
    above any. ``turn`` is the rotation vector, ``lean`` shears x and y per metre of z, ``stretch``
    scales z and keeps the volume.
    """

    parent: Int[Tensor, "B K"]
    before: Float[Tensor, "B K 4 4"]
    after: Float[Tensor, "B K 4 4"]
    curves: Curves
    depth: int = 0

    @classmethod
    def of(
        cls,
        curves: Curves,
        parent: Int[Tensor, "B K"] | None = None,
        before: Float[Tensor, "B K 4 4"] | None = None,
        after: Float[Tensor, "B K 4 4"] | None = None,
    ) -> "Joints":
        """Joints with curves [B, K]; without parents, and identities, where none are given."""
        shape = curves.knots.shape[:2]
        still = torch.eye(4).to(curves.knots).expand(*shape, 4, 4)
        free = torch.full(shape, -1, device=still.device)
        tree = free if parent is None else parent
        return cls(
            tree,
            still if before is None else before,
            still if after is None else after,
            curves,
            _depth(tree),
        )

    def place(self, times: Float[Tensor, "B N"]) -> Float[Tensor, "B N K 4 4"]:
        """World from each object's own metres, at any times."""
        own = self.before[:, None] @ _affine(self.curves.at(times[:, None]).transpose(1, 2))
        joint = own
        parent = self.parent[:, None, :, None, None].expand_as(own)
        for _ in range(self.depth):
            hung = joint.gather(2, parent.clamp_min(0)) @ own
            joint = torch.where(parent >= 0, hung, own)
        return joint @ self.after[:, None]


def _depth(parent: Int[Tensor, "B K"]) -> int:
    depth, above = 0, parent
    while (above >= 0).any():
        depth += 1
        above = torch.where(above >= 0, parent.gather(1, above.clamp_min(0)), -1)
    return depth


def _affine(channels: Float[Tensor, "*b 9"]) -> Float[Tensor, "*b 4 4"]:
    stretch = channels[..., STRETCH]
    shape = torch.diag_embed(torch.cat([stretch.rsqrt(), stretch.rsqrt(), stretch], dim=-1))
    shape[..., :2, 2] = channels[..., LEAN] * stretch
    maps = torch.eye(4).to(channels).repeat(*channels.shape[:-1], 1, 1)
    maps[..., :3, :3] = rotation(channels[..., TURN]) @ shape
    maps[..., :3, 3] = channels[..., PLACE]
    return maps


def rotation(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotations by ``|vector|`` radians about ``vector`` (Rodrigues), the identity at zero."""
    angle = vector.norm(dim=-1)[..., None, None].clamp_min(1e-9)
    x, y, z = vector.unbind(dim=-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(r, dim=-1) for r in ([zero, -z, y], [z, zero, -x], [-y, x, zero])]
    cross = torch.stack(rows, dim=-2) / angle
    # 2 sin²(half) is 1 - cos without its cancellation
    return (
        torch.eye(3).to(vector) + angle.sin() * cross + 2 * (0.5 * angle).sin() ** 2 * cross @ cross
    )


def shift(offset: Vector) -> Float[Tensor, "*b 4 4"]:
    """Translations (float64 of plain numbers)."""
    offset = _like(offset)
    maps = torch.eye(4).to(offset).repeat(*offset.shape[:-1], 1, 1)
    maps[..., :3, 3] = offset
    return maps


def turn(vector: Vector) -> Float[Tensor, "*b 4 4"]:
    """Rotations by rotation vectors (float64 of plain numbers)."""
    vector = _like(vector)
    maps = torch.eye(4).to(vector).repeat(*vector.shape[:-1], 1, 1)
    maps[..., :3, :3] = rotation(vector)
    return maps


def _like(numbers: Tensor | Sequence[float] | float, other: Tensor | None = None) -> Tensor:
    """A tensor as it is (or like another); plain numbers in float64."""
    if isinstance(numbers, Tensor):
        return numbers if other is None else numbers.to(other)
    numbers = torch.tensor(numbers, dtype=torch.float64)
    return numbers if other is None else numbers.to(other)
