"""Casts rays into worlds: what each meets first, and whether anything is in the way.

Rays come in tiles of neighbours. A tile is tested against the balls that hold the objects, and only
the pairs of a tile and an object within its reach are worked out, so the cost is what the objects
cover and not objects times rays. Nothing here loops over worlds, moments, objects or rays.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth import trees
from worldline.synth.chunks import slices
from worldline.synth.deformation import undeform
from worldline.synth.fields import Body, Field, distance, march, tolerance
from worldline.synth.shapes import MARCHED, OPEN, Kind, hit, normal
from worldline.synth.world import NOTHING, Snapshot

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
        _nearest(snapshot, _some(rays, part), skip)[0] < limit
        for part in slices(count, length, rays.frame.device)
    ]
    return torch.cat(parts)


def _some(rays: Rays, part: slice) -> Rays:
    return Rays(rays.frame[part], rays.origin[part], rays.direction[part])


def _cast(snapshot: Snapshot, rays: Rays) -> Hits:
    distance, instance = _nearest(snapshot, rays)
    return _named(snapshot, rays, distance, instance)


def _nearest(
    snapshot: Snapshot, rays: Rays, skip: tuple[Kind, ...] = ()
) -> tuple[Float[Tensor, "G T"], Int[Tensor, "G T"]]:
    """How far each ray goes, and the slot of what it meets there (-1: nothing)."""
    near = _within_reach(snapshot.centre, snapshot.radius, rays)
    near = near & snapshot.active[rays.frame]
    near[:, [k for k, kind in enumerate(snapshot.kinds) if kind in skip]] = False
    rank = near.cumsum(dim=1) - 1
    most = max(int(near.sum(dim=1).max()), 1)
    count, length = rays.shape
    # each tile's objects stand in a column of their own
    met = rays.origin.new_full((count, most, length), torch.inf)
    owner = torch.full((count, most), NOTHING, device=near.device)
    for kind in dict.fromkeys(snapshot.kinds):
        slots = torch.tensor(snapshot.slots(kind), device=near.device)
        tile, which = near[:, slots].nonzero(as_tuple=True)
        if len(tile):
            slot = slots[which]
            column = rank[tile, slot]
            met[tile, column] = _meet(snapshot, kind, rays, tile, slot, which)
            owner[tile, column] = slot
    distance, column = met.min(dim=1)
    return distance, torch.where(distance.isfinite(), owner.gather(1, column), NOTHING)


def _meet(
    snapshot: Snapshot, kind: Kind, rays: Rays, tile: Tensor, slot: Tensor, which: Tensor
) -> Float[Tensor, "Q T"]:
    """Where the rays of Q tiles meet one object each, all objects of one kind."""
    table = snapshot.local_from_world
    row = rays.frame[tile] * table.shape[1] + slot
    if kind not in MARCHED:
        return hit(kind, *_local(table.flatten(0, 1), row, tile, rays))
    origin, direction = _local(table.flatten(0, 1), row, tile, rays)
    return march(_rows(snapshot.fields[kind], rays.frame[tile], which), origin, direction)


def _rows(field: Field, frame: Tensor, which: Tensor) -> Field:
    """The parameters of some objects of the moments."""
    return trees.each(lambda x: x[frame, which], field)


def _local(
    table: Float[Tensor, "R 3 4"], row: Tensor, tile: Tensor, rays: Rays
) -> tuple[Tensor, Tensor]:
    place = table[row]
    origin, direction = _turned(place, rays.origin[tile]), _turned(place, rays.direction[tile])
    return origin + place[..., 3:], direction


def _turned(place: Float[Tensor, "Q 3 4"], vector: Float[Tensor, "Q 3 P"]) -> Tensor:
    # written out: matrix products of this size are slower, and are not fused
    x = place[..., :1] * vector[:, :1]
    return torch.addcmul(
        torch.addcmul(x, place[..., 1:2], vector[:, 1:2]), place[..., 2:3], vector[:, 2:]
    )


def _within_reach(
    centre: Float[Tensor, "F K 3"], radius: Float[Tensor, "F K"], rays: Rays
) -> Bool[Tensor, "G K"]:
    """Which objects' balls touch the cone of directions from the ball of origins, per tile.

    Conservative: a ray from anywhere in the origins' ball that hits a ball has a parallel from its
    middle that hits the ball grown by its radius.
    """
    frame, origin, direction = rays
    middle = 0.5 * (origin.amin(dim=-1) + origin.amax(dim=-1))
    apart = (origin - middle[..., None]).square().sum(dim=1).amax(dim=-1).sqrt()
    radius = radius[frame] + apart[:, None]
    axis = torch.nn.functional.normalize(direction.mean(dim=-1), dim=1)
    along = (axis[..., None] * direction).sum(dim=1)
    spread = (along * direction.square().sum(dim=1).rsqrt()).amin(dim=-1).clamp(-1, 1).acos()
    offset = centre[frame] - middle[:, None]
    length = offset.norm(dim=-1).clamp_min(1e-9)
    angle = ((offset * axis[:, None]).sum(dim=-1) / length).clamp(-1, 1).acos()
    reach = (radius / length).clamp(max=1).asin()
    # a thousandth of a radian for the rounding of acos near 1
    return (angle <= spread[:, None] + reach + 1e-3) | (radius >= length)


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
        some = (number == i).nonzero()[:, 0]
        if len(some):
            found = _of_kind(snapshot, kind, frame[some], slot[some], end[:, some])
            for whole, part in zip(out, found, strict=True):
                whole[:, some] = part
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
        unit = (place[:, :3] * end).sum(dim=1) + place[:, 3]
        across = normal(kind, unit)
        return unit * scale, _outward(place, across), _unit(across / scale)
    slots = torch.tensor(snapshot.slots(kind), device=slot.device)
    which = torch.searchsorted(slots, slot)

    def pick(x: Tensor) -> Tensor:  # parameters side by side, as the points are
        return x[frame, which][..., 0].movedim(0, -1)

    return _of_field(trees.each(pick, snapshot.fields[kind]), place, end)


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
