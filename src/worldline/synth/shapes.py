"""Where a ray meets a solid that has a formula.

Every solid here is a unit solid seen through an affine map, so sizes, rotations and squashes live
in the map and the solids have no parameters: the box is ``[-1, 1]^3``, the ball has radius 1 (an
ellipsoid once mapped), the cylinder has radius 1 about z and ends at ``z = ±1``, the cone stands on
its unit disc at ``z = -1`` with its tip at ``z = 1``. A room is a box seen from inside; the ground
is the square ``[-1, 1]^2`` at ``z = 0``. Solids without a formula are in ``fields``.

A point of the ray is ``origin + t * direction``; ``t`` survives affine maps, so a direction that
has depth 1 in its camera makes ``t`` the z-depth. The three components come before the rays
(``[..., 3, P]``): memory is then read along the rays.
"""

from enum import Enum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

TINY = 1e-12  # keeps a zero direction from dividing; its interval is all or nothing either way
AFTER = 1e-4  # of the ray parameter: what is nearer is the surface that the ray starts on


class Kind(Enum):
    """What a world is made of; the last four are found by marching (see ``fields``)."""

    ROOM = "room"
    GROUND = "ground"
    BOX = "box"
    BALL = "ball"
    CYLINDER = "cylinder"
    CONE = "cone"
    TORUS = "torus"
    BLEND = "blend"  # a smooth union of a few rounded parts
    BODY = "body"  # a blend that bends, twists and ripples
    TERRAIN = "terrain"


MARCHED = (Kind.TORUS, Kind.BLEND, Kind.BODY, Kind.TERRAIN)
ROUND = (Kind.BALL, Kind.BLEND, Kind.BODY)  # within the ellipsoids of their bounding boxes
OPEN = (Kind.GROUND, Kind.TERRAIN)  # sheets: cut off at their extents, they enclose nothing


def hit(
    kind: Kind,
    origin: Float[Tensor, "*batch 3 #P"],
    direction: Float[Tensor, "*batch 3 #P"],
    after: float = AFTER,
) -> Float[Tensor, "*batch P"]:
    """The ray parameter ``t > after`` where each ray first meets the unit solid; inf for a miss.

    A room is met where the ray leaves it, any other solid where the ray enters it: a ray that
    starts inside a solid misses it. The ground is met from both sides.
    """
    near, far = _interval(kind, origin, direction)
    met = far if kind is Kind.ROOM else near
    return torch.where((near <= far) & (met > after), met, torch.inf)


def value(kind: Kind, point: Float[Tensor, "*batch 3 P"]) -> Float[Tensor, "*batch P"]:
    """Below 0 inside a unit solid, 0 on its surface, above outside; continuous, no distance.

    A room's inside is the space in it. The ground's below is inside.
    """
    x, y, z = point.unbind(dim=-2)
    if kind is Kind.GROUND:
        return z
    if kind in (Kind.ROOM, Kind.BOX):
        return point.abs().amax(dim=-2) - 1
    if kind is Kind.BALL:
        return point.square().sum(dim=-2).sqrt() - 1
    side = torch.hypot(x, y) - (1 if kind is Kind.CYLINDER else 0.5 * (1 - z))
    return torch.maximum(side, z.abs() - 1)


def normal(kind: Kind, point: Float[Tensor, "*batch 3 P"]) -> Float[Tensor, "*batch 3 P"]:
    """The normal at surface points of a unit solid, towards the side that is seen (not unit)."""
    x, y, z = point.unbind(dim=-2)
    if kind is Kind.BALL:
        return point
    if kind is Kind.GROUND:
        return torch.zeros_like(point) + point.new_tensor([0.0, 0.0, 1.0])[:, None]
    if kind in (Kind.ROOM, Kind.BOX):
        outward = torch.stack(
            [torch.where(most, x, 0) for most, x in zip(main_axis(point), (x, y, z), strict=True)],
            dim=-2,
        ).sign()
        return -outward if kind is Kind.ROOM else outward
    radius = torch.hypot(x, y)
    if kind is Kind.CYLINDER:
        on_cap = z.abs() > radius
        return torch.stack(
            [x * ~on_cap, y * ~on_cap, torch.where(on_cap, z.sign(), torch.zeros_like(z))], dim=-2
        )
    on_cap = -z - 1 > radius - 0.5 * (1 - z)  # whichever of value's two bounds is the surface
    side = torch.where(on_cap, 0, radius.clamp_min(TINY).reciprocal())
    return torch.stack([x * side, y * side, torch.where(on_cap, -1.0, 0.5)], dim=-2)


