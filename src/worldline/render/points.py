"""Z-buffered splatting: each point covers the pixels that its patch of surface would.

Points are first gathered to one splat per pixel, then the splats grow over their neighbours, so
that the cost of large patches grows with the picture and not with the number of points.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from worldline.errors import InputError
from worldline.geometry.projection import project

MAX_RADIUS = 3  # pixels; larger splats only smear what was seen too sparsely
_SAME_SURFACE = 0.01  # of the depth: splats this close behind the nearest blend with it
_SHARPNESS = 3.0  # how fast a splat's weight falls with the squared distance in pixels
_OVERLAP = 1.2  # patches seen from elsewhere no longer tile exactly; this closes the seams


@dataclass(frozen=True, eq=False)
class View:
    """A pinhole camera to render from: intrinsics in pixels of `size`, which is (width, height)."""

    intrinsics: Float[np.ndarray, "3 3"]
    world_from_camera: Float[np.ndarray, "4 4"]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise InputError(f"view size {self.size}: width and height must be at least 1")


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture: RGB, z-depth in scene units (NaN where nothing is), and alpha (1 or 0)."""

    image: UInt8[np.ndarray, "H W 3"]
    depth: Float32[np.ndarray, "H W"]
    alpha: Float32[np.ndarray, "H W"]


