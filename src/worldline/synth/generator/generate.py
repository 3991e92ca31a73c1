"""Random worlds and their cameras, from seeds."""

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from worldline.synth import trees
from worldline.synth.camera import Cameras
from worldline.synth.generator import cameras as filming
from worldline.synth.generator.assemble import Things, things
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.layout import Layout
from worldline.synth.generator.looks import gloss, looks, usual_bank
from worldline.synth.generator.mix import Mix
from worldline.synth.generator.stage import Stage, atmosphere, light, stage
from worldline.synth.generator.who import cast
from worldline.synth.motion import Joints, join, rest
from worldline.synth.textures import Bank, Textured
from worldline.synth.world import World
from worldline.threads import one_thread

VERSION = 1  # of what seeds mean: any change to what they make counts it up
CHECK = 0.1  # s: how often it is looked whether a camera touches something


def generate(
    seeds: Sequence[int],
    mix: Mix,
    *,
    size: tuple[int, int],
    frames: int,
    rate: float = 24.0,
    device: torch.device | str = "cpu",
    bank: Bank | None = None,
) -> tuple[World, Cameras]:
    """One world of ``mix`` and its camera for each of the seeds: B worlds of the same slots.

    ``size`` is (width, height) in pixels, ``rate`` in frames a second, ``bank`` the textures (the
    usual ones where none are given). A seed makes the same world of the same mix, number of frames
    and rate whatever it is in a batch with and wherever that goes: everything is worked out in
    float64 on the CPU, rounded to float32's grid, and moved.
    """
    with one_thread():  # many small steps, which threads only slow down
        world, view = _drawn(seeds, mix, size, frames, rate, bank or usual_bank())
        world, view = _rounded((world, view))
    return trees.to((world, view), device)


def fingerprint(world: World, view: Cameras) -> str:
    """A hash of all that seeds decide; textures are left out, which users may bring."""
    assert isinstance(world.look, Textured)
    no_bank = Bank(torch.zeros(1, 3), 1)
    look = dataclasses.replace(world.look, bank=no_bank)
    return trees.fingerprint((dataclasses.replace(world, look=look), view))


def _drawn(
    seeds: Sequence[int], mix: Mix, size: tuple[int, int], frames: int, rate: float, bank: Bank
) -> tuple[World, Cameras]:
    draw = Draws(seeds)
    layout = Layout.of(mix)
    times = torch.arange(frames, dtype=torch.float64) / rate
    duration = max(frames, 2) / rate
    place = stage(draw, mix)
    who = cast(draw, mix, layout, place)
    what = things(draw, mix, layout, place, who, duration)
    own_size = who.size.clone()
    own_size[:, : layout.furniture] *= 0.5  # furniture's size is a factor
    world = World(
        kinds=layout.kinds,
        half=_half(place, what, layout),
        active=_active(place, what, layout),
        joints=_joints(place, what, layout),
        look=looks(draw, mix, layout, place, own_size, bank),
        light=light(draw, place),
        blends=what.solids.blends,
        bodies=what.solids.bodies,
        deformation=what.solids.deformation,
        terrains=place.terrain if layout.hills else None,
    )
    world, view = _filmed(draw, mix, layout, place, world, what, size, times)
    air, shine = atmosphere(draw, mix, place, world.light), gloss(draw, mix, layout)
    return dataclasses.replace(world, light=air, gloss=shine), view


def _rounded(value: trees.T) -> trees.T:
    """On float32's grid: the last bits of float64, which machines disagree on, are cut off."""
    return trees.each(lambda x: x.float().to(x) if x.is_floating_point() else x, value)


def _half(place: Stage, what: Things, layout: Layout) -> Tensor:
    B = len(place.scale)
    flat = torch.tensor([80.0, 80.0, 1.0]).double() * place.scale[:, None]
    backs = [place.room, flat, torch.ones(B, 3).double()][: len(layout.backdrops)]
    return torch.cat([torch.stack(backs, dim=1), what.slots.half], dim=1)


def _active(place: Stage, what: Things, layout: Layout) -> Tensor:
    backs = [place.indoor, ~place.indoor, place.hilly][: len(layout.backdrops)]
    return torch.cat([torch.stack(backs, dim=1), what.active], dim=1)


def _joints(place: Stage, what: Things, layout: Layout) -> Joints:
    B, slots = len(place.scale), what.slots
    middle = place.floor + place.room[:, 2]
    # beyond the hills, the plain that they stand on
    low = -1.02 * place.terrain.amplitude.sum(dim=-2)[:, 0, 0]
    up = torch.stack([middle, low, torch.zeros_like(low)], dim=1)[:, : len(layout.backdrops)]
    backs = rest(torch.nn.functional.pad(up[..., None], (2, 0)))
    still = torch.eye(4).double().expand(B, len(layout.backdrops), 4, 4)
    free = torch.full((B, len(layout.backdrops)), -1)
    return Joints.of(
        join([backs, slots.curves]),
        torch.cat([free, what.parent], dim=1),
        torch.cat([still, slots.before], dim=1),
        torch.cat([still, slots.after], dim=1),
    )


def _filmed(
    draw: Draws,
    mix: Mix,
    layout: Layout,
    place: Stage,
    world: World,
    what: Things,
    size: tuple[int, int],
    times: Tensor,
) -> tuple[World, Cameras]:
    """The camera, and the world without what would be in its way."""
    back, every = len(layout.backdrops), times.expand(len(place.scale), -1)
    duration = float(times[-1].clamp_min(1e-3))
    checks = _spread(len(times), 1 + math.ceil(duration / CHECK))
    all_of = filming.Obstacles.of(
        world.place(every[:, checks])[:, :, back:],
        what.slots.middle,
        what.slots.box,
        what.active,
    )
    few = _spread(len(checks), filming.LOOKS)
    look = checks[few]
    some = trees.each(lambda x: x[:, few] if x.dim() > 2 else x, all_of)
    view = filming.lens(draw, mix, len(times))
    plan = filming.plan(draw, mix, place, filming.focus(some), view.focal[:, 0])
    tries, moved = filming.kept_in(place, filming.ways(plan, times[look], duration))
    taken = filming.best(mix, place, tries, moved, some, view.focal[:, look])
    way, _ = filming.kept_in(place, filming.ways(filming.one_of(plan, taken), times, duration))
    apart = filming.distance(way.eye[:, :, checks], all_of)[:, :, 0].amin(dim=1)
    in_the_way = _whole(layout, apart < filming.NEAR * place.scale[:, None])
    desk = torch.tensor(layout.owner) == 0 if layout.furniture else torch.tensor(False)
    in_the_way &= ~(place.table[:, None] & desk)  # it carries the others; the camera is above it
    active = world.active.clone()
    active[:, back:] &= ~in_the_way
    return dataclasses.replace(world, active=active), filming.cameras(way, view, size, every)


def _spread(count: int, most: int) -> Tensor:
    """At most ``most`` of ``count`` indices, the first and the last among them."""
    return torch.linspace(0, count - 1, min(most, count)).round().long()


def _whole(layout: Layout, slots: Tensor) -> Tensor:
    """Objects as soon as one of their slots is."""
    owner = torch.tensor(layout.owner)
    hit = torch.zeros(len(slots), layout.objects).index_add(1, owner, slots.float()) > 0
    return hit[:, owner]
