"""DPT: dense predictions from four levels of a transformer's tokens (Ranftl et al. 2021).

The levels are brought to 4, 2, 1 and 1/2 times the patch grid, refined from the coarsest to the
finest, and read off at the images' own resolution. Feature maps are channels-last all the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from worldline.nn.chunking import in_batches

READ_OFF = 32  # channels in front of the last layer
AT_ONCE = {"cpu": 2**24, "cuda": 2**28}  # entries of full-size maps at a time: what pays


@dataclass(frozen=True)
class DptConfig:
    """Sizes of a DPT head.

    dim: channels of the tokens, or of those of each level; features: of the refined maps;
    channels: of the four levels. read_off: in front of the last layer.
    outputs: channels read off; 0: all `features` at half the size, for a tracker to look at.
    norm: whether tokens are normalised first.
    position: whether maps are told where their pixels lie. relu_trunk: the residual units pass on
        relu(x) in place of x, as published heads with in-place activations do (VGGT, 4RC motion).
    crop: the coarsest map is doubled and cropped to the next level (DUSt3R), not resized to it.
    """

    dim: int | tuple[int, ...]
    features: int
    channels: tuple[int, ...]
    outputs: int
    norm: bool = True
    position: bool = True
    relu_trunk: bool = False
    read_off: int = READ_OFF
    crop: bool = False
    patch: int = 14


class ResidualUnit(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, features: int, relu_trunk: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.relu_trunk = relu_trunk

    def forward(self, x: Float[Tensor, "B F h w"]) -> Float[Tensor, "B F h w"]:
        """A map of the same size."""
        active = F.relu(x)
        out = self.conv2(F.relu(self.conv1(active)))
        return out + (active if self.relu_trunk else x)


class Fusion(nn.Module):
    """Adds a level to what the coarser ones have become, and brings both to the next size."""

    def __init__(self, features: int, *, relu_trunk: bool, lateral: bool = True) -> None:
        super().__init__()
        if lateral:
            self.resConfUnit1 = ResidualUnit(features, relu_trunk)
        self.resConfUnit2 = ResidualUnit(features, relu_trunk)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(
        self,
        coarse: Float[Tensor, "B F h w"],
        level: Float[Tensor, "B F h w"] | None,
        size: tuple[int, int],
    ) -> Float[Tensor, "B F H W"]:
        """The fused map at `size`."""
        if level is not None:
            coarse = coarse + self.resConfUnit1(level)
        # A 1x1 convolution and bilinear weights, which sum to one, commute: the smaller map first.
        return resize(self.out_conv(self.resConfUnit2(coarse)), size)


class Scratch(nn.Module):
    """The refinement: levels to a common width, then four fusions from coarse to fine."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__()
        for i, width in enumerate(config.channels, start=1):
            conv = nn.Conv2d(width, config.features, 3, padding=1, bias=False)
            self.add_module(f"layer{i}_rn", conv)
        self.add_chain("", config)
        refined = config.features // 2 if config.outputs else config.features
        self.output_conv1 = nn.Conv2d(config.features, refined, 3, padding=1)
        if config.outputs:
            self.output_conv2 = nn.Sequential(
                nn.Conv2d(refined, config.read_off, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(config.read_off, config.outputs, 1),
            )
        self.crop = config.crop

    def add_chain(self, suffix: str, config: DptConfig) -> None:
        """Four fusions named refinenet1..4 with a suffix; the coarsest has nothing to add to."""
        for i in range(1, 5):
            fusion = Fusion(config.features, relu_trunk=config.relu_trunk, lateral=i < 4)
            self.add_module(f"refinenet{i}{suffix}", fusion)

    def fusion(self, number: int, suffix: str = "") -> Fusion:
        """One of the fusions; 4 is the coarsest."""
        return cast(Fusion, self.get_submodule(f"refinenet{number}{suffix}"))

    def widths_matched(
        self, levels: Sequence[Float[Tensor, "B _ _h _w"]], first: int = 1
    ) -> list[Float[Tensor, "B F _h _w"]]:
        """The levels from number `first` on, finest first, with the same number of channels."""
        return [self.get_submodule(f"layer{i}_rn")(x) for i, x in enumerate(levels, start=first)]

    def fuse(
        self, levels: Sequence[Float[Tensor, "B F _h _w"]], suffix: str = ""
    ) -> list[Float[Tensor, "B F _H _W"]]:
        """What each fusion returns, coarsest first; the last is at twice the finest level."""
        rows, columns = levels[0].shape[-2:]
        fused = self.fuse_coarser(levels[1:], (rows, columns), suffix)
        last = self.fusion(1, suffix)
        return [*fused, last(fused[-1], levels[0], (2 * rows, 2 * columns))]

    def fuse_coarser(
        self, levels: Sequence[Float[Tensor, "B F _h _w"]], size: tuple[int, int], suffix: str
    ) -> list[Float[Tensor, "B F _H _W"]]:
        """What all fusions but the last return, of the three coarser levels; the last at `size`."""
        second, third, fourth = levels
        four, three, two = (self.fusion(i, suffix) for i in (4, 3, 2))
        rows, columns = third.shape[-2:]
        doubled = (2 * fourth.shape[-2], 2 * fourth.shape[-1])
        coarsest = four(fourth, None, doubled if self.crop else (rows, columns))
        fused = [coarsest[..., :rows, :columns]]
        fused.append(three(fused[-1], third, second.shape[-2:]))
        return [*fused, two(fused[-1], second, size)]


class Dpt(nn.Module):
    """The head. `project` tokens level by level, `fuse` the levels, `read` the result."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__()
        self.sizes = config
        first, second, _, last = config.channels
        dims = (config.dim,) * 4 if isinstance(config.dim, int) else config.dim
        self.norm = nn.LayerNorm(dims[-1]) if config.norm else nn.Identity()
        self.projects = nn.ModuleList(
            nn.Conv2d(dim, width, 1) for dim, width in zip(dims, config.channels, strict=True)
        )
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(config)

    @property
    def precision(self) -> torch.dtype:
        """That of the weights, which tokens are expected in."""
        return self.scratch.output_conv1.weight.dtype

    def forward(
        self, tokens: Sequence[Float[Tensor, "B P _C"]], size: tuple[int, int]
    ) -> Float[Tensor, "B outputs H W"]:
        """What the head says of images of `size`, from the patch tokens of four levels."""
        return self.predict([self.project(i, x, size) for i, x in enumerate(tokens)], size)

    def predict(
        self, maps: Sequence[Float[Tensor, "B _ h w"]], size: tuple[int, int]
    ) -> Float[Tensor, "B outputs H W"]:
        """The outputs from the levels' maps, a few images at a time: large maps are passing."""

        def of_part(part: slice) -> Tensor:
            return self.read(self.fuse([level[part] for level in maps], size), size)

        parts = in_batches(of_part, len(maps[0]), self.at_once(maps[0], size), "images")
        return torch.cat([result for _, result in parts])

    def at_once(self, like: Tensor, size: tuple[int, int]) -> int:
        """How many images of `size` to compute at a time where `like` is."""
        entries = AT_ONCE["cuda" if like.is_cuda else "cpu"]
        return max(1, entries // (self.sizes.features * size[0] * size[1]))

    def project(
        self, level: int, tokens: Float[Tensor, "B P C"], size: tuple[int, int]
    ) -> Float[Tensor, "B channels h w"]:
        """One level's tokens as a map over the patches, with far fewer channels."""
        grid = (size[0] // self.sizes.patch, size[1] // self.sizes.patch)
        # Transposed tokens are a channels-last map as they lie.
        return self.projects[level](self.norm(tokens).transpose(1, 2).unflatten(2, grid))

    def pyramid(
        self, maps: Sequence[Float[Tensor, "B _ h w"]], size: tuple[int, int]
    ) -> list[Float[Tensor, "B F _h _w"]]:
        """The levels at their sizes and with the same number of channels, finest first."""
        return self.scratch.widths_matched(self._resized(maps, size))

    def finest_and_coarser(
        self, maps: Sequence[Float[Tensor, "B _ h w"]], size: tuple[int, int]
    ) -> tuple[Float[Tensor, "B channels h4 w4"], Float[Tensor, "B F h4 w4"]]:
        """The finest level as it is, and all others fused: what the last fusion brings together."""
        finest, *coarser = self._resized(maps, size)
        levels = self.scratch.widths_matched(coarser, first=2)
        rows, columns = finest.shape[-2:]
        return finest, self.scratch.fuse_coarser(levels, (rows, columns), "")[-1]

    def _resized(
        self, maps: Sequence[Float[Tensor, "B _ h w"]], size: tuple[int, int]
    ) -> list[Tensor]:
        if self.sizes.position:
            maps = [add_position(x, size) for x in maps]
        return [layer(x) for layer, x in zip(self.resize_layers, maps, strict=True)]

    def fuse(
        self, maps: Sequence[Float[Tensor, "B _ h w"]], size: tuple[int, int]
    ) -> Float[Tensor, "B features2 h8 w8"]:
        """The refined map at eight times the patch grid."""
        return self.scratch.output_conv1(self.scratch.fuse(self.pyramid(maps, size))[-1])

    def read(
        self, fused: Float[Tensor, "B features2 h8 w8"], size: tuple[int, int]
    ) -> Float[Tensor, "B outputs H W"]:
        """The outputs at the images' resolution; a tracker's features at half of it."""
        if not self.sizes.outputs:
            return resize(fused, (size[0] // 2, size[1] // 2))
        return self.scratch.output_conv2(self.enlarged(fused, size))

    def enlarged(
        self, fused: Float[Tensor, "B features2 h8 w8"], size: tuple[int, int]
    ) -> Float[Tensor, "B features2 H W"]:
        """The refined map at the images' resolution, with positions: what a tracker looks at."""
        full = resize(fused, size)
        if self.sizes.position:  # in place, as this is the largest map of all
            half = full.shape[1] // 2
            u, v = position_table(full.shape[1], size, size, full)
            full[:, :half].add_(u[:, None, :])
            full[:, half:].add_(v[:, :, None])
        return full


def resize(x: Float[Tensor, "B F h w"], size: tuple[int, int]) -> Float[Tensor, "B F H W"]:
    """Bilinear, corners on corners."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def add_position(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """`x` plus sines of where its pixels lie in images of `size`.

    The plane's diagonal is 2 long; a quarter of the channels each are sin u, cos u, sin v, cos v at
    frequencies from 1 down to 1/100.
    """
    u, v = x.chunk(2, dim=1)
    along, down = position_table(x.shape[1], (x.shape[2], x.shape[3]), size, x)
    return torch.cat([u + along[:, None, :], v + down[:, :, None]], dim=1)


def position_table(
    channels: int,
    grid: tuple[int, int],
    size: tuple[int, int],
    like: Tensor,
    strength: float = 0.1,
) -> tuple[Float[Tensor, "half columns"], Float[Tensor, "half rows"]]:
    """Sines of the columns and of the rows of a map of `grid` over images of `size`."""
    diagonal = (size[0] ** 2 + size[1] ** 2) ** 0.5
    u = strength * _sines(size[1] / diagonal, grid[1], channels // 2, like)
    v = strength * _sines(size[0] / diagonal, grid[0], channels // 2, like)
    return u, v


def _sines(span: float, count: int, channels: int, like: Tensor) -> Float[Tensor, "channels count"]:
    """Sines, then cosines, of `count` places between -span and span (their cells' centres)."""
    end = span * (count - 1) / count
    place = torch.linspace(-end, end, count, device=like.device)
    exponents = torch.arange(channels // 2, device=like.device) / (channels / 2)
    angles = 100.0 ** -exponents[:, None] * place
    return torch.cat([angles.sin(), angles.cos()]).to(like.dtype)
