"""Procedural colours of surfaces: pure functions of a point in an object's own metres.

Noise is value noise over a hashed lattice (Perlin 1985 with values instead of gradients) summed
over octaves. What is finer than a pixel's footprint fades to its mean, so far surfaces do not
flicker. All colours are linear RGB albedos.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldline.synth.shapes import face
from worldline.synth.world import Surface

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A pattern with its two colours and grain.

    ``size`` is the pattern's cell (width, height) in metres, ``grain`` the strength of the noise
    that varies the colour, ``offset`` moves the pattern so that two objects do not look alike.
    """

    pattern: str
    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    size: tuple[float, float] = (0.5, 0.5)
    grain: float = 0.25
    offset: float = 0.0


@dataclass(frozen=True)
class Painted:
    """The look of one world whose materials are worked out anew at every point: sharp, but slow.

    A slot has one material for the whole object or six, one for each face ``-x +x -y +y -z +z``.
    """

    materials: tuple[Material | tuple[Material, ...], ...]

    def albedo(self, surface: Surface) -> Float[Tensor, "3 M"]:
        """Colours of surface points, object by object."""
        colour = torch.zeros_like(surface.material)
        for k, material in enumerate(self.materials):
            at = (surface.instance == k).nonzero()[:, 0]
            sides = material if isinstance(material, tuple) else (material,)
            half = surface.half[0, k, :, None].to(colour)
            unit, across = surface.material[:, at] / half, surface.normal[:, at] * half
            faces = face(surface.kinds[k], unit) if len(sides) > 1 else torch.zeros_like(at)
            for side, own in enumerate(sides):
                some = at[faces == side]
                if len(some):
                    point, footprint = surface.material[:, some].T, surface.footprint[some]
                    found = albedo(own, point, across[:, faces == side].T, footprint)
                    colour[:, some] = found.to(colour).T
        return colour


def albedo(
    material: Material,
    point: Float[Tensor, "M 3"],
    normal: Float[Tensor, "M 3"],
    footprint: Float[Tensor, " M"],
) -> Float[Tensor, "M 3"]:
    """Colours at ``point`` (object metres) seen by pixels that cover ``footprint`` metres there.

    Flat patterns are laid on the coordinate plane that ``normal`` faces most (box mapping).
    """
    return _PATTERNS[material.pattern](material, point, normal, footprint).clamp(0, 1)


def noise(
    point: Float[Tensor, "M 3"], footprint: Float[Tensor, " M"], octaves: int = 5
) -> Float[Tensor, " M"]:
    """Octaves of value noise with unit base wavelength, in about [-1, 1] with mean 0.

    ``footprint`` [M] is in the same units as ``point``.
    """
    total = torch.zeros_like(footprint)
    for octave in range(octaves):
        frequency = 2.0**octave
        # full strength while a wave spans four pixels, gone at two
        weight = (2 - 4 * footprint * frequency).clamp(0, 1) * 0.55**octave
        total = total + weight * _value_noise(point * frequency + 17.3 * octave)
    return total


def _value_noise(point: Float[Tensor, "M 3"]) -> Float[Tensor, " M"]:
    corner = point.floor()
    t = point - corner
    t = t * t * t * (t * (6 * t - 15) + 10)
    lattice = corner.long()
    total = torch.zeros_like(t[:, 0])
    for dx, dy, dz in ((i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)):
        x, y, z = (t[:, a] if d else 1 - t[:, a] for a, d in enumerate((dx, dy, dz)))
        weight = x * y * z
        total = total + weight * _hash(lattice[:, 0] + dx, lattice[:, 1] + dy, lattice[:, 2] + dz)
    return total


def _hash(x: Int[Tensor, " M"], y: Int[Tensor, " M"], z: Int[Tensor, " M"]) -> Tensor:
    """A fixed pseudo-random value in [-1, 1] of a lattice point: the same on every machine."""
    h = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    h = (h ^ (h >> 13)) * 1274126177 & 0x7FFFFFFF
    h = (h ^ (h >> 16)) & 0xFFFF
    return h.to(torch.float32) / 32767.5 - 1


def _grain(material: Material, point: Tensor, footprint: Tensor, base: float) -> Tensor:
    """Multiplies a colour: fine noise with wavelength ``base`` metres; 1 on average."""
    wave = noise(point / base + material.offset, footprint / base)
    return (1 + material.grain * wave)[:, None]


