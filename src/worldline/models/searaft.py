"""SEA-RAFT: RAFT that begins with regressed flow, and says with a mixture how sure it is.

Wang, Lipson and Deng, "SEA-RAFT: Simple, Efficient, Accurate RAFT for Optical Flow", ECCV 2024.
Published (princeton-vl/SEA-RAFT, BSD-3): S, M and L after each stage of training (chairs, things,
tartan, spring, sintel, kitti). M and L are one network, with 4 and 12 iterations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from worldline.geometry.projection import pixel_grid
from worldline.models.flow import STRIDE, Estimate, FlowConfig, FlowNetwork
from worldline.nn.correlation import correlation_pyramid, look_up
from worldline.nn.recurrent_flow import MotionEncoder, convex_upsample, head
from worldline.nn.residual import ResidualEncoder


@dataclass(frozen=True)
class SeaRaftConfig(FlowConfig):
    """Sizes: of the ResNets (stem, then widths and blocks of three stages) and of the update.

    `widest` bounds the logarithm of the mixture's wide scale.
    """

    iterations: int = 4
    stem: int = 64
    widths: tuple[int, ...] = (64, 128, 256)
    depths: tuple[int, ...] = (3, 4, 6)
    dim: int = 128
    refinements: int = 2
    widest: float = 10.0


PUBLISHED = {
    "searaft-s": SeaRaftConfig(depths=(2, 2, 2)),
    "searaft-m": SeaRaftConfig(),
    "searaft-l": SeaRaftConfig(iterations=12),
}


def renamed(name: str) -> str:
    """Our name of a published tensor; the norm of a shortcut is published under two names."""
    ours = name.removeprefix("module.").replace(".bn3.", ".downsample.1.")
    ours = ours.replace("final_conv.", "conv2.")
    return ours.replace(".bn1.", ".norm1.").replace(".bn2.", ".norm2.")


class SeaRaft(FlowNetwork):
    """SEA-RAFT, of any size. See `FlowNetwork` for how to use it."""

    Config = SeaRaftConfig
    pairwise = True

    def __init__(self, config: SeaRaftConfig) -> None:
        super().__init__()
        self.config: SeaRaftConfig = config
        dim = config.dim

        def resnet(inputs: int) -> ResidualEncoder:
            shape = (config.stem, config.widths, config.depths)
            return ResidualEncoder(inputs, *shape, outputs=2 * dim, norm="batch")

        self.fnet = resnet(3)
        self.cnet = resnet(6)
        self.init_conv = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1)
        self.update_block = UpdateBlock(config)
        self.flow_head = head(dim, 2 * dim, 6, kernel=3)
        self.upsample_weight = head(dim, 2 * dim, 9 * STRIDE**2, kernel=1)

    def context(
        self, first: Float[Tensor, "N 3 H W"], second: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, "N C h w"]:
        """Hidden state and context of both images together."""
        return self.init_conv(self.cnet(torch.cat([first, second], 1)))

    def estimate(
        self,
        first: Float[Tensor, "N D h w"],
        second: Float[Tensor, "N D h w"],
        context: Float[Tensor, "N C h w"],
        iterations: int,
        start: Float[Tensor, "N 2 h w"] | None = None,
    ) -> Estimate:
        """Flow between features, regressed from the context and refined `iterations` times.

        `start` takes the place of the regressed flow. The mixture's channels are two logits, wide
        and narrow, and the logarithms of the two scales, before they are bounded.
        """
        hidden, inputs = context.chunk(2, dim=1)
        read = self.flow_head(hidden).float()
        flow = read[:, :2] if start is None else start.float()
        height, width = first.shape[2:]
        pixels = pixel_grid(height, width, device=first.device) - 0.5
        pyramid = correlation_pyramid(first, second, self.config.levels) if iterations else []
        merged = self.update_block.merged()
        for _ in range(iterations):
            seen = look_up(pyramid, pixels + flow.permute(0, 2, 3, 1), self.config.radius)
            hidden = self.update_block(hidden, inputs, seen, flow, merged)
            read = self.flow_head(hidden).float()
            flow = flow + read[:, :2]
        weights = self.upsample_weight(hidden) / 4
        fine = convex_upsample(torch.cat([STRIDE * flow, read[:, 2:]], 1), weights)
        return Estimate(fine[:, :2], flow, fine[:, 2:])

    def confidence(self, mixture: Float[Tensor, "N 4 H W"]) -> Float[Tensor, "N H W"]:
        """How peaked the mixture of two Laplace distributions is: its density at the flow found.

        The narrow one's scale is a pixel, and the unit: 1 where it is all there is, its weight
        where the other, which takes what is ambiguous, is very wide.
        """
        wide = (-mixture[:, 2].clamp(0, self.config.widest)).exp()
        narrow_weight = (mixture[:, 1] - mixture[:, 0]).sigmoid()
        return narrow_weight + (1 - narrow_weight) * wide


class UpdateBlock(nn.Module):
    """One refinement of the hidden state: features of the motion, then ConvNeXt blocks."""

    def __init__(self, config: SeaRaftConfig) -> None:
        super().__init__()
        dim = config.dim
        widths = (2 * dim, dim + dim // 2), (dim, dim // 2)
        self.encoder = MotionEncoder(config.correlations, *widths, dim - 2)
        blocks = [ConvNextBlock(3 * dim, dim) for _ in range(config.refinements)]
        self.refine = nn.ModuleList(blocks)

    def merged(self) -> list["Merged"]:
        """What `forward` needs of the blocks' weights, the same in all iterations."""
        return [cast(ConvNextBlock, block).merged() for block in self.refine]

    def forward(
        self,
        hidden: Float[Tensor, "N C h w"],
        inputs: Float[Tensor, "N C h w"],
        correlations: Float[Tensor, "N L h w"],
        flow: Float[Tensor, "N 2 h w"],
        merged: Sequence["Merged"],
    ) -> Float[Tensor, "N C h w"]:
        """The new hidden state."""
        motion = self.encoder(flow.to(inputs.dtype), correlations.to(inputs.dtype))
        known = torch.cat([inputs, motion], 1)
        for block, weights in zip(self.refine, merged, strict=True):
            hidden = block(torch.cat([hidden, known], 1), weights)
        return hidden


