"""Solids without a formula for their rays: signed distances, and the march along rays to them.

A field's ``distance`` is below 0 inside and never more than the distance to the surface outside, in
the object's own metres. The parameters of its objects have any leading shape ``*b`` and points are
``[*b, 3, P]``: all rays of a tile share one object's parameters, so they are read once.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth import trees
from worldline.synth.deformation import Warp, reach, steepness, undeform
from worldline.synth.fuse import fused
from worldline.synth.motion import rotation
from worldline.synth.shapes import AFTER, TINY, ball_interval, box_interval

STEPS, STEPS_AT_ONCE = 64, 4
NEAR_ENOUGH = 2e-4  # of the object's size: from here on the secant finds the surface
LEAST_STEP = 1.5e-3  # of the way: less than a pixel, so that rays that graze come to an end
ABSENT = -1e3  # m: the radius of a part that is not there


class Torus(NamedTuple):
    """A ring about z: radii of the ring and of its tube, metres."""

    ring: Float[Tensor, "*b"]
    tube: Float[Tensor, "*b"]


class Blend(NamedTuple):
    """A smooth union of C rounded boxes: balls, capsules, ellipsoids, boxes with soft edges.

    A part is the box ``|local| <= half`` grown by ``radius``, where local = part_from_object ·
    (point - centre); ``scale`` is what turns its distance back into the object's metres (the least
    stretch of the part). ``smooth`` is the width of the seams.
    """

    part_from_object: Float[Tensor, "*b C 3 3"]
    centre: Float[Tensor, "*b C 3"]
    half: Float[Tensor, "*b C 3"]
    radius: Float[Tensor, "*b C"]
    scale: Float[Tensor, "*b C"]
    smooth: Float[Tensor, "*b"]


class Body(NamedTuple):
    """A blend in its rest pose, and how it is deformed."""

    blend: Blend
    warp: Warp


class Terrain(NamedTuple):
    """A height field z = Σ amplitude · sin(wave · xy + phase), cut off at ``extent`` metres."""

    wave: Float[Tensor, "*b J 2"]  # rad/m
    amplitude: Float[Tensor, "*b J"]  # m
    phase: Float[Tensor, "*b J"]
    extent: Float[Tensor, "*b 2"]


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
    return Blend(inverse, centre, half, radius, stretch.amin(dim=-1), smooth)


def distance(field: Field, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b P"]:
    """Signed distance (or less) to the field's surface; of a body, in its rest pose's metres."""
    x, y, z = point.unbind(dim=-2)
    if isinstance(field, Torus):
        return torch.hypot(torch.hypot(x, y) - field.ring[..., None], z) - field.tube[..., None]
    if isinstance(field, Terrain):
        return z - height(field, point[..., :2, :])
    if isinstance(field, Body):
        return _blended(field.blend, undeform(field.warp, point))
    return _blended(field, point)


def _blended(field: Blend, point: Float[Tensor, "*b 3 P"]) -> Float[Tensor, "*b P"]:
    """The smooth minimum (log of a sum of exponentials) of the parts' distances."""
    x, y, z = (point[..., None, :, :] - field.centre[..., None]).unbind(dim=-2)
    turn = field.part_from_object[..., None]
    out, most = 0.0, None
    for i in range(3):  # written out: matrix products of this size are slower, and are not fused
        local = turn[..., i, 0, :] * x + turn[..., i, 1, :] * y + turn[..., i, 2, :] * z
        beyond = local.abs() - field.half[..., i, None]
        out = out + beyond.clamp_min(0).square()
        most = beyond if most is None else torch.maximum(most, beyond)
    apart = out.sqrt() + most.clamp_max(0) - field.radius[..., None]
    smooth = field.smooth[..., None]
    nearness = -(apart * field.scale[..., None]) / smooth[..., None, :]
    return -smooth * nearness.logsumexp(dim=-2)


def height(field: Terrain, xy: Float[Tensor, "*b 2 P"]) -> Float[Tensor, "*b P"]:
    """The terrain's z."""
    angle = field.wave[..., 0, None] * xy[..., None, 0, :]
    angle = angle + field.wave[..., 1, None] * xy[..., None, 1, :] + field.phase[..., None]
    return (field.amplitude[..., None] * angle.sin()).sum(dim=-2)


def size(field: Field) -> Float[Tensor, "*b"]:
    """The radius of a ball about the origin that holds the object, in its own metres."""
    if isinstance(field, Torus):
        return field.ring + field.tube
    if isinstance(field, Terrain):
        return torch.hypot(field.extent.norm(dim=-1), field.amplitude.abs().sum(dim=-1))
    if isinstance(field, Body):
        return reach(field.warp, size(field.blend))
    part = torch.linalg.inv(field.part_from_object)
    grown = (field.half + field.radius[..., None].clamp_min(0))[..., None, :]
    corner = (part.abs() * grown).sum(dim=-1).norm(dim=-1)
    far = torch.where(field.radius > 0.5 * ABSENT, field.centre.norm(dim=-1) + corner, 0)
    # a smooth union swells by at most this
    return far.amax(dim=-1) + field.smooth * torch.tensor(float(far.shape[-1])).log().to(far)


