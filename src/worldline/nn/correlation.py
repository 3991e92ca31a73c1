"""All-pairs correlation of two feature maps and windows looked up in it.

Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020, section
3.2; SEA-RAFT (ECCV 2024) uses the same.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def correlation_pyramid(
    first: Float[Tensor, "N D h w"], second: Float[Tensor, "N D H W"], levels: int
) -> list[Float[Tensor, "N h*w _ _"]]:
    """Scalar products of all features of two maps, over sqrt(D); the second at 1/1, 1/2, 1/4, ...

    A level is [N, h * w, H_l + 2, W_l + 2]: a ring of zeros lies around what the second map
    holds, so that a look-up outside of it finds zero without being told apart. Averaging features
    before the product is averaging the products after it, for a fraction of the work.
    """
    queries = (first * first.shape[1] ** -0.5).flatten(2).mT
    pyramid = []
    for level in range(levels):
        if level:
            second = F.avg_pool2d(second, 2)
        keys = F.pad(second, (1, 1, 1, 1))
        pyramid.append((queries @ keys.flatten(2)).unflatten(2, keys.shape[2:]))
    return pyramid


def look_up(
    pyramid: Sequence[Float[Tensor, "N hw _ _"]], points: Float[Tensor, "N h w 2"], radius: int
) -> Float[Tensor, "N C h w"]:
    """Correlations of every pixel of the first map with a window around its point in the second.

    `points` are (x, y) in pixels of the finest level, pixel centres at whole numbers. The windows
    have (2 * radius + 1)^2 taps one pixel of their level apart, bilinear, zero outside; C is levels
    * (2 * radius + 1)^2, the finest level first, and in a level the offset in x changes slowest.
    """
    batch, height, width, _ = points.shape
    taps = torch.arange(-radius, radius + 2, device=points.device)
    windows = []
    for level, volume in enumerate(pyramid):
        centres = points.reshape(-1, 2) / 2**level
        corners = centres.floor()
        x, y = (corners.long()[..., None] + taps).unbind(1)
        rows, columns = volume.shape[2:]
        x = x.clamp(-1, columns - 2) + 1  # to the ring of zeros where outside
        y = y.clamp(-1, rows - 2) + 1
        found = volume.flatten(0, 1).flatten(1).gather(1, _flat(y * columns, x))
        windows.append(_between(found.unflatten(1, (len(taps), -1)), centres - corners))
    features = torch.cat(windows, 1).unflatten(0, (batch, height, width))
    return features.permute(0, 3, 1, 2)  # channels last in memory, as convolutions like it


def _flat(rows: Tensor, columns: Tensor) -> Tensor:
    """Where in a flattened volume all pairs of a column and a row lie, the columns outermost."""
    return (columns[:, :, None] + rows[:, None, :]).flatten(1)


def _between(window: Float[Tensor, "M t t"], fraction: Float[Tensor, "M 2"]) -> Tensor:
    """Bilinear values a fraction beyond the taps, the same for a whole window: [M, (t-1)^2]."""
    along_x, along_y = fraction.to(window.dtype)[..., None, None].unbind(1)
    window = torch.lerp(window[:, :-1], window[:, 1:], along_x)
    return torch.lerp(window[:, :, :-1], window[:, :, 1:], along_y).flatten(1)