def main_axis(
    vector: Float[Tensor, "*batch 3 P"],
) -> tuple[Bool[Tensor, "*batch P"], Bool[Tensor, "*batch P"], Bool[Tensor, "*batch P"]]:
    """Whether x, y or z is the largest component (the first of equals; argmax is slow on a CPU)."""
    x, y, z = vector.abs().unbind(dim=-2)
    is_x = (x >= y) & (x >= z)
    is_y = ~is_x & (y >= z)
    return is_x, is_y, ~(is_x | is_y)


def face(kind: Kind, point: Float[Tensor, "*batch 3 P"]) -> Int[Tensor, "*batch P"]:
    """Which of the six faces ``-x +x -y +y -z +z`` of the bounding box each unit point belongs to.

    The round side of a cylinder or cone is one face (0), its caps are two others (4, 5).
    """
    if kind in (Kind.CYLINDER, Kind.CONE):
        z = normal(kind, point)[..., 2, :]
        return torch.where(z.abs() == 1, torch.where(z > 0, 5, 4), 0)
    axis = point.abs().argmax(dim=-2, keepdim=True)
    side = point.gather(-2, axis)[..., 0, :] > 0
    return 2 * axis[..., 0, :] + side


def ball_interval(
    origin: Float[Tensor, "*batch D #P"], direction: Float[Tensor, "*batch D #P"]
) -> tuple[Float[Tensor, "*batch P"], Float[Tensor, "*batch P"]]:
    """Where each ray is within the unit ball: half a chord to both sides of its nearest point.

    Numerically kinder than the quadratic formula: no difference of large squares far away. A miss
    is an empty interval.
    """
    square = direction.square().sum(dim=-2).clamp_min(TINY)
    middle = -(origin * direction).sum(dim=-2) / square
    nearest = torch.addcmul(origin, middle[..., None, :], direction)
    inside = 1 - nearest.square().sum(dim=-2)
    half = (inside.clamp_min(0) / square).sqrt()
    return torch.where(inside >= 0, middle - half, torch.inf), middle + half


def slab_interval(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where each component is within [-1, 1], per component."""
    inverse = (direction + TINY).reciprocal()
    middle, half = -origin * inverse, inverse.abs()
    return middle - half, middle + half


def box_interval(
    origin: Float[Tensor, "*batch D #P"], direction: Float[Tensor, "*batch D #P"]
) -> tuple[Float[Tensor, "*batch P"], Float[Tensor, "*batch P"]]:
    """Where each ray is within the unit box."""
    near, far = slab_interval(origin, direction)
    return near.amax(dim=-2), far.amin(dim=-2)


def _cylinder(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    side_near, side_far = ball_interval(origin[..., :2, :], direction[..., :2, :])
    cap_near, cap_far = slab_interval(origin[..., 2, :], direction[..., 2, :])
    return torch.maximum(side_near, cap_near), torch.minimum(side_far, cap_far)


def _ground(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    met = -origin[..., 2, :] / (direction[..., 2, :] + TINY)
    near, far = box_interval(origin[..., :2, :], direction[..., :2, :])
    return torch.where((near <= met) & (met <= far), met, torch.inf), met


def _cone(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The quadratic x² + y² = ((1 - z) / 2)², of which only the half below the tip counts.

    It is solved about the ray's point nearest to the middle, so that far origins cost no digits.
    """
    square = direction.square().sum(dim=-2).clamp_min(TINY)
    middle = -(origin * direction).sum(dim=-2) / square
    x, y, z = torch.addcmul(origin, middle[..., None, :], direction).unbind(dim=-2)
    dx, dy, dz = direction.unbind(dim=-2)
    width, widens = 0.5 * (1 - z), -0.5 * dz
    a = dx * dx + dy * dy - widens * widens
    a = torch.where(a.abs() < TINY, TINY, a)
    b = x * dx + y * dy - width * widens
    inside = b * b - a * (x * x + y * y - width * width)
    root = inside.clamp_min(0).sqrt()
    first, second = (-b - root) / a, (-b + root) / a
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    # a ray steeper than the cone is inside before one root (of one half) and after the other's
    steep, down = a < 0, dz < 0
    near = torch.where(steep, torch.where(down, high, -torch.inf), low)
    far = torch.where(steep & ~down, low, torch.where(steep, torch.inf, high))
    near = torch.where((inside >= 0) | steep, near, torch.inf)
    cap_near, cap_far = slab_interval(origin[..., 2, :], direction[..., 2, :])
    return torch.maximum(near + middle, cap_near), torch.minimum(far + middle, cap_far)


def _interval(kind: Kind, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    # no table by kind: the compiler (torch 2.13) takes one kind's entry for another's
    if kind is Kind.GROUND:
        return _ground(origin, direction)
    if kind is Kind.BALL:
        return ball_interval(origin, direction)
    if kind is Kind.CYLINDER:
        return _cylinder(origin, direction)
    if kind is Kind.CONE:
        return _cone(origin, direction)
    return box_interval(origin, direction)  # also a room
