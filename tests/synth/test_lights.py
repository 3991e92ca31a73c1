"""Laws of light on worlds of one or two objects: lamps, highlights, fog."""

import dataclasses
import math

import pytest
import torch

from worldline.synth.camera import Cameras, look_at, pinhole
from worldline.synth.materials import Material, Painted
from worldline.synth.motion import Curves, Joints, rest, stack
from worldline.synth.render import render
from worldline.synth.shapes import Kind
from worldline.synth.world import Gloss, Lamps, Light, World

DARK = (0.0, 0.0, 0.0)
GREY = Material("plain", (0.5, 0.5, 0.5), grain=0.0)
SIZE = (33, 33)


def floor(light: Light, *boxes: tuple[float, float, float]) -> World:
    """A level floor at z = 0 with cubes of 0.4 m on it."""
    half = torch.tensor([[[50.0, 50.0, 1.0]] + len(boxes) * [[0.2, 0.2, 0.2]]]).double()
    curves = stack([rest((0.0, 0.0, 0.0)), *(rest(at) for at in boxes)])
    return World(
        (Kind.GROUND, *len(boxes) * (Kind.BOX,)),
        half,
        torch.ones(half.shape[:2], dtype=torch.bool),
        Joints.of(Curves(*(x[None] for x in curves))),
        Painted((1 + len(boxes)) * (GREY,)),
        light,
    )


def seen(world: World, eye: tuple[float, float, float], target: tuple[float, float, float]):
    """Linear light [H, W, 3] and world positions [H, W, 3] of what a camera sees."""
    ends = torch.tensor([[[eye], [target]]]).double()
    pose = look_at(ends[:, 0], ends[:, 1], torch.zeros(1, 1).double())
    lens = pinhole(math.radians(60), SIZE)[None, None]
    cameras = Cameras(pose, lens, SIZE, torch.zeros(1, 1).double())
    picture = render(world, cameras, linear=True)
    return picture.rgb[0, 0], picture.material[0, 0]


def lit_by(colour: tuple[float, float, float], *places: tuple[float, float, float]) -> Light:
    dark = Light.of((0.0, 0.0, 1.0), DARK, DARK, DARK)
    lamps = Lamps(torch.tensor([places]), torch.tensor([[colour] * len(places)]))
    return dataclasses.replace(dark, lamps=lamps)


def test_a_lamp_fades_by_the_inverse_square_and_the_slant():
    lamp = (0.3, 0.2, 1.5)
    light, where = seen(floor(lit_by((2.0, 1.0, 0.5), lamp)), (0.0, -0.1, 4.0), (0.0, 0.0, 0.0))
    way = torch.tensor(lamp) - where
    square = way.square().sum(dim=-1)
    expected = 0.5 * (way[..., 2] / square.sqrt()) / square
    torch.testing.assert_close(light[..., 0], 2 * expected, rtol=5e-3, atol=0)
    torch.testing.assert_close(light[..., 2], 0.5 * expected, rtol=5e-3, atol=0)


def test_lamps_add_up_and_cast_shadows_away_from_them():
    left, right = (-1.0, 0.0, 1.0), (1.0, 0.0, 1.0)
    eye, target = (0.0, -0.01, 4.0), (0.0, 0.0, 0.0)
    box = (0.0, 0.0, 0.2)
    one, where = seen(floor(lit_by((1.0, 1.0, 1.0), left), box), eye, target)
    other, _ = seen(floor(lit_by((1.0, 1.0, 1.0), right), box), eye, target)
    both, _ = seen(floor(lit_by((1.0, 1.0, 1.0), left, right), box), eye, target)
    torch.testing.assert_close(both, one + other)
    # the cube's top edge throws its shadow from 0.2 m to 0.2 + 1.2 * 0.4 / 0.6 = 1.0 m
    ground = (where[..., 1].abs() < 0.15) & (where[..., 0].abs() > 0.25)
    shadow = ground & (where[..., 0] > 0) & (where[..., 0] < 0.95)
    assert shadow.sum() > 10 and (one[shadow] == 0).all()
    clear = ground & ((where[..., 0] < 0) | (where[..., 0] > 1.05))
    assert clear.sum() > 10 and (one[clear] > 0).all()


