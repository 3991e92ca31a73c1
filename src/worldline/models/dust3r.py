"""DUSt3R: the points of two pictures in the axes of the first one's camera (Wang et al. 2024).

A ViT encodes every picture alone; two decoders, one for each picture of a pair, look at each
other layer by layer; a head for each reads off a 3D point and a confidence for every pixel
(CroCo v2, Weinzaepfel et al. 2023, with other heads). Published as dust3r 512 (DPT or linear
heads) and 224. MonST3R (Zhang et al. 2025), which has seen moving things, is the same network
with other weights; MASt3R (Leroy et al. 2024) adds a head of descriptors, which is left out.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from worldline.errors import InputError
from worldline.nn.activations import confidence, metric_direction
from worldline.nn.attention import Attention, CrossAttention
from worldline.nn.dino import PatchEmbed
from worldline.nn.dpt import Dpt, DptConfig
from worldline.nn.rope import Rotation, patch_positions, rotation
from worldline.nn.transformer import Block, Mlp

_EPS = 1e-6  # of every norm
_OUTPUTS = 4  # x, y, z and a confidence


@dataclass(frozen=True)
class Dust3rConfig:
    """Sizes of a DUSt3R; the published ones by default.

    head: "dpt" or "linear". image: longest side of the pictures that it was trained on, in pixels.
    hooks: levels that a DPT head reads: 0 are the encoder's tokens, k those after k decoder layers.
    dpt_features, dpt_read_off, dpt_channels: as in `DptConfig`.
    """

    head: str = "dpt"
    image: int = 512
    patch: int = 16
    enc_dim: int = 1024
    enc_depth: int = 24
    enc_heads: int = 16
    dec_dim: int = 768
    dec_depth: int = 12
    dec_heads: int = 12
    hooks: tuple[int, ...] = (0, 6, 9, 12)
    dpt_features: int = 256
    dpt_read_off: int = 128
    dpt_channels: tuple[int, ...] = (96, 192, 384, 768)


PUBLISHED = {
    "dust3r-512-dpt": Dust3rConfig(),
    "dust3r-512-linear": Dust3rConfig(head="linear"),
    "dust3r-224-linear": Dust3rConfig(head="linear", image=224),
    "monst3r": Dust3rConfig(),
    "mast3r": Dust3rConfig(),
}

_RENAMINGS = (  # of a DPT head; everything else is called as published
    (
        re.compile(r"\.dpt\.scratch\.layer_rn\.(\d)\."),
        lambda m: f".scratch.layer{int(m[1]) + 1}_rn.",
    ),
    (re.compile(r"\.dpt\.act_postprocess\.(\d)\.0\."), r".projects.\1."),
    (re.compile(r"\.dpt\.act_postprocess\.(\d)\.1\."), r".resize_layers.\1."),
    (re.compile(r"\.dpt\.head\.0\."), ".scratch.output_conv1."),
    (re.compile(r"\.dpt\.head\.2\."), ".scratch.output_conv2.0."),
    (re.compile(r"\.dpt\.head\.4\."), ".scratch.output_conv2.2."),
    (re.compile(r"\.dpt\."), "."),
    (re.compile(r"\.cross_attn\.proj([qkv])\."), r".cross_attn.\1."),
)
_UNUSED = re.compile(r"^mask_token$|\.refinenet4\.resConfUnit1\.|\.head_local_features\.")


def renamed(name: str) -> str | None:
    """Our name of a published tensor.

    None for what has no effect on points: the token that hides patches in pre-training, the
    residual unit of the coarsest fusion, which has nothing to add to, and MASt3R's descriptors.
    """
    name = name.removeprefix("module.")
    if _UNUSED.search(name):
        return None
    for pattern, ours in _RENAMINGS:
        name = pattern.sub(ours, name)
    return name


class Pointmaps(NamedTuple):
    """What is said of K pictures' pixels: points in some camera's axes (OpenCV), in a unit of the
    pair's own, and confidences above 1."""

    points: Float[Tensor, "K H W 3"]
    confidence: Float[Tensor, "K H W"]