def _flat(material: Material, point: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Pattern coordinates (along, up) on the coordinate plane that the surface faces."""
    axis = normal.abs().argmax(dim=1)
    u = torch.where(axis == 0, point[:, 1], point[:, 0])
    v = torch.where(axis == 2, point[:, 1], point[:, 2])
    return u + material.offset, v + material.offset


def _mix(material: Material, share: Tensor) -> Tensor:
    first, second = torch.tensor([material.colour, material.second]).to(share)
    return first + share[:, None] * (second - first)


def _line(distance: Tensor, half_width: float, footprint: Tensor) -> Tensor:
    """How much of a pixel a line covers, given the distance to its middle (box filter)."""
    width = footprint.clamp_min(1e-6)
    return ((half_width - distance) / width + 0.5).clamp(0, 1)


def _to_edge(x: Tensor, period: float) -> Tensor:
    cell = x / period
    return (cell - cell.round()).abs() * period


def _plain(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    return _mix(material, torch.zeros_like(footprint))


def _mottled(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    base = material.size[0]
    share = 0.5 + 0.5 * noise(point / base + material.offset, footprint / base)
    return _mix(material, share.clamp(0, 1)) * _grain(material, point, footprint, base / 4)


def _tiles(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    """Square tiles, each of its own shade, with joints of the second colour."""
    u, v = _flat(material, point, normal)
    width, height = material.size
    shade = 1 + 0.16 * _hash((u / width).floor().long(), (v / height).floor().long(), _zero(u))
    colour = _mix(material, torch.zeros_like(u)) * shade[:, None]
    colour = colour * _grain(material, point, footprint, 0.35)
    joint = _line(torch.minimum(_to_edge(u, width), _to_edge(v, height)), 0.012, footprint)
    return colour + joint[:, None] * (_mix(material, torch.ones_like(u)) - colour)


def _bricks(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    u, v = _flat(material, point, normal)
    width, height = material.size
    row = (v / height).floor()
    u = u + 0.5 * width * (row.long() % 2)
    shade = 1 + 0.28 * _hash((u / width).floor().long(), row.long(), _zero(u))
    colour = _mix(material, torch.zeros_like(u)) * shade[:, None]
    colour = colour * _grain(material, point, footprint, 0.2)
    joint = _line(torch.minimum(_to_edge(u, width), _to_edge(v, height)), 0.008, footprint)
    return colour + joint[:, None] * (_mix(material, torch.ones_like(u)) - colour)


def _checker(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    u, v = _flat(material, point, normal)
    odd = ((u / material.size[0]).floor() + (v / material.size[1]).floor()).long() % 2
    return _mix(material, odd.to(u)) * _grain(material, point, footprint, 0.15)


def _stripes(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    """Bands across the object's own z axis."""
    band = (point[:, 2] + material.offset) / material.size[0]
    odd = band.floor().long() % 2
    return _mix(material, odd.to(band)) * _grain(material, point, footprint, 0.12)


def _wedges(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    """Beach-ball sectors about the object's own z axis, ``size[0]`` of a turn each."""
    turn = torch.atan2(point[:, 1], point[:, 0]) / (2 * torch.pi) + 0.5
    odd = (turn / material.size[0] + material.offset).floor().long() % 2
    return _mix(material, odd.to(turn)) * _grain(material, point, footprint, 0.12)


def _wood(material: Material, point: Tensor, normal: Tensor, footprint: Tensor) -> Tensor:
    """Upright planks of ``size[0]`` with long grain; the second colour is the grain's."""
    u, v = _flat(material, point, normal)
    plank = (u / material.size[0]).floor()
    own = _hash(plank.long(), _zero(u), _zero(u))
    stretched = torch.stack([u * 14, v * 1.6 + 9 * own, plank * 3.7], dim=1)
    share = 0.35 + 0.5 * noise(stretched, footprint * 14, octaves=4)
    colour = _mix(material, share.clamp(0, 1)) * (1 + 0.18 * own)[:, None]
    gap = _line(_to_edge(u, material.size[0]), 0.006, footprint)
    return colour * (1 - 0.7 * gap)[:, None]


def _zero(x: Tensor) -> Int[Tensor, " M"]:
    return torch.zeros_like(x, dtype=torch.long)


_PATTERNS: dict[str, Callable[[Material, Tensor, Tensor, Tensor], Tensor]] = {
    "plain": _plain,
    "mottled": _mottled,
    "tiles": _tiles,
    "bricks": _bricks,
    "checker": _checker,
    "stripes": _stripes,
    "wedges": _wedges,
    "wood": _wood,
}
