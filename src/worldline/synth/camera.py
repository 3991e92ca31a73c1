"""Pinhole cameras of a synthetic clip: where they look and the rays of their pixels.

OpenCV axes (x right, y down, z forward); the centre of the top-left pixel is (0.5, 0.5).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.geometry.projection import pixel_grid, rays


@dataclass(frozen=True)
class Cameras:
    """One camera at N times.

    ``world_from_camera`` are rigid [N, 4, 4], ``intrinsics`` [3, 3] in pixels, ``size`` is
    (width, height), ``times`` [N] in seconds.
    """

    world_from_camera: Float[Tensor, "N 4 4"]
    intrinsics: Float[Tensor, "3 3"]
    size: tuple[int, int]
    times: Float[Tensor, " N"]

    def __len__(self) -> int:
        return len(self.times)


def pinhole(
    field_of_view: float, size: tuple[int, int], dtype: torch.dtype = torch.float64
) -> Float[Tensor, "3 3"]:
    """Intrinsics of a centred camera; ``field_of_view`` is horizontal, in radians."""
    width, height = size
    focal = width / 2 / math.tan(field_of_view / 2)
    rows = [[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]
    return torch.tensor(rows, dtype=dtype)


def look_at(
    eye: Float[Tensor, "N 3"], target: Float[Tensor, "N 3"], roll: Float[Tensor, " N"]
) -> Float[Tensor, "N 4 4"]:
    """``world_from_camera`` of cameras at ``eye`` that see ``target`` in the middle.

    The world's z points up; ``roll`` [N] in radians turns the camera clockwise about its axis.
    """
    forward = torch.nn.functional.normalize(target - eye, dim=1)
    up = eye.new_tensor([0.0, 0.0, 1.0]).expand_as(eye)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=1)
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    columns = [cos * right + sin * down, cos * down - sin * right, forward, eye]
    pose = torch.eye(4).to(eye).repeat(len(eye), 1, 1)
    pose[:, :3] = torch.stack(columns, dim=2)
    return pose


def pixel_rays(
    intrinsics: Float[Tensor, "3 3"],
    size: tuple[int, int],
    within: tuple[float, float] = (0.5, 0.5),
) -> Float[Tensor, "3 P"]:
    """Directions of all pixels in camera axes, row by row, with depth 1 (not unit length).

    ``within`` is the point (x, y) inside the pixel: (0.5, 0.5) is its centre.
    """
    width, height = size
    grid = pixel_grid(height, width, device=intrinsics.device, dtype=intrinsics.dtype)
    shift = intrinsics.new_tensor(within) - 0.5
    return rays((grid + shift).reshape(-1, 2), intrinsics).mT.contiguous()
