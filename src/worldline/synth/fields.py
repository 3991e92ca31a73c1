"""Solids without a formula for their rays: signed distances, and the march along rays to them.

A field's ``distance`` is below 0 inside and never more than the distance to the surface outside, in
the object's own metres. Points are ``[*b, 3, P]`` and parameters have a last axis too, of length P
or 1: the rays of a tile share an object's parameters, and when only few of them are under way,
those of all tiles go on side by side, each with its own.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth import trees
from worldline.synth.chunks import padded
from worldline.synth.deformation import Warp, reach, steepness, undeform
from worldline.synth.fusion import fused
from worldline.synth.motion import rotation
from worldline.synth.shapes import AFTER, TINY, ball_interval, box_interval

# steps between which rays that are done are dropped (most need few); the least step, of the way:
# rays that graze come to an end, though what is thinner than about a pixel may then be missed
STEPS = ((4, 1.5e-3), (4, 1.5e-3), (8, 1.5e-3), (16, 4e-3), (32, 1e-2))
NEAR_ENOUGH = 2e-4  # of the object's size: from here on the secant finds the surface
ABSENT = -1e3  # m: the radius of a part that is not there


class Torus(NamedTuple):
    """A ring about z: radii of the ring and of its tube, metres."""

    ring: Float[Tensor, "*b P"]
    tube: Float[Tensor, "*b P"]


class Blend(NamedTuple):
    """A smooth union of C rounded boxes: balls, capsules, ellipsoids, boxes with soft edges.

    A part is the box ``|local| <= half`` grown by ``radius``, where local = part_from_object ·
    (point - centre); ``scale`` is what turns its distance back into the object's metres (the least
    stretch of the part). ``smooth`` is the width of the seams.
    """

    part_from_object: Float[Tensor, "*b C 3 3 P"]
    centre: Float[Tensor, "*b C 3 P"]
    half: Float[Tensor, "*b C 3 P"]
    radius: Float[Tensor, "*b C P"]
    scale: Float[Tensor, "*b C P"]
    smooth: Float[Tensor, "*b P"]


class Body(NamedTuple):
    """A blend in its rest pose, and how it is deformed."""

    blend: Blend
    warp: Warp


class Terrain(NamedTuple):
    """A height field z = Σ amplitude · sin(wave · xy + phase), cut off at ``extent`` metres."""

    wave: Float[Tensor, "*b J 2 P"]  # rad/m
    amplitude: Float[Tensor, "*b J P"]  # m
    phase: Float[Tensor, "*b J P"]
    extent: Float[Tensor, "*b 2 P"]


Field = Torus | Blend | Body | Terrain


def blend(
    centre: Float[Tensor, "*b C 3"],
    half: Float[Tensor, "*b C 3"],
    radius: Float[Tensor, "*b C"],
    turn: Float[Tensor, "*b C 3"] | None = None,
    stretch: Float[Tensor, "*b C 3"] | None = None,
    smooth: float | Float[Tensor, "*b"] = 0.05,
) -> Blend:
    """A blend of boxes of ``half`` metres with edges rounded by ``radius``.

    ``half`` 0 is a ball, one that is not 0 makes it a capsule; ``stretch`` makes balls ellipsoids.
    ``turn`` are rotation vectors. A radius of ``ABSENT`` switches a part off.
    """
    turn = torch.zeros_like(centre) if turn is None else turn
    stretch = torch.ones_like(centre) if stretch is None else stretch
    inverse = rotation(turn).mT / stretch[..., :, None]
    smooth = torch.as_tensor(smooth).to(radius).expand(radius.shape[:-1])
    parts = (inverse, centre, half, radius, stretch.amin(dim=-1), smooth)
    return Blend(*(x[..., None] for x in parts))


def distance(field: Field, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b P"]:
    """Signed distance (or less) to the field's surface; of a body, in its rest pose's metres."""
    x, y, z = point.unbind(dim=-2)
    if isinstance(field, Torus):
        return torch.hypot(torch.hypot(x, y) - field.ring, z) - field.tube
    if isinstance(field, Terrain):
        return z - height(field, point[..., :2, :])
    if isinstance(field, Body):
        return _blended(field.blend, undeform(field.warp, point))
    return _blended(field, point)


def _blended(field: Blend, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b P"]:
    """The smooth minimum (log of a sum of exponentials) of the parts' distances."""
    x, y, z = (point[..., None, :, :] - field.centre).unbind(dim=-2)
    square, most = torch.zeros_like(x), torch.full_like(x, -torch.inf)
    for i in range(3):  # written out: matrix products of this size are slower
        a, b, c = field.part_from_object[..., i, :, :].unbind(dim=-2)
        beyond = torch.addcmul(torch.addcmul(a * x, b, y), c, z).abs_() - field.half[..., i, :]
        most = torch.maximum(most, beyond)
        square = square + beyond.clamp_min_(0).square_()
    apart = (square.sqrt_() + most.clamp_max_(0) - field.radius) * field.scale
    smooth = field.smooth
    return -smooth * (apart / -smooth[..., None, :]).logsumexp(dim=-2)


