"""Laws of the ray caster on small worlds."""

import math

import pytest
import torch

from worldline.synth.camera import Cameras, look_at, pinhole, pixel_rays
from worldline.synth.materials import _PATTERNS, Material, albedo, noise
from worldline.synth.motion import chain, lean, shift, stretch, turn
from worldline.synth.render import cast, occluded, render, srgb, sun_directions, visible
from worldline.synth.shapes import Kind
from worldline.synth.world import Light, World

LIGHT = Light((0.3, -0.4, 0.8), (0.8, 0.8, 0.8), (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))
GREY = Material("plain", (0.5, 0.5, 0.5))


def two_boxes(times):
    """One box 4 m ahead that stands, one 2 m ahead that goes 1 m/s to the right."""
    zero = torch.zeros_like(times)
    far = shift(torch.stack([zero, zero + 4, zero], dim=1))
    near = shift(torch.stack([times - 1, zero + 2, zero], dim=1))
    return torch.stack([far, near], dim=1)


@pytest.fixture
def world():
    sizes = torch.tensor([[1.6, 0.5, 2.0], [0.25, 0.25, 0.25]], dtype=torch.float64)
    return World((Kind.BOX, Kind.BOX), sizes, two_boxes, (GREY, GREY), LIGHT)


@pytest.fixture
def cameras():
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    eye = torch.zeros(2, 3, dtype=torch.float64)
    ahead = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64).expand(2, 3)
    size = (33, 17)
    return Cameras(look_at(eye, ahead, 0 * times), pinhole(math.radians(60), size), size, times)


def test_cameras_are_rigid_and_see_their_target_in_the_middle():
    eye = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    target = torch.tensor([[0.5, 4.0, 1.0]], dtype=torch.float64)
    pose = look_at(eye, target, torch.tensor([0.3], dtype=torch.float64))[0]
    R = pose[:3, :3]
    assert torch.allclose(R.T @ R, torch.eye(3, dtype=R.dtype))
    assert torch.linalg.det(R).item() == pytest.approx(1)
    seen = R.T @ (target[0] - eye[0])
    assert torch.allclose(seen[:2], torch.zeros(2, dtype=R.dtype), atol=1e-12) and seen[2] > 0
    level = look_at(eye, target, torch.zeros(1, dtype=torch.float64))[0]
    assert level[2, 1] < 0  # the picture's down is the world's


def test_the_middle_of_the_picture_is_the_middle_of_its_pixels():
    K = pinhole(math.radians(90), (5, 3))
    rays = pixel_rays(K, (5, 3))
    assert K[0, 0].item() == pytest.approx(2.5)
    assert torch.allclose(rays[:, 7], torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert rays[0, 0].item() == pytest.approx((0.5 - 2.5) / 2.5)


def test_depth_is_along_the_optical_axis_and_nothing_is_infinitely_far(world, cameras):
    seen = render(world, cameras, colour=False)
    assert seen.rgb is None
    assert seen.instance[1, 8, 16] == 1 and seen.depth[1, 8, 16].item() == pytest.approx(1.75)
    wall = seen.instance[0] == 0
    assert torch.allclose(seen.depth[0][wall], torch.tensor(3.5))
    nothing = seen.instance == -1
    assert nothing.any() and seen.depth[nothing].isinf().all()
    assert world.moves(cameras.times).tolist() == [False, True]


def test_chunks_do_not_change_the_answer(world, cameras):
    inverse = torch.linalg.inv(world.world_from_unit(cameras.times))
    rays = pixel_rays(cameras.intrinsics, cameras.size)
    pose = cameras.world_from_camera
    direction = pose[:, :3, :3] @ rays
    whole = cast(world.kinds, inverse, pose[:, :3, 3:], direction)
    parts = cast(world.kinds, inverse, pose[:, :3, 3:], direction, chunk=7)
    assert torch.equal(whole.distance, parts.distance)
    assert torch.equal(whole.instance, parts.instance)


def test_shadow_rays_and_visibility(world, cameras):
    inverse = torch.linalg.inv(world.world_from_unit(cameras.times[1:]))[0]
    behind = torch.tensor([[0.0, 3.0, 0.0], [1.5, 3.0, 0.0]], dtype=torch.float64)
    back = torch.tensor([[0.0, -1.0, 0.0]], dtype=torch.float64).expand(2, 3)
    assert occluded(world, inverse, behind, back).tolist() == [True, False]
    assert occluded(world, inverse, behind, back, limit=0.5).tolist() == [False, False]
    assert visible(world, cameras, 1, behind).tolist() == [False, True]
    assert visible(world, cameras, 0, behind[:1]).tolist() == [True]
    assert not visible(world, cameras, 0, -behind[:1]).any()


def test_colour_is_lit_from_the_sun(world, cameras):
    picture = render(world, cameras, samples=1).rgb
    assert picture is not None and picture.min() >= 0 and picture.max() <= 1
    linear = torch.tensor([0.0, 0.0031308, 0.5, 1.0, 2.0])
    assert torch.allclose(srgb(linear), torch.tensor([0, 0.04045, 0.73536, 1, 1]), atol=1e-4)
    suns = sun_directions(LIGHT, 16)
    middle = torch.nn.functional.normalize(torch.tensor(LIGHT.towards), dim=0)
    assert (suns @ middle).min() > math.cos(LIGHT.spread) - 1e-6


def test_motions_are_what_their_names_say():
    angle = torch.tensor([math.pi / 2], dtype=torch.float64)
    x, y, z = torch.eye(4, dtype=torch.float64)[:3]
    assert torch.allclose(turn(angle, 2)[0] @ x, y, atol=1e-12)
    assert torch.allclose(turn(angle, 0)[0] @ y, z, atol=1e-12)
    assert torch.allclose(turn(angle, 1)[0] @ z, x, atol=1e-12)
    squash = stretch(torch.tensor([1.3], dtype=torch.float64))[0]
    assert torch.linalg.det(squash).item() == pytest.approx(1)
    floor = torch.tensor([0.3, -0.2, 0.0, 1.0], dtype=torch.float64)
    assert torch.equal(lean(torch.tensor([[0.1, 0.2]], dtype=torch.float64))[0] @ floor, floor)
    step = shift(torch.tensor([[1.0, 0, 0]], dtype=torch.float64))
    assert torch.allclose((chain(turn(angle, 2), step)[0] @ torch.eye(4).double()[3])[:3], y[:3])


@pytest.mark.parametrize("pattern", sorted(_PATTERNS))
def test_patterns_are_colours_that_fade_with_distance_not_flicker(pattern):
    generator = torch.Generator().manual_seed(1)
    point = 4 * torch.rand(400, 3, generator=generator) - 2
    facing = torch.tensor([[0.0, 0.0, 1.0]]).expand(400, 3)
    material = Material(pattern, (0.6, 0.3, 0.2), (0.2, 0.3, 0.6), (0.4, 0.4))
    near = albedo(material, point, facing, torch.full((400,), 1e-3))
    again = albedo(material, point, facing, torch.full((400,), 1e-3))
    assert torch.equal(near, again) and near.min() >= 0 and near.max() <= 1
    far = noise(point, torch.full((400,), 10.0))
    assert torch.equal(far, torch.zeros(400))
