"""Where a ray enters and leaves a solid.

Every solid is a unit solid seen through an affine map, so sizes, rotations and squashes live in
the map and the solids have no parameters: the box is ``[-1, 1]^3``, the ball has radius 1 (an
ellipsoid once mapped), the cylinder has radius 1 about z and ends at ``z = ±1``. A room is a box
seen from inside.

Each is convex, so a ray meets it in one interval. A point of the ray is ``origin + t * direction``;
``t`` survives affine maps, so a direction that has depth 1 in its camera makes ``t`` the z-depth.

The three components come before the rays (``[..., 3, P]``): memory is then read along the rays.
"""

from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-12  # keeps a zero direction from dividing; its interval is all or nothing either way


class Kind(Enum):
    """The solids that a world is made of."""

    ROOM = "room"
    BOX = "box"
    BALL = "ball"
    CYLINDER = "cylinder"


def hit(
    kind: Kind,
    origin: Float[Tensor, "*batch 3 #P"],
    direction: Float[Tensor, "*batch 3 P"],
    after: float = 1e-4,
) -> Float[Tensor, "*batch P"]:
    """The ray parameter ``t > after`` where each ray first meets the unit solid; inf for a miss.

    A room is met where the ray leaves it, any other solid where the ray enters it: a ray that
    starts inside a solid misses it.
    """
    near, far = _INTERVALS[kind](origin, direction)
    met = far if kind is Kind.ROOM else near
    return torch.where((near <= far) & (met > after), met, torch.inf)


def normal(kind: Kind, point: Float[Tensor, "M 3"]) -> Float[Tensor, "M 3"]:
    """The normal at surface points of a unit solid, towards the side that is seen (not unit)."""
    if kind is Kind.BALL:
        return point
    if kind is Kind.CYLINDER:
        on_cap = point[:, 2].abs() > point[:, :2].norm(dim=1)
        axis = point.new_tensor([0.0, 0.0, 1.0])
        return torch.where(on_cap[:, None], point.sign() * axis, point * (1 - axis))
    outward = _facing(point) * point.sign()
    return -outward if kind is Kind.ROOM else outward


def face(kind: Kind, point: Float[Tensor, "M 3"]) -> Tensor:
    """Which of the six faces ``-x +x -y +y -z +z`` of the bounding box each point belongs to."""
    axis = point.abs().argmax(dim=1)
    if kind is Kind.CYLINDER:  # its side is one face, its caps are two others
        on_cap = point[:, 2].abs() > point[:, :2].norm(dim=1)
        axis = torch.where(on_cap, 2, 0)
    side = point.gather(1, axis[:, None])[:, 0] > 0
    if kind is Kind.CYLINDER:
        side = side & on_cap
    return 2 * axis + side


def _facing(point: Float[Tensor, "M 3"]) -> Float[Tensor, "M 3"]:
    axis = point.abs().argmax(dim=1)
    return torch.nn.functional.one_hot(axis, 3).to(point)


def _slab(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Interval in which each component is within [-1, 1], per component."""
    inverse = (direction + TINY).reciprocal()
    middle, half = -origin * inverse, inverse.abs()
    return middle - half, middle + half


def _box(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    near, far = _slab(origin, direction)
    return near.amax(dim=-2), far.amin(dim=-2)


def _ball(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Half a chord to both sides of the point nearest to the centre.

    Numerically kinder than the quadratic formula: no difference of large squares far away.
    """
    square = direction.square().sum(dim=-2).clamp_min(TINY)
    middle = -(origin * direction).sum(dim=-2) / square
    nearest = torch.addcmul(origin, middle[..., None, :], direction)
    inside = 1 - nearest.square().sum(dim=-2)
    half = (inside.clamp_min(0) / square).sqrt()
    # a miss becomes an empty interval
    return torch.where(inside >= 0, middle - half, torch.inf), middle + half


def _cylinder(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    side_near, side_far = _ball(origin[..., :2, :], direction[..., :2, :])
    cap_near, cap_far = _slab(origin[..., 2, :], direction[..., 2, :])
    return torch.maximum(side_near, cap_near), torch.minimum(side_far, cap_far)


_INTERVALS = {Kind.ROOM: _box, Kind.BOX: _box, Kind.BALL: _ball, Kind.CYLINDER: _cylinder}
