"""Casts rays into worlds: what each meets first, and whether anything is in the way.

Rays come in tiles of neighbours. The planes around a tile are tested against the boxes that hold
the objects, and only the pairs of a tile and an object within them are worked out, so the cost is
what the objects cover and not objects times rays. Nothing here loops over worlds, moments, objects
or rays.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from worldline.synth import trees
from worldline.synth.chunks import padded, slices
from worldline.synth.deformation import undeform
from worldline.synth.fields import Body, Field, distance, march, tolerance
from worldline.synth.fusion import fused
from worldline.synth.shapes import MARCHED, OPEN, ROUND, Kind, hit, normal
from worldline.synth.world import NOTHING, Snapshot

ROUNDING = 1e-5  # of the numbers compared: culling never drops what is met
STENCIL = 5  # tolerances of a field: the width of its finite differences


class Rays(NamedTuple):
    """G tiles of T rays, each tile of one moment (``frame`` of the snapshot).

    A point of a ray is ``origin + t * direction``; what all rays of a tile share has length 1.
    """

    frame: Int[Tensor, " G"]
    origin: Float[Tensor, "G 3 #T"]
    direction: Float[Tensor, "G 3 #T"]

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles and rays a tile."""
        return len(self.frame), max(self.origin.shape[-1], self.direction.shape[-1])


class Hits(NamedTuple):
    """What rays met: the ray parameter (inf: nothing), the object's slot (or -1), and the point.

    ``material`` is the point's place in the rest pose (X, metres), ``normal`` the unit normal in
    the world, ``facing`` that of the rest pose; all 0 where nothing is met.
    """

    distance: Float[Tensor, "G T"]
    instance: Int[Tensor, "G T"]
    material: Float[Tensor, "3 G T"]
    normal: Float[Tensor, "3 G T"]
    facing: Float[Tensor, "3 G T"]


def cast(snapshot: Snapshot, rays: Rays) -> Hits:
    """The first surface that each ray meets."""
    count, length = rays.shape
    parts = [
        _cast(snapshot, _some(rays, part)) for part in slices(count, length, rays.frame.device)
    ]
    if len(parts) == 1:
        return parts[0]
    along = (0, 0, 1, 1, 1)
    columns = zip(zip(*parts, strict=True), along, strict=True)
    return Hits(*(torch.cat(column, dim=dim) for column, dim in columns))


def blocked(
    snapshot: Snapshot,
    rays: Rays,
    limit: float = torch.inf,
    skip: tuple[Kind, ...] = (Kind.ROOM,),
) -> Bool[Tensor, "G T"]:
    """Whether anything but ``skip`` stands between ``origin`` and ``origin + limit * direction``.

    A room never does: it is seen from inside.
    """
    count, length = rays.shape
    parts = [
        _pairs(snapshot, _some(rays, part), limit, skip).nearest() < limit
        for part in slices(count, length, rays.frame.device)
    ]
    return torch.cat(parts)


def _some(rays: Rays, part: slice) -> Rays:
    return Rays(rays.frame[part], rays.origin[part], rays.direction[part])


def _cast(snapshot: Snapshot, rays: Rays) -> Hits:
    pairs = _pairs(snapshot, rays)
    distance = pairs.nearest()
    return _named(snapshot, rays, distance, pairs.who(distance))


def _pairs(
    snapshot: Snapshot, rays: Rays, limit: float = torch.inf, skip: tuple[Kind, ...] = ()
) -> "_Pairs":
    """Where the rays meet all objects that their tiles come near."""
    near = _Bounds.of(rays, limit).touch(snapshot, rays.frame) & snapshot.active[rays.frame]
    near[:, [k for k, kind in enumerate(snapshot.kinds) if kind in skip]] = False
    tile, slot = near.nonzero(as_tuple=True)  # the pairs of a tile stand together
    met = rays.origin.new_empty(len(tile), rays.shape[1])
    for kind in dict.fromkeys(snapshot.kinds):
        slots = torch.tensor(snapshot.slots(kind), device=near.device)
        own, which = (slot[:, None] == slots).nonzero(as_tuple=True)
        if len(own):
            met.index_copy_(0, own, _meet(snapshot, kind, rays, tile[own], slot[own], which))
    return _Pairs(tile, slot, met, near.sum(dim=1))


