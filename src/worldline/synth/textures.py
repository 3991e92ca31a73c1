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
from worldline.synth.fusion import fused
from worldline.synth.shapes import main_axis
from worldline.synth.world import Surface


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

    @fused
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
