"""Ray maps of known cameras, and the cameras found again: exact, noisy, off-centre, backwards."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.geometry.projection import invert, pixel_grid, project, rigid, unproject
from worldline.geometry.raymap import (
    cameras_from_rays,
    points_on_rays,
    published_cameras_from_rays,
    ray_map,
)

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def cameras():
    """Two batches of three cameras that look forwards, sideways and backwards, off-centre."""
    turns = [[5, -10, 3], [20, 88, -5], [0, 180, 0], [-15, 91, 40], [0, 0, 0], [70, -130, 10]]
    rotation = torch.from_numpy(Rotation.from_euler("xyz", turns, degrees=True).as_matrix())
    generator = np.random.default_rng(0)
    pose = rigid(rotation, torch.from_numpy(generator.uniform(-2, 2, (6, 3))))
    K = torch.zeros(6, 3, 3, dtype=torch.float64)
    K[:, 0, 0] = torch.from_numpy(generator.uniform(20, 60, 6))
    K[:, 1, 1] = torch.from_numpy(generator.uniform(20, 60, 6))
    K[:, 0, 2] = torch.from_numpy(WIDTH / 2 + generator.uniform(-6, 6, 6))
    K[:, 1, 2] = torch.from_numpy(HEIGHT / 2 + generator.uniform(-6, 6, 6))
    K[:, 2, 2] = 1
    return K.view(2, 3, 3, 3), pose.view(2, 3, 4, 4)


def even(maps: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(maps[..., 0])


def test_points_on_rays_are_the_unprojected_pixels(cameras):
    K, pose = cameras
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    depth = torch.rand(2, 3, HEIGHT, WIDTH, dtype=torch.float64) + 1
    points = points_on_rays(maps, depth)
    uv = pixel_grid(HEIGHT, WIDTH, dtype=torch.float64).reshape(1, 1, -1, 2).expand(2, 3, -1, 2)
    truth = unproject(uv, depth.flatten(-2), K, pose)
    assert torch.allclose(points.flatten(2, 3), truth)
    back, z = project(points.flatten(2, 3), K, invert(pose))
    assert torch.allclose(back, uv) and torch.allclose(z, depth.flatten(-2))
    assert back[0, 0, 0].tolist() == pytest.approx([0.5, 0.5])


def test_exact_rays_give_the_camera_wherever_it_looks_and_its_principal_point_lies(cameras):
    K, pose = cameras
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    found, placed = cameras_from_rays(maps, even(maps))
    assert torch.allclose(found, K, atol=1e-6) and torch.allclose(placed, pose, atol=1e-8)
    # the length of directions is not used: networks leave it open
    lengths = torch.rand(2, 3, HEIGHT, WIDTH, 1, dtype=torch.float64) + 0.5
    scaled = torch.cat([maps[..., :3] * lengths, maps[..., 3:]], dim=-1)
    assert torch.allclose(cameras_from_rays(scaled, even(maps))[0], K, atol=1e-6)


def test_wrong_rays_of_low_and_high_confidence_do_not_count(cameras):
    K, pose = cameras
    generator = torch.Generator().manual_seed(0)
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    wrong = torch.rand(2, 3, HEIGHT, WIDTH, generator=generator) < 0.25
    strange = torch.randn(maps.shape, generator=generator, dtype=torch.float64)
    strange[..., 3:] = maps[..., 3:]
    maps = torch.where(wrong[..., None], strange, maps)
    confidence = torch.rand(2, 3, HEIGHT, WIDTH, generator=generator, dtype=torch.float64) + 1
    found, placed = cameras_from_rays(maps, confidence)
    # those wrong rays that happen to lie within the threshold of the true ones remain
    assert (found - K).abs().max() < 2.0
    assert (placed - pose)[..., :3, :3].abs().max() < 0.05
    trusted = cameras_from_rays(maps, torch.where(wrong, 1e-6, confidence))
    assert torch.allclose(trusted[0], K, atol=1e-2)


def rotation_error(pose, truth):
    """In degrees, sorted."""
    turn = pose[..., :3, :3].mT @ truth[..., :3, :3]
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).flatten().sort().values


def noisy_views(yaw, off_centre):
    """Cameras that look `yaw` degrees aside, and their ray maps with noise."""
    generator = np.random.default_rng(0)
    turns = np.stack([np.full(12, yaw), *generator.uniform(-8, 8, (2, 12))], axis=1)
    rotation = torch.from_numpy(Rotation.from_euler("yxz", turns, degrees=True).as_matrix())
    pose = rigid(rotation, torch.zeros(12, 3, dtype=torch.float64))
    K = torch.eye(3, dtype=torch.float64).repeat(12, 1, 1)
    K[:, 0, 0] = K[:, 1, 1] = 40.0
    K[:, :2, 2] = torch.tensor([WIDTH / 2, HEIGHT / 2]) + off_centre
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    noise = torch.randn(maps.shape, generator=torch.Generator().manual_seed(2))
    return maps + 0.01 * noise, pose


def test_noise_harms_views_that_look_aside_no_more_than_others():
    for centred, bound in ((False, 0.8), (True, 0.15)):
        for yaw in (0.0, 87.0, 180.0):
            maps, pose = noisy_views(yaw, 0.0)
            _, found = cameras_from_rays(maps, even(maps), centred=centred)
            assert rotation_error(found, pose)[6] < bound
    maps, pose = noisy_views(87.0, 0.0)
    assert rotation_error(published_cameras_from_rays(maps, even(maps))[1], pose)[6] > 0.3


def test_a_principal_point_that_is_known_to_be_the_centre_is_returned_as_such():
    maps, pose = noisy_views(20.0, 0.0)
    K, _ = cameras_from_rays(maps, even(maps), centred=True)
    assert torch.allclose(K[:, :2, 2], torch.tensor([WIDTH / 2, HEIGHT / 2]).double())
    assert torch.allclose(K[:, [0, 1], [0, 1]], torch.tensor(40.0).double(), rtol=0.02)
    maps, pose = noisy_views(20.0, 4.0)  # where it is not, it must not be claimed
    assert rotation_error(cameras_from_rays(maps, even(maps))[1], pose)[6] < 0.8
    assert rotation_error(cameras_from_rays(maps, even(maps), centred=True)[1], pose)[6] > 2.0


def test_intrinsics_are_in_the_pixels_asked_for(cameras):
    K, pose = cameras
    maps = ray_map(K, pose, HEIGHT, WIDTH).float()
    found, _ = cameras_from_rays(maps, even(maps), (HEIGHT * 7, WIDTH * 2))
    scale = torch.tensor([2.0, 7.0, 1.0])[:, None]
    assert found.dtype == torch.float32
    assert torch.allclose(found, K.float() * scale, rtol=1e-3)


def test_a_seed_gives_one_result_and_batches_do_not_matter(cameras):
    K, pose = cameras
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    maps = maps + 0.05 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(1))
    once, again = (cameras_from_rays(maps, even(maps), seed=3) for _ in range(2))
    assert torch.equal(once[0], again[0]) and torch.equal(once[1], again[1])
    alone, _ = cameras_from_rays(maps[1, 2], even(maps)[1, 2], seed=3)
    assert torch.allclose(alone, once[0][1, 2], atol=1e-9)


def test_the_published_way_agrees_for_centred_lenses_and_loses_others(cameras):
    K, pose = (part[:1, :1] for part in cameras)
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    assert (published_cameras_from_rays(maps, even(maps))[0] - K).abs().max() > 0.5
    K = K.clone()
    K[..., :2, 2] = torch.tensor([WIDTH / 2, HEIGHT / 2])
    maps = ray_map(K, pose, HEIGHT, WIDTH)
    found, placed = published_cameras_from_rays(maps, even(maps))
    assert torch.allclose(found, K, atol=1e-6) and torch.allclose(placed, pose, atol=1e-8)


@pytest.mark.parametrize("broken", ["few", "nan", "none", "negative"])
def test_rays_that_tell_no_camera_are_refused(cameras, broken):
    maps = ray_map(*cameras, HEIGHT, WIDTH)
    confidence = even(maps)
    if broken == "few":
        maps, confidence = maps[..., :2, :3, :], confidence[..., :2, :3]
    elif broken == "nan":
        maps[0, 0, 0, 0, 0] = torch.nan
    elif broken == "none":
        confidence[1, 1] = 0
    else:
        confidence[0, 0, 0, 0] = -1
    for find in (cameras_from_rays, published_cameras_from_rays):
        with pytest.raises(InputError):
            find(maps, confidence)
