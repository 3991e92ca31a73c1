"""RAFT: optical flow by a recurrent unit that looks up correlations of all pairs of pixels.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020. Published
(princeton-vl/RAFT, BSD-3): weights of the basic network after each stage of training (chairs,
things, sintel, kitti), and of the small one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from worldline.geometry.projection import pixel_grid
from worldline.models.flow import STRIDE, Estimate, FlowConfig, FlowNetwork
from worldline.nn.correlation import correlation_pyramid, look_up
from worldline.nn.recurrent_flow import MotionEncoder, convex_upsample, head
from worldline.nn.residual import BottleneckBlock, ResidualBlock, ResidualEncoder


@dataclass(frozen=True)
class RaftConfig(FlowConfig):
    """Sizes. `small`: bottlenecks, 3 x 3 instead of separable gates, bilinear upsampling."""

    small: bool = False
    stem: int = 64
    widths: tuple[int, ...] = (64, 96, 128)
    features: int = 256
    hidden: int = 128
    context: int = 128
    correlation_widths: tuple[int, ...] = (256, 192)
    flow_widths: tuple[int, ...] = (128, 64)
    motion: int = 126
    head: int = 256


PUBLISHED = {
    "raft-basic": RaftConfig(),
    "raft-small": RaftConfig(
        small=True,
        radius=3,
        stem=32,
        widths=(32, 64, 96),
        features=128,
        hidden=96,
        context=64,
        correlation_widths=(96,),
        flow_widths=(64, 32),
        motion=80,
        head=128,
    ),
}


def renamed(name: str) -> str:
    """Our name of a published tensor; the norm of a shortcut is published under two names."""
    ours = name.removeprefix("module.").replace(".norm3.", ".downsample.1.")
    return ours.replace("head.conv1.", "head.0.").replace("head.conv2.", "head.2.")


class Raft(FlowNetwork):
    """RAFT, basic or small. See `FlowNetwork` for how to use it."""

    Config = RaftConfig
    pairwise = False

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        self.config: RaftConfig = config
        block = BottleneckBlock if config.small else ResidualBlock
        shape = (3, config.stem, config.widths, (2, 2, 2))
        knowledge = config.hidden + config.context
        self.fnet = ResidualEncoder(*shape, config.features, "instance", block)
        self.cnet = ResidualEncoder(*shape, knowledge, "none" if config.small else "batch", block)
        self.update_block = UpdateBlock(config)

    def context(
        self, first: Float[Tensor, "N 3 H W"], second: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, "N C h w"]:
        """Hidden state and context before their activations, of the first image alone."""
        return self.cnet(first)

    def estimate(
        self,
        first: Float[Tensor, "N D h w"],
        second: Float[Tensor, "N D h w"],
        context: Float[Tensor, "N C h w"],
        iterations: int,
        start: Float[Tensor, "N 2 h w"] | None = None,
    ) -> Estimate:
        """Flow between features, refined `iterations` times (section 3.3)."""
        pyramid = correlation_pyramid(first, second, self.config.levels)
        hidden, inputs = context.split([self.config.hidden, self.config.context], dim=1)
        hidden, gates = hidden.tanh(), self.update_block.gru.given(inputs.relu())
        height, width = first.shape[2:]
        pixels = pixel_grid(height, width, device=first.device) - 0.5
        flow = torch.zeros_like(pixels).permute(2, 0, 1).expand(len(first), -1, -1, -1)
        if start is not None:
            flow = start.float()
        for _ in range(iterations):
            seen = look_up(pyramid, pixels + flow.permute(0, 2, 3, 1), self.config.radius)
            hidden, change = self.update_block(hidden, gates, seen, flow)
            flow = flow + change
        return Estimate(self.update_block.upsampled(hidden, flow), flow)


class UpdateBlock(nn.Module):
    """One refinement: features of the motion, the gated unit, the change of the flow."""

    def __init__(self, config: RaftConfig) -> None:
        super().__init__()
        self.encoder = MotionEncoder(
            config.correlations, config.correlation_widths, config.flow_widths, config.motion
        )
        kernels = {"": (3, 3)} if config.small else {"1": (1, 5), "2": (5, 1)}
        self.gru = ConvGRU(config.hidden, config.context, config.motion + 2, kernels)
        self.flow_head = head(config.hidden, config.head, 2, kernel=3)
        upsampling = head(config.hidden, config.head, 9 * STRIDE**2, kernel=1)
        self.mask = None if config.small else upsampling

    def forward(
        self,
        hidden: Float[Tensor, "N C h w"],
        gates: Sequence["Gates"],
        correlations: Float[Tensor, "N L h w"],
        flow: Float[Tensor, "N 2 h w"],
    ) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N 2 h w"]]:
        """The new hidden state and the change of the flow."""
        motion = self.encoder(flow.to(hidden.dtype), correlations.to(hidden.dtype))
        hidden = self.gru(hidden, motion, gates)
        return hidden, self.flow_head(hidden).float()

    def upsampled(
        self, hidden: Float[Tensor, "N C h w"], flow: Float[Tensor, "N 2 h w"]
    ) -> Float[Tensor, "N 2 8*h 8*w"]:
        """Flow of the images' pixels from that of the features'."""
        if self.mask is None:
            size = [STRIDE * side for side in flow.shape[2:]]
            return STRIDE * F.interpolate(flow, size, mode="bilinear", align_corners=True)
        return convex_upsample(STRIDE * flow, self.mask(hidden) / 4)


class Gates(NamedTuple):
    """Convolutions of a gated unit, without the context's channels but with what these add."""

    switches: Float[Tensor, "CC I _ _"]  # weights: how far to update, how much to reset
    candidate: Float[Tensor, "C I _ _"]
    known_switches: Float[Tensor, "N CC h w"]
    known_candidate: Float[Tensor, "N C h w"]
    padding: tuple[int, ...]


