"""Features around moving points: how point trackers look at frames.

Positions (x, y) are in pixels of the feature map, (0, 0) the centre of its first pixel. All
samples around a point lie whole pixels apart, so they share one fraction: it is enough to gather
the (2r+2)^2 whole pixels around the point, compute with these, and blend the results, which are
smaller than features. That equals bilinear sampling of (2r+1)^2 places.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

WINDOW_ELEMENTS = {"cpu": 2**22, "cuda": 2**26}  # gathered at a time: what caches, or memory, hold


class Windows(NamedTuple):
    """D x D whole pixels around points (D = 2r+2): x comes before y.

    Beyond the border, features are those of the nearest pixel, and `inside` is False; a map of
    one pixel is without end in that direction, as it is for `grid_sample` with aligned corners.
    """

    features: Float[Tensor, "*P D D C"]
    inside: Bool[Tensor, "*P D D"]
    fraction: Float[Tensor, "*P 2"]


def pyramid(features: Float[Tensor, "F h w C"], levels: int) -> list[Float[Tensor, "F _ _ C"]]:
    """The features and `levels` - 1 maps of half the size, each by averaging 2 x 2 pixels."""
    maps = [features]
    for _ in range(levels - 1):
        maps.append(avg_pool2d(maps[-1].permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1))
    return [each.contiguous() for each in maps]


def windows(
    features: Float[Tensor, "F h w C"],
    frames: Int[Tensor, "*P"],
    xy: Float[Tensor, "*P 2"],
    radius: int,
) -> Windows:
    """The pixels of feature map `frames` that lie around `xy`, up to `radius` from it."""
    height, width = features.shape[1:3]
    corner = xy.floor()
    reach = torch.arange(-radius, radius + 2, device=xy.device)
    x, y = (corner.long()[..., None] + reach).unbind(-2)
    inside = _inside(x, width)[..., :, None] & _inside(y, height)[..., None, :]
    row = (frames[..., None] * height + y.clamp(0, height - 1))[..., None, :]
    pixel = row * width + x.clamp(0, width - 1)[..., :, None]
    gathered = features.flatten(0, 2).index_select(0, pixel.flatten())
    return Windows(gathered.unflatten(0, pixel.shape), inside, xy - corner)


def _inside(pixel: Int[Tensor, "*P D"], size: int) -> Bool[Tensor, "*P D"]:
    return (pixel >= 0) & (pixel < size) if size > 1 else torch.ones_like(pixel, dtype=torch.bool)


def blend(
    values: Float[Tensor, "*P D D K"], fraction: Float[Tensor, "*P 2"]
) -> Float[Tensor, "*P d d K"]:
    """Values at `Windows`' pixels -> at the (D-1)^2 places around the point (bilinear)."""
    x, y = fraction.to(values.dtype)[..., None, None, None].unbind(-4)
    values = torch.lerp(values[..., :-1, :, :], values[..., 1:, :, :], x)
    return torch.lerp(values[..., :-1, :], values[..., 1:, :], y)


def sample(
    features: Float[Tensor, "F h w C"],
    frames: Int[Tensor, "*P"],
    xy: Float[Tensor, "*P 2"],
    radius: int = 0,
) -> Float[Tensor, "*P d d C"]:
    """Features of the (2r+1)^2 places around points (bilinear; outside, those of the border)."""
    around = windows(features, frames, xy, radius)
    return blend(around.features, around.fraction)


def by_parts(count: int, elements: int, device: torch.device) -> list[slice]:
    """`count` points in parts whose windows, of `elements` numbers each, are small enough."""
    size = max(1, WINDOW_ELEMENTS.get(device.type, 2**24) // elements)
    return [slice(first, first + size) for first in range(0, count, size)]
