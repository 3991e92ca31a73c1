"""Cameras as nine numbers: translation, quaternion (x, y, z, w), vertical and horizontal field.

The networks of the VGGT family predict cameras so. Which way the rigid motion goes is the
network's: world from camera in Depth Anything 3 and 4RC, camera from world in VGGT.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_of(quaternion: Float[Tensor, "*shape 4"]) -> Float[Tensor, "*shape 3 3"]:
    """Rotation matrices of quaternions (x, y, z, w) of any length but zero."""
    x, y, z, w = quaternion.unbind(-1)
    s = 2 / quaternion.square().sum(-1).clamp_min(torch.finfo(quaternion.dtype).tiny)
    rows = [
        *(1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)),
        *(s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)),
        *(s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quaternion_of(rotation: Float[Tensor, "*shape 3 3"]) -> Float[Tensor, "*shape 4"]:
    """Unit quaternions (x, y, z, w) with w >= 0 of rotation matrices."""
    r = rotation
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    # Squares of twice each component; dividing by the largest one is always well conditioned.
    squares = torch.stack(
        [1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz], dim=-1
    )
    xy, xz, yz = (r[..., i, j] + r[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    xw, yw, zw = (r[..., i, j] - r[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    products = torch.stack(  # row k holds 4 q_k (x, y, z, w)
        [
            torch.stack([squares[..., 0], xy, xz, xw], dim=-1),
            torch.stack([xy, squares[..., 1], yz, yw], dim=-1),
            torch.stack([xz, yz, squares[..., 2], zw], dim=-1),
            torch.stack([xw, yw, zw, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    largest = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quaternion = torch.nn.functional.normalize(products.gather(-2, largest)[..., 0, :], dim=-1)
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def decode_camera(
    encoding: Float[Tensor, "*shape 9"], size: tuple[int, int], least_tangent: float = 1e-6
) -> tuple[Float[Tensor, "*shape 3 4"], Float[Tensor, "*shape 3 3"]]:
    """Rigid motion [R|t] and intrinsics in pixels of images of `size` (height, width).

    The principal point is (width/2, height/2), which is the image centre where the centre of the
    top-left pixel is (0.5, 0.5). least_tangent: of half a field; a head may answer zero.
    """
    motion = torch.cat([rotation_of(encoding[..., 3:7]), encoding[..., :3, None]], dim=-1)
    height, width = size
    half = torch.tan(encoding[..., 7:] / 2).clamp_min(least_tangent)
    focal = encoding.new_tensor([height, width]) / 2 / half
    intrinsics = encoding.new_zeros(*encoding.shape[:-1], 3, 3)
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = focal[..., 1], focal[..., 0]
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2, height / 2
    intrinsics[..., 2, 2] = 1
    return motion, intrinsics


def encode_camera(
    motion: Float[Tensor, "*shape rows 4"],
    intrinsics: Float[Tensor, "*shape 3 3"],
    size: tuple[int, int],
) -> Float[Tensor, "*shape 9"]:
    """The nine numbers of cameras; where the principal point lies is not among them."""
    height, width = size
    fields = torch.stack(
        [
            2 * torch.atan(height / 2 / intrinsics[..., 1, 1]),
            2 * torch.atan(width / 2 / intrinsics[..., 0, 0]),
        ],
        dim=-1,
    )
    return torch.cat([motion[..., :3, 3], quaternion_of(motion[..., :3, :3]), fields], dim=-1)


def inverse_motion(motion: Float[Tensor, "*shape 3 4"]) -> Float[Tensor, "*shape 3 4"]:
    """The rigid motion back."""
    turned = motion[..., :3].mT
    return torch.cat([turned, -turned @ motion[..., 3:]], dim=-1)


def points_of_pixels(
    depth: Float[Tensor, "*shape H W"],
    world_from_camera: Float[Tensor, "*shape 3 4"],
    intrinsics: Float[Tensor, "*shape 3 3"],
) -> Float[Tensor, "*shape H W 3"]:
    """World points at z-depths, as these networks unproject: the first pixel lies at (0, 0).

    That is where its centre lies if the principal point is moved by half a pixel.
    """
    height, width = depth.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=depth.device, dtype=depth.dtype),
        torch.arange(width, device=depth.device, dtype=depth.dtype),
        indexing="ij",
    )
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(0, 1)
    rays = pixels @ torch.linalg.inv(intrinsics).mT @ world_from_camera[..., :3].mT
    points = rays * depth.flatten(-2)[..., None] + world_from_camera[..., None, :, 3]
    return points.unflatten(-2, (height, width))
