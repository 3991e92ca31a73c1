"""Protects that features are looked up where bilinear sampling of the whole map finds them."""

import pytest
import torch
from torch.nn.functional import grid_sample

from worldline.nn.sampling import blend, pyramid, sample, windows


def by_grid_sample(features, frames, xy, radius, padding):
    """The same places by `grid_sample`, offsets along x first."""
    reach = torch.arange(-radius, radius + 1.0)
    places = xy[:, None, None] + torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1)
    size = torch.tensor([features.shape[2], features.shape[1]])
    grid = 2 * places / (size - 1).clamp(min=1) - 1
    maps = features.permute(0, 3, 1, 2)[frames]
    found = grid_sample(maps, grid, align_corners=True, padding_mode=padding)
    return found.permute(0, 2, 3, 1)


def points(count=200):
    """Frames and positions in and far around a map of 9 x 7 pixels."""
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(count, 2, generator=generator) * torch.tensor([20.0, 16.0]) - 5
    return torch.randint(3, (count,), generator=generator), xy


@pytest.mark.parametrize(("height", "width"), [(7, 9), (1, 9), (7, 1)])
def test_samples_are_bilinear_and_go_on_beyond_the_border(height, width):
    features = torch.randn(3, height, width, 4, generator=torch.Generator().manual_seed(1))
    frames, xy = points()
    expected = by_grid_sample(features, frames, xy, 2, "border")
    torch.testing.assert_close(sample(features, frames, xy, 2), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(7, 9), (1, 9), (7, 1)])
def test_blending_comes_after_a_linear_step_and_outside_is_known(height, width):
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(3, height, width, 4, generator=generator)
    direction = torch.randn(4, 1, generator=generator)
    frames, xy = points()
    around = windows(features, frames, xy, 1)
    found = blend(around.features @ direction * around.inside[..., None], around.fraction)
    expected = by_grid_sample(features, frames, xy, 1, "zeros") @ direction
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_positions_that_are_no_numbers_do_not_read_beyond_the_map():
    xy = torch.tensor([[float("nan"), 1.0], [1e30, -1e30]])
    around = windows(torch.ones(1, 4, 4, 2), torch.zeros(2, dtype=torch.int64), xy, 1)
    assert around.features.eq(1).all()


def test_a_pyramid_averages_and_drops_odd_lines():
    features = torch.arange(2 * 5 * 4 * 3.0).view(2, 5, 4, 3)
    half = pyramid(features, 2)[1]
    assert half.shape == (2, 2, 2, 3)
    torch.testing.assert_close(half[0, 0, 0], features[0, :2, :2].mean((0, 1)))
