"""V-DPM: where every pixel's point of a video is at the time of any of its frames.

"V-DPM: 4D Video Reconstruction with Dynamic Point Maps". VGGT's aggregator with one more special
token a frame, which stands for the frame's time. The video is encoded once; a small decoder, whose
blocks are modulated by the time token of the target frame (as in DiT), turns the encoded tokens
into those of the points at that time, and VGGT's point head reads both.
Points are in the first frame's camera, OpenCV axes, up to scale.

Published: one size, trained from VGGT-1B.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldline.models.vggt import (
    Aggregator,
    AggregatorConfig,
    CameraHead,
    dpt_config,
    own_precision,
    points_of,
    projected,
)
from worldline.nn.attention import Attention
from worldline.nn.dpt import Dpt
from worldline.nn.rope import Rotation, positions_with_specials, rotation
from worldline.nn.transformer import LayerScale, Mlp, modulate

TIME_TOKEN = 1  # its place among the tokens of a frame, behind the camera's


@dataclass(frozen=True)
class VdpmConfig(AggregatorConfig):
    """Sizes of a V-DPM; the decoder has `decoder_depth` pairs of blocks."""

    decoder_depth: int = 4
    decoder_heads: int = 16


PUBLISHED = {"vdpm": VdpmConfig()}


def renamed(name: str) -> str:
    """The name of a published tensor in `Vdpm`: shorter for the decoder's, else the same one."""
    name = name.removeprefix("module.").removeprefix("model.")
    if name.startswith("decoder."):
        name = name.replace("_blocks.0.", "_blocks.", 1).replace(".modulation.lin.", ".modulation.")
    return name


class TimedAggregator(Aggregator):
    """VGGT's aggregator, with a time token behind each camera token."""

    def __init__(self, config: AggregatorConfig) -> None:
        super().__init__(config)
        self.time_conditioning_token = nn.Parameter(torch.randn(1, 1, config.dim))

    def specials(self, frames: int) -> Float[Tensor, "S K C"]:
        """The special tokens of each frame: camera, time, registers."""
        camera, registers = super().specials(frames).tensor_split([TIME_TOKEN], dim=1)
        time = self.time_conditioning_token.expand(frames, -1, -1)
        return torch.cat([camera, time, registers], dim=1)


class TimedBlock(nn.Module):
    """A transformer block whose attention is modulated, frame by frame, by a time."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Linear(dim, 3 * dim)
        self.attn = Attention(dim, heads, qk_norm=True)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim)

    def forward(
        self,
        x: Float[Tensor, "B S N C"],
        time: Float[Tensor, "B S C"],
        turn: Rotation,
        *,
        across: bool,
    ) -> Float[Tensor, "B S N C"]:
        """The tokens after both steps; attention within each frame, or across all of them."""
        shift, scale, gate = self.modulation(F.silu(time))[:, :, None].chunk(3, dim=-1)
        y = modulate(self.norm1(x), shift, scale)
        y = self.attn(y.flatten(1, 2) if across else y.flatten(0, 1), turn)
        x = torch.addcmul(x, gate, y.view(x.shape))
        return self.ls2(x, self.mlp(self.norm2(x)))


class Decoder(nn.Module):
    """Tokens of one level, as they were encoded, to those of the points at other times."""

    def __init__(self, config: VdpmConfig) -> None:
        super().__init__()
        self.head_dim = 2 * config.dim // config.decoder_heads
        self.patch = config.patch
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(
                TimedBlock(2 * config.dim, config.decoder_heads)
                for _ in range(config.decoder_depth)
            )
            for _ in range(2)
        )

    def forward(
        self,
        tokens: Float[Tensor, "B S N C"],
        time: Float[Tensor, "B S C"],
        size: tuple[int, int],
    ) -> Float[Tensor, "B S N C"]:
        """The tokens of images of `size`; time: the time token of each frame's target."""
        rows, columns = (side // self.patch for side in size)
        special = tokens.shape[2] - rows * columns
        places = positions_with_specials(special, rows, columns, tokens.device)
        turn = rotation(places, self.head_dim)
        for within, across in zip(self.frame_blocks, self.global_blocks, strict=True):
            tokens = within(tokens, time, turn, across=False)
            tokens = across(tokens, time, turn, across=True)
        return tokens


@dataclass(frozen=True)
class Encoded:
    """A video as `Vdpm.encode` leaves it: all that decoding needs.

    levels: the tokens that the point head reads. last: camera and time token after the last block.
    size: (height, width) of the images.
    """

    levels: list[Float[Tensor, "B S N C"]]
    last: Float[Tensor, "B S 2 C"]
    size: tuple[int, int]


class Vdpm(nn.Module):
    """The network. In bfloat16 under autocast, or with `aggregator` and `decoder` cast to it."""

    Config = VdpmConfig
    TRUNK: ClassVar = ("aggregator", "decoder")  # may run in half precision

    def __init__(self, config: VdpmConfig) -> None:
        super().__init__()
        self.config = config
        self.aggregator = TimedAggregator(config)
        self.decoder = Decoder(config)
        self.point_head = Dpt(dpt_config(config, 4))
        self.camera_head = CameraHead(config)

    def forward(
        self, images: Float[Tensor, "B S 3 H W"], targets: Int[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
        """`decode` of what `encode` makes of the images."""
        return self.decode(self.encode(images), targets)

    def encode(self, images: Float[Tensor, "B S 3 H W"]) -> Encoded:
        """The part that depends on no target; images in [0,1], sides multiples of the patch."""
        size = (images.shape[-2], images.shape[-1])
        levels = []
        for i, level in self.aggregator.levels(self.aggregator.tokens(images), size):
            if i in self.config.levels:
                levels.append(level)
        return Encoded(levels, level[:, :, : TIME_TOKEN + 1], size)

    def cameras(self, encoded: Encoded) -> Float[Tensor, "iterations B S 9"]:
        """Camera from world after every refinement; `models.vggt.cameras_of` reads them."""
        with own_precision(encoded.last):
            return self.camera_head(encoded.last[:, :, 0])

    def own_time(
        self, encoded: Encoded
    ) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
        """Points of every frame at its own time, without the decoder; confidences above 1."""
        return self._read(encoded, encoded.levels)

    def decode(
        self, encoded: Encoded, targets: Int[Tensor, "B S"]
    ) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
        """Points of every frame at the time of its target frame, and confidences above 1."""
        times = encoded.last[:, :, TIME_TOKEN]
        time = times.gather(1, targets[..., None].expand(-1, -1, times.shape[-1]))
        decoded = (self.decoder(level, time, encoded.size) for level in encoded.levels)
        return self._read(encoded, decoded)

    def _read(
        self, encoded: Encoded, levels: Iterable[Float[Tensor, "B S N C"]]
    ) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
        size, head = encoded.size, self.point_head
        maps = [projected(head, i, level, size) for i, level in enumerate(levels)]
        with own_precision(encoded.last):
            return points_of(head.predict(maps, size), len(encoded.last))
