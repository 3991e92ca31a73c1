"""Projection, its inverse, and the pixel convention that all of worldline shares."""

import math

import pytest
import torch

from worldline.geometry.projection import (
    invert,
    pixel_grid,
    project,
    rays,
    rigid,
    transform,
    unproject,
)

K = torch.tensor([[100.0, 0, 80], [0, 110, 48], [0, 0, 1]], dtype=torch.float64)


def poses(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)[:, None, None]
    return rigid(turn, torch.randn(count, 3, generator=generator, dtype=torch.float64))


def test_a_known_point_lands_on_its_known_pixel():
    point = torch.tensor([[1.0, 2, 4], [0, 0, 3]], dtype=torch.float64)
    uv, z = project(point, K, torch.eye(4, dtype=torch.float64))
    assert uv.tolist() == [[100 / 4 + 80, 110 / 2 + 48], [80, 48]]
    assert z.tolist() == [4, 3]


def test_the_first_pixel_is_centred_half_a_pixel_inside_the_picture():
    grid = pixel_grid(96, 160)
    assert grid.shape == (96, 160, 2)
    assert grid[0, 0].tolist() == [0.5, 0.5] and grid[-1, -1].tolist() == [159.5, 95.5]
    assert grid[3, 7].tolist() == [7.5, 3.5]  # x first
    # A centred camera looks between the two middle pixels, not at either.
    assert grid[47:49, 79:81].mean(dim=(0, 1)).tolist() == [80, 48]
    assert rays(grid[:1, 0].double(), K)[0].tolist() == pytest.approx([-0.795, -47.5 / 110, 1])


def test_projecting_what_was_unprojected_gives_the_pixels_back():
    grid = pixel_grid(12, 20, dtype=torch.float64).reshape(-1, 2).expand(5, -1, 2)
    depth = torch.linspace(0.1, 50, grid.shape[1], dtype=torch.float64).expand(5, -1)
    pose, lens = poses(5), K.expand(5, 3, 3)
    points = unproject(grid, depth, lens, pose)
    uv, z = project(points, lens, invert(pose))
    assert torch.allclose(uv, grid, atol=1e-9) and torch.allclose(z, depth, atol=1e-9)


def test_inverting_a_rigid_transform_undoes_it_and_transposes_its_rotation_exactly():
    pose = poses(6)
    back = invert(pose)
    assert torch.allclose(back @ pose, torch.eye(4, dtype=torch.float64), atol=1e-12)
    assert torch.equal(back[:, :3, :3], pose[:, :3, :3].mT)
    assert torch.equal(invert(back)[:, :3, :3], pose[:, :3, :3])


def test_a_quarter_turn_and_a_shift_move_points_as_they_say():
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = transform(rigid(turn, torch.tensor([10.0, 0, 0])), torch.tensor([[1.0, 2, 3]]))
    assert moved.tolist() == [[8, 1, 3]]


def test_points_behind_and_on_the_camera_plane_are_told_by_their_depth_and_stay_finite():
    points = torch.tensor([[1.0, 1, -2], [1, 1, 0]], dtype=torch.float64)
    uv, z = project(points, K, torch.eye(4, dtype=torch.float64))
    assert z.tolist() == [-2, 0] and math.isfinite(uv.abs().max().item())


def test_dtype_is_kept():
    uv, z = project(torch.ones(2, 3), K.float(), torch.eye(4))
    assert uv.dtype == z.dtype == torch.float32
