"""Z-buffered splatting: each point covers the pixels that its patch of surface would.

Points are first gathered to one splat per pixel, then the splats grow over their neighbours, so
that the cost of large patches grows with the picture and not with the number of points.
"""

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
    reach = int(layer[2].max() + 0.5)
    shape = [size - 2 * MAX_RADIUS for size in layer.shape[1:]]
    front = torch.full(shape, torch.inf, dtype=layer.dtype, device=layer.device)
    for dy in range(-reach, reach + 1):
        z, _, _ = _neighbours(layer, dy, reach)
        front = torch.minimum(front, z.amin(dim=-1))
    total = torch.zeros_like(front)
    mean = torch.zeros(4, *shape, dtype=front.dtype, device=front.device)
    for dy in range(-reach, reach + 1):
        # The whole front surface blends, the splats centred nearest the most, so that
        # neighbouring frames' points do not fight for a pixel.
        z, values, closeness = _neighbours(layer, dy, reach)
        weight = closeness * ((z <= front[..., None] * (1 + _SAME_SURFACE)) & torch.isfinite(z))
        total += weight.sum(dim=-1)
        mean += (weight * torch.nan_to_num(values, posinf=0.0)).sum(dim=-1)
    mean /= total.clamp_min(1e-37)
    covered = torch.isfinite(front)
    image = mean[:3].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return image, torch.where(covered, mean[3], torch.nan), covered.to(front.dtype)


def _neighbours(
    layer: Float[Tensor, "7 Y X"], dy: int, reach: int
) -> tuple[Float[Tensor, "H W K"], Float[Tensor, "4 H W K"], Float[Tensor, "H W K"]]:
    """What the frame's pixels get from the K = 2 reach + 1 splats in the row dy above them.

    Gives z (infinite where that splat does not reach the pixel), (r, g, b, z), and weight.
    """
    top, margin = MAX_RADIUS - dy, MAX_RADIUS - reach
    row = layer[:, top : top + layer.shape[1] - 2 * MAX_RADIUS, margin : layer.shape[2] - margin]
    near = row.unfold(2, 2 * reach + 1, 1)
    dx = torch.arange(reach, -reach - 1, -1, dtype=layer.dtype, device=layer.device)
    away_x, away_y = (near[0] - 0.5 - dx).abs(), (near[1] - 0.5 - dy).abs()
    reached = (away_x <= near[2]) & (away_y <= near[2])
    if dy == 0:  # a point always covers its own pixel
        reached[..., reach] = True
    weight = torch.exp(-_SHARPNESS * (away_x**2 + away_y**2))
    return torch.where(reached, near[6], torch.inf), near[3:], weight