def tolerance(field: Field) -> Float[Tensor, "*b"]:
    """How near to the surface the march hands over to the secant, in the object's metres."""
    if isinstance(field, Terrain):
        return NEAR_ENOUGH * field.amplitude.abs().sum(dim=-1)
    return NEAR_ENOUGH * size(field)


def interval(
    field: Field, origin: Float[Tensor, "*b 3 #P"], direction: Float[Tensor, "*b 3 #P"]
) -> tuple[Float[Tensor, "*b P"], Float[Tensor, "*b P"]]:
    """Where each ray can meet the field at all: in its ball, or in a terrain's box."""
    if isinstance(field, Terrain):
        high = field.amplitude.abs().sum(dim=-1, keepdim=True)
        inverse = torch.cat([field.extent, high], dim=-1)[..., None].reciprocal()
        return box_interval(origin * inverse, direction * inverse)
    inverse = size(field)[..., None, None].reciprocal()
    return ball_interval(origin * inverse, direction * inverse)


def approach(field: Field, direction: Float[Tensor, "*b 3 #P"]) -> Float[Tensor, "*b P"]:
    """How fast the distance can fall along each ray, at most, per unit of its parameter."""
    if isinstance(field, Terrain):
        slope = (field.amplitude.abs() * field.wave.norm(dim=-1)).sum(dim=-1)
        x, y, z = direction.unbind(dim=-2)
        return (slope[..., None] * torch.hypot(x, y) - z).clamp_min(TINY)
    speed = direction.square().sum(dim=-2).sqrt()
    if isinstance(field, Body):
        return speed * steepness(field.warp, size(field.blend))[..., None]
    return speed


def march(
    field: Field,
    origin: Float[Tensor, "Q 3 #P"],
    direction: Float[Tensor, "Q 3 #P"],
    after: float = AFTER,
) -> Float[Tensor, "Q P"]:
    """The ray parameter ``t > after`` where each ray first enters the field; inf for a miss.

    Sphere tracing (Hart 1996): a step as long as the distance is safe. Rows whose rays are all done
    are dropped every few steps, so the cost is that of the rows still under way; the last bit of
    the way is a secant's.
    """
    near, far = interval(field, origin, direction)
    t = near.clamp_min(after)
    met = torch.full_like(t, torch.inf)
    rows = (t <= far).any(dim=1).nonzero()[:, 0]
    work = trees.each(lambda x: x[rows], (field, origin, direction, t, far))
    for _ in range(STEPS // STEPS_AT_ONCE):
        t, going = fused(_steps)(*work)
        under_way = going.any(dim=1)
        met[rows] = torch.where(t <= work[-1], t, torch.inf)
        rows = rows[under_way]
        if not len(rows):
            break
        work = trees.each(lambda x, keep=under_way: x[keep], (*work[:3], t, work[-1]))
    met[rows] = torch.where(going[under_way], torch.inf, met[rows])
    rows = met.isfinite().any(dim=1).nonzero()[:, 0]
    found = trees.each(lambda x: x[rows], (field, origin, direction, met))
    met[rows] = fused(_settle)(*found)
    return met


def _steps(
    field: Field, origin: Tensor, direction: Tensor, t: Tensor, far: Tensor
) -> tuple[Tensor, Tensor]:
    """A few steps of every ray, and which are still under way."""
    slowness = approach(field, direction).reciprocal()
    enough = tolerance(field)[:, None]
    going = t <= far
    for _ in range(STEPS_AT_ONCE):
        rest = distance(field, torch.addcmul(origin, t[:, None], direction))
        going = going & (rest > enough)
        t = torch.where(going, t + torch.maximum(rest * slowness, LEAST_STEP * t), t)
        going = going & (t <= far)
    return t, going


def _settle(field: Field, origin: Tensor, direction: Tensor, t: Tensor) -> Tensor:
    """The surface itself, of rays that are just before it or just behind: a few secant steps."""
    rate = approach(field, direction)
    first = torch.where(t.isfinite(), t, 0)
    back = torch.maximum(tolerance(field)[:, None] / rate, LEAST_STEP * first)
    second = first - back
    rest = distance(field, torch.addcmul(origin, first[:, None], direction))
    for _ in range(3):
        left = distance(field, torch.addcmul(origin, second[:, None], direction))
        fall = (rest - left) / (second - first)
        # a ray that only grazes the surface stays where it is
        move = torch.where(fall > 1e-3 * rate, left / fall, 0).clamp(-2 * back, 2 * back)
        first, rest, second = second, left, second + move
        first = torch.where(move == 0, first - back, first)  # no secant through one point
    return torch.where(t.isfinite(), second, torch.inf)
