"""Protects VGGT: published numbers and names, and that saving memory does not change them."""

from dataclasses import replace

import pytest
import torch

from small_networks import VGGT
from worldline.models.golden.__main__ import main
from worldline.models.vggt import PUBLISHED, Vggt, VggtConfig, renamed
from worldline.nn import dpt
from worldline.threads import one_thread

SMALL = replace(VGGT, depth=5)


def random_network(config: VggtConfig = SMALL) -> Vggt:
    torch.manual_seed(0)
    network = Vggt(config).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("camera_token", "register_token", "gamma")):  # all but nothing at first
            torch.nn.init.normal_(parameter, std=0.5)
    return network


@pytest.fixture(scope="module", autouse=True)
def without_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> Vggt:
    return random_network()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(1, 4, 3, 28, 42, generator=torch.Generator().manual_seed(1))


QUERIES = torch.tensor([[[3.0, 4.0], [20.5, 10.25]]])


def test_computes_the_golden_vectors(golden_file):
    assert main([str(golden_file("vggt"))]) == 0


def test_has_the_published_tensors(manifest):
    published, _ = manifest("vggt")
    with torch.device("meta"):
        ours = Vggt(PUBLISHED["vggt-1b"]).state_dict()
    expected = {renamed(name): shape for name, shape in published.items()}
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == expected


def test_a_few_frames_at_a_time_change_nothing(network, images, monkeypatch):
    whole = network(images, QUERIES)
    monkeypatch.setitem(dpt.AT_ONCE, "cpu", 1)
    parts = network(images, QUERIES)
    for name in ("depth", "depth_confidence", "points", "points_confidence", "tracks"):
        near = {"rtol": 1e-4, "atol": 1e-3 if name == "tracks" else 1e-5}
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), **near)


def test_frames_but_the_first_may_come_in_any_order(network, images):
    order = [0, 3, 1, 2]
    out, shuffled = network(images), network(images[:, order])
    torch.testing.assert_close(shuffled.points, out.points[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled.poses, out.poses[:, :, order], rtol=1e-4, atol=1e-5)
    first = network(images[:, [1, 0, 2, 3]])
    assert not torch.allclose(first.poses[:, :, 2:], out.poses[:, :, 2:], rtol=1e-2)


def test_videos_of_a_batch_do_not_see_each_other(network, images):
    both = network(torch.cat([images, images.flip(-1)]), QUERIES.expand(2, -1, -1))
    for name in ("poses", "depth", "tracks"):
        batch = 0 if name == "depth" else 1
        alone = getattr(network(images.flip(-1), QUERIES), name)
        together = getattr(both, name).narrow(batch, 1, 1)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_bfloat16_blocks_keep_heads_in_float32(way, images):
    network = random_network()
    expected = network(images)
    if way == "weights":
        network.aggregator.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
        out = network(images)
    assert out.depth.dtype == out.poses.dtype == torch.float32
    assert 0 < (out.depth - expected.depth).abs().max() < 0.02 * expected.depth.max()
