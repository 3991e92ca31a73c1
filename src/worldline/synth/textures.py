"""A bank of textures, so that any look costs a pixel four reads whatever it shows.

All textures lie in one table of texels, every mip level of every texture. Objects are box-mapped:
the texture lies on the coordinate plane of the rest pose that the surface faces most, mirrored
where it repeats (any picture then repeats without a seam). The level is that whose texels a pixel
covers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldline.errors import InputError
from worldline.io.pixels import resized
from worldline.io.stills import IMAGE_SUFFIXES, natural_key, read_header, read_image
from worldline.synth.chunks import one_thread
from worldline.synth.materials import Material, albedo
from worldline.synth.shapes import main_axis
from worldline.synth.world import Surface

FAMILIES = (
    "plain", "mottled", "tiles", "bricks", "checker", "stripes", "wood", "leaves", "noise",
)  # fmt: skip
LEAVES = 220
EXTENT = 2.0  # metres of a pattern that a texture shows


@dataclass(frozen=True)
class Bank:
    """T square textures with their mip levels, as rows of linear RGB.

    Texture by texture, level by level (side ``size``, then half of it, ... down to 1), row by row.
    """

    texels: Float[Tensor, "R 3"]
    size: int

    @classmethod
    def of(cls, images: Float[Tensor, "T 3 S S"]) -> "Bank":
        """A bank of square pictures with linear RGB in [0, 1]; S is a power of two."""
        levels, level = [], images
        while True:
            levels.append(level.permute(0, 2, 3, 1).flatten(1, 2))
            if level.shape[-1] == 1:
                break
            level = torch.nn.functional.avg_pool2d(level, 2)
        return cls(torch.cat(levels, dim=1).flatten(0, 1).contiguous(), images.shape[-1])

    def __len__(self) -> int:
        return len(self.texels) // ((4 * self.size**2 - 1) // 3)

    def sample(
        self,
        texture: Int[Tensor, " M"],
        uv: Float[Tensor, "2 M"],
        footprint: Float[Tensor, " M"],
    ) -> Float[Tensor, "3 M"]:
        """Colours at ``uv`` of pixels that cover ``footprint``, both in widths of the texture."""
        deepest = self.size.bit_length() - 1
        texels = (footprint * self.size).clamp_min(1).log2().round().clamp_max(deepest)
        side = torch.exp2(deepest - texels)
        x, y = (1 - (1 - uv.remainder(2)).abs()) * side - 0.5
        left, top = x.floor(), y.floor()
        x, y = x - left, y - top
        # levels before this one have (4 size² - 4 side²) / 3 texels
        start = texture * ((4 * self.size**2 - 1) // 3)
        start = start + ((4 * self.size**2 - 4 * side * side) / 3).round().long()
        colour = torch.zeros(len(start), 3).to(uv)
        for dy, wy in ((0, 1 - y), (1, y)):
            row = torch.minimum((top + dy).clamp_min(0), side - 1) * side
            for dx, wx in ((0, 1 - x), (1, x)):
                column = torch.minimum((left + dx).clamp_min(0), side - 1)
                texel = self.texels[start + (row + column).long()]
                colour = torch.addcmul(colour, texel.to(uv), (wx * wy)[:, None])
        return colour.T


@dataclass(frozen=True)
class Textured:
    """The look of worlds that share a bank: a texture for each face ``-x +x -y +y -z +z``.

    ``repeat`` is the width in metres that a texture covers, ``offset`` (in widths) moves it,
    ``tint`` multiplies its colour.
    """

    bank: Bank
    texture: Int[Tensor, "B K 6"]
    tint: Float[Tensor, "B K 3"]
    repeat: Float[Tensor, "B K"]
    offset: Float[Tensor, "B K 2"]

    def albedo(self, surface: Surface) -> Float[Tensor, "3 M"]:
        """Colours of surface points: box-mapped, tinted."""
        slot = surface.instance.clamp_min(0)
        row = surface.world * self.texture.shape[1] + slot
        along_x, along_y, along_z = main_axis(surface.normal)
        x, y, z = surface.material
        flat = torch.stack([torch.where(along_x, y, x), torch.where(along_z, y, z)])
        nx, ny, nz = surface.normal > 0
        face = torch.where(along_x, nx, torch.where(along_y, ny, nz)) + 2 * along_y + 4 * along_z
        texture = self.texture.flatten()[row * 6 + face]
        repeat = self.repeat.flatten()[row].to(flat)
        offset = self.offset.flatten(0, 1).T[:, row].to(flat)
        colour = self.bank.sample(texture, flat / repeat + offset, surface.footprint / repeat)
        return (colour * self.tint.flatten(0, 1).T[:, row].to(colour)).clamp(0, 1)


def procedural(seed: int, count: int = 64, size: int = 256) -> Bank:
    """A bank of ``count`` random textures, all families in turn; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    with one_thread():  # hundreds of small steps, which threads only slow down
        return Bank.of(torch.stack([_random(i, size, generator) for i in range(count)]))


