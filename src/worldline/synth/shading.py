"""The colour of what rays meet: surfaces under sun, sky and lamps, with cast shadows, in fog."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.cast import Hits, Rays, blocked
from worldline.synth.fusion import fused
from worldline.synth.shapes import Kind
from worldline.synth.world import Gloss, Lamps, Light, Look, Snapshot, Surface, World

UNSHADOWING = (Kind.ROOM, Kind.GROUND)  # the sun shines through the one and from above the other
NEAREST = 0.05  # metres: lamps have a size, so nothing comes nearer to them
SHORT = 1e-3  # of the way: a lamp's ray stops before the surface that it lights


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


@fused
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
    gloss: Gloss | None = None,
) -> Float[Tensor, "3 G T"]:
    """Linear colour: albedo ``own`` times sky, bounce, lamps and the mean of ``suns``; or the sky.

    ``gloss`` adds highlights of suns and lamps, which do not take the surface's colour.
    """
    world = snapshot.world[rays.frame]
    seen = light_of(light, own.dtype)
    sky, bounce, sun = (seen[name][:, world, None] for name in ("sky", "bounce", "sun"))
    up = 0.5 + 0.5 * hits.normal[2]
    total = up * sky + (1 - up) * bounce
    start = _start(rays, hits)
    finish = None if gloss is None else _Finish.of(gloss, world, rays, hits)
    shine: Tensor | float = 0.0
    if (light.sun > 0).any():
        falls, glint = _sunlight(snapshot, rays.frame, hits, start, suns[:, world].to(own), finish)
        total, shine = total + sun * falls, sun * glint
    if light.lamps is not None:
        falls, glint = _lamplight(light.lamps, snapshot, rays.frame, hits, start, finish)
        total, shine = total + falls, shine + glint
    colour = own * total if finish is None else own * total + shine
    horizon, zenith = seen["horizon"][:, world, None], seen["zenith"][:, world, None]
    steepness = rays.direction[:, 2] * rays.direction.square().sum(dim=1).rsqrt()
    height = steepness.clamp_min(0).sqrt()
    backdrop = horizon + height * (zenith - horizon)
    if light.fog is not None:
        colour = _fogged(colour, light.fog[world].to(own), horizon, rays, hits)
    return torch.where(hits.instance >= 0, colour, backdrop)


def light_of(light: Light, dtype: torch.dtype) -> dict[str, Float[Tensor, "3 B"]]:
    """The light's colours, components first."""
    names = ("sun", "sky", "bounce", "horizon", "zenith")
    return {name: getattr(light, name).T.to(dtype) for name in names}


def _start(rays: Rays, hits: Hits) -> Float[Tensor, "G 3 T"]:
    """Where each hit's shadow rays start."""
    reach = torch.where(hits.distance.isfinite(), hits.distance, 0)
    # off the surface by as much as rounding could put the point inside, and a little more
    lift = (1e-3 + 2e-4 * reach) * hits.normal
    return rays.origin + reach[:, None] * rays.direction + lift.transpose(0, 1)


class _Finish(NamedTuple):
    """How each hit shines, and where it is seen from (unit)."""

    strength: Float[Tensor, "G T"]
    sharpness: Float[Tensor, "G T"]
    normal: Float[Tensor, "3 G T"]
    back: Float[Tensor, "3 G #T"]

    @classmethod
    def of(cls, gloss: Gloss, world: Tensor, rays: Rays, hits: Hits) -> "_Finish":
        slot = (world[:, None], hits.instance.clamp_min(0))
        strength, sharpness = (x[slot].to(hits.normal) for x in gloss)
        direction = rays.direction.transpose(0, 1)
        back = -direction * direction.square().sum(dim=0).rsqrt()
        return cls(strength, sharpness, hits.normal, back)

    @fused
    def under(self, towards: Float[Tensor, "3 G #T"]) -> Float[Tensor, "G T"]:
        """Blinn-Phong: how much of the light from a direction (unit) comes back to the eye.

        Normalised so that as much comes back in all whatever the sharpness (Akenine-Moller 2008).
        """
        between = towards + self.back
        between = between * between.square().sum(dim=0).clamp_min(1e-12).rsqrt()
        cosine = (self.normal * between).sum(dim=0).clamp_min(0)
        return self.strength * (self.sharpness + 8) / 8 * cosine**self.sharpness


