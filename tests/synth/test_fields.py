"""Marched solids against small steps along their rays, and textures against their pictures."""

import pytest
import torch
import zoo

from worldline.synth import trees
from worldline.synth.fields import Torus, distance, march, size
from worldline.synth.paintings import FAMILIES, octaves, procedural
from worldline.synth.shapes import Kind
from worldline.synth.textures import Bank


def fields():
    snapshot = zoo.world().snapshot(torch.full((zoo.WORLDS, 1), 0.7).double(), torch.float64)
    made = {kind.value: field for kind, field in snapshot.fields.items()}
    return {name: _first(field) for name, field in made.items()}


def _first(field):
    return trees.each(lambda x: x[:1, 0], field)


NAMES = ["torus", "blend", "body", "terrain"]


@pytest.mark.parametrize("name", NAMES)
def test_the_march_finds_what_small_steps_find(name):
    field = fields()[name]
    reach = size(field)[0, 0].item()
    generator = torch.Generator().manual_seed(0)
    origin = torch.tensor([[[1.5], [-2.0], [1.2]]]).double() * min(reach, 3.0)
    aim = 0.7 * min(reach, 3.0) * torch.randn(1, 3, 500, generator=generator).double()
    direction = aim - origin
    found = march(field, origin, direction)[0]
    found = torch.where(found < 3, found, torch.inf)
    steps = torch.linspace(0, 3, 6001).double()
    points = origin[..., None] + steps * direction[..., None]
    inside = distance(field, points.flatten(2))[0].unflatten(0, (500, -1)) < 0
    first = torch.where(inside.any(dim=1), steps[inside.int().argmax(dim=1)], torch.inf)
    both = first.isfinite() & found.isfinite()
    assert both.sum() > 50
    assert (first.isfinite() == found.isfinite()).double().mean() > 0.97
    late = (found - first)[both]
    assert (late.abs() < 2e-3).double().mean() > 0.98
    at = origin + found[both] * direction[..., both]
    assert distance(field, at).abs().quantile(0.98) < 1e-6 * reach


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_field_is_never_more_than_the_distance_and_its_ball_holds_it(name):
    field = fields()[name]
    generator = torch.Generator().manual_seed(1)
    reach = size(field)[0, 0].item()
    point = reach * (2.2 * torch.rand(1, 3, 60000, generator=generator).double() - 1.1)
    found = distance(field, point)[0]
    inside = found <= 0
    assert inside.sum() > 50 and (point[0, :, inside].norm(dim=0) <= reach).all()
    if name != "body":  # a body's is that of its rest pose
        some = point[0, :, ~inside][:, :500]
        apart = torch.cdist(some.T, point[0, :, inside].T).amin(dim=1)
        assert (found[~inside][:500] <= apart + 1e-9).all()


def test_a_torus_is_what_it_says():
    ring = Torus(torch.tensor([2.0]), torch.tensor([0.5]))
    points = torch.tensor([[2.5, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.5], [0, 1.5, 0]]).T
    assert torch.allclose(distance(ring, points), torch.tensor([0.0, 1.5, 0.0, 0.0]))


def test_the_bank_gives_its_texels_back_and_fades_to_the_mean():
    picture = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    bank = Bank.of(picture)
    assert len(bank) == 2
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    uv = (torch.stack([x, y]).flatten(1) + 0.5) / 16
    for texture in (0, 1):
        which = torch.full((256,), texture)
        sharp = bank.sample(which, uv, torch.full((256,), 1 / 16))
        assert torch.allclose(sharp, picture[texture].flatten(1), atol=1e-6)
        mirrored = bank.sample(which, uv + torch.tensor([[2.0], [0.0]]), torch.full((256,), 1 / 16))
        assert torch.allclose(mirrored, sharp, atol=1e-5)
        far = bank.sample(which, uv, torch.full((256,), 3.0))
        assert torch.allclose(far, picture[texture].mean(dim=(1, 2))[:, None].expand(3, 256))


def test_the_procedural_bank_is_of_its_seed_and_no_two_look_alike():
    bank = procedural(5, count=2 * len(FAMILIES), size=32)
    assert torch.equal(bank.texels, procedural(5, count=2 * len(FAMILIES), size=32).texels)
    assert not torch.equal(bank.texels, procedural(6, count=2 * len(FAMILIES), size=32).texels)
    assert bank.texels.min() >= 0 and bank.texels.max() <= 1
    rows = bank.texels.unflatten(0, (len(bank), -1))[:, :1024].flatten(1)
    apart = torch.cdist(rows, rows) / 3072**0.5 + torch.eye(len(bank))
    assert apart.min() > 0.03


def test_octaves_have_the_spectrum_of_their_slope():
    noise = octaves(128, 1.0, torch.Generator().manual_seed(3))
    power = torch.fft.rfft(noise, dim=1).abs().square().mean(dim=0)
    assert noise.std().item() == pytest.approx(1)
    # over all columns, a plane's frequency^-2 is a line's frequency^-1
    assert 2.5 < (power[4] / power[16]).item() < 8


def test_every_marched_kind_is_covered():
    assert set(NAMES) == {kind.value for kind in Kind if kind.value in fields()}