def render_points(
    xyz: Float[Tensor, "P 3"],
    rgb: UInt8[Tensor, "P 3"],
    intrinsics: Float[Tensor, "3 3"],
    camera_from_world: Float[Tensor, "4 4"],
    size: tuple[int, int],
    *,
    patch: Float[Tensor, " P"] | None = None,
) -> tuple[UInt8[Tensor, "H W 3"], Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Image, z-depth (NaN where empty) and alpha of points seen by a pinhole camera.

    patch: side, in scene units, of the square of surface that each point stands for; it covers
        its projection up to MAX_RADIUS pixels around the point. None covers one pixel each.
    size: (width, height) in pixels.
    """
    uv, z = project(xyz, intrinsics.to(xyz), camera_from_world.to(xyz))
    keep = _may_be_seen(uv, z, size).nonzero()[:, 0]
    uv, z, rgb = uv[keep], z[keep], rgb[keep]
    half = torch.full_like(z, 0.5)
    if patch is not None:
        side = patch[keep].to(z) * _OVERLAP * intrinsics[0, 0].to(z) / z
        half = (side / 2).clamp(0.5, MAX_RADIUS)
    return _blend(_gather(uv, z, half, rgb, size), size)


def _may_be_seen(
    uv: Float[Tensor, "P 2"], z: Float[Tensor, " P"], size: tuple[int, int]
) -> Bool[Tensor, " P"]:
    """In front of the camera and close enough to the frame to reach into it."""
    bounds = torch.tensor(size, dtype=uv.dtype, device=uv.device) + MAX_RADIUS
    return (z > 0) & torch.isfinite(z) & ((uv >= -MAX_RADIUS) & (uv < bounds)).all(dim=-1)


def _gather(
    uv: Float[Tensor, "P 2"],
    z: Float[Tensor, " P"],
    half: Float[Tensor, " P"],
    rgb: UInt8[Tensor, "P 3"],
    size: tuple[int, int],
) -> "_Splats":
    """The front points of each pixel as one splat, on the frame with MAX_RADIUS pixels around."""
    width, height = size[0] + 2 * MAX_RADIUS, size[1] + 2 * MAX_RADIUS
    cell = uv.floor()
    column, row = (cell.long() + MAX_RADIUS).unbind(-1)
    pixel = row * width + column
    nearest = torch.full((height * width,), torch.inf, dtype=z.dtype, device=z.device)
    nearest.scatter_reduce_(0, pixel, z, "amin")
    front = (z <= nearest[pixel] * (1 + _SAME_SURFACE)).nonzero()[:, 0]
    pixel, inside, half, rgb, z = (v[front] for v in (pixel, uv - cell, half, rgb, z))
    weight = torch.exp(-_SHARPNESS * ((inside - 0.5) ** 2).sum(dim=-1))
    taken = nearest.isfinite().nonzero()[:, 0]
    slot = torch.zeros_like(nearest, dtype=torch.long)
    slot[taken] = torch.arange(len(taken), device=z.device)
    channels = [*inside.unbind(-1), half, *rgb.to(z).unbind(-1), z]
    x, y, half, r, g, b, z = _weighted_means(slot[pixel], len(taken), weight, channels)
    return _Splats(
        taken % width - MAX_RADIUS, taken // width - MAX_RADIUS, x, y, half, (r, g, b), z
    )


def _blend(
    splats: "_Splats", size: tuple[int, int]
) -> tuple[UInt8[Tensor, "H W 3"], Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Image, depth and alpha of the splats, each grown to the square that it covers."""
    width, height = size
    which, pixel, weight = _covered(splats, size)
    z = splats.z[which]
    front = torch.full((height * width,), torch.inf, dtype=z.dtype, device=z.device)
    front.scatter_reduce_(0, pixel, z, "amin")
    # The whole front surface blends, the splats centred nearest the most, so that neighbouring
    # frames' points do not fight for a pixel.
    blends = (z <= front[pixel] * (1 + _SAME_SURFACE)).nonzero()[:, 0]
    which, pixel, weight, z = which[blends], pixel[blends], weight[blends], z[blends]
    channels = [*(c[which] for c in splats.rgb), z]
    *rgb, depth = _weighted_means(pixel, height * width, weight, channels)
    covered = front.isfinite()
    image = torch.stack(rgb, dim=-1).round().clamp(0, 255).to(torch.uint8)
    return (
        image.reshape(height, width, 3),
        torch.where(covered, depth, torch.nan).reshape(height, width),
        covered.to(front.dtype).reshape(height, width),
    )


@dataclass(frozen=True)
class _Splats:
    """K splats, no two in one pixel.

    column, row: the pixel; may lie MAX_RADIUS outside of the frame.
    x, y: the centre, in the pixel. half: half the side of the square that it covers, pixels.
    """

    column: Int[Tensor, " K"]
    row: Int[Tensor, " K"]
    x: Float[Tensor, " K"]
    y: Float[Tensor, " K"]
    half: Float[Tensor, " K"]
    rgb: tuple[Float[Tensor, " K"], Float[Tensor, " K"], Float[Tensor, " K"]]
    z: Float[Tensor, " K"]


def _covered(
    splats: _Splats, size: tuple[int, int]
) -> tuple[Int[Tensor, " C"], Int[Tensor, " C"], Float[Tensor, " C"]]:
    """Pairs of a splat and a pixel whose centre it covers, with the weight that it has there.

    The pixels are flat indices of the frame.
    """
    width, height = size
    reach = int(splats.half.max() + 0.5) if len(splats.z) else 0
    parts = []
    for dx, dy in product(range(-reach, reach + 1), repeat=2):
        away_x, away_y = splats.x - 0.5 - dx, splats.y - 0.5 - dy
        column, row = splats.column + dx, splats.row + dy
        covers = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        if dx or dy:  # a point always covers its own pixel
            covers &= torch.maximum(away_x.abs(), away_y.abs()) <= splats.half
        which = covers.nonzero()[:, 0]
        weight = torch.exp(-_SHARPNESS * (away_x[which] ** 2 + away_y[which] ** 2))
        parts.append((which, (row * width + column)[which], weight))
    which, pixel, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    return which, pixel, weight


def _weighted_means(
    group: Int[Tensor, " M"],
    count: int,
    weight: Float[Tensor, " M"],
    channels: list[Float[Tensor, " M"]],
) -> list[Float[Tensor, " count"]]:
    """The mean of each channel within each of `count` groups; 0 where a group is empty."""
    sums = weight.new_zeros(len(channels) + 1, count)
    for total, channel in zip(sums, [torch.ones_like(weight), *channels], strict=True):
        total.scatter_add_(0, group, channel * weight)
    return list(sums[1:] / sums[0].clamp_min(1e-37))
