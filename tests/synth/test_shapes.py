"""Every solid against what one can work out on paper."""

import math

import pytest
import torch

from worldline.synth.shapes import Kind, face, hit, normal, value

SOLIDS = [Kind.BOX, Kind.BALL, Kind.CYLINDER, Kind.CONE]


def distance(kind, origin, direction):
    origin, direction = (torch.tensor(v, dtype=torch.float64)[:, None] for v in (origin, direction))
    return hit(kind, origin, direction).item()


@pytest.mark.parametrize(
    ("kind", "origin", "direction", "expected"),
    [
        (Kind.BOX, (-3.0, 0.2, 0.3), (1.0, 0.0, 0.0), 2.0),
        (Kind.BOX, (-3.0, 0.2, 0.3), (2.0, 0.0, 0.0), 1.0),
        (Kind.BOX, (-3.0, -3.0, 0.0), (1.0, 1.0, 0.0), 2.0),
        (Kind.BOX, (-3.0, 1.2, 0.3), (1.0, 0.0, 0.0), math.inf),
        (Kind.BOX, (3.0, 0.0, 0.0), (1.0, 0.0, 0.0), math.inf),
        (Kind.BALL, (0.0, 0.0, 5.0), (0.0, 0.0, -1.0), 4.0),
        (Kind.BALL, (0.0, 0.6, 5.0), (0.0, 0.0, -2.0), 2.1),
        (Kind.BALL, (0.0, 1.1, 5.0), (0.0, 0.0, -1.0), math.inf),
        (Kind.BALL, (0.0, 0.0, 5.0), (0.0, 0.0, 1.0), math.inf),
        (Kind.CYLINDER, (5.0, 0.0, 0.5), (-1.0, 0.0, 0.0), 4.0),
        (Kind.CYLINDER, (5.0, 0.0, 1.5), (-1.0, 0.0, 0.0), math.inf),
        (Kind.CYLINDER, (0.3, 0.4, 5.0), (0.0, 0.0, -1.0), 4.0),
        (Kind.CYLINDER, (0.9, 0.9, 5.0), (0.0, 0.0, -1.0), math.inf),
        (Kind.CYLINDER, (3.0, 0.0, 2.0), (-1.0, 0.0, -0.5), 2.0),
        (Kind.CONE, (5.0, 0.0, 0.0), (-1.0, 0.0, 0.0), 4.5),
        (Kind.CONE, (5.0, 0.0, 1.1), (-1.0, 0.0, 0.0), math.inf),
        (Kind.CONE, (0.2, 0.0, -5.0), (0.0, 0.0, 1.0), 4.0),
        (Kind.CONE, (0.5, 0.0, 5.0), (0.0, 0.0, -1.0), 5.0),
        (Kind.CONE, (0.9, 0.0, 5.0), (0.1, 0.0, -1.0), math.inf),
        (Kind.GROUND, (0.2, 0.3, 4.0), (0.0, 0.1, -2.0), 2.0),
        (Kind.GROUND, (0.2, 0.3, 4.0), (0.5, 0.0, -1.0), math.inf),
        (Kind.GROUND, (0.2, 0.3, -1.0), (0.0, 0.0, 1.0), 1.0),
        (Kind.ROOM, (0.2, 0.0, 0.0), (1.0, 0.0, 0.0), 0.8),
        (Kind.ROOM, (0.0, 0.0, 0.5), (0.0, 0.0, -1.0), 1.5),
    ],
)
def test_known_rays(kind, origin, direction, expected):
    assert distance(kind, origin, direction) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [*SOLIDS, Kind.ROOM])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hits_lie_on_the_surface_and_normals_face_the_ray(kind, dtype):
    generator = torch.Generator().manual_seed(0)
    aim = 0.7 * torch.randn(3, 500, generator=generator, dtype=dtype)
    if kind is Kind.ROOM:
        origin, direction = torch.full((3, 1), 0.1, dtype=dtype), aim
    else:
        origin = torch.tensor([[4.0], [-3.0], [2.0]], dtype=dtype)
        direction = aim - origin
    t = hit(kind, origin, direction)
    met = t.isfinite()
    point = (origin + t[None] * direction)[:, met]
    assert met.sum() > 100
    assert value(kind, point).abs().max() < (1e-5 if dtype is torch.float32 else 1e-9)
    towards = (normal(kind, point) * direction[:, met]).sum(dim=0)
    assert (towards < 1e-5).all()


@pytest.mark.parametrize("kind", SOLIDS)
def test_what_is_hit_is_where_the_value_changes_sign(kind):
    """Against small steps along the ray, which know nothing of the formulas."""
    generator = torch.Generator().manual_seed(3)
    origin = torch.tensor([[2.5], [-2.0], [1.5]]).double()
    aim = 0.8 * torch.randn(3, 400, generator=generator).double()
    direction = aim - origin
    steps = torch.linspace(0, 3, 3001).double()
    path = origin[..., None] + steps * direction[..., None]
    inside = value(kind, path.flatten(1)).unflatten(0, (400, -1)) < 0
    first = torch.where(inside.any(1), steps[inside.int().argmax(dim=1)], torch.inf)
    found = hit(kind, origin, direction)
    both = first.isfinite() & found.isfinite()
    assert both.sum() > 100 and (first.isfinite() == found.isfinite()).double().mean() > 0.98
    assert (first - found)[both].abs().max() < 2e-3


def test_normals_and_faces_of_known_points():
    points = torch.tensor([[1.0, 0.2, 0.1], [0.1, -1.0, 0.3], [0.2, 0.3, 1.0]]).T
    outward = torch.tensor([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]]).T
    assert torch.equal(normal(Kind.BOX, points), outward)
    assert torch.equal(normal(Kind.ROOM, points), -outward)
    assert face(Kind.BOX, points).tolist() == [1, 2, 5]
    on_can = torch.tensor([[0.6, 0.8, 0.5], [0.1, 0.2, -1.0]]).T
    across = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, -1.0]]).T
    assert torch.allclose(normal(Kind.CYLINDER, on_can), across)
    assert face(Kind.CYLINDER, on_can).tolist() == [0, 4]
    assert torch.equal(normal(Kind.BALL, on_can), on_can)
