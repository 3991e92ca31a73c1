"""Triangulation is exact on exact input, near optimal on noise, and says NaN where it cannot."""

import math

import numpy as np
import pytest
import torch

from worldline.geometry.projection import invert, project
from worldline.geometry.triangulation import parallax, triangulate

K = torch.tensor([[200.0, 0, 80], [0, 200, 48], [0, 0, 1]], dtype=torch.float64)


@pytest.fixture
def rig():
    """Six cameras along a line and 50 points: (points, world_from_camera, uv [50, 6, 2])."""
    generator = np.random.default_rng(0)
    points = torch.from_numpy(generator.uniform([-1, -1, 3], [1, 1, 9], (50, 3)))
    pose = torch.eye(4, dtype=torch.float64).repeat(6, 1, 1)
    pose[:, 0, 3] = torch.linspace(0, 1, 6)
    pose[:, 2, 3] = torch.linspace(0, 0.4, 6)
    uv, _ = project(points.expand(6, -1, 3), K.expand(6, 3, 3), invert(pose))
    return points, pose, uv.transpose(0, 1).contiguous()


def solve(uv, visible, pose):
    return triangulate(uv, visible, K.expand(len(pose), 3, 3), invert(pose))


def test_exact_pixels_give_exact_points(rig):
    points, pose, uv = rig
    visible = torch.ones(50, 6, dtype=torch.bool)
    assert torch.allclose(solve(uv, visible, pose), points, atol=1e-6)


def test_views_that_do_not_see_a_point_have_no_say(rig):
    points, pose, uv = rig
    visible = torch.rand(50, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    visible[:, :2] = True
    wrong = torch.where(visible[..., None], uv, torch.full_like(uv, 12345.0))
    assert torch.allclose(solve(wrong, visible, pose), points, atol=1e-6)


def test_fewer_than_two_views_give_nan(rig):
    points, pose, uv = rig
    visible = torch.ones(50, 6, dtype=torch.bool)
    visible[0], visible[1, 1:] = False, False
    found = solve(uv, visible, pose)
    assert found[:2].isnan().all() and torch.allclose(found[2:], points[2:], atol=1e-6)


def test_rays_that_meet_behind_the_cameras_give_nan(rig):
    points, pose, _ = rig
    behind = points * torch.tensor([1.0, 1.0, -1.0])
    uv, z = project(behind.expand(6, -1, 3), K.expand(6, 3, 3), invert(pose))
    assert (z < 0).all()
    visible = torch.ones(50, 6, dtype=torch.bool)
    assert solve(uv.transpose(0, 1), visible, pose).isnan().all()


def test_noise_is_averaged_over_the_views(rig):
    """Reprojection of the noisy solution beats that of the true points: it is least squares."""
    points, pose, uv = rig
    noise = 0.5 * torch.from_numpy(np.random.default_rng(3).normal(size=uv.shape))
    visible = torch.ones(50, 6, dtype=torch.bool)
    found = solve(uv + noise, visible, pose)
    seen, _ = project(found.expand(6, -1, 3), K.expand(6, 3, 3), invert(pose))
    residual = (seen.transpose(0, 1) - uv - noise).square().sum(dim=(1, 2))
    assert (residual < noise.square().sum(dim=(1, 2)) + 1e-9).all()
    few = solve(uv[:, :2] + noise[:, :2], visible[:, :2], pose[:2])
    assert (found - points).norm(dim=1).median() < 0.5 * (few - points).norm(dim=1).median()


def test_parallax_is_the_angle_between_the_rays():
    point = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1e5]], dtype=torch.float64)
    centres = torch.tensor([[0.0, 0, 0], [1, 0, 1], [1, 0, 0]], dtype=torch.float64)
    visible = torch.tensor([[True, True, True], [True, False, True], [True, False, True]])
    angles = parallax(point, visible, centres)
    assert angles[:2].tolist() == pytest.approx([math.pi / 2, math.pi / 4])
    assert angles[2].item() == pytest.approx(1e-5, rel=1e-6)  # small angles keep their digits


def test_a_single_view_has_no_parallax():
    one = torch.tensor([[False, True]])
    centres = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    assert parallax(torch.tensor([[0.0, 0, 2]]), one, centres).tolist() == [0.0]
