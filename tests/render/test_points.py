"""Points land where the camera puts them, nearer ones in front."""

import numpy as np
import pytest
import torch

from worldline.errors import InputError
from worldline.render import View, render_points

K = torch.tensor([[40.0, 0.0, 16.0], [0.0, 40.0, 12.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
EYE = torch.eye(4, dtype=torch.float64)
SIZE = (32, 24)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def at_pixels(uv: torch.Tensor, z: float) -> torch.Tensor:
    return torch.cat([(uv - K[:2, 2]) / 40.0 * z, torch.full_like(uv[:, :1], z)], dim=-1).float()


def colour(value: tuple[int, int, int], count: int = 1) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.uint8).expand(count, 3)


def grid(width: int = SIZE[0], height: int = SIZE[1]) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).double() + 0.5


@pytest.mark.parametrize("inside", [0.01, 0.5, 0.99])
def test_a_point_lands_on_the_pixel_that_contains_it(inside: float) -> None:
    xyz = at_pixels(torch.tensor([[5 + inside, 9 + inside]], dtype=torch.float64), 2.0)
    image, depth, alpha = render_points(xyz, colour(RED), K, EYE, SIZE)
    assert alpha.nonzero().tolist() == [[9, 5]]
    assert image[9, 5].tolist() == list(RED)
    assert depth[9, 5].item() == pytest.approx(2.0)
    assert torch.isnan(depth).sum() == 32 * 24 - 1


def test_the_pose_moves_the_picture() -> None:
    camera_from_world = EYE.clone()
    camera_from_world[0, 3] = 2 * 3 / 40  # three pixels at depth 2
    xyz = at_pixels(torch.tensor([[5.5, 9.5]], dtype=torch.float64), 2.0)
    alpha = render_points(xyz, colour(RED), K, camera_from_world, SIZE)[2]
    assert alpha.nonzero().tolist() == [[9, 8]]


def test_a_frame_of_pixel_sized_patches_comes_back_exactly() -> None:
    rgb = torch.randint(0, 256, (32 * 24, 3), generator=torch.manual_seed(0)).to(torch.uint8)
    patch = torch.full((32 * 24,), 3.0 / 40)
    image, depth, alpha = render_points(at_pixels(grid(), 3.0), rgb, K, EYE, SIZE, patch=patch)
    assert torch.equal(image.reshape(-1, 3), rgb)
    assert (alpha == 1).all()
    assert torch.allclose(depth, torch.tensor(3.0))


@pytest.mark.parametrize("near_first", [True, False])
def test_the_nearer_surface_hides_the_farther(near_first: bool) -> None:
    near, far = at_pixels(grid(10), 2.0), at_pixels(grid(), 2.2)
    parts = [(near, colour(RED, len(near))), (far, colour(GREEN, len(far)))]
    parts = parts if near_first else parts[::-1]
    xyz, rgb = (torch.cat(columns) for columns in zip(*parts, strict=True))
    patch = xyz[:, 2] / 40
    image, depth, _ = render_points(xyz, rgb, K, EYE, SIZE, patch=patch)
    assert (image[:, :10] == torch.tensor(RED, dtype=torch.uint8)).all()
    assert (image[:, 11:] == torch.tensor(GREEN, dtype=torch.uint8)).all()
    assert torch.allclose(depth[:, :10], torch.tensor(2.0))


def test_the_background_does_not_show_through_a_sparse_foreground() -> None:
    uv = grid()
    sparse = uv[((uv[:, 0] - 0.5) % 3 == 1) & ((uv[:, 1] - 0.5) % 3 == 1)]
    near, far = at_pixels(sparse, 2.0), at_pixels(uv, 4.0)
    rgb = torch.cat([colour(RED, len(near)), colour(GREEN, len(far))])
    patch = torch.cat([torch.full((len(near),), 3 * 2.0 / 40), torch.full((len(far),), 4.0 / 40)])
    image = render_points(torch.cat([near, far]), rgb, K, EYE, SIZE, patch=patch)[0]
    assert (image[:, :30] == torch.tensor(RED, dtype=torch.uint8)).all()


def test_points_behind_or_beside_the_camera_draw_nothing() -> None:
    xyz = torch.tensor([[0, 0, -2.0], [0, 0, 0], [50, 0, 2], [0, -50, 2], [torch.nan, 0, 1]])
    _, depth, alpha = render_points(xyz, colour(RED, 5), K, EYE, SIZE, patch=torch.ones(5))
    assert (alpha == 0).all()
    assert torch.isnan(depth).all()


def test_a_patch_reaches_in_from_outside_the_frame() -> None:
    xyz = at_pixels(torch.tensor([[-1.0, 9.5]], dtype=torch.float64), 2.0)
    alpha = render_points(xyz, colour(RED), K, EYE, SIZE, patch=torch.tensor([6 * 2.0 / 40]))[2]
    assert alpha[9].nonzero()[:, 0].tolist() == [0, 1]


def test_no_points_at_all_make_an_empty_picture() -> None:
    image, _, alpha = render_points(torch.empty(0, 3), colour(RED, 0), K, EYE, SIZE)
    assert image.shape == (24, 32, 3)
    assert (alpha == 0).all()


def test_a_view_needs_a_size() -> None:
    with pytest.raises(InputError, match="size"):
        View(np.eye(3), np.eye(4), (0, 3))