def test_a_box_does_not_shade_its_own_lit_side_however_far_the_lamp():
    far = lit_by((1e4, 1e4, 1e4), (30.0, 20.0, 15.0))
    light, where = seen(floor(far, (0.0, 0.0, 0.2)), (0.0, -0.3, 1.2), (0.0, 0.0, 0.2))
    top = where[..., 2] > 0.1999
    assert top.sum() > 100 and (light[top] > 0).all()


def test_a_highlight_is_where_the_mirror_would_show_the_sun():
    sun = (0.0, 0.6, 0.8)
    bright = Light.of(sun, (1.0, 1.0, 1.0), DARK, DARK)
    matt = floor(bright)
    shiny = dataclasses.replace(
        matt, gloss=Gloss(torch.full((1, 1), 0.3), torch.full((1, 1), 200.0))
    )
    eye, target = (0.0, -3.0, 3.0), (0.0, -0.3, 0.0)
    plain, where = seen(matt, eye, target)
    glossy, _ = seen(shiny, eye, target)
    glint = (glossy - plain)[..., 0]
    # the mirrored sun is at the eye, in z = 0, along (0, 0.6, -0.8): 2.25 m ahead of it
    peak = where.flatten(0, 1)[glint.argmax()]
    assert peak[:2].tolist() == pytest.approx([0.0, -0.75], abs=0.08)
    assert glint.max().item() == pytest.approx(0.3 * 208 / 8 * 0.8, rel=0.03)
    assert glint.min() < 1e-3 * glint.max() and (glint >= 0).all()
    torch.testing.assert_close(glossy[..., 0] - plain[..., 0], glossy[..., 2] - plain[..., 2])


def test_highlights_are_those_of_lamps_too_and_of_their_own_object_only():
    world = floor(lit_by((1.0, 1.0, 1.0), (0.0, 0.0, 2.0)), (0.6, 0.0, 0.2))
    gloss = Gloss(torch.tensor([[0.5, 0.0]]), torch.tensor([[50.0, 50.0]]))
    eye, target = (0.0, -0.01, 3.0), (0.0, 0.0, 0.0)
    plain, where = seen(world, eye, target)
    glossy, _ = seen(dataclasses.replace(world, gloss=gloss), eye, target)
    assert (glossy - plain)[16, 16, 0].item() == pytest.approx(0.5 * 58 / 8 / 4, rel=0.05)
    top = (where[..., 2] > 0.19).nonzero()
    assert len(top) > 5 and torch.equal(glossy[tuple(top.T)], plain[tuple(top.T)])


def test_fog_turns_into_the_horizon_by_the_way_through_it():
    clear = Light.of((0.0, 0.0, 1.0), (0.5, 0.5, 0.5), (0.3, 0.5, 0.9), (0.1, 0.1, 0.1))
    foggy = dataclasses.replace(clear, fog=torch.tensor([0.2]))
    eye = (0.0, 0.0, 1.0)
    plain, where = seen(floor(clear), eye, (0.0, 3.0, 0.5))
    dim, _ = seen(floor(foggy), eye, (0.0, 3.0, 0.5))
    sky = (where == 0).all(dim=-1)
    assert sky.any() and torch.equal(dim[sky], plain[sky])
    share = torch.exp(-0.2 * (where - torch.tensor(eye)).norm(dim=-1))[..., None]
    expected = share * plain + (1 - share) * clear.horizon
    torch.testing.assert_close(dim[~sky], expected[~sky], rtol=1e-3, atol=1e-4)
    far = (where[..., 1] > 30) & ~sky
    assert far.any() and torch.allclose(dim[far], clear.horizon.expand(1, 3), atol=5e-3)


def test_what_is_off_costs_nothing_and_changes_nothing():
    """Black lamps, no strength and no fog are the same picture as none at all."""
    plain = floor(
        Light.of((0.3, 0.2, 1.0), (0.8, 0.8, 0.8), (0.3, 0.3, 0.4), DARK), (0.0, 2.0, 0.2)
    )
    lamps = Lamps(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3))
    light = dataclasses.replace(plain.light, lamps=lamps, fog=torch.zeros(1))
    gloss = Gloss(torch.zeros(1, 2), torch.full((1, 2), 10.0))
    off = dataclasses.replace(plain, light=light, gloss=gloss)
    eye, target = (0.0, -1.0, 1.0), (0.0, 2.0, 0.2)
    torch.testing.assert_close(seen(off, eye, target)[0], seen(plain, eye, target)[0])
