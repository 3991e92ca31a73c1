"""The truth of synthetic worlds against rays, pictures and small steps: all solids, all motions."""

import math

import pytest
import torch
import zoo

import worldline.synth.cast as cast_module
from worldline.geometry.projection import invert, project
from worldline.synth import trees
from worldline.synth.cast import Rays, cast
from worldline.synth.fields import distance
from worldline.synth.generator import MIXES, generate
from worldline.synth.render import render
from worldline.synth.samples import surface_points
from worldline.synth.shapes import MARCHED, Kind, value
from worldline.synth.truth import (
    displacement,
    dynamic,
    flow,
    look,
    pointmap,
    seen_points,
    tracks,
    visible,
)

FLAT = ("terrain", "ground")
ALWAYS_SEEN = [name for name in zoo.NAMES if name not in ("room", "terrain", "ground")]


@pytest.fixture(scope="module")
def world():
    return zoo.world()


@pytest.fixture(scope="module")
def cameras():
    return zoo.cameras()


@pytest.fixture(scope="module")
def seen(world, cameras):
    return render(world, cameras)


def of_object(world, instance, name):
    return instance == zoo.NAMES.index(name)


def on_surface(world, instance, material):
    """How far named points [B, M] are from their object's rest surface (about metres)."""
    rest = torch.zeros(instance.shape)
    snapshot = world.snapshot(torch.zeros(zoo.WORLDS, 1).double())
    for k, kind in enumerate(world.kinds):
        b, m = (instance == k).nonzero(as_tuple=True)
        point = material[b, m][..., None]
        if kind in MARCHED:
            own = (b, world.slots(kind).index(k))
            field = trees.each(lambda x, own=own: x[own], snapshot.fields[kind])
            rest[b, m] = distance(field.blend if kind is Kind.BODY else field, point)[:, 0]
        elif len(b):
            half = world.half[0, k, :, None].float()
            rest[b, m] = value(kind, point / half)[:, 0] * half.amin()
    return rest.abs()


def test_the_zoo_is_complete(world, cameras, seen):
    """Else what follows proves less than it says."""
    assert set(world.kinds) == set(Kind)
    for b, backdrop in enumerate(("room", "terrain", "ground")):
        counts = torch.bincount(seen.instance[b].flatten() + 1, minlength=len(zoo.NAMES) + 1)[1:]
        there = {zoo.NAMES[k] for k in counts.nonzero()[:, 0]}
        assert there >= {*ALWAYS_SEEN, backdrop}
    moves = world.moves(cameras.times)
    still = {"room", "terrain", "ground", "static box"}
    for b in range(zoo.WORLDS):
        names = {name for k, name in enumerate(zoo.NAMES) if world.active[b, k]}
        assert {zoo.NAMES[k] for k in moves[b].nonzero()[:, 0]} == names - still


def test_depths_are_positive_and_finite_in_a_room(seen):
    assert (seen.depth > 0).all()
    assert seen.depth[0].isfinite().all() and (seen.instance[0] >= 0).all()
    nothing = seen.instance < 0
    assert nothing.any() and seen.depth[nothing].isinf().all()


def test_terrain_has_no_cracks_behind_its_ridges():
    """Rays that graze a hill take many small steps; they still find what is behind it."""
    seen = render(zoo.world(["terrain"]), zoo.cameras(2, (160, 120)), colour=False)
    met = seen.instance[1] >= 0
    below = met.int().cummax(dim=1)[0] > 0
    assert met.float().mean() > 0.5
    assert (below & ~met).sum() <= 2


def test_a_seen_point_is_where_its_ray_met_it_and_on_its_surface(world, cameras, seen):
    for i in range(4):
        points = pointmap(world, seen, i, cameras.times[:, [i]])
        uv, depth, _ = look(cameras.frames([i]), points.flatten(2, 3).double())
        met = seen.instance[:, i].flatten(1) >= 0
        grid = torch.stack(torch.meshgrid(
            torch.arange(zoo.SIZE[0]) + 0.5, torch.arange(zoo.SIZE[1]) + 0.5, indexing="xy"), -1
        ).reshape(-1, 2)  # fmt: skip
        assert (depth[:, 0] - seen.depth[:, i].flatten(1))[met].abs().max() < 2e-5
        assert (uv[:, 0] - grid)[met].abs().max() < 2e-3
    material = seen.material.flatten(1, 3)
    apart = on_surface(world, seen.instance.flatten(1), material)
    assert apart.quantile(0.999) < 1e-4 and apart.max() < 1e-2


