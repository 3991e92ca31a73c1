"""Every named motion and warp does what its name says, exactly, at any time."""

import math

import pytest
import torch

from worldline.synth.deformation import Warp, deform, reach, steepness, undeform
from worldline.synth.motion import (
    EARTH,
    LEAN,
    STRETCH,
    TURN,
    Curves,
    Joints,
    bounce,
    choose,
    collide,
    ease,
    rest,
    rotation,
    shift,
    stack,
    turn,
)

TIMES = torch.linspace(-1, 4, 501).double()
DT = (TIMES[1] - TIMES[0]).item()


def place(curves, times=TIMES):
    """Place of one joint over time [N, 3]."""
    return curves.at(times)[:, :3]


def maps(*curves, parent=None, times=TIMES):
    batch = Curves(*(x[None] for x in stack(curves)))
    tree = None if parent is None else torch.tensor([parent])
    return Joints.of(batch, tree).place(times[None])[0]


def test_rest_push_and_spin():
    moved = maps(rest((1.0, 2.0, 3.0)).push((0.5, 0.0, 0.0)).spin((0.0, 0.0, 2.0)))[:, 0]
    assert torch.allclose(moved[:, 0, 3], 1 + 0.5 * TIMES)
    assert torch.allclose(moved[:, 0, 0], (2 * TIMES).cos())
    assert torch.allclose(moved[:, 1, 0], (2 * TIMES).sin())
    still = maps(rest((1.0, 2.0, 3.0)))[:, 0]
    assert torch.equal(still, shift((1.0, 2.0, 3.0)).expand_as(still))


def test_an_orbit_keeps_its_distance_and_its_speed():
    way = place(rest((1.0, 0.0, 2.0)).orbit(0.7, 3.0, 0.4))
    middle = torch.tensor([1.0, 0.0, 2.0]).double()
    assert torch.allclose((way - middle).norm(dim=1), torch.tensor(0.7).double())
    speed = way.diff(dim=0).norm(dim=1) / DT
    assert torch.allclose(speed, torch.tensor(2.1).double(), rtol=1e-3)


def test_a_bounce_obeys_gravity_never_sinks_and_comes_to_rest():
    way = place(bounce((0.0, 0.0, 0.3), 1.0, 0.5, keep=0.6))[:, 2]
    assert (way[TIMES < 0.5] == 1.3).all() and way[-1] == 0.3
    assert way.min() > 0.3 - 1e-9 and way.diff().abs().max() < 1.01 * DT * math.sqrt(2 * EARTH)
    bend = way.diff().diff() / DT**2
    free = (bend + EARTH).abs() < 1e-3
    assert free.sum() > 100  # all but rest, hanging and the impacts
    low = torch.tensor([0.5 + math.sqrt(2 / EARTH)]).double()
    assert place(bounce((0.0, 0.0, 0.3), 1.0, 0.5), low)[0, 2].item() == pytest.approx(0.3)


def test_a_collision_changes_the_velocity_at_its_time():
    way = place(collide((0.0, 1.0, 0.0), (2.0, 0.0, 0.0), (0.0, -1.0, 0.0), 1.0))
    assert torch.allclose(way[TIMES <= 1, 0], 2 * (TIMES[TIMES <= 1] - 1))
    assert torch.allclose(way[TIMES >= 1, 1], 2 - TIMES[TIMES >= 1])


def test_what_starts_late_rests_first_and_stops_without_a_jerk():
    channels = torch.zeros(9).double()
    channels[0], channels[5] = 2.0, 1.0
    curves = ease((1.0, 0.0, 0.0), channels, 1.0, 2.0)
    values = curves.at(TIMES)
    assert (values[TIMES <= 1][:, [0, 5]] == torch.tensor([1.0, 0.0])).all()
    assert torch.allclose(values[TIMES >= 2][:, [0, 5]], torch.tensor([3.0, 1.0]).double())
    assert values[:, 0].diff().abs().max() < 1.55 * 2 * DT  # the ease's fastest is 1.5 of its mean
    assert values[:, 0].diff().diff().abs().max() < 13 * 2 * DT**2