class _Pairs(NamedTuple):
    """Where the rays of tiles meet objects that are near, in order of the tiles."""

    tile: Int[Tensor, " Q"]
    slot: Int[Tensor, " Q"]
    met: Float[Tensor, "Q T"]
    many: Int[Tensor, " G"]

    def nearest(self) -> Float[Tensor, "G T"]:
        """How far each ray goes; inf: to nothing."""
        return self._least(self.met)

    def who(self, nearest: Float[Tensor, "G T"]) -> Int[Tensor, "G T"]:
        """The slot of what each ray meets first (of equals, the lowest), or NOTHING."""
        first = (self.met == nearest[self.tile]) & self.met.isfinite()
        slot = self._least(torch.where(first, self.slot[:, None].to(self.met), torch.inf))
        return torch.where(slot.isfinite(), slot, NOTHING).long()

    def _least(self, values: Float[Tensor, "Q T"]) -> Float[Tensor, "G T"]:
        return torch.segment_reduce(values, "min", lengths=self.many, initial=torch.inf)


def _meet(
    snapshot: Snapshot, kind: Kind, rays: Rays, tile: Tensor, slot: Tensor, which: Tensor
) -> Float[Tensor, "Q T"]:
    """Where the rays of Q tiles meet one object each, all objects of one kind."""
    table = snapshot.local_from_world
    row = rays.frame[tile] * table.shape[1] + slot
    place, origin, direction = table.flatten(0, 1)[row], rays.origin[tile], rays.direction[tile]
    if kind not in MARCHED:
        return _solid(kind, place, origin, direction)
    field = _rows(snapshot.fields[kind], rays.frame[tile], which)
    return march(field, *_local(place, origin, direction))


@fused
def _solid(kind: Kind, place: Tensor, origin: Tensor, direction: Tensor) -> Float[Tensor, "Q T"]:
    return hit(kind, *_local(place, origin, direction))


def _rows(field: Field, frame: Tensor, which: Tensor) -> Field:
    """The parameters of some objects of the moments."""
    return trees.each(lambda x: x[frame, which], field)


def _local(
    place: Float[Tensor, "Q 3 4"],
    origin: Float[Tensor, "Q 3 #T"],
    direction: Float[Tensor, "Q 3 #T"],
) -> tuple[Float[Tensor, "Q 3 #T"], Float[Tensor, "Q 3 #T"]]:
    """Rays in the space of their objects."""
    return _turned(place, origin) + place[..., 3:], _turned(place, direction)


def _turned(place: Float[Tensor, "Q 3 4"], vector: Float[Tensor, "Q 3 P"]) -> Tensor:
    # written out: matrix products of this size are slower, and are not fused
    x = place[..., :1] * vector[:, :1]
    return torch.addcmul(
        torch.addcmul(x, place[..., 1:2], vector[:, 1:2]), place[..., 2:3], vector[:, 2:]
    )


class _Bounds(NamedTuple):
    """Half spaces ``side · x >= least`` that hold all the rays of a tile."""

    side: Float[Tensor, "G S 3"]
    least: Float[Tensor, "G S"]

    @classmethod
    def of(cls, rays: Rays, limit: float) -> "_Bounds":
        """Two pairs of planes along the rays, one before their starts and one behind their ends.

        Where rays of a tile are more than a right angle off their mean, they hold everything.
        """
        side, least, end = _planes(rays.origin, rays.direction, limit)
        if limit < torch.inf:
            side, least = torch.cat([side, -side[:, 4:]], dim=1), torch.cat([least, -end], dim=1)
        return cls(side, least)

    def touch(self, snapshot: Snapshot, frame: Int[Tensor, " G"]) -> Bool[Tensor, "G K"]:
        """Which objects' boxes or ellipsoids are not beyond one of the planes, per tile."""
        ball = torch.tensor([kind in ROUND for kind in snapshot.kinds], device=frame.device)
        return _touching(snapshot.box, frame, ball, self.side, self.least)