class Merged(NamedTuple):
    """Two linear maps in a row as one."""

    weight: Float[Tensor, "C I"]
    bias: Float[Tensor, " C"]


class ConvNextBlock(nn.Module):
    """A ConvNeXt block (Liu et al., CVPR 2022) and a projection: [N, I, h, w] -> [N, C, h, w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(inputs, inputs, 7, padding=3, groups=inputs)
        self.norm = nn.LayerNorm(inputs, eps=1e-6)
        self.pwconv1 = nn.Linear(inputs, 4 * outputs)
        self.pwconv2 = nn.Linear(4 * outputs, inputs)
        self.gamma = nn.Parameter(torch.full((inputs,), 1e-6))
        self.final = nn.Conv2d(inputs, outputs, 1)

    def merged(self) -> Merged:
        """`pwconv2`, `gamma` and `final` as one linear map: nothing bends between them."""
        final = self.final.weight.flatten(1) * self.gamma
        return Merged(final @ self.pwconv2.weight, final @ self.pwconv2.bias)

    def forward(self, x: Float[Tensor, "N I h w"], merged: Merged) -> Float[Tensor, "N C h w"]:
        """final(x + gamma * pwconv2(gelu(pwconv1(norm(dwconv(x))))))."""
        y = F.gelu(self.pwconv1(self.norm(self.dwconv(x).permute(0, 2, 3, 1))))
        return self.final(x) + F.linear(y, *merged).permute(0, 3, 1, 2)
