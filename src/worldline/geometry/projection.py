"""Pinhole projection and rigid transforms, in OpenCV axes (x right, y down, z forward).

Pixel coordinates are `(x, y)` with the centre of the top-left pixel at (0.5, 0.5).
Every function keeps the device and dtype of its inputs and takes any leading batch shape.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(
    height: int, width: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Float[Tensor, "H W 2"]:
    """Centre `(x, y)` of every pixel of an image, in pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=dtype or torch.float32) + 0.5,
        torch.arange(width, device=device, dtype=dtype or torch.float32) + 0.5,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1)


def rays(
    uv: Float[Tensor, "*b M 2"], intrinsics: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*b M 3"]:
    """Viewing rays of pixels in camera coordinates, scaled so that z = 1."""
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    xy = (uv - intrinsics[..., None, :2, 2]) / focal[..., None, :]
    return torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)


def unproject(
    uv: Float[Tensor, "*b M 2"],
    depth: Float[Tensor, "*b M"],
    intrinsics: Float[Tensor, "*b 3 3"],
    world_from_camera: Float[Tensor, "*b 4 4"],
) -> Float[Tensor, "*b M 3"]:
    """World points of pixels with known z-depth."""
    return transform(world_from_camera, rays(uv, intrinsics) * depth[..., None])


def project(
    points: Float[Tensor, "*b M 3"],
    intrinsics: Float[Tensor, "*b 3 3"],
    camera_from_world: Float[Tensor, "*b 4 4"],
) -> tuple[Float[Tensor, "*b M 2"], Float[Tensor, "*b M"]]:
    """Pixels and z-depths of world points; pixels mean nothing where the z-depth is <= 0."""
    xyz = transform(camera_from_world, points)
    z = xyz[..., 2]
    # Points on the camera plane would divide by zero; their z tells the caller to ignore them.
    safe = torch.where(z.abs() > 1e-12, z, torch.full_like(z, 1e-12))
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    uv = xyz[..., :2] / safe[..., None] * focal[..., None, :] + intrinsics[..., None, :2, 2]
    return uv, z


def transform(
    b_from_a: Float[Tensor, "*b 4 4"], points: Float[Tensor, "*b M 3"]
) -> Float[Tensor, "*b M 3"]:
    """Points moved by a rigid (or similarity) transform."""
    return points @ b_from_a[..., :3, :3].mT + b_from_a[..., None, :3, 3]


def invert(b_from_a: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """Inverse of rigid transforms, exact where a general matrix inverse would round."""
    rotation = b_from_a[..., :3, :3].mT
    translation = -(rotation @ b_from_a[..., :3, 3:])
    return torch.cat([torch.cat([rotation, translation], dim=-1), b_from_a[..., 3:, :]], dim=-2)


def rigid(
    rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4 4"]:
    """4x4 transforms from rotations and translations."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=top.dtype, device=top.device)
    return torch.cat([top, bottom.expand(*top.shape[:-2], 1, 4)], dim=-2)