@fused
def _planes(
    origin: Float[Tensor, "G 3 #T"], direction: Float[Tensor, "G 3 #T"], limit: float
) -> tuple[Float[Tensor, "G 5 3"], Float[Tensor, "G 5"], Float[Tensor, "G 1"]]:
    ahead = normalize(direction.mean(dim=-1), dim=1)
    # along a row of neighbours, which makes a pixel's tile as narrow as can be
    neighbours = origin[..., :2] + direction[..., :2]
    x, y = _across(ahead, neighbours[..., -1] - neighbours[..., 0])
    way, right, down = (_along(axis, direction) for axis in (ahead, x, y))
    right, down = right / way, down / way
    sides = [
        x - right.amin(dim=-1, keepdim=True) * ahead,
        right.amax(dim=-1, keepdim=True) * ahead - x,
        y - down.amin(dim=-1, keepdim=True) * ahead,
        down.amax(dim=-1, keepdim=True) * ahead - y,
        ahead,
    ]
    height = [_along(side, origin) for side in sides]
    least = torch.stack([h.amin(dim=-1) for h in height], dim=1)
    ordered = way.amin(dim=-1, keepdim=True) > 0
    side = torch.where(ordered[..., None], torch.stack(sides, dim=1), 0)
    end = (height[4] + limit * way).amax(dim=-1, keepdim=True)
    end = torch.where(ordered, end, torch.inf)
    return side, torch.where(ordered, least, -torch.inf), end


@fused
def _touching(
    box: Float[Tensor, "F 4 K 3"],
    frame: Int[Tensor, " G"],
    ball: Bool[Tensor, " K"],
    side: Float[Tensor, "G S 3"],
    least: Float[Tensor, "G S"],
) -> Bool[Tensor, "G K"]:
    middle, a, b, c = (box[frame].flatten(1, 2) @ side.mT).unflatten(1, (4, -1)).unbind(dim=1)
    edges = torch.where(ball[:, None], (a * a + b * b + c * c).sqrt(), a.abs() + b.abs() + c.abs())
    reach = middle + edges + ROUNDING * (middle.abs() + edges)
    return (reach >= least[:, None]).all(dim=-1)


def _along(axis: Float[Tensor, "G 3"], vector: Float[Tensor, "G 3 P"]) -> Float[Tensor, "G P"]:
    """The components of vectors along an axis."""
    return (axis[..., None] * vector).sum(dim=1)


def _across(
    ahead: Float[Tensor, "G 3"], roughly: Float[Tensor, "G 3"]
) -> tuple[Float[Tensor, "G 3"], Float[Tensor, "G 3"]]:
    """Two unit vectors square to ``ahead`` and to each other, the first near to another vector."""
    # any other where that one has no part across
    other = one_hot(ahead.abs().argmin(dim=1), 3).to(ahead)
    x = roughly - (roughly * ahead).sum(dim=1, keepdim=True) * ahead
    fallback = other - (other * ahead).sum(dim=1, keepdim=True) * ahead
    x = torch.where(x.norm(dim=1, keepdim=True) > 1e-6, x, fallback)
    x = normalize(x, dim=1)
    return x, torch.linalg.cross(ahead, x)


def _named(snapshot: Snapshot, rays: Rays, distance: Tensor, instance: Tensor) -> Hits:
    """The names and normals of the points at ``distance`` of objects ``instance``."""
    reach = torch.where(distance.isfinite(), distance, 0)
    end = (rays.origin + reach[:, None] * rays.direction).transpose(0, 1).flatten(1)
    out = [torch.zeros_like(end) for _ in range(3)]
    slot, frame = instance.flatten(), rays.frame.repeat_interleave(instance.shape[1])
    order = {kind: i for i, kind in enumerate(dict.fromkeys(snapshot.kinds))}
    # the last entry is for nothing, at slot -1
    numbers = torch.tensor([*(order[kind] for kind in snapshot.kinds), -1], device=slot.device)
    number = numbers[slot]
    for kind, i in order.items():
        some = padded((number == i).nonzero()[:, 0])
        if len(some):
            found = _of_kind(snapshot, kind, frame[some], slot[some], end[:, some])
            for whole, part in zip(out, found, strict=True):
                whole.index_copy_(1, some, part)
    if any(kind in OPEN for kind in snapshot.kinds):
        out[1] = _towards(out[1], rays, instance.shape)
    return Hits(distance, instance, *(x.unflatten(1, instance.shape) for x in out))


