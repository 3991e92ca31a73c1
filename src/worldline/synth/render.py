"""Casts the rays of a synthetic world and shades what they meet.

The truth (depth, object, material coordinates) is that of the ray through each pixel's centre;
the colour is the mean over a grid of rays inside the pixel.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.geometry.projection import invert, project
from worldline.synth.camera import Cameras, pixel_rays
from worldline.synth.materials import albedo
from worldline.synth.shapes import Kind, face, hit, normal
from worldline.synth.world import Light, World

RAYS_AT_ONCE = 1 << 13  # few enough that most objects are far from all rays of a chunk
SUNS = 3  # points of the sun's disc that each ray's hit looks at
TILE = 96  # pixels; rays go tile by tile, so that those of a chunk are neighbours
MOST_FRAMES_AT_ONCE = 8  # bounds the memory
NO_OBJECT = -1

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Hits:
    """What P rays met in each of N frames.

    ``distance`` is the ray parameter (the z-depth for rays of ``pixel_rays``; inf: nothing),
    ``instance`` the object's index or -1, ``material`` the place on its unit solid.
    """

    distance: Float[Tensor, "N P"]
    instance: Int[Tensor, "N P"]
    material: Float[Tensor, "N P 3"]


@dataclass(frozen=True)
class Rendering:
    """Frames of a world: linear truth beside sRGB colour in [0, 1] (None: truth only)."""

    rgb: Float[Tensor, "N H W 3"] | None
    depth: Float[Tensor, "N H W"]
    instance: Int[Tensor, "N H W"]
    material: Float[Tensor, "N H W 3"]


def cast(
    kinds: tuple[Kind, ...],
    unit_from_world: Float[Tensor, "N K 4 4"],
    origin: Float[Tensor, "N 3 #P"],
    direction: Float[Tensor, "N 3 P"],
    chunk: int = RAYS_AT_ONCE,
) -> Hits:
    """The first surface that each ray meets, in ``chunk`` rays at a time to bound the memory."""
    parts = []
    for rays in _slices(direction.shape[-1], chunk):
        start = origin if origin.shape[-1] == 1 else origin[..., rays]
        parts.append(_cast(kinds, unit_from_world, start, direction[..., rays]))
    return Hits(
        torch.cat([part.distance for part in parts], dim=1),
        torch.cat([part.instance for part in parts], dim=1),
        torch.cat([part.material for part in parts], dim=1),
    )


def _cast(
    kinds: tuple[Kind, ...], unit_from_world: Tensor, origin: Tensor, direction: Tensor
) -> Hits:
    distances, order = distances_to(kinds, unit_from_world, origin, direction)
    distance, slot = distances.min(dim=1)
    instance = order[slot]
    end = origin + torch.where(distance.isfinite(), distance, 0)[:, None] * direction
    frame = torch.arange(len(instance), device=instance.device)[:, None]
    place = unit_from_world[frame, instance]
    material = (place[..., :3, :3] * end.mT[..., None, :]).sum(dim=-1) + place[..., :3, 3]
    return Hits(distance, torch.where(distance.isfinite(), instance, NO_OBJECT), material)


def distances_to(
    kinds: tuple[Kind, ...], unit_from_world: Tensor, origin: Tensor, direction: Tensor
) -> tuple[Float[Tensor, "N R P"], Int[Tensor, " R"]]:
    """Where each ray meets the objects near any ray, and which object each of the R rows is.

    Objects of one kind are met together, so the rows come grouped by kind.
    """
    near = _within_reach(kinds, unit_from_world, origin, direction).any(dim=0).tolist()
    misses = torch.full_like(direction[:, :1], torch.inf)
    rows, order = [misses], [0]  # a row of misses: there may be no object near
    for kind in dict.fromkeys(kinds):
        members = [k for k, other in enumerate(kinds) if other is kind and near[k]]
        if members:
            place = unit_from_world[:, members]
            turn = place[..., :3, :3].flatten(1, 2)  # one product for all members
            parted = (len(place), len(members), 3, -1)
            start = (turn @ origin).reshape(parted) + place[..., :3, 3:]
            rows.append(hit(kind, start, (turn @ direction).reshape(parted)))
            order += members
    return torch.cat(rows, dim=1), torch.tensor(order, device=direction.device)


def _within_reach(
    kinds: tuple[Kind, ...], unit_from_world: Tensor, origin: Tensor, direction: Tensor
) -> Bool[Tensor, "N K"]:
    """Which objects' bounding balls touch the cone of directions from the ball of origins.

    Conservative: a ray from anywhere in the origins' ball that hits a ball has a parallel from its
    middle that hits the ball grown by its radius.
    """
    world_from_unit = torch.linalg.inv(unit_from_world)
    columns = world_from_unit[..., :3, :3].norm(dim=-2)
    ball = torch.tensor([kind is Kind.BALL for kind in kinds], device=columns.device)
    radius = torch.where(ball, columns.amax(dim=-1), columns.norm(dim=-1))
    middle = 0.5 * (origin.amin(dim=-1) + origin.amax(dim=-1))
    apart = (origin - middle[..., None]).square().sum(dim=1).amax(dim=-1).sqrt()
    radius = radius + apart[:, None]
    axis = torch.nn.functional.normalize(direction.mean(dim=-1), dim=1)
    cosine = (axis[:, None] @ direction)[:, 0] * direction.square().sum(dim=1).rsqrt()
    spread = cosine.amin(dim=-1).clamp(-1, 1).acos()
    offset = world_from_unit[..., :3, 3] - middle[:, None]
    length = offset.norm(dim=-1).clamp_min(1e-9)
    angle = ((offset * axis[:, None]).sum(dim=-1) / length).clamp(-1, 1).acos()
    reach = (radius / length).clamp(max=1).asin()
    # a thousandth of a radian for the rounding of acos near 1
    return (angle <= spread[:, None] + reach + 1e-3) | (radius >= length)


def occluded(
    world: World,
    unit_from_world: Float[Tensor, "K 4 4"],
    point: Float[Tensor, "M 3"],
    direction: Float[Tensor, "M 3"],
    limit: float = torch.inf,
    chunk: int = RAYS_AT_ONCE,
) -> Bool[Tensor, " M"]:
    """Whether anything but a room stands between ``point`` and ``point + limit * direction``."""
    solid = [k for k, kind in enumerate(world.kinds) if kind is not Kind.ROOM]
    kinds = tuple(world.kinds[k] for k in solid)
    parts = []
    for rays in _slices(len(point), chunk):
        distances, _ = distances_to(
            kinds, unit_from_world[None, solid], point[rays].mT[None], direction[rays].mT[None]
        )
        parts.append((distances[0] < limit).any(dim=0))
    return torch.cat(parts)


def visible(
    world: World, cameras: Cameras, frame: int, point: Float[Tensor, "M 3"]
) -> Bool[Tensor, " M"]:
    """Whether world points are in the picture of ``frame`` with nothing in front (a ray test)."""
    camera = cameras.world_from_camera[frame].to(point)
    uv, depth = project(point, cameras.intrinsics.to(point), invert(camera))
    size = torch.tensor(cameras.size).to(point)
    inside = (depth > 0) & ((uv >= 0) & (uv < size)).all(dim=1)
    unit_from_world = _inverse(world, cameras.times[frame : frame + 1])[0].to(point)
    eye = camera[:3, 3].expand_as(point).contiguous()
    # stop short of the point itself, whose own surface is there
    return inside & ~occluded(world, unit_from_world, eye, point - eye, limit=1 - 1e-3)


def render(
    world: World,
    cameras: Cameras,
    colour: bool = True,
    samples: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Rendering:
    """Every frame of ``cameras``: truth at pixel centres and colour over samples² rays a pixel."""
    width, height = cameras.size
    unit_from_world = _inverse(world, cameras.times).to(dtype)
    tiles = _tiles(cameras)
    back = tiles.argsort()

    def frame(i: int) -> tuple[Hits, Tensor | None]:
        view = (tiles, cameras.world_from_camera[i].to(dtype), unit_from_world[i])
        hits, _ = _look(world, cameras, *view, (0.5, 0.5))
        return hits, _picture(world, cameras, *view, samples)[back] if colour else None

    frames = _each(frame, len(cameras), cameras.times.device)
    hits = [found for found, _ in frames]
    pictures = [picture for _, picture in frames if picture is not None]
    shape = (len(cameras), height, width)
    return Rendering(
        torch.stack(pictures).reshape(*shape, 3) if colour else None,
        torch.cat([h.distance[:, back] for h in hits]).reshape(shape),
        torch.cat([h.instance[:, back] for h in hits]).reshape(shape),
        torch.cat([h.material[:, back] for h in hits]).reshape(*shape, 3),
    )


def _each(work: Callable[[int], _Result], count: int, device: torch.device) -> list[_Result]:
    """``work`` for every frame; on a CPU, frames share out the cores.

    The tensors of one chunk are too small to be shared out themselves: cores that others use too
    would spend their time waiting for each other.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu":
        return [work(i) for i in range(count)]
    try:
        workers = min(threads, MOST_FRAMES_AT_ONCE)
        with ThreadPoolExecutor(workers, "render", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(work, range(count)))
    finally:
        torch.set_num_threads(threads)  # the workers' setting is partly everyone's