def height(field: Terrain, xy: Float[Tensor, "*b 2 P"]) -> Float[Tensor, "*b P"]:
    """The terrain's z."""
    along_x, along_y = field.wave.unbind(dim=-2)
    angle = along_x * xy[..., None, 0, :] + along_y * xy[..., None, 1, :] + field.phase
    return (field.amplitude * angle.sin()).sum(dim=-2)


def size(field: Field) -> Float[Tensor, "*b P"]:
    """The radius of a ball about the origin that holds the object, in its own metres."""
    if isinstance(field, Torus):
        return field.ring + field.tube
    if isinstance(field, Terrain):
        return torch.hypot(field.extent.norm(dim=-2), field.amplitude.abs().sum(dim=-2))
    if isinstance(field, Body):
        return reach(field.warp, size(field.blend))
    # a corner of a part is no farther from its centre than the box's diagonal over the least shrink
    shrink = field.part_from_object.square().sum(dim=-2).amin(dim=-2).sqrt()
    corner = (field.half + field.radius[..., None, :].clamp_min(0)).norm(dim=-2) / shrink
    far = torch.where(field.radius > 0.5 * ABSENT, field.centre.norm(dim=-2) + corner, 0)
    # a smooth union swells by at most this
    return far.amax(dim=-2) + field.smooth * math.log(far.shape[-2])


def extent(field: Field) -> Float[Tensor, "*b 3 P"]:
    """Half sizes of a box about the origin that holds the object, in its own metres."""
    if isinstance(field, Torus):
        return torch.stack([size(field), size(field), field.tube], dim=-2)
    if isinstance(field, Terrain):
        high = field.amplitude.abs().sum(dim=-2, keepdim=True)
        return torch.cat([field.extent, high], dim=-2)
    return torch.stack(3 * [size(field)], dim=-2)


def tolerance(field: Field) -> Float[Tensor, "*b P"]:
    """How near to the surface the march hands over to the secant, in the object's metres."""
    if isinstance(field, Terrain):
        return NEAR_ENOUGH * field.amplitude.abs().sum(dim=-2)
    return NEAR_ENOUGH * size(field)


def interval(
    field: Field, origin: Float[Tensor, "*b 3 #P"], direction: Float[Tensor, "*b 3 #P"]
) -> tuple[Float[Tensor, "*b P"], Float[Tensor, "*b P"]]:
    """Where each ray can meet the field at all: in its ball, or in a terrain's box."""
    if isinstance(field, Terrain):
        inverse = extent(field).reciprocal()
        return box_interval(origin * inverse, direction * inverse)
    inverse = size(field)[..., None, :].reciprocal()
    return ball_interval(origin * inverse, direction * inverse)


def approach(field: Field, direction: Float[Tensor, "*b 3 #P"]) -> Float[Tensor, "*b P"]:
    """How fast the distance can fall along each ray, at most, per unit of its parameter."""
    if isinstance(field, Terrain):
        slope = (field.amplitude.abs() * field.wave.norm(dim=-2)).sum(dim=-2)
        x, y, z = direction.unbind(dim=-2)
        return (slope * torch.hypot(x, y) - z).clamp_min(TINY)
    speed = direction.square().sum(dim=-2).sqrt()
    if isinstance(field, Body):
        return speed * steepness(field.warp, size(field.blend))
    return speed


