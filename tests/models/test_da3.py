"""Protects Depth Anything 3: the published networks' numbers and names, and what views may do."""

import subprocess
import sys

import pytest
import torch

import small_networks
from worldline.models.da3 import (
    DA3,
    NOT_SKY,
    PUBLISHED,
    DA3Config,
    DA3Mono,
    DA3MonoConfig,
    DA3Nested,
    DA3NestedConfig,
    metric_scale,
    relative_cameras,
    renamed,
    sky_put_away,
)
from worldline.models.golden.__main__ import main
from worldline.nn.dual_dpt import Geometry


@pytest.fixture(scope="module")
def network() -> DA3:
    torch.manual_seed(0)
    return DA3(small_networks.DA3).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(1, 5, 3, 42, 56, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["da3", "da3_metric"])
def test_every_number_of_the_published_network(golden_file, name):
    assert main([str(golden_file(name))]) == 0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("da3-small", "da3-small"),
        ("da3-base", "da3-base"),
        ("da3-large", "da3-large"),
        ("da3-giant", "da3-giant"),
        ("da3-metric", "da3metric-large"),
        ("da3-mono", "da3mono-large"),
        ("da3-nested", "da3nested-giant-large"),
    ],
)
def test_published_names_and_shapes(same_as_published, ours, theirs):
    sizes = PUBLISHED[ours]
    kinds = {DA3Config: DA3, DA3MonoConfig: DA3Mono, DA3NestedConfig: DA3Nested}
    with torch.device("meta"):
        same_as_published(kinds[type(sizes)](sizes), renamed, theirs)


def test_names_of_published_files():
    """Files carry the hub class's prefix; the Gaussian head of the giant is left out."""
    assert renamed("model.backbone.pretrained.norm.bias") == "backbone.norm.bias"
    assert renamed("model.da3.gs_head.projects.0.bias") is None
    assert renamed("da3_metric.head.projects.0.bias") == "da3_metric.head.projects.0.bias"


def test_the_order_of_views_after_the_first_does_not_matter(network, images):
    order = [0, 3, 1, 4, 2]
    views, mixed = network(images, reference="first"), network(images[:, order], reference="first")
    torch.testing.assert_close(
        views.geometry.depth[:, order], mixed.geometry.depth, rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(views.cameras[:, order], mixed.cameras, rtol=1e-4, atol=1e-5)


def test_the_order_of_all_views_does_not_matter_if_the_network_picks_its_reference(network, images):
    order = [4, 3, 1, 0, 2]
    views, mixed = network(images), network(images[:, order])
    torch.testing.assert_close(
        views.geometry.depth[:, order], mixed.geometry.depth, rtol=1e-4, atol=1e-5
    )


def test_clips_of_a_batch_do_not_see_each_other(network, images):
    other = images.flip(1) * 0.5
    both = network(torch.cat([images, other]))
    for i, alone in enumerate((network(images), network(other))):
        torch.testing.assert_close(
            both.geometry.depth[i : i + 1], alone.geometry.depth, rtol=1e-4, atol=1e-5
        )


def test_heads_in_chunks_are_heads_at_once(network, images):
    size = (42, 56)
    maps = network.backbone(
        images, lambda i, level: level.mixed.unflatten(2, (3, 4)).movedim(-1, 2)[:, :, :8].float()
    )
    maps = [m.expand(-1, -1, c, -1, -1) if c == 8 else torch.cat([m, m], 2)
            for m, c in zip(maps, small_networks.DA3.channels, strict=True)]  # fmt: skip
    whole = network.head.geometry(maps, size, chunk=99)
    parts = network.head.geometry(maps, size, chunk=2)
    torch.testing.assert_close(whole.depth, parts.depth, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.ray, parts.ray, rtol=1e-5, atol=1e-6)


def test_given_cameras_change_the_answer_and_ignore_world_and_scale(network, images):
    motion = torch.eye(3, 4).repeat(1, 5, 1, 1)
    motion[0, :, 0, 3] = torch.arange(5.0)
    K = torch.eye(3).repeat(1, 5, 1, 1) * torch.tensor([60.0, 60, 1])[:, None]
    moved = motion.clone()
    moved[..., 3] = moved[..., 3] * 7 + torch.tensor([3.0, 2, 1])
    first = network(images, (relative_cameras(motion), K))
    torch.testing.assert_close(first.cameras, network(images, (relative_cameras(moved), K)).cameras)
    assert not torch.allclose(first.cameras, network(images, reference="first").cameras)


def test_sky_lies_behind_everything_else():
    depth, sky = torch.linspace(1, 2, 100), torch.zeros(100)
    sky[:20] = 1.0
    away = sky_put_away(depth, sky)
    assert torch.equal(away[20:], depth[20:]) and (away[:20] >= depth[20:].quantile(0.98)).all()
    assert torch.equal(sky_put_away(depth, sky, 0.5)[:20], torch.full((20,), 0.5))
    assert torch.equal(sky_put_away(depth, torch.zeros(100)), depth)


def test_the_scale_is_that_of_the_metres(network):
    depth = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    ray = torch.rand(1, 2, 4, 4, 6)
    geometry = Geometry(depth, torch.rand_like(depth) + 1, ray, ray[..., 0], [])
    metres, sky = depth * 2.5, torch.zeros_like(depth)
    metres[0, 0, 0], sky[0, 0, 0] = 1000.0, 1.0
    assert metric_scale(geometry, metres, sky < NOT_SKY) == pytest.approx(2.5)
    assert metric_scale(geometry, metres, sky > NOT_SKY) == 1  # nothing but sky


def test_the_nested_model_scales_points_cameras_and_rays_alike(images):
    torch.manual_seed(0)
    nested = (
        DA3Nested(DA3NestedConfig(small_networks.DA3, small_networks.DA3_MONO))
        .eval()
        .requires_grad_(False)
    )
    plain, metric = nested.da3(images), nested(images)
    scale = (metric.cameras[..., :3] / plain.cameras[..., :3]).mean()
    assert scale != 1
    torch.testing.assert_close(metric.cameras[..., 3:], plain.cameras[..., 3:])
    torch.testing.assert_close(metric.geometry.ray[..., 3:], plain.geometry.ray[..., 3:] * scale)
    solid = nested.da3_metric(images[0])[1][None] < NOT_SKY
    torch.testing.assert_close(
        metric.geometry.depth[solid], (plain.geometry.depth * scale)[solid], rtol=1e-4, atol=1e-5
    )


def test_the_encoder_compiles_without_a_graph_break():
    """In a process of its own: the checks of shapes in these tests are breaks themselves."""
    script = f"""
import torch
from worldline.models.da3 import DA3, DA3Config
network = DA3({small_networks.DA3!r}).eval()
encode = lambda x: network.backbone(x, lambda _, level: level.mixed, reference="balanced")
with torch.inference_mode():
    found = torch._dynamo.explain(encode)(torch.randn(1, 4, 3, 42, 56))
assert found.graph_break_count == 0, found.break_reasons
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
