"""What recurrent flow networks share: reading correlations and flow, and upsampling the result.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020, section
3.3.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MotionEncoder(nn.Module):
    """Correlations and the flow they were looked up at -> [N, outputs + 2, h, w] of motion.

    `correlation_widths` are one or two, `flow_widths` two; the last two channels are the flow.
    """

    def __init__(
        self,
        correlations: int,
        correlation_widths: Sequence[int],
        flow_widths: Sequence[int],
        outputs: int,
    ) -> None:
        super().__init__()
        first, *second = correlation_widths
        self.convc1 = nn.Conv2d(correlations, first, 1)
        self.convc2 = nn.Conv2d(first, second[0], 3, padding=1) if second else nn.Identity()
        self.convf1 = nn.Conv2d(2, flow_widths[0], 7, padding=3)
        self.convf2 = nn.Conv2d(flow_widths[0], flow_widths[1], 3, padding=1)
        self.conv = nn.Conv2d(correlation_widths[-1] + flow_widths[1], outputs, 3, padding=1)

    def forward(
        self, flow: Float[Tensor, "N 2 h w"], correlations: Float[Tensor, "N C h w"]
    ) -> Float[Tensor, "N _ h w"]:
        """Features of the motion."""
        seen = F.relu(self.convc2(F.relu(self.convc1(correlations))))
        moved = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([seen, moved], 1))), flow], 1)


def head(inputs: int, width: int, outputs: int, kernel: int) -> nn.Sequential:
    """A 3 x 3 convolution, a rectifier, and a convolution to what is read off a hidden state."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, outputs, kernel, padding=kernel // 2),
    )


def convex_upsample(
    values: Float[Tensor, "N C h w"], logits: Float[Tensor, "N _ h w"]
) -> Float[Tensor, "N C _ _"]:
    """Values f times as fine: each a convex combination of the 3 x 3 coarse ones around it.

    Outside of the map the values are zero. Channel k f² + i f + j of `logits` weighs tap k (rows
    first) for row i and column j of the pixel's f x f fine ones.
    """
    batch, channels, height, width = values.shape
    factor = round((logits.shape[1] / 9) ** 0.5)
    weights = logits.permute(0, 2, 3, 1).unflatten(3, (9, factor**2)).float().softmax(3)
    taps = F.unfold(values, 3, padding=1).view(batch, channels, 9, height, width)
    taps = taps.permute(0, 3, 4, 1, 2).contiguous()  # or the product copies them one by one
    fine = taps.to(weights.dtype) @ weights  # [N, h, w, C, f * f]
    fine = fine.unflatten(4, (factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return fine.reshape(batch, channels, factor * height, factor * width)