def _sunlight(
    snapshot: Snapshot,
    frame: Int[Tensor, " G"],
    hits: Hits,
    start: Float[Tensor, "G 3 T"],
    suns: Float[Tensor, "S G 3"],
    finish: _Finish | None,
) -> tuple[Float[Tensor, "G T"], Float[Tensor, "G T"] | float]:
    """How much of the sun falls on each hit (by its slant), and how much of it is thrown back."""
    total: Tensor = torch.zeros_like(hits.distance)
    shine: Tensor | float = 0.0
    for towards in suns:
        slant = (hits.normal * towards.T[..., None]).sum(dim=0).clamp_min(0)
        slant = torch.where(hits.instance >= 0, slant, 0)
        shadow = _shadow(snapshot, Rays(frame, start, towards[..., None]), slant > 0)
        falls = slant * ~shadow
        total = total + falls
        if finish is not None:
            shine = shine + falls * finish.under(towards.T[..., None])
    return total / len(suns), shine / len(suns)


def _shadow(
    snapshot: Snapshot, rays: Rays, asked: Bool[Tensor, "G T"], limit: float = torch.inf
) -> Bool[Tensor, "G T"]:
    """Whether anything is in the light's way, where that is asked (elsewhere: anything)."""
    shadow = torch.zeros_like(asked)
    (some,) = asked.any(dim=1).nonzero(as_tuple=True)
    if len(some):
        wanted = asked[some]
        # the others of a tile go where one that is asked does: they would reach more objects
        first = wanted.to(torch.uint8).argmax(dim=1)[:, None, None].expand(-1, 3, 1)

        def own(x: Tensor) -> Tensor:
            x = x[some]
            return torch.where(wanted[:, None], x, x.gather(2, first)) if x.shape[-1] > 1 else x

        asking = Rays(rays.frame[some], own(rays.origin), own(rays.direction))
        shadow.index_copy_(0, some, blocked(snapshot, asking, limit, UNSHADOWING))
    return shadow


def _lamplight(
    lamps: Lamps,
    snapshot: Snapshot,
    frame: Int[Tensor, " G"],
    hits: Hits,
    start: Float[Tensor, "G 3 T"],
    finish: _Finish | None,
) -> tuple[Float[Tensor, "3 G T"], Float[Tensor, "3 G T"] | float]:
    """What falls on each hit from all lamps, and what it throws back: by the inverse square."""
    world = snapshot.world[frame]
    total: Tensor = torch.zeros_like(hits.normal)
    shine: Tensor | float = 0.0
    for place, colour in zip(lamps.place.unbind(1), lamps.colour.unbind(1), strict=True):
        # from the lamp: the rays of a tile then share their origin, and reach fewer objects
        origin = place[world, :, None].to(start)
        way = start - origin
        square = way.square().sum(dim=1).clamp_min(NEAREST**2)
        towards = -way.transpose(0, 1) * square.rsqrt()
        slant = (hits.normal * towards).sum(dim=0).clamp_min(0)
        asked = (slant > 0) & (hits.instance >= 0) & (colour > 0).any(dim=1)[world, None]
        if not asked.any():
            continue
        shadow = _shadow(snapshot, Rays(frame, origin, way), asked, limit=1 - SHORT)
        falls = colour.T[:, world, None].to(start) * (slant * (asked & ~shadow) / square)
        total = total + falls
        if finish is not None:
            shine = shine + falls * finish.under(towards)
    return total, shine


@fused
def _fogged(
    colour: Float[Tensor, "3 G T"],
    density: Float[Tensor, " G"],
    horizon: Float[Tensor, "3 G 1"],
    rays: Rays,
    hits: Hits,
) -> Float[Tensor, "3 G T"]:
    """Colours through as much air as lies before them (Beer-Lambert)."""
    metres = hits.distance * rays.direction.square().sum(dim=1).sqrt()
    clear = torch.exp(-density[:, None] * metres)
    return horizon + clear * (colour - horizon)


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


@fused
def srgb(linear: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sRGB transfer curve (IEC 61966-2-1) of light clipped to [0, 1]."""
    x = linear.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
