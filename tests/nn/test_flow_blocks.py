"""Protects the blocks of flow networks against plain ways to write the same."""

import pytest
import torch
import torch.nn.functional as F

from worldline.nn.correlation import correlation_pyramid, look_up
from worldline.nn.recurrent_flow import convex_upsample
from worldline.nn.residual import InstanceNorm, ResidualBlock


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 5, 9, 11, generator=generator),
        torch.randn(2, 5, 13, 10, generator=generator),
    )


def test_levels_are_averages_of_all_products(maps):
    first, second = maps
    products = torch.einsum("ndij,ndkl->nijkl", first, second) / 5**0.5
    for level, volume in enumerate(correlation_pyramid(first, second, 3)):
        pooled = products.flatten(0, 2)[:, None]
        for _ in range(level):
            pooled = F.avg_pool2d(pooled, 2)
        expected = pooled.unflatten(0, (2, 99)).squeeze(2)
        torch.testing.assert_close(volume[..., 1:-1, 1:-1], expected, rtol=1e-5, atol=1e-5)
        assert volume.sum() == pytest.approx(float(volume[..., 1:-1, 1:-1].sum()), rel=1e-5)


def test_windows_are_bilinear_samples_of_the_volume(maps):
    """Also at borders, outside, and for flow without bounds or sense."""
    first, second = maps
    points = 6 + 8 * torch.randn(2, 9, 11, 2)
    points[0, 0, :4] = torch.tensor([[9.0, 12.0], [-1e9, 3], [4, 1e30], [9.5, -0.5]])
    pyramid = correlation_pyramid(first, second, 2)
    found = look_up(pyramid, points, 1)
    assert found.shape == (2, 18, 9, 11)
    for level, volume in enumerate(pyramid):
        images = volume[..., 1:-1, 1:-1].flatten(0, 1)[:, None]
        rows, columns = images.shape[2:]
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                xy = points.reshape(-1, 1, 1, 2) / 2**level + torch.tensor([dx, dy])
                grid = (2 * xy + 1) / torch.tensor([columns, rows]) - 1
                expected = F.grid_sample(images, grid, align_corners=False).view(2, 9, 11)
                channel = found[:, 9 * level + 3 * (dx + 1) + dy + 1]
                torch.testing.assert_close(channel, expected, rtol=1e-4, atol=1e-4)


def test_a_point_that_is_no_number_reads_inside_the_volume(maps):
    pyramid = correlation_pyramid(*maps, 2)
    points = torch.full((2, 9, 11, 2), torch.nan)
    assert look_up(pyramid, points, 1).isnan().all()
    points[0] = torch.inf
    assert look_up(pyramid, points, 1).shape == (2, 18, 9, 11)


def test_fine_values_are_convex_combinations():
    torch.manual_seed(0)
    values, logits = torch.randn(1, 3, 4, 5), torch.randn(1, 9 * 4, 4, 5)
    fine = convex_upsample(values, logits)
    padded = F.pad(values, (1, 1, 1, 1))
    row, column, i, j = 2, 3, 1, 0
    weights = logits[0, i * 2 + j :: 4, row, column].softmax(0)
    around = padded[0, :, row : row + 3, column : column + 3].flatten(1)
    torch.testing.assert_close(fine[0, :, 2 * row + i, 2 * column + j], around @ weights)
    inside = convex_upsample(torch.full((1, 1, 4, 5), 3.0), logits)[..., 2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.full_like(inside, 3.0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_torchs(layout):
    x = (5 + 3 * torch.randn(2, 6, 40, 50)).to(memory_format=layout)
    ours = InstanceNorm()(x)
    torch.testing.assert_close(ours, F.instance_norm(x), rtol=1e-4, atol=2e-5)
    assert ours.is_contiguous(memory_format=layout)
    half = InstanceNorm()(x.bfloat16())
    assert half.dtype == torch.bfloat16 and (half - ours).abs().max() < 0.05


def test_instance_norm_keeps_its_digits_far_from_zero():
    """A trained convolution's bias may be a thousand times what its output varies by."""
    x = torch.randn(2, 6, 40, 50, dtype=torch.float64)
    truth = F.instance_norm(x + 1000)
    assert (InstanceNorm()((x + 1000).float()) - truth).abs().max() < 1e-3


def test_a_shortcut_is_there_where_sizes_change():
    assert not list(ResidualBlock(4, 4, 1, "batch").downsample.parameters())
    for inputs, stride in [(3, 1), (4, 2)]:
        block = ResidualBlock(inputs, 4, stride, "instance")
        assert block(torch.randn(1, inputs, 6, 8)).shape == (1, 4, 6 // stride, 8 // stride)
