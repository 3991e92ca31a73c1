"""Points spread evenly over all surfaces of a world at a time, those that no camera sees included.

Random lines cross a surface as often as it has area (the Cauchy-Crofton formula), whatever its
shape. So lines are thrown through the ball of each object, as many as the ball's disc is large, and
every crossing is a point: one rule for all solids, deformed or not.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth import trees
from worldline.synth.deformation import undeform
from worldline.synth.fields import Body, Field, Terrain, distance
from worldline.synth.shapes import MARCHED, OPEN, Kind, value
from worldline.synth.truth import Points
from worldline.synth.world import NOTHING, Snapshot, World

BACKDROP = (Kind.ROOM, Kind.GROUND, Kind.TERRAIN)
STEPS = 96  # of a line: what is thinner than its length by this factor may be missed
HALVINGS = 16


def surface_points(
    world: World,
    time: Float[Tensor, " B"],
    count: int,
    generator: torch.Generator,
    backdrop: bool = False,
) -> Points:
    """Up to ``count`` points of each world, spread evenly over the surfaces of all its objects.

    ``backdrop`` takes room, ground and terrain in, which then have most of the points. The
    generator is on the CPU. Worlds with fewer crossings are filled up with points that are not
    valid.
    """
    snapshot = world.snapshot(time[:, None])
    line, slot, origin, direction = _lines(world, snapshot, 2 * count, generator, backdrop)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for kind in dict.fromkeys(snapshot.kinds):
        slots = torch.tensor(snapshot.slots(kind), device=slot.device)
        some = torch.isin(slot, slots).nonzero()[:, 0]
        if len(some):
            which = torch.searchsorted(slots, slot[some])
            ends = (origin[some], direction[some])
            found.append(_crossings(snapshot, kind, line[some], slot[some], which, ends))
    b, instance, material, xyz = (torch.cat(column) for column in zip(*found, strict=True))
    return _gathered(len(time), count, (b, instance, material, xyz), generator)


def _lines(
    world: World, snapshot: Snapshot, count: int, generator: torch.Generator, backdrop: bool
) -> tuple[Int[Tensor, " L"], Int[Tensor, " L"], Float[Tensor, "L 3"], Float[Tensor, "L 3"]]:
    """World, slot, start and full length of ``count`` chords a world through the objects' balls."""
    device = snapshot.radius.device
    whole = world.extent().norm(dim=-1).to(snapshot.radius)
    radius = torch.where(snapshot.radius.isfinite(), snapshot.radius, whole)
    wanted = [backdrop or kind not in BACKDROP for kind in snapshot.kinds]
    share = radius.square() * (snapshot.active & torch.tensor(wanted, device=device))
    slot = torch.multinomial(share.cpu(), count, True, generator=generator).to(device)
    numbers = torch.randn(*slot.shape, 5, generator=generator).to(radius)
    towards = torch.nn.functional.normalize(numbers[..., :3], dim=-1)
    aside = torch.linalg.cross(towards, torch.randn(*slot.shape, 3, generator=generator).to(radius))
    aside = torch.nn.functional.normalize(aside, dim=-1)
    off = torch.rand(*slot.shape, 1, generator=generator).to(radius).sqrt()
    size = radius.gather(1, slot)[..., None]
    middle = snapshot.centre.gather(1, slot[..., None].expand(-1, -1, 3)) + off * size * aside
    # a little longer than the chord, whose ends are the very surface of a ball
    half = (1.05 - off * off).sqrt() * size * towards
    b = torch.arange(len(slot), device=device)[:, None].expand_as(slot)
    return b.flatten(), slot.flatten(), (middle - half).flatten(0, 1), (2 * half).flatten(0, 1)


def _crossings(
    snapshot: Snapshot, kind: Kind, b: Tensor, slot: Tensor, which: Tensor, ends: tuple
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """World, slot, X and world position of every crossing of lines with one object each."""
    place = snapshot.local_from_world[b, slot]
    field = trees.each(lambda x: x[b, which], snapshot.fields[kind]) if kind in MARCHED else None
    origin = (place[..., :3] @ ends[0][..., None]) + place[..., 3:]
    direction = place[..., :3] @ ends[1][..., None]
    t = torch.linspace(0, 1, STEPS + 1).to(origin)
    inside = _value(kind, field, origin + t * direction) < 0
    line, step = (inside[:, 1:] != inside[:, :-1]).nonzero(as_tuple=True)
    field = trees.each(lambda x: x[line], field)
    origin, direction, entered = origin[line], direction[line], inside[line, step + 1]
    low, high = t[step][:, None], t[step + 1][:, None]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        beyond = (_value(kind, field, origin + middle[:, None] * direction) < 0) == entered[:, None]
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    at = 0.5 * (low + high)
    point = origin + at[:, None] * direction
    kept = _within(kind, field, point)
    rest = undeform(field.warp, point) if isinstance(field, Body) else point
    material = rest[..., 0] * snapshot.scale[b[line], slot[line]]
    xyz = ends[0][line] + at * ends[1][line]
    return b[line][kept], slot[line][kept], material[kept], xyz[kept]


def _value(kind: Kind, field: Field | None, point: Tensor) -> Tensor:
    return value(kind, point) if field is None else distance(field, point)


def _within(kind: Kind, field: Field | None, point: Float[Tensor, "M 3 1"]) -> Bool[Tensor, " M"]:
    """Sheets end at their extents."""
    if kind not in OPEN:
        return torch.ones(len(point), dtype=torch.bool, device=point.device)
    extent = field.extent if isinstance(field, Terrain) else point.new_ones(len(point), 2)
    return (point[:, :2, 0].abs() <= extent).all(dim=1)


def _gathered(
    worlds: int, count: int, columns: tuple[Tensor, ...], generator: torch.Generator
) -> Points:
    """Crossings in random order, ``count`` of them for each world."""
    b = columns[0]
    order = torch.randperm(len(b), generator=generator).to(b.device)
    order = order[b[order].argsort(stable=True)]
    b, instance, material, xyz = (column[order] for column in columns)
    many = torch.bincount(b, minlength=worlds)
    rank = torch.arange(len(b), device=b.device) - (many.cumsum(0) - many)[b]
    kept = rank < count
    target = (b[kept], rank[kept])
    points = Points(
        xyz.new_zeros(worlds, count, 3),
        torch.full((worlds, count), NOTHING, device=b.device),
        material.new_zeros(worlds, count, 3),
        torch.zeros(worlds, count, dtype=torch.bool, device=b.device),
    )
    values = (xyz, instance, material, torch.ones_like(instance, dtype=torch.bool))
    for whole, own in zip(points, values, strict=True):
        whole[target] = own[kept]
    return points