def test_children_hang_on_their_parents_through_lean_and_stretch():
    body = rest((1.0, 0.0, 0.0)).spin((0.0, 0.0, 1.0)).sway(LEAN.start, 0.2, 2.0, 0.0)
    body = body.sway(STRETCH.start, 0.1, 3.0, 0.0)
    arm, hand = rest((0.0, 0.0, 1.0)).sway(TURN.start, 0.5, 2.0, 0.0), rest((0.0, 0.0, 0.5))
    joints = maps(body, arm, hand, parent=[-1, 0, 1])
    expected = joints[:, 0] @ maps(arm)[:, 0] @ maps(hand)[:, 0]
    assert torch.allclose(joints[:, 2], expected)
    assert torch.allclose(torch.linalg.det(joints[..., :3, :3]), torch.tensor(1.0).double())


def test_motions_are_chosen_object_by_object():
    at = torch.rand(4, 5, 3).double()
    falls = torch.rand(4, 5) > 0.5
    start = torch.full((4, 5), 0.2).double()
    curves = choose(falls, bounce(at, torch.ones(4, 5), start), rest(at).spin((0.0, 1.0, 0.0)))
    values = curves.at(torch.tensor([0.0, 3.0]).double())
    assert (values[..., 0, 2] - at[..., 2] == falls).all()
    assert ((values[..., 1, 4] == 3) == ~falls).all()
    assert Joints.of(curves).place(torch.zeros(4, 2).double()).shape == (4, 2, 5, 4, 4)


def test_rotations_turn_right_handed_and_stay_rotations():
    quarter = rotation(torch.tensor([0.0, 0.0, math.pi / 2]).double())
    x, y, _ = torch.eye(3).double()
    assert torch.allclose(quarter @ x, y, atol=1e-6)
    R = rotation(torch.randn(50, 3).double())
    assert torch.allclose(R @ R.mT, torch.eye(3).double().expand(50, 3, 3))
    assert torch.equal(rotation(torch.zeros(3)), torch.eye(3))
    assert torch.allclose(turn((0.0, math.pi, 0.0))[0, 0], torch.tensor(-1.0).double())


WARPS = {
    "twist": (2.0, 0.0, (0.0, 0.0)),
    "bend": (0.0, 0.8, (0.0, 0.0)),
    "ripple": (0.0, 0.0, (0.1, 0.06)),
    "all": (-1.5, -0.6, (0.05, 0.08)),
    "none": (0.0, 0.0, (0.0, 0.0)),
}


def warp(name):
    twist, bend, amplitude = WARPS[name]
    pair = torch.tensor([[5.0], [3.0]]).double(), torch.tensor([[0.4], [1.9]]).double()
    numbers = (torch.tensor([x]).double() for x in (twist, bend))
    return Warp(*numbers, torch.tensor(amplitude).double()[:, None], *pair)


@pytest.mark.parametrize("name", WARPS)
def test_a_warp_can_be_undone(name):
    generator = torch.Generator().manual_seed(0)
    point = 0.8 * (2 * torch.rand(3, 2000, generator=generator).double() - 1)
    point = point[:, point.norm(dim=0) < 0.8]
    moved = deform(warp(name), point)
    assert torch.allclose(undeform(warp(name), moved), point, atol=1e-9)
    # a bend of less than LEAST_BEND is one of LEAST_BEND
    assert ((moved - point).abs().max() > 0.05) == (name != "none")
    single = Warp(*(x.float() for x in warp(name)))
    again = undeform(single, deform(single, point.float()))
    assert (again - point.float()).abs().max() < 2e-5


@pytest.mark.parametrize("name", WARPS)
def test_a_warped_ball_stays_within_reach_and_steepness_bounds_the_stretch(name):
    generator = torch.Generator().manual_seed(1)
    point = torch.nn.functional.normalize(torch.randn(3, 4000, generator=generator), dim=0).double()
    radius = torch.tensor([0.8]).double()
    moved = deform(warp(name), radius * point)
    assert moved.norm(dim=0).max() <= reach(warp(name), radius) + 1e-6
    near = 1e-5 * torch.nn.functional.normalize(point.roll(1, dims=1), dim=0)
    stretch = (undeform(warp(name), moved + near) - radius * point).norm(dim=0) / 1e-5
    assert stretch.max() <= 1.001 * steepness(warp(name), radius)
