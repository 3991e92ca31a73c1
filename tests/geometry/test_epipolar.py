"""Epipolar errors against hand-computed values, exact pixels and the optimal correction."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from worldline.geometry.epipolar import (
    cross_matrix,
    fundamental_from_cameras,
    sampson_error,
    transfer_error,
)
from worldline.geometry.projection import invert, project, rigid

K = torch.tensor([[200.0, 0, 80], [0, 210, 48], [0, 0, 1]], dtype=torch.float64)
K2 = torch.tensor([[150.0, 0, 70], [0, 140, 50], [0, 0, 1]], dtype=torch.float64)
SIDEWAYS = torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)


@pytest.fixture
def views():
    """Pixels of the same 80 points in two different cameras, and their fundamental matrix."""
    generator = np.random.default_rng(0)
    points = torch.from_numpy(generator.uniform([-1, -1, 3], [1, 1, 7], (80, 3)))
    turn = torch.from_numpy(Rotation.from_euler("xyz", [4, -7, 3], degrees=True).as_matrix())
    second = rigid(turn, torch.tensor([0.5, 0.2, -0.3], dtype=torch.float64))
    first = torch.eye(4, dtype=torch.float64)
    a, _ = project(points, K, first)
    b, _ = project(points, K2, invert(second))
    return a, b, fundamental_from_cameras(K, K2, first, second)


def test_exact_correspondences_of_known_cameras_have_no_error(views):
    a, b, fundamental = views
    assert sampson_error(a, b, fundamental).max() < 1e-18
    # and the matrix is not the trivial one that nothing violates
    assert torch.linalg.matrix_rank(fundamental, rtol=1e-9) == 2
    assert sampson_error(a, b + 3.0, fundamental).median() > 0.1


def test_known_value_for_a_camera_that_moves_sideways():
    """Rows are epipolar lines; 4 rows apart, each point moves 2: 2 * 2^2 = 8."""
    source = torch.tensor([[3.0, 5]], dtype=torch.float64)
    target = torch.tensor([[10.0, 9]], dtype=torch.float64)
    assert sampson_error(source, target, SIDEWAYS).item() == pytest.approx(8.0)
    along = target + torch.tensor([5.0, 0])
    assert sampson_error(source, along, SIDEWAYS).item() == pytest.approx(8.0)


def test_small_errors_are_squared_pixel_distances_to_the_nearest_exact_correspondence(views):
    a, b, fundamental = views
    moved = b + torch.tensor([0.3, -0.4])
    c, d = cv2.correctMatches(fundamental.numpy(), a[None].numpy(), moved[None].numpy())
    distance = ((c[0] - a.numpy()) ** 2).sum(-1) + ((d[0] - moved.numpy()) ** 2).sum(-1)
    error = sampson_error(a, moved, fundamental).numpy()
    assert np.abs(error - distance).max() < 0.02 * distance.max()


def test_the_scale_of_the_matrix_does_not_matter(views):
    a, b, fundamental = views
    one = sampson_error(a, b + 1, fundamental)
    assert torch.allclose(one, sampson_error(a, b + 1, -73.0 * fundamental))


def test_swapping_the_pictures_transposes_the_matrix(views):
    a, b, fundamental = views
    one = sampson_error(a, b + 1, fundamental)
    assert torch.allclose(one, sampson_error(b + 1, a, fundamental.mT))


def test_cameras_at_one_place_have_a_zero_matrix_and_no_division_by_zero():
    pose = torch.eye(4, dtype=torch.float64)
    fundamental = fundamental_from_cameras(K, K, pose, pose)
    assert fundamental.abs().max() == 0
    uv = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert sampson_error(uv, uv + 1, fundamental).tolist() == [0.0]


def test_transfer_error_is_the_squared_distance_to_the_moved_point():
    turn = torch.tensor([[0.0, -1, 10], [1, 0, 0], [0, 0, 2]], dtype=torch.float64)
    source = torch.tensor([[4.0, 6]], dtype=torch.float64)  # moves to (2, 2)
    assert transfer_error(source, torch.tensor([[2.0, 2]]).double(), turn).item() == 0
    assert transfer_error(source, torch.tensor([[5.0, 6]]).double(), turn).item() == 25


def test_errors_of_many_pairs_at_once_equal_those_one_by_one(views):
    a, b, fundamental = views
    both = torch.stack([fundamental, SIDEWAYS])
    batched = sampson_error(a.expand(2, -1, 2), b.expand(2, -1, 2), both)
    assert torch.allclose(batched[1], sampson_error(a, b, SIDEWAYS))
    homographies = torch.stack([torch.eye(3).double(), K])
    batched = transfer_error(a.expand(2, -1, 2), b.expand(2, -1, 2), homographies)
    assert torch.allclose(batched[1], transfer_error(a, b, K))


def test_cross_matrix_is_the_cross_product():
    v, w = torch.tensor([[1.0, 2, 3], [0, -1, 4]]), torch.tensor([[3.0, 0, 1], [2, 2, 5]])
    assert torch.equal((cross_matrix(v) @ w[..., None])[..., 0], torch.linalg.cross(v, w))
