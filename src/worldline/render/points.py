"""Z-buffered splatting: each point covers the pixels that its patch of surface would."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from worldline.errors import InputError
from worldline.geometry.projection import project

MAX_RADIUS = 3  # pixels; larger splats only smear what was seen too sparsely
_SAME_SURFACE = 0.01  # of the depth: splats this close behind the nearest blend with it
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
    width, height = size
    uv, z = project(xyz, intrinsics.to(xyz), camera_from_world.to(xyz))
    keep = _may_be_seen(uv, z, size)
    uv, z, rgb = uv[keep], z[keep], rgb[keep]
    side = torch.ones_like(z)
    if patch is not None:
        side = patch[keep].to(z) * _OVERLAP * intrinsics[0, 0].to(z) / z
    half = (side / 2).clamp(0.5, MAX_RADIUS)

    nearest = torch.full((height * width,), torch.inf, dtype=z.dtype, device=z.device)
    splats = list(_splats(uv, half, size))
    for pixel, point, _ in splats:
        nearest.scatter_reduce_(0, pixel, z[point], "amin")
    # Everything on the front surface then blends, the splats centred nearest the most, so that
    # neighbouring frames' points do not fight for a pixel.
    total = torch.zeros(height * width, 5, dtype=z.dtype, device=z.device)
    values = torch.cat([rgb.to(z), z[:, None], torch.ones_like(z)[:, None]], dim=-1)
    for pixel, point, weight in splats:
        front = z[point] <= nearest[pixel] * (1 + _SAME_SURFACE)
        total.index_add_(0, pixel[front], values[point[front]] * weight[front, None])
    return _compose(total, (height, width))


def _may_be_seen(
    uv: Float[Tensor, "P 2"], z: Float[Tensor, " P"], size: tuple[int, int]
) -> Bool[Tensor, " P"]:
    """In front of the camera and close enough to the frame to reach into it."""
    bounds = torch.tensor(size, dtype=uv.dtype, device=uv.device) + MAX_RADIUS
    return (z > 0) & torch.isfinite(z) & ((uv > -MAX_RADIUS) & (uv < bounds)).all(dim=-1)


def _splats(
    uv: Float[Tensor, "P 2"], half: Float[Tensor, " P"], size: tuple[int, int]
) -> list[tuple[Int[Tensor, " S"], Int[Tensor, " S"], Float[Tensor, " S"]]]:
    """(pixel, point, weight) of all splats, one entry per offset from the point's own pixel."""
    width, height = size
    own = uv.floor().long()
    reach = int((half.max() + 0.5).floor()) if len(half) else 0
    entries = []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            cell = own + torch.tensor([dx, dy], device=uv.device)
            away = (cell + 0.5 - uv).abs()
            covers = (away <= half[:, None]).all(dim=-1)
            if dx == 0 and dy == 0:
                covers = torch.ones_like(covers)
            x, y = cell.unbind(-1)
            covers &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
            point = covers.nonzero()[:, 0]
            pixel = y[point] * width + x[point]
            entries.append((pixel, point, torch.exp(-2 * (away[point] ** 2).sum(dim=-1))))
    return entries


def _compose(
    total: Float[Tensor, "HW 5"], shape: tuple[int, int]
) -> tuple[UInt8[Tensor, "H W 3"], Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Pictures from summed weighted (r, g, b, z, 1)."""
    weight = total[:, 4]
    mean = total[:, :4] / weight.clamp_min(1e-30)[:, None]
    image = mean[:, :3].round().clamp(0, 255).to(torch.uint8)
    depth = torch.where(weight > 0, mean[:, 3], torch.nan)
    alpha = (weight > 0).to(total.dtype)
    return image.reshape(*shape, 3), depth.reshape(shape), alpha.reshape(shape)