def march(
    field: Field,
    origin: Float[Tensor, "Q 3 #P"],
    direction: Float[Tensor, "Q 3 #P"],
    after: float = AFTER,
) -> Float[Tensor, "Q P"]:
    """The ray parameter ``t > after`` where each ray first enters the field; inf for a miss.

    Sphere tracing (Hart 1996): a step as long as the distance is safe. Rays that are done are
    dropped every few steps, so the cost is that of the rays still under way, which are few beside
    those of the tiles; the last bit of the way is a secant's.
    """
    near, far = interval(field, origin, direction)
    t = near.clamp_min(after)
    met = torch.full_like(t, torch.inf)
    course = _Course(
        field, origin, direction, far, tolerance(field), approach(field, direction).reciprocal()
    )
    own, (rest, t) = _under_way(t <= far, (course, t))
    for count, least in STEPS:
        if not len(own):
            break
        t, going = _steps(rest, t, count, least)
        met.view(-1).index_copy_(0, own, torch.where(going | (t > rest.far), torch.inf, t)[0])
        left, (rest, t) = _under_way(going, (rest, t))
        own = own[left]
    found, start = _under_way(met.isfinite(), (course, met))
    met.view(-1).index_copy_(0, found, _settle(*start)[0])
    return met


class _Course(NamedTuple):
    """Rays on their way: what stays the same from step to step."""

    field: Field
    origin: Float[Tensor, "Q 3 P"]
    direction: Float[Tensor, "Q 3 P"]
    far: Float[Tensor, "Q P"]  # where the march is over
    enough: Float[Tensor, "Q P"]  # how near is near enough
    pace: Float[Tensor, "Q P"]  # of the ray parameter, for each metre of distance

    def at(self, t: Float[Tensor, "Q P"]) -> Float[Tensor, "Q P"]:
        return _along(self.field, self.origin, self.direction, t)


@fused
def _along(field: Field, origin: Tensor, direction: Tensor, t: Tensor) -> Float[Tensor, "Q P"]:
    return distance(field, torch.addcmul(origin, t[:, None], direction))


def _under_way(going: Bool[Tensor, "Q P"], rays: trees.T) -> tuple[Int[Tensor, " M"], trees.T]:
    """Some rays side by side, as one row [1, ..., M] with parameters of their own; and which."""
    count = going.shape[1]
    chosen = padded(going.flatten().nonzero()[:, 0])
    row = chosen.div(count, rounding_mode="floor")

    def pick(x: Tensor) -> Tensor:
        if x.shape[-1] == 1:  # shared by the rays of a row
            return x[..., 0].movedim(0, -1)[..., row][None]
        return x.movedim(0, -2).flatten(-2)[..., chosen][None]

    return chosen, trees.each(pick, rays)


def _steps(
    course: _Course, t: Float[Tensor, "Q P"], count: int, least: float
) -> tuple[Float[Tensor, "Q P"], Bool[Tensor, "Q P"]]:
    """A few steps of every ray, and which are still under way."""
    going = t <= course.far
    for _ in range(count):
        t, going = _step(course, t, going, least)
    return t, going


@fused
def _step(
    course: _Course, t: Float[Tensor, "Q P"], going: Bool[Tensor, "Q P"], least: float
) -> tuple[Float[Tensor, "Q P"], Bool[Tensor, "Q P"]]:
    rest = distance(course.field, torch.addcmul(course.origin, t[:, None], course.direction))
    going = going & (rest > course.enough)
    t = torch.where(going, t + torch.maximum(rest * course.pace, least * t), t)
    return t, going & (t <= course.far)


def _settle(course: _Course, t: Float[Tensor, "Q P"]) -> Float[Tensor, "Q P"]:
    """The surface itself, of rays that are just before it or just behind: a few secant steps."""
    back = torch.maximum(course.enough * course.pace, STEPS[0][1] * t)
    first, second = t, t - back
    rest = course.at(first)
    for _ in range(3):
        left = course.at(second)
        fall = (rest - left) / (second - first)
        # a ray that only grazes the surface stays where it is
        move = torch.where(fall * course.pace > 1e-3, left / fall, 0).clamp(-2 * back, 2 * back)
        first, rest, second = second, left, second + move
        first = torch.where(move == 0, first - back, first)  # no secant through one point
    return second