@pytest.mark.parametrize(("i", "j"), [(0, 3), (2, 1), (1, 2)])
def test_a_ray_towards_the_moved_point_meets_it_or_it_is_hidden(world, cameras, seen, i, j):
    """The same material point of the same object, exactly where visibility says so."""
    target = cameras.frames([j])
    points = pointmap(world, seen, i, target.times)[:, 0].flatten(1, 2)
    sees = visible(world, target, points)[:, 0]
    _, _, inside = look(target, points[:, None])
    eye = target.world_from_camera[:, 0, :3, 3:].float()
    bundle = Rays(torch.arange(zoo.WORLDS), eye, points.nan_to_num().mT - eye)
    hits = cast(world.snapshot(target.times), bundle)
    instance, material = seen.instance[:, i].flatten(1), seen.material[:, i].flatten(1, 2)
    apart = (hits.material.permute(1, 2, 0) - material).norm(dim=-1)
    same = (hits.instance == instance) & (apart < 5e-3 * hits.distance.clamp_min(1))
    inside = inside[:, 0] & (instance >= 0)
    assert 0.3 < sees[inside].float().mean() < 0.999
    agree = (same == sees)[inside]
    assert agree.float().mean() > 0.995  # the rest grazes its surface
    for name in ALWAYS_SEEN:
        own = of_object(world, instance, name) & sees
        assert not own.any() or same[own].float().mean() > 0.97, name


def test_a_moved_point_lies_on_its_objects_surface_then(world, cameras, seen):
    """A ray from just outside meets it there, hidden or not."""
    i, j = 1, 3
    then = cameras.times[:, [j]]
    points = pointmap(world, seen, i, then)[:, 0].flatten(1, 2)
    instance, material = seen.instance[:, i].flatten(1), seen.material[:, i].flatten(1, 2)
    for k, name in enumerate(zoo.NAMES):
        alone = zoo.world([name])
        own = instance == k
        if not own.any():
            continue
        centre = alone.place(then)[:, 0, k, :3, 3].float()
        for b in own.any(dim=1).nonzero()[:, 0].tolist():
            point = points[b, own[b]]
            shift = torch.nn.functional.normalize(point - centre[b], dim=-1)
            shift = 0.05 * (
                torch.tensor([0.0, 0.0, 1.0]).expand_as(shift) if name in FLAT else shift
            )
            sides = torch.cat([shift, -shift]), torch.cat([point, point])
            start = (sides[1] + sides[0]).T[None]
            bundle = Rays(torch.tensor([b]), start, -2 * sides[0].T[None])
            hits = cast(alone.snapshot(then), bundle)
            found = (hits.material[:, 0].T - material[b, own[b]].repeat(2, 1)).norm(dim=1) < 3e-3
            assert found.unflatten(0, (2, -1)).any(dim=0).float().mean() > 0.9, name