class DecoderBlock(nn.Module):
    """x + self-attention, then x + cross-attention to the other picture, then x + feed-forward."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = Attention(dim, heads)
        self.norm_y = nn.LayerNorm(dim, eps=_EPS)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.cross_attn = CrossAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(
        self, x: Float[Tensor, "K P C"], y: Float[Tensor, "K P C"], turn: Rotation
    ) -> Float[Tensor, "K P C"]:
        """The tokens `x` after the three steps; `y` are the other picture's."""
        x = x + self.attn(self.norm1(x), turn)
        memory = self.cross_attn.memory(self.norm_y(y), turn)
        x = x + self.cross_attn(self.norm2(x), memory, turn)
        return x + self.mlp(self.norm3(x))


class LinearHead(nn.Module):
    """Every token says all of its patch's pixels."""

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = nn.Linear(config.dec_dim, _OUTPUTS * config.patch**2)

    @property
    def precision(self) -> torch.dtype:
        """That of the weights, which tokens are expected in."""
        return self.proj.weight.dtype

    def forward(
        self, levels: list[Float[Tensor, "K P _C"]], size: tuple[int, int]
    ) -> Float[Tensor, "K outputs H W"]:
        """Reads the last level only."""
        grid = (size[0] // self.patch, size[1] // self.patch)
        patches = self.proj(levels[-1]).transpose(1, 2).unflatten(2, grid)
        return F.pixel_shuffle(patches, self.patch)


def dense_head(config: Dust3rConfig) -> Dpt:
    """A DPT head whose first level are the encoder's tokens."""
    return Dpt(
        DptConfig(
            dim=(config.enc_dim, *[config.dec_dim] * 3),
            features=config.dpt_features,
            channels=config.dpt_channels,
            outputs=_OUTPUTS,
            norm=False,
            position=False,
            read_off=config.dpt_read_off,
            crop=True,
            patch=config.patch,
        )
    )


class Dust3r(nn.Module):
    """The network. Pictures are encoded once, however many pairs they are in.

    Pictures are [N,3,H,W] in -1..1, upright, both sides multiples of the patch; portrait ones as
    they are (published checkpoints that were trained on turned ones see them upright too).
    """

    Config: ClassVar = Dust3rConfig
    TRUNK: ClassVar = (  # may run in half precision
        "patch_embed",
        "enc_blocks",
        "enc_norm",
        "decoder_embed",
        "dec_blocks",
        "dec_blocks2",
        "dec_norm",
    )

    def __init__(self, config: Dust3rConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config.enc_dim, config.patch)
        self.enc_blocks = nn.ModuleList(
            Block(config.enc_dim, config.enc_heads, layer_scale=None, eps=_EPS)
            for _ in range(config.enc_depth)
        )
        self.enc_norm = nn.LayerNorm(config.enc_dim, eps=_EPS)
        self.decoder_embed = nn.Linear(config.enc_dim, config.dec_dim)
        self.dec_blocks = self._decoder()
        self.dec_blocks2 = self._decoder()
        self.dec_norm = nn.LayerNorm(config.dec_dim, eps=_EPS)
        head = LinearHead if config.head == "linear" else dense_head
        self.downstream_head1 = head(config)
        self.downstream_head2 = head(config)

    def forward(
        self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"]
    ) -> tuple[Pointmaps, Pointmaps]:
        """The points of B pairs' first and second pictures, both in the first camera's axes."""
        features = self.encode(torch.cat([first, second]))
        pairs = torch.arange(2 * len(first), device=first.device).view(2, -1).mT
        return self.decode(features, pairs, (first.shape[2], first.shape[3]))

    def encode(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N P C"]:
        """The tokens of pictures, each on its own.

        Raises InputError for sides that are not multiples of the patch.
        """
        size = (images.shape[2], images.shape[3])
        if size[0] % self.config.patch or size[1] % self.config.patch:
            raise InputError(
                f"DUSt3R's pictures have sides that are multiples of {self.config.patch}, "
                f"not {size[1]}x{size[0]}"
            )
        turn = self._rotation(size, self.config.enc_dim, self.config.enc_heads)
        x = self.patch_embed(images)
        for block in self.enc_blocks:
            x = block(x, turn)
        return self.enc_norm(x)

    def decode(
        self, features: Float[Tensor, "N P C"], pairs: Int[Tensor, "K 2"], size: tuple[int, int]
    ) -> tuple[Pointmaps, Pointmaps]:
        """The points of K pairs' pictures in the axes of each pair's first camera.

        features: of N pictures of `size` (height, width), from `encode`.
        pairs: (first, second) indices into them; a picture may be paired with itself.
        """
        first, second = self._levels(features, pairs, size)
        return (
            _pointmaps(self.downstream_head1, first, size),
            _pointmaps(self.downstream_head2, second, size),
        )

    def preprocess(self, frames: UInt8[Tensor, "N H W 3"]) -> Float[Tensor, "N 3 H W"]:
        """Frames as pictures in -1..1, on the network's device."""
        weight = self.decoder_embed.weight
        return frames.to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 127.5 - 1

    def pairs_at_once(self, size: tuple[int, int], memory: int) -> int:
        """How many pairs `decode` may take for its activations to stay within `memory` bytes.

        Of a DPT head's finest maps not more than `nn.dpt.AT_ONCE` allows are there at a time.
        """
        tokens = size[0] * size[1] // self.config.patch**2
        kept = 2 * len(self.config.hooks) * (self.config.enc_dim + self.config.dec_dim)
        passing = 16 * self.config.dec_dim  # of a layer: queries, keys, values, hidden units
        floats = tokens * (kept + passing) + size[0] * size[1] * 4 * _OUTPUTS
        return max(memory // (4 * floats), 1)

    def _levels(
        self, features: Float[Tensor, "N P C"], pairs: Int[Tensor, "K 2"], size: tuple[int, int]
    ) -> tuple[list[Float[Tensor, "K P _C"]], list[Float[Tensor, "K P _"]]]:
        """The tokens of both pictures that the heads read, from the encoder to the last layer."""
        hooks = self.config.hooks if self.config.head == "dpt" else (self.config.dec_depth,)
        turn = self._rotation(size, self.config.dec_dim, self.config.dec_heads)
        kept = {0: tuple(features[view] for view in pairs.mT)} if 0 in hooks else {}
        embedded = self.decoder_embed(features)
        x, y = (embedded[view] for view in pairs.mT)
        blocks = zip(self.dec_blocks, self.dec_blocks2, strict=True)
        for layer, (block, block2) in enumerate(blocks, start=1):
            x, y = block(x, y, turn), block2(y, x, turn)
            if layer == self.config.dec_depth:
                x, y = self.dec_norm(x), self.dec_norm(y)
            if layer in hooks:
                kept[layer] = x, y
        return [kept[hook][0] for hook in hooks], [kept[hook][1] for hook in hooks]

    def _decoder(self) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(
            DecoderBlock(config.dec_dim, config.dec_heads) for _ in range(config.dec_depth)
        )

    def _rotation(self, size: tuple[int, int], dim: int, heads: int) -> Rotation:
        rows, columns = (side // self.config.patch for side in size)
        positions = patch_positions(rows, columns, self.decoder_embed.weight.device)
        return rotation(positions, dim // heads)


def _pointmaps(
    head: LinearHead | Dpt, levels: list[Float[Tensor, "K P _C"]], size: tuple[int, int]
) -> Pointmaps:
    """What a head says, in its own precision; exponentials in float32."""
    raw = head([level.to(head.precision) for level in levels], size)
    said = raw.permute(0, 2, 3, 1).float()
    return Pointmaps(metric_direction(said[..., :3]), confidence(said[..., 3]))