class ConvGRU(nn.Module):
    """A convolutional gated recurrent unit (equations 3 to 6), once for each of `kernels`.

    The context is the same in every iteration, so its share of the convolutions, a third of their
    work, is done once (`given`).
    """

    def __init__(
        self, hidden: int, context: int, motion: int, kernels: Mapping[str, tuple[int, int]]
    ) -> None:
        super().__init__()
        self.sizes = [hidden, context, motion]
        self.suffixes = tuple(kernels)
        for suffix, kernel in kernels.items():
            for gate in "zrq":
                convolution = nn.Conv2d(sum(self.sizes), hidden, kernel, padding="same")
                self.add_module(f"conv{gate}{suffix}", convolution)

    def given(self, context: Float[Tensor, "N K h w"]) -> list[Gates]:
        """The gates for this context."""
        return [self._gates(suffix, context) for suffix in self.suffixes]

    def forward(
        self,
        hidden: Float[Tensor, "N C h w"],
        motion: Float[Tensor, "N M h w"],
        gates: Sequence[Gates],
    ) -> Float[Tensor, "N C h w"]:
        """The new hidden state."""
        for gate in gates:
            x = torch.cat([hidden, motion], 1)
            switches = F.conv2d(x, gate.switches, padding=gate.padding) + gate.known_switches
            update, reset = switches.sigmoid().chunk(2, dim=1)
            x = torch.cat([reset * hidden, motion], 1)
            candidate = F.conv2d(x, gate.candidate, padding=gate.padding) + gate.known_candidate
            hidden = torch.lerp(hidden, candidate.tanh(), update)
        return hidden

    def _gates(self, suffix: str, context: Tensor) -> Gates:
        convolutions = [getattr(self, f"conv{gate}{suffix}") for gate in "zrq"]
        weights = torch.cat([conv.weight for conv in convolutions]).to(context.dtype)
        bias = torch.cat([conv.bias for conv in convolutions]).to(context.dtype)
        hidden, known, motion = weights.split(self.sizes, dim=1)
        padding = tuple(side // 2 for side in weights.shape[2:])
        parts = [2 * self.sizes[0], self.sizes[0]]
        switches, candidate = torch.cat([hidden, motion], 1).split(parts)
        constant = F.conv2d(context, known, bias, padding=padding)
        known_switches, known_candidate = constant.split(parts, dim=1)
        return Gates(switches, candidate, known_switches, known_candidate, padding)
