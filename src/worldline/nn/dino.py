"""The DINOv2 vision transformer: patches of 14 pixels, learned positions of a 37 x 37 grid."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from worldline.nn.transformer import Block

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalized(images: Float[Tensor, "*shape 3 H W"]) -> Float[Tensor, "*shape 3 H W"]:
    """Images in [0,1] less ImageNet's mean, in units of its standard deviation."""
    mean, std = (images.new_tensor(value).view(3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


@dataclass(frozen=True)
class DinoConfig:
    """Sizes of a DINOv2.

    swiglu: gated feed-forward layers (the giant).
    registers: extra tokens between the class token and the patches.
    antialias: how the learned positions are resized: by bicubic filtering to the size (VGGT), or
        without a filter and by the factor (n + 0.1) / 37 (DINOv2's own way, DA3, 4RC).
    mask_token: whether checkpoints carry one (it has no use at inference).
    qk_norm_from: first block whose queries and keys are normalised; None: none.
    layer_scale: initial factor of every residual branch.
    """

    dim: int
    depth: int
    heads: int
    swiglu: bool = False
    registers: int = 0
    antialias: bool = False
    mask_token: bool = False
    qk_norm_from: int | None = None
    patch: int = 14
    image: int = 518
    layer_scale: float = 1.0


class PatchEmbed(nn.Module):
    """Patches of an image as tokens, by one linear map."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        """Tokens in reading order."""
        return self.proj(images).flatten(2).transpose(1, 2)


class DinoTrunk(nn.Module):
    """Embedding, blocks and last norm, for networks that run the blocks in a way of their own.

    The blocks' norms have an epsilon of 1e-6, those of queries and keys 1e-5.
    """

    def __init__(self, config: DinoConfig, last_eps: float = 1e-5) -> None:
        super().__init__()
        self.sizes = config
        grid = config.image // config.patch
        self.patch_embed = PatchEmbed(config.dim, config.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, config.dim))
        if config.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, config.dim))
        if config.mask_token:
            self.mask_token = nn.Parameter(torch.zeros(1, config.dim))
        start = config.depth if config.qk_norm_from is None else config.qk_norm_from
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                config.heads,
                swiglu=config.swiglu,
                qk_norm=i >= start,
                layer_scale=config.layer_scale,
                eps=1e-6,
            )
            for i in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=last_eps)

    def embed(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N C"]:
        """Class token, registers and patches with their positions, before the first block."""
        rows, columns = (size // self.sizes.patch for size in images.shape[-2:])
        patches = self.patch_embed(images.to(self.cls_token.dtype))
        position = self.pos_embed[:, 1:]
        if (rows, columns) != (grid := self.sizes.image // self.sizes.patch, grid):
            position = self._resized(position, rows, columns)
        first = self.cls_token + self.pos_embed[:, :1]
        if self.sizes.registers:
            first = torch.cat([first, self.register_tokens], dim=1)
        return torch.cat([first.expand(len(patches), -1, -1), patches + position], dim=1)

    def _resized(
        self, position: Float[Tensor, "1 grid2 C"], rows: int, columns: int
    ) -> Float[Tensor, "1 P C"]:
        grid = math.isqrt(position.shape[1])
        table = position.float().unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        if self.sizes.antialias:
            table = F.interpolate(table, (rows, columns), mode="bicubic", antialias=True)
        else:  # DINOv2's positions were trained with this offset in the factor
            factor = ((rows + 0.1) / grid, (columns + 0.1) / grid)
            table = F.interpolate(table, scale_factor=factor, mode="bicubic")
        return table.flatten(2).transpose(1, 2).to(position.dtype)


class Dino(DinoTrunk):
    """DINOv2 as it is."""

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        """Normalised patch tokens after the last block."""
        x = self.embed(images)
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 1 + self.sizes.registers :])