def _towards(across: Tensor, rays: Rays, shape: torch.Size) -> Tensor:
    """Normals turned to the side that is seen: sheets have two."""
    direction = rays.direction.expand(-1, -1, shape[1]).transpose(0, 1).flatten(1)
    return torch.where((across * direction).sum(dim=0) > 0, -across, across)


def _of_kind(
    snapshot: Snapshot, kind: Kind, frame: Tensor, slot: Tensor, end: Float[Tensor, "3 M"]
) -> tuple[Float[Tensor, "3 M"], Float[Tensor, "3 M"], Float[Tensor, "3 M"]]:
    """Material coordinates, world normals and rest normals of points of objects of one kind."""
    row = frame * len(snapshot.kinds) + slot
    place = snapshot.local_from_world.flatten(0, 1).permute(1, 2, 0)[:, :, row]
    scale = snapshot.scale.flatten(0, 1).T[:, row]
    if kind not in MARCHED:
        return _of_solid(kind, place, scale, end)
    slots = torch.tensor(snapshot.slots(kind), device=slot.device)
    which = torch.searchsorted(slots, slot)

    def pick(x: Tensor) -> Tensor:  # parameters side by side, as the points are
        return x[frame, which][..., 0].movedim(0, -1)

    return _of_field(trees.each(pick, snapshot.fields[kind]), place, end)


@fused
def _of_solid(
    kind: Kind, place: Float[Tensor, "3 4 M"], scale: Float[Tensor, "3 M"], end: Tensor
) -> tuple[Float[Tensor, "3 M"], Float[Tensor, "3 M"], Float[Tensor, "3 M"]]:
    unit = (place[:, :3] * end).sum(dim=1) + place[:, 3]
    across = normal(kind, unit)
    return unit * scale, _outward(place, across), _unit(across / scale)


@fused
def _of_field(
    field: Field, place: Float[Tensor, "3 4 M"], end: Float[Tensor, "3 M"]
) -> tuple[Float[Tensor, "3 M"], Float[Tensor, "3 M"], Float[Tensor, "3 M"]]:
    point = (place[:, :3] * end).sum(dim=1) + place[:, 3]
    if not isinstance(field, Body):
        facing = _gradient(field, point)
        return point, _outward(place, facing), _unit(facing)
    rest = undeform(field.warp, point)
    facing = _gradient(field.blend, rest)
    return rest, _outward(place, _pulled(field, point, facing)), _unit(facing)


def _pulled(
    field: Body, point: Float[Tensor, "3 M"], facing: Float[Tensor, "3 M"]
) -> Float[Tensor, "3 M"]:
    """A rest pose's normals where the body is: by the transposed Jacobian of undeform."""
    step = STENCIL * tolerance(field.blend) * torch.eye(3).to(point)[..., None]
    ahead, behind = (undeform(field.warp, point + s) for s in (step, -step))
    return ((ahead - behind) * facing).sum(dim=1)


def _gradient(field: Field, point: Float[Tensor, "3 M"]) -> Float[Tensor, "3 M"]:
    """The direction in which the field grows fastest, from the corners of a tetrahedron."""
    corner = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]).to(point)
    step = STENCIL * tolerance(field) * corner[..., None]
    return (corner[..., None] * distance(field, point + step)[:, None]).sum(dim=0)


def _outward(place: Float[Tensor, "3 4 M"], across: Float[Tensor, "3 M"]) -> Float[Tensor, "3 M"]:
    return _unit((place[:, :3] * across[:, None]).sum(dim=0))


def _unit(vector: Float[Tensor, "3 M"]) -> Float[Tensor, "3 M"]:
    return vector * vector.square().sum(dim=0).clamp_min(1e-30).rsqrt()
