"""The colour of what rays meet: diffuse surfaces under a sun and a sky, with cast shadows."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.cast import Hits, Rays, blocked
from worldline.synth.shapes import Kind
from worldline.synth.world import Light, Look, Snapshot, Surface, World

UNSHADOWING = (Kind.ROOM, Kind.GROUND)  # the sun shines through the one and from above the other


def albedo(
    look: Look, world: World, snapshot: Snapshot, rays: Rays, hits: Hits, pixel: Tensor
) -> Float[Tensor, "3 G T"]:
    """The colour that surfaces have of themselves; ``pixel`` [G] is its width in metres at 1 m."""
    footprint = _footprint(rays, hits.distance, hits.normal, pixel)
    names = (snapshot.world[rays.frame], hits.instance)
    owner = names[0][:, None].expand_as(names[1])
    surface = Surface(
        snapshot.kinds,
        world.half,
        owner.flatten(),
        hits.instance.flatten(),
        hits.material.flatten(1),
        hits.facing.flatten(1),
        footprint.flatten(),
    )
    return look.albedo(surface).unflatten(1, hits.instance.shape)


def _footprint(rays: Rays, distance: Tensor, across: Tensor, pixel: Tensor) -> Tensor:
    """How wide a pixel is on the surface: slanted surfaces cover more."""
    direction = rays.direction.transpose(0, 1)
    cosine = (across * direction).sum(dim=0).abs() * direction.square().sum(dim=0).rsqrt()
    reach = torch.where(distance.isfinite(), distance, 0)
    return reach * pixel[:, None] * cosine.clamp_min(0.15).rsqrt()


def shade(
    light: Light,
    snapshot: Snapshot,
    rays: Rays,
    hits: Hits,
    own: Float[Tensor, "3 G T"],
    suns: Float[Tensor, "S B 3"],
) -> Float[Tensor, "3 G T"]:
    """Linear colour: albedo ``own`` times sky, bounce and the mean over ``suns``; or the sky."""
    world = snapshot.world[rays.frame]
    seen = light_of(light, own.dtype)
    sky, bounce, sun = (seen[name][:, world, None] for name in ("sky", "bounce", "sun"))
    up = 0.5 + 0.5 * hits.normal[2]
    total = up * sky + (1 - up) * bounce
    if (light.sun > 0).any():
        total = total + sun * _sunlight(snapshot, rays, hits, suns[:, world].to(own))
    horizon, zenith = seen["horizon"][:, world, None], seen["zenith"][:, world, None]
    steepness = rays.direction[:, 2] * rays.direction.square().sum(dim=1).rsqrt()
    height = steepness.clamp_min(0).sqrt()
    backdrop = horizon + height * (zenith - horizon)
    return torch.where(hits.instance >= 0, own * total, backdrop)


def light_of(light: Light, dtype: torch.dtype) -> dict[str, Float[Tensor, "3 B"]]:
    """The light's colours, components first."""
    names = ("sun", "sky", "bounce", "horizon", "zenith")
    return {name: getattr(light, name).T.to(dtype) for name in names}


def _sunlight(
    snapshot: Snapshot, rays: Rays, hits: Hits, suns: Float[Tensor, "S G 3"]
) -> Float[Tensor, "G T"]:
    """How much of the sun each hit sees, times the cosine of its slant."""
    reach = torch.where(hits.distance.isfinite(), hits.distance, 0)
    # off the surface by as much as rounding could put the point inside, and a little more
    lift = (1e-3 + 2e-4 * reach) * hits.normal
    start = rays.origin + reach[:, None] * rays.direction + lift.transpose(0, 1)
    total = torch.zeros_like(reach)
    for towards in suns:
        slant = (hits.normal * towards.T[..., None]).sum(dim=0).clamp_min(0)
        shadow = blocked(
            snapshot, Rays(rays.frame, start, towards[..., None].contiguous()), skip=UNSHADOWING
        )
        total = total + slant * ~shadow
    return total / len(suns)


def sun_directions(light: Light, count: int) -> Float[Tensor, "S B 3"]:
    """Unit directions spread evenly over each sun's disc (a sunflower's spiral); 1: its middle."""
    towards = torch.nn.functional.normalize(light.towards, dim=1)
    up = towards.new_tensor([0.0, 0.0, 1.0]).expand_as(towards)
    side = torch.linalg.cross(towards, up)
    # a sun overhead has no side of its own
    x = towards.new_tensor([1.0, 0.0, 0.0]).expand_as(towards)
    side = torch.where(side.norm(dim=1, keepdim=True) < 1e-6, x, side)
    side = torch.nn.functional.normalize(side, dim=1)
    other = torch.linalg.cross(towards, side)
    k = torch.arange(count, device=towards.device)[:, None, None]
    radius = light.spread[:, None] * ((k + 0.5) / count).sqrt() * (count > 1)
    angle = k * 2.399963  # the golden angle
    disc = radius * (angle.cos() * side + angle.sin() * other)
    return torch.nn.functional.normalize(towards + disc, dim=-1)


def srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sRGB transfer curve (IEC 61966-2-1) of light clipped to [0, 1]."""
    x = linear.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
