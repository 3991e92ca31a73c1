"""Laws of the ray caster on small worlds."""

import math

import pytest
import torch

from worldline.synth.camera import Cameras, Tiling, look_at, pinhole, rays
from worldline.synth.cast import Rays, blocked
from worldline.synth.chunks import RAYS_AT_ONCE
from worldline.synth.materials import _PATTERNS, Material, Painted, albedo, noise
from worldline.synth.motion import Curves, Joints, rest, stack
from worldline.synth.render import render
from worldline.synth.shading import srgb, sun_directions
from worldline.synth.shapes import Kind
from worldline.synth.truth import visible
from worldline.synth.world import Light, World

LIGHT = Light.of((0.3, -0.4, 0.8), (0.8, 0.8, 0.8), (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))
GREY = Material("plain", (0.5, 0.5, 0.5))


@pytest.fixture
def world():
    """One box 4 m ahead that stands, one 2 m ahead that goes 1 m/s to the right."""
    sizes = torch.tensor([[[1.6, 0.5, 2.0], [0.25, 0.25, 0.25]]], dtype=torch.float64)
    moving = rest((-1.0, 2.0, 0.0)).push((1.0, 0.0, 0.0))
    curves = stack([rest((0.0, 4.0, 0.0)), moving])
    joints = Joints.of(Curves(*(x[None] for x in curves)))
    there = torch.ones(1, 2, dtype=torch.bool)
    return World((Kind.BOX, Kind.BOX), sizes, there, joints, Painted((GREY, GREY)), LIGHT)


@pytest.fixture
def cameras():
    times = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    eye = torch.zeros(1, 2, 3, dtype=torch.float64)
    ahead = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(1, 2, 3)
    size = (33, 17)
    lens = pinhole(math.radians(60), size).expand(1, 2, 3, 3)
    return Cameras(look_at(eye, ahead, 0 * times), lens, size, times)


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
    pixels = Tiling((5, 3)).pixels()
    ahead = rays(pixels[0].double(), K)
    assert K[0, 0].item() == pytest.approx(2.5)
    middle = (pixels[0] == torch.tensor([[2.5], [1.5]])).all(dim=0)
    assert torch.allclose(ahead[:, middle].T[0], torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert ahead[0, 0].item() == pytest.approx((0.5 - 2.5) / 2.5)


def test_tiles_are_the_picture_again():
    tiling = Tiling((37, 21))
    pixels = tiling.pixels().mT  # [G, T, 2]
    picture = tiling.empty(2, pixels.dtype, (2,), pixels.device)
    across, down = tiling.grid
    tiles, cut = torch.cat([pixels, pixels + 100]), down + 1
    for rows in (slice(0, cut), slice(cut, 2 * down)):
        tiling.place(picture, rows, tiles[rows.start * across : rows.stop * across])
    picture = picture[:, :21, :37]
    assert torch.equal(picture[0, 4, 30], torch.tensor([30.5, 4.5]))
    assert torch.equal(picture[1], picture[0] + 100)


def test_depth_is_along_the_optical_axis_and_nothing_is_infinitely_far(world, cameras):
    seen = render(world, cameras, colour=False)
    assert seen.rgb is None
    depth, instance = seen.depth[0], seen.instance[0]
    assert instance[1, 8, 16] == 1 and depth[1, 8, 16].item() == pytest.approx(1.75)
    assert torch.allclose(depth[0][instance[0] == 0], torch.tensor(3.5))
    nothing = instance == -1
    assert nothing.any() and depth[nothing].isinf().all()
    assert world.moves(cameras.times).tolist() == [[False, True]]


def test_chunks_do_not_change_the_answer(world, cameras, monkeypatch):
    whole = render(world, cameras)
    monkeypatch.setitem(RAYS_AT_ONCE, "cpu", 300)
    parts = render(world, cameras)
    assert torch.equal(whole.depth, parts.depth) and torch.equal(whole.instance, parts.instance)
    assert torch.allclose(whole.rgb, parts.rgb, atol=1e-6)


def test_shadow_rays_and_visibility(world, cameras):
    snapshot = world.snapshot(cameras.times[:, 1:])
    behind = torch.tensor([[0.0, 3.0, 0.0], [1.5, 3.0, 0.0]])
    back = torch.tensor([[0.0, -1.0, 0.0]])
    bundle = Rays(torch.tensor([0]), behind.T[None], back.T[None])
    assert blocked(snapshot, bundle).tolist() == [[True, False]]
    assert blocked(snapshot, bundle, limit=0.5).tolist() == [[False, False]]
    seen = visible(world, cameras, behind[None])
    assert seen[0, 1].tolist() == [False, True] and seen[0, 0, 0]
    assert not visible(world, cameras, -behind[None, :1]).any()


def test_colour_is_lit_from_the_sun(world, cameras):
    picture = render(world, cameras).rgb
    assert picture is not None and picture.min() >= 0 and picture.max() <= 1
    linear = torch.tensor([0.0, 0.0031308, 0.5, 1.0, 2.0])
    assert torch.allclose(srgb(linear), torch.tensor([0, 0.04045, 0.73536, 1, 1]), atol=1e-4)
    suns = sun_directions(LIGHT, 16)[:, 0]
    middle = torch.nn.functional.normalize(LIGHT.towards[0], dim=0)
    assert (suns @ middle).min() > math.cos(LIGHT.spread[0]) - 1e-6
    assert torch.allclose(sun_directions(LIGHT, 1)[0, 0], middle)


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
