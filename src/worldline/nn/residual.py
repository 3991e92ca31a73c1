"""Residual convolutional encoders to an eighth of the size: RAFT's, and SEA-RAFT's cut ResNets.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, as RAFT (ECCV 2020) has it:
convolutions keep their biases, and the second one of a block is rectified before the sum.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Norm = Literal["instance", "batch", "none"]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: [N, inputs, H, W] to [N, channels, H/stride, ...]."""

    def __init__(self, inputs: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = normalisation(norm, channels)
        self.norm2 = normalisation(norm, channels)
        self.downsample = shortcut(inputs, channels, stride, norm)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N _ _ _"]:
        """The block's output."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        return F.relu(self.downsample(x) + y, inplace=True)


class BottleneckBlock(nn.Module):
    """A 3 x 3 convolution on a quarter of the channels, between two 1 x 1, and a shortcut."""

    def __init__(self, inputs: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        narrow = channels // 4
        self.conv1 = nn.Conv2d(inputs, narrow, 1)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1)
        self.conv3 = nn.Conv2d(narrow, channels, 1)
        self.norm1 = normalisation(norm, narrow)
        self.norm2 = normalisation(norm, narrow)
        self.norm3 = normalisation(norm, channels)
        self.downsample = shortcut(inputs, channels, stride, norm)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N _ _ _"]:
        """The block's output."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        y = F.relu(self.norm3(self.conv3(y)), inplace=True)
        return F.relu(self.downsample(x) + y, inplace=True)


class ResidualEncoder(nn.Module):
    """Images to features at an eighth of their size: a 7 x 7 convolution, three stages, a 1 x 1.

    `widths` and `depths` are the channels and the number of blocks of the stages.
    """

    def __init__(
        self,
        inputs: int,
        stem: int,
        widths: Sequence[int],
        depths: Sequence[int],
        outputs: int,
        norm: Norm,
        block: type[ResidualBlock] | type[BottleneckBlock] = ResidualBlock,
    ) -> None:
        super().__init__()

        def stage(channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
            later = [block(width, width, 1, norm) for _ in range(depth - 1)]
            return nn.Sequential(block(channels, width, stride, norm), *later)

        self.conv1 = nn.Conv2d(inputs, stem, 7, stride=2, padding=3)
        self.norm1 = normalisation(norm, stem)
        self.layer1 = stage(stem, widths[0], depths[0], 1)
        self.layer2 = stage(widths[0], widths[1], depths[1], 2)
        self.layer3 = stage(widths[1], widths[2], depths[2], 2)
        self.conv2 = nn.Conv2d(widths[2], outputs, 1)

    def forward(self, images: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D H/8 W/8"]:
        """Features of images whose sides are multiples of 8."""
        x = F.relu(self.norm1(self.conv1(images)), inplace=True)
        return self.conv2(self.layer3(self.layer2(self.layer1(x))))


class InstanceNorm(nn.Module):
    """Every channel of every image to mean 0 and variance 1, over all pixels.

    torch's own is an order of magnitude slower on a CPU where channels come last in memory, and as
    a group normalisation loses digits there with every pixel.
    """

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """The normalised input; sums are in single precision.

        The mean goes first: the difference of two large squares would be noise.
        """
        x = x - x.mean((2, 3), keepdim=True, dtype=torch.float32).to(x.dtype)
        rest = x.mean((2, 3), keepdim=True, dtype=torch.float32)  # of rounding the mean
        square = x.square().mean((2, 3), keepdim=True, dtype=torch.float32)
        scale = ((square - rest.square()).clamp_min(0) + 1e-5).rsqrt()
        return torch.addcmul((-rest * scale).to(x.dtype), x, scale.to(x.dtype))


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """What follows a convolution."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return InstanceNorm() if kind == "instance" else nn.Identity()


def shortcut(inputs: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    """The identity, or what brings `inputs` to the size of a block's output."""
    if stride == 1 and inputs == channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, channels, 1, stride), normalisation(norm, channels))