def from_folder(folder: str | Path, size: int) -> Bank:
    """A bank of the pictures in a folder: their middle squares, ``size`` (a power of two) wide.

    In order of their names. Raises InputError for another size, a folder that is missing or holds
    no picture, and a picture that cannot be read.
    """
    folder = Path(folder)
    if size < 1 or size & (size - 1):
        raise InputError(f"textures are {size} pixels wide; give a power of two.")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one with pictures.")
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(f"{folder}: holds no picture; put some there (.jpg, .png, ...).")
    return Bank.of(torch.stack([_square(file, size) for file in sorted(files, key=natural_key)]))


def _square(file: Path, size: int) -> Float[Tensor, "3 S S"]:
    """The middle of a picture, in linear light."""
    header = read_header(file)
    picture, _ = read_image(file, header, header.size)
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    level = torch.from_numpy(resized(middle, (size, size))).permute(2, 0, 1) / 255
    # the sRGB curve backwards (IEC 61966-2-1)
    return torch.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)


def _random(index: int, size: int, generator: torch.Generator) -> Float[Tensor, "3 S S"]:
    family = FAMILIES[index % len(FAMILIES)]
    palette = _palette(generator)
    if family == "leaves":
        return leaves(palette, size, generator)
    if family == "noise":
        return _coloured(octaves(size, 1.0 + 0.8 * _uniform(generator), generator), palette)
    cell = 0.08 * 6 ** _uniform(generator)
    material = Material(
        family,
        tuple(palette[0].tolist()),
        tuple(palette[1].tolist()),
        (cell, cell * (0.4 + 0.6 * _uniform(generator))),
        0.1 + 0.5 * _uniform(generator),
        50 * _uniform(generator),
    )
    return painted(material, size)


def painted(material: Material, size: int) -> Float[Tensor, "3 S S"]:
    """A pattern on a wall, ``EXTENT`` metres wide."""
    step = EXTENT / size
    along = (torch.arange(size) + 0.5) * step
    z, x = torch.meshgrid(along, along, indexing="ij")
    point = torch.stack([x, torch.zeros_like(x), z], dim=-1).reshape(-1, 3)
    facing = torch.tensor([[0.0, 1.0, 0.0]]).expand_as(point)
    colour = albedo(material, point, facing, torch.full((len(point),), step))
    return colour.float().T.reshape(3, size, size)


def leaves(
    palette: Float[Tensor, "C 3"], size: int, generator: torch.Generator
) -> Float[Tensor, "3 S S"]:
    """Dead leaves (Lee, Mumford, Huang 2001): discs and squares that cover each other.

    Their radii fall off as a power law, which gives edges of all sizes, as in natural pictures.
    """
    along = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(along, along, indexing="ij")
    picture = palette[0][:, None, None].expand(3, size, size)
    for leaf in range(LEAVES):
        cx, cy, r, turn, shade = torch.rand(5, generator=generator).tolist()
        radius = (1 / 0.3**2 + r * (1 / 0.015**2 - 1 / 0.3**2)) ** -0.5  # density ~ radius^-3
        u, v = x - cx, y - cy
        wide = u * torch.tensor(6.28 * turn).cos() + v * torch.tensor(6.28 * turn).sin()
        edge = torch.hypot(u, v) if leaf % 3 else torch.maximum(wide.abs(), (u - wide).abs())
        cover = ((radius - edge) * size + 0.5).clamp(0, 1)
        colour = palette[leaf % len(palette)] * (0.6 + 0.8 * shade)
        picture = picture + cover * (colour[:, None, None] - picture)
    grain = 1 + 0.08 * octaves(size, 0.8, generator)
    return (picture * grain).clamp(0, 1)


def octaves(size: int, slope: float, generator: torch.Generator) -> Float[Tensor, "S S"]:
    """Noise whose amplitude falls as frequency^-slope over all octaves; mean 0, deviation 1."""
    white = torch.randn(size, size, generator=generator)
    fy, fx = torch.meshgrid(torch.fft.fftfreq(size), torch.fft.fftfreq(size), indexing="ij")
    frequency = torch.hypot(fx, fy).clamp_min(1 / size)
    noise = torch.fft.ifft2(torch.fft.fft2(white) * frequency**-slope).real
    return (noise - noise.mean()) / noise.std()


def _coloured(noise: Tensor, palette: Float[Tensor, "C 3"]) -> Float[Tensor, "3 S S"]:
    share = (0.5 + 0.3 * noise).clamp(0, 0.999) * (len(palette) - 1)
    low = share.long()
    colour = torch.lerp(palette[low], palette[low + 1], (share - low)[..., None])
    return colour.permute(2, 0, 1)


def _palette(generator: torch.Generator, count: int = 5) -> Float[Tensor, "C 3"]:
    """Colours about one hue, some pale, some dark: squares keep them from being pastel."""
    middle = torch.rand(3, generator=generator)
    spread = 0.6 * torch.randn(count, 1, generator=generator)
    own = 0.2 * torch.randn(count, 3, generator=generator)
    return (middle + spread * 0.4 + own).clamp(0.05, 0.95) ** 1.6


def _uniform(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator).item()