def _inverse(world: World, times: Float[Tensor, " N"]) -> Float[Tensor, "N K 4 4"]:
    return torch.linalg.inv(world.world_from_unit(times))


def _look(
    world: World,
    cameras: Cameras,
    tiles: Tensor,
    camera: Tensor,
    unit_from_world: Tensor,
    within: tuple[float, float],
) -> tuple[Hits, Float[Tensor, "P 3"]]:
    """Hits and directions of one frame's pixels, tile by tile."""
    rays = pixel_rays(cameras.intrinsics, cameras.size, within).to(camera)
    direction = camera[:3, :3] @ rays[:, tiles]
    hits = cast(world.kinds, unit_from_world[None], camera[None, :3, 3:], direction[None])
    return hits, direction.T


def _tiles(cameras: Cameras) -> Int[Tensor, " P"]:
    """The pixels' indices, tile after tile."""
    width, height = cameras.size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    tile = (y // TILE) * (width // TILE + 1) + x // TILE
    return tile.flatten().argsort(stable=True).to(cameras.times.device)


def _picture(
    world: World,
    cameras: Cameras,
    tiles: Tensor,
    camera: Tensor,
    unit_from_world: Tensor,
    samples: int,
) -> Float[Tensor, "P 3"]:
    """Mean of linear light over the samples of each pixel, then the sRGB curve; tile by tile."""
    steps = [(s + 0.5) / samples for s in range(samples)]
    total = camera.new_zeros(1)
    for k, within in enumerate((x, y) for y in steps for x in steps):
        hits, direction = _look(world, cameras, tiles, camera, unit_from_world, within)
        point = camera[:3, 3] + hits.distance[0, :, None] * direction
        spread = hits.distance[0] / cameras.intrinsics[0, 0].to(camera)
        suns = sun_directions(world.light, SUNS * samples**2)[k :: samples**2].to(camera)
        total = total + shade(world, unit_from_world, hits, point, direction, spread, suns)
    return srgb(total / samples**2)


def sun_directions(light: Light, count: int) -> Float[Tensor, "count 3"]:
    """Unit directions spread evenly over the sun's disc (a sunflower's spiral)."""
    towards = torch.nn.functional.normalize(torch.tensor(light.towards), dim=0)
    side = torch.linalg.cross(towards, torch.tensor([0.0, 0.0, 1.0]))
    side = torch.nn.functional.normalize(side, dim=0)
    other = torch.linalg.cross(towards, side)
    k = torch.arange(count)
    radius = light.spread * ((k + 0.5) / count).sqrt()
    angle = k * 2.399963  # the golden angle
    disc = radius[:, None] * (angle.cos()[:, None] * side + angle.sin()[:, None] * other)
    return torch.nn.functional.normalize(towards + disc, dim=1)


def shade(
    world: World,
    unit_from_world: Float[Tensor, "K 4 4"],
    hits: Hits,
    point: Float[Tensor, "P 3"],
    direction: Float[Tensor, "P 3"],
    spread: Float[Tensor, " P"],
    suns: Float[Tensor, "S 3"],
) -> Float[Tensor, "P 3"]:
    """Linear colour of hits: albedo times sky, bounce and sun (with cast shadows), all diffuse.

    ``spread`` [P] is a pixel's width in metres at the hit; slanted surfaces cover more.
    """
    own, facing = surface(world, unit_from_world, hits, direction, spread)
    light = world.light
    sky, bounce, sun = (torch.tensor(c).to(point) for c in (light.sky, light.bounce, light.sun))
    up = 0.5 + 0.5 * facing[:, 2:]
    total = up * sky + (1 - up) * bounce
    start = point + 2e-3 * facing
    for towards in suns:
        slant = (facing @ towards).clamp_min(0)
        lit = slant > 0
        if lit.any():
            rays = towards.expand(int(lit.sum()), 3)
            shadow = occluded(world, unit_from_world, start[lit], rays)
            slant = slant.masked_scatter(lit, slant[lit] * ~shadow)
        total = total + slant[:, None] * sun / len(suns)
    return own * total


def surface(
    world: World, unit_from_world: Tensor, hits: Hits, direction: Tensor, spread: Tensor
) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 3"]]:
    """Albedo and unit normal at each hit."""
    own, facing = torch.zeros_like(direction), torch.zeros_like(direction)
    for k, kind in enumerate(world.kinds):
        at = (hits.instance[0] == k).nonzero()[:, 0]
        if len(at) == 0:
            continue
        unit = hits.material[0, at]
        across = normal(kind, unit)
        # normals go by the inverse transpose
        facing[at] = torch.nn.functional.normalize(across @ unit_from_world[k, :3, :3], dim=1)
        slant = (facing[at] * torch.nn.functional.normalize(direction[at], dim=1)).sum(dim=1).abs()
        footprint = spread[at] / slant.clamp_min(0.15).sqrt()
        own[at] = _albedo(world, k, unit, across, footprint)
    return own, facing


def _albedo(world: World, k: int, unit: Tensor, across: Tensor, footprint: Tensor) -> Tensor:
    metres = unit * world.half_sizes[k].to(unit)
    material = world.materials[k]
    if not isinstance(material, tuple):
        return albedo(material, metres, across, footprint).to(unit)
    colour = torch.zeros_like(unit)
    faces = face(world.kinds[k], unit)
    for side, own in enumerate(material):
        at = faces == side
        colour[at] = albedo(own, metres[at], across[at], footprint[at]).to(unit)
    return colour


def srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sRGB transfer curve (IEC 61966-2-1) of light clipped to [0, 1]."""
    x = linear.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-9) ** (1 / 2.4) - 0.055)


def _slices(count: int, chunk: int) -> Iterator[slice]:
    return (slice(start, start + chunk) for start in range(0, max(count, 1), chunk))