def test_normals_depth_and_points_agree_by_finite_differences(world, cameras, seen):
    points = pointmap(world, seen, 0, cameras.times[:, :1])[:, 0]
    across = torch.linalg.cross(
        points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    )
    across = -torch.nn.functional.normalize(across, dim=-1)
    inner = seen.instance[:, 0, 1:-1, 1:-1]
    same = torch.ones_like(inner, dtype=torch.bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        same &= seen.instance[:, 0, dy : dy + 70, dx : dx + 94] == inner
    cosine = (across * seen.normal[:, 0, 1:-1, 1:-1]).sum(dim=-1)
    for k, name in enumerate(zoo.NAMES):
        own = same & (inner == k)
        if own.sum() > 20:
            assert cosine[own].median() > 0.98, name
            assert (cosine[own] > 0).float().mean() > 0.97, name
    _, depth = project(
        points.flatten(1, 2), cameras.intrinsics[:, 0].float(),
        invert(cameras.world_from_camera[:, 0]).float(),
    )  # fmt: skip
    met = seen.instance[:, 0].flatten(1) >= 0
    assert torch.allclose(depth[met], seen.depth[:, 0].flatten(1)[met], rtol=1e-4)


@pytest.mark.parametrize(("i", "j"), [(0, 1), (2, 1)])
def test_warping_by_truth_gives_the_other_frames_albedo(world, i, j):
    cameras = zoo.cameras(frames=7, size=(192, 144))
    seen = render(world, cameras)
    moved = flow(world, cameras, seen, i, j)
    height, width = seen.depth.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    uv = torch.stack([x, y], dim=-1) + moved.flow
    grid = (2 * uv / torch.tensor([width, height]) - 1).nan_to_num(5.0)
    other = torch.nn.functional.grid_sample(
        seen.albedo[:, j].movedim(-1, 1), grid.float(), align_corners=False
    ).movedim(1, -1)
    error = 255 * (other - seen.albedo[:, i]).abs().mean(dim=-1)
    dynamic_here = dynamic(world, cameras, seen)[:, i]
    for kept in (moved.visible, moved.visible & dynamic_here):
        assert kept.sum() > 2000 and error[kept].median() < 2
    assert error[~moved.visible & (seen.instance[:, i] >= 0)].mean() > 4 * error[kept].median()


def test_visibility_agrees_with_a_depth_test(world, cameras, seen):
    i, j = 0, 2
    target = cameras.frames([j])
    points = pointmap(world, seen, i, target.times)[:, 0].flatten(1, 2)
    uv, depth, inside = (x[:, 0] for x in look(target, points[:, None]))
    sees = visible(world, target, points)[:, 0]
    assert not sees[~inside].any()
    x, y = uv.nan_to_num().long().unbind(dim=-1)
    x, y = x.clamp(0, zoo.SIZE[0] - 1), y.clamp(0, zoo.SIZE[1] - 1)
    front = seen.depth[torch.arange(zoo.WORLDS)[:, None], j, y, x]
    agree = (sees == (depth < 1.03 * front))[inside]
    assert agree.float().mean() > 0.97


def test_displacement_is_zero_at_home_and_where_nothing_moves(world, cameras, seen):
    way = displacement(world, cameras, seen, 1, cameras.times)
    moves = dynamic(world, cameras, seen)[:, 1]
    there = seen.instance[:, 1] >= 0
    assert (way[:, 1][there] == 0).all()
    still = (there & ~moves)[:, None].expand(-1, 4, -1, -1)
    assert (way[still] == 0).all()
    assert way[:, 3][moves].norm(dim=-1).median() > 0.1
    assert way[~there[:, None].expand(-1, 4, -1, -1)].isnan().all()


def test_nothing_is_dynamic_in_a_static_world_under_a_moving_camera(cameras):
    still = zoo.world(["room", "terrain", "ground", "static box"])
    seen = render(still, cameras, colour=False)
    assert not dynamic(still, cameras, seen).any()
    assert not still.moves(cameras.times).any()
    moving = zoo.world(["room", "squashed ball"])  # its middle stands, its surface does not
    assert moving.moves(cameras.times)[0].sum() == 1


def test_tracks_start_at_their_pixels_and_are_seen_there(world, cameras, seen):
    x, y = torch.tensor([10, 40, 50, 70]), torch.tensor([60, 50, 30, 40])
    instance, material = seen.instance[:, 0, y, x], seen.material[:, 0, y, x]
    found = tracks(world, cameras, instance, material)
    there = instance >= 0
    pixels = torch.stack([x, y], dim=-1) + 0.5
    assert ((found.uv[:, 0] - pixels).abs().amax(dim=-1) < 1e-2)[there].all()
    assert found.visible[:, 0][there].float().mean() > 0.9
    assert not found.visible[~there[:, None].expand(-1, 4, -1)].any()


def test_complete_geometry_holds_what_the_frame_does_not_see(world, cameras, seen):
    time = cameras.times[:, 1]
    gathered = seen_points(world, seen, time)
    own = pointmap(world, seen, 1, time[:, None])[:, 0].flatten(1, 2)
    count = own.shape[1]
    assert torch.equal(gathered.xyz[:, count : 2 * count].nan_to_num(), own.nan_to_num())
    hidden = ~visible(world, cameras.frames([1]), gathered.xyz)[:, 0] & gathered.valid
    assert hidden.float().mean() > 0.05
    everywhere = surface_points(world, time, 4000, torch.Generator().manual_seed(1))
    assert everywhere.valid.float().mean() > 0.9
    again = world.at(everywhere.instance, everywhere.material, time[:, None])[:, 0]
    assert (again - everywhere.xyz)[everywhere.valid].norm(dim=-1).max() < 1e-4
    assert on_surface(world, everywhere.instance, everywhere.material).max() < 1e-3


def test_surface_points_are_even_over_area():
    """A box's faces and two objects have as many points as they have area."""
    world = zoo.world(["static box", "struck ball"])
    points = surface_points(
        world, torch.zeros(zoo.WORLDS).double(), 20000, torch.Generator().manual_seed(2)
    )
    box = points.instance == zoo.NAMES.index("static box")
    ball = points.instance == zoo.NAMES.index("struck ball")
    a, b, c = 0.8, 0.6, 1.0
    area = 2 * (a * b + b * c + a * c), 4 * math.pi * 0.2**2
    assert (box.sum() / ball.sum()).item() == pytest.approx(area[0] / area[1], rel=0.05)
    unit = points.material[box] / torch.tensor([0.4, 0.3, 0.5])
    face = torch.bincount(unit.abs().argmax(dim=1)) / box.sum()
    expected = torch.tensor([b * c, a * c, a * b]) * 2 / area[0]
    assert torch.allclose(face, expected, atol=0.02)


def test_same_worlds_have_the_same_fingerprint_and_the_same_bytes(world, cameras, seen):
    again = zoo.world()
    assert again.fingerprint() == world.fingerprint()
    assert zoo.world(["room"]).fingerprint() != world.fingerprint()
    twice = render(again, cameras)
    assert trees.fingerprint(twice) == trees.fingerprint(seen)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same_picture(world, cameras, seen):
    there = render(world.to("cuda"), trees.to(cameras, "cuda"))
    here = trees.to(there, "cpu")
    assert (here.depth - seen.depth).abs().nan_to_num().le(1e-3).float().mean() > 0.999
    assert (here.rgb - seen.rgb).abs().amax(dim=-1).le(1e-3).float().mean() > 0.99
    assert (here.instance == seen.instance).float().mean() > 0.999


def test_culling_leaves_out_nothing_that_is_met(world, cameras, seen, monkeypatch):
    points = pointmap(world, seen, 1, cameras.times[:, [3]])[:, 0].flatten(1, 2)
    found = [*vars(seen).values(), visible(world, cameras, points)]
    touching = []

    def everything(bounds, snapshot, frame):
        touching.append(touch(bounds, snapshot, frame).float().mean().item())
        return torch.ones(len(frame), len(snapshot.kinds), dtype=torch.bool)

    touch = cast_module._Bounds.touch
    monkeypatch.setattr(cast_module._Bounds, "touch", everything)
    again = render(world, cameras)
    whole = [*vars(again).values(), visible(world, cameras, points)]
    for one, other in zip(found, whole, strict=True):
        assert torch.equal(one, other)
    assert max(touching) < 0.6  # it does leave out most


def test_a_clip_is_the_same_to_the_bit_whatever_is_rendered_beside_it():
    seeds, options = (12, 19, 22), {"size": (72, 54), "frames": 2}
    together = render(*generate(seeds, MIXES["train"], **options))
    for b, seed in enumerate(seeds):
        alone = render(*generate([seed], MIXES["train"], **options))
        for name, own in vars(alone).items():
            assert torch.equal(own[0], vars(together)[name][b]), (seed, name)
