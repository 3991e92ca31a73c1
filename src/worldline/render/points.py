"""Z-buffered splatting: each point covers the pixels that its patch of surface would.

Points are first gathered to one splat per pixel, then the splats grow over their neighbours, so
that the cost of large patches grows with the picture and not with the number of points.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
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
    keep = _may_be_seen(uv, z, size)
    uv, z, rgb = uv[keep], z[keep], rgb[keep]
    half = torch.full_like(z, 0.5)
    if patch is not None:
        side = patch[keep].to(z) * _OVERLAP * intrinsics[0, 0].to(z) / z
        half = (side / 2).clamp(0.5, MAX_RADIUS)
    return _grow(_gather(uv, z, half, rgb, size))


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
) -> Float[Tensor, "7 Y X"]:
    """One splat per pixel: (x and y in the pixel, half side, r, g, b, z) of its front points.

    z is infinite where no point is. The canvas is the frame with MAX_RADIUS pixels around it.
    """
    width, height = size[0] + 2 * MAX_RADIUS, size[1] + 2 * MAX_RADIUS
    cell = uv.floor()
    inside = uv - cell
    column, row = (cell.long() + MAX_RADIUS).unbind(-1)
    pixel = row * width + column
    nearest = torch.full((height * width,), torch.inf, dtype=z.dtype, device=z.device)
    nearest.scatter_reduce_(0, pixel, z, "amin")
    front = z <= nearest[pixel] * (1 + _SAME_SURFACE)
    weight = torch.exp(-_SHARPNESS * ((inside - 0.5) ** 2).sum(dim=-1)) * front
    channels = [*inside.unbind(-1), half, *rgb.to(z).unbind(-1), z]
    total = torch.zeros_like(nearest).scatter_add_(0, pixel, weight)
    sums = [torch.zeros_like(nearest).scatter_add_(0, pixel, c * weight) for c in channels]
    layer = torch.stack(sums) / total.clamp_min(1e-30)
    layer[6] = torch.where(total > 0, layer[6], torch.inf)
    return layer.reshape(7, height, width)


def _grow(
    layer: Float[Tensor, "7 Y X"],
) -> tuple[UInt8[Tensor, "H W 3"], Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Image, depth and alpha of the splats, each grown to the square that it covers."""
    front = torch.full_like(_shifted(layer[6], 0, 0), torch.inf)
    for z, _, _ in _neighbours(layer):
        front = torch.minimum(front, z)
    total = torch.zeros_like(front)
    mean = torch.zeros(4, *front.shape, dtype=front.dtype, device=front.device)
    for z, values, closeness in _neighbours(layer):
        # The whole front surface blends, the splats centred nearest the most, so that
        # neighbouring frames' points do not fight for a pixel.
        weight = closeness * (z <= front * (1 + _SAME_SURFACE)) * torch.isfinite(z)
        total += weight
        mean += weight * torch.nan_to_num(values, posinf=0.0)
    mean /= total.clamp_min(1e-37)
    covered = torch.isfinite(front)
    image = mean[:3].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return image, torch.where(covered, mean[3], torch.nan), covered.to(front.dtype)


def _neighbours(
    layer: Float[Tensor, "7 Y X"],
) -> Iterator[tuple[Float[Tensor, "H W"], Float[Tensor, "4 H W"], Float[Tensor, "H W"]]]:
    """For every offset, what the frame's pixels get from their neighbours there.

    Gives z (infinite where the neighbour's splat does not reach), (r, g, b, z), and weight.
    """
    reach = int(layer[2].max() + 0.5)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            x, y, half, z = (_shifted(layer[k], dx, dy) for k in (0, 1, 2, 6))
            away_x, away_y = (dx + 0.5 - x).abs(), (dy + 0.5 - y).abs()
            reached = (away_x <= half) & (away_y <= half)
            if dx == 0 and dy == 0:  # a point always covers its own pixel
                reached = torch.ones_like(reached)
            weight = torch.exp(-_SHARPNESS * (away_x**2 + away_y**2))
            yield torch.where(reached, z, torch.inf), _shifted(layer[3:], dx, dy), weight


def _shifted(canvas: Float[Tensor, "*c Y X"], dx: int, dy: int) -> Float[Tensor, "*c H W"]:
    """The frame's part of a canvas, moved by (dx, dy) pixels."""
    height, width = canvas.shape[-2] - 2 * MAX_RADIUS, canvas.shape[-1] - 2 * MAX_RADIUS
    top, left = MAX_RADIUS - dy, MAX_RADIUS - dx
    return canvas[..., top : top + height, left : left + width]
