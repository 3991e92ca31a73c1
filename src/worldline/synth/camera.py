"""Pinhole cameras of synthetic clips: where they look, and the rays of their pixels in tiles.

OpenCV axes (x right, y down, z forward); the centre of the top-left pixel is (0.5, 0.5).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

TILE = 256  # pixels: the rays that are culled, and kept in memory, together
NEWTON_STEPS = 8  # to the last digit of float32 for lenses that can be undone


@dataclass(frozen=True)
class Cameras:
    """One camera at N times in each of B worlds.

    ``world_from_camera`` are rigid, ``intrinsics`` in pixels, ``size`` is (width, height),
    ``times`` in seconds.
    """

    world_from_camera: Float[Tensor, "B N 4 4"]
    intrinsics: Float[Tensor, "B N 3 3"]
    size: tuple[int, int]
    times: Float[Tensor, "B N"]

    def __len__(self) -> int:
        return self.times.numel()

    def frames(self, indices: slice | list[int]) -> "Cameras":
        """Only some frames of every world."""
        return Cameras(
            self.world_from_camera[:, indices],
            self.intrinsics[:, indices],
            self.size,
            self.times[:, indices],
        )


def pinhole(
    field_of_view: float, size: tuple[int, int], dtype: torch.dtype = torch.float64
) -> Float[Tensor, "3 3"]:
    """Intrinsics of a centred camera; ``field_of_view`` is horizontal, in radians."""
    width, height = size
    focal = width / 2 / math.tan(field_of_view / 2)
    rows = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    return torch.tensor(rows, dtype=dtype)


def look_at(
    eye: Float[Tensor, "*b 3"], target: Float[Tensor, "*b 3"], roll: Float[Tensor, "*b"]
) -> Float[Tensor, "*b 4 4"]:
    """``world_from_camera`` of cameras at ``eye`` that see ``target`` in the middle.

    The world's z points up; ``roll`` in radians turns the camera clockwise about its axis.
    """
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    up = eye.new_tensor([0.0, 0.0, 1.0]).expand_as(eye)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    columns = [cos * right + sin * down, cos * down - sin * right, forward, eye]
    pose = torch.eye(4).to(eye).repeat(*eye.shape[:-1], 1, 1)
    pose[..., :3, :] = torch.stack(columns, dim=-1)
    return pose


@dataclass(frozen=True)
class Tiling:
    """A picture cut into tiles; those at the right and the bottom may hang over."""

    size: tuple[int, int]

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a tile: a square, or as high as the picture where that is less."""
        height = min(2 ** (self.size[1] - 1).bit_length(), math.isqrt(TILE))
        return TILE // height, height

    @property
    def grid(self) -> tuple[int, int]:
        """How many tiles a row and a column have."""
        (width, height), (w, h) = self.size, self.tile
        return -(-width // w), -(-height // h)

    def __len__(self) -> int:
        across, down = self.grid
        return across * down

    def pixels(self, device: torch.device | None = None) -> Float[Tensor, "G 2 T"]:
        """The centres (x, y) of every tile's pixels; those outside repeat the nearest inside."""
        (width, height), (w, h), (across, down) = self.size, self.tile, self.grid
        x = torch.arange(across * w, device=device).clamp_max(width - 1) + 0.5
        y = torch.arange(down * h, device=device).clamp_max(height - 1) + 0.5
        y, x = torch.meshgrid(y, x, indexing="ij")
        tiles = torch.stack([x, y]).reshape(2, down, h, across, w)
        return tiles.permute(1, 3, 0, 2, 4).reshape(len(self), 2, h * w)

    def empty(
        self, frames: int, dtype: torch.dtype, rest: tuple[int, ...], device: torch.device
    ) -> Shaped[Tensor, "F H2 W2 *rest"]:
        """Pictures to be filled by ``place``: as large as all tiles, before they are cut off."""
        (w, h), (across, down) = self.tile, self.grid
        return torch.empty(frames, down * h, across * w, *rest, dtype=dtype, device=device)

    def place(
        self,
        pictures: Shaped[Tensor, "F H2 W2 *rest"],
        rows: slice,
        tiles: Shaped[Tensor, "G T *rest"],
    ) -> None:
        """Put some rows of all frames' tiles where they belong."""
        (w, h), (across, _) = self.tile, self.grid
        grid = pictures.flatten(0, 1).unflatten(0, (-1, h)).unflatten(2, (across, w))
        grid.transpose(1, 2)[rows] = tiles.unflatten(0, (-1, across)).unflatten(2, (h, w))


def rays(
    pixels: Float[Tensor, "*b 2 T"], intrinsics: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*b 3 T"]:
    """Directions of pixels in camera axes, with depth 1 (not unit length)."""
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    xy = (pixels - intrinsics[..., :2, 2:]) / focal[..., None]
    return torch.cat([xy, torch.ones_like(xy[..., :1, :])], dim=-2)


def straightened(
    bent: Float[Tensor, "*b 3 T"], distortion: Float[Tensor, "*b 2"]
) -> Float[Tensor, "*b 3 T"]:
    """Directions (depth 1) that a lens bends to ``bent``: OpenCV's radial model, k1 and k2, undone.

    A point at distance r from the axis is seen at r (1 + k1 r² + k2 r⁴); r is found by Newton steps
    from the axis' side, where they never overshoot as long as that grows with r.
    """
    k1, k2 = distortion[..., 0, None], distortion[..., 1, None]
    seen = bent[..., :2, :].norm(dim=-2)
    r = seen
    for _ in range(NEWTON_STEPS):
        square = r * r
        miss = r * (1 + square * (k1 + square * k2)) - seen
        r = r - miss / (1 + square * (3 * k1 + 5 * square * k2)).clamp_min(0.05)
    ratio = torch.where(seen > 0, r / seen.clamp_min(1e-12), 1)
    return torch.cat([bent[..., :2, :] * ratio[..., None, :], bent[..., 2:, :]], dim=-2)
