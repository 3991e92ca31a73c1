"""Protects DUSt3R: the published numbers and names, and that pairs are what pictures make them."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldline.errors import InputError
from worldline.models.dust3r import PUBLISHED, Dust3r, Dust3rConfig, renamed
from worldline.models.golden.__main__ import main
from worldline.threads import one_thread

TINY = Dust3rConfig(
    image=64,
    enc_dim=32,
    enc_depth=2,
    enc_heads=2,
    dec_dim=16,
    dec_depth=4,
    dec_heads=1,
    hooks=(0, 2, 3, 4),
    dpt_features=8,
    dpt_read_off=4,
    dpt_channels=(4, 4, 8, 8),
)
HEADS = {"dpt": TINY, "linear": replace(TINY, head="linear")}


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture(params=HEADS)
def network(request):
    torch.manual_seed(0)
    return Dust3r(HEADS[request.param]).eval().requires_grad_(False)


def pictures(count, height=48, width=64):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", ["dust3r_dpt", "dust3r_linear"])
def test_golden_vectors(golden_file, name):
    assert main([str(golden_file(name))]) == 0


@pytest.mark.parametrize("name", ["dust3r-512-dpt", "dust3r-512-linear", "dust3r-224-linear"])
def test_published_names_and_shapes_are_ours_both_ways(manifest, name):
    published, shared = manifest(name.replace("-", "_"))
    with torch.device("meta"):
        ours = {n: tuple(t.shape) for n, t in Dust3r(PUBLISHED[name]).state_dict().items()}
    theirs = {n: (renamed(n), shape) for n, shape in published.items()}
    assert {n: shape for n, shape in theirs.values() if n is not None} == ours
    twins = {n for group in shared for n in group[1:]}
    single = [n for full, (n, _) in theirs.items() if n is not None and full not in twins]
    assert len(single) == len(set(single))
    for group in shared:
        assert len({renamed(n) for n in group}) == 1


def test_what_other_networks_add_is_left_out():
    assert renamed("downstream_head1.head_local_features.fc1.weight") is None  # MASt3R
    assert renamed("mask_token") is None
    assert renamed("module.enc_norm.bias") == "enc_norm.bias"


def test_pairs_of_pictures_encoded_once_are_pairs_on_their_own(network):
    images = pictures(3)
    pairs = torch.tensor([[0, 1], [1, 0], [2, 2], [0, 2]])
    together = network.decode(network.encode(images), pairs, (48, 64))
    for k, (i, j) in enumerate(pairs.tolist()):
        alone = network(images[i : i + 1], images[j : j + 1])
        for many, one in zip(together, alone, strict=True):
            assert torch.allclose(many.points[k], one.points[0], rtol=1e-4, atol=1e-5)
            assert torch.allclose(many.confidence[k], one.confidence[0], rtol=1e-4)


def test_the_order_of_a_pair_matters_and_both_pictures_do(network):
    a, b, c = pictures(3)[:, None]
    first, second = network(a, b)
    assert not torch.allclose(first.points, network(b, a)[1].points, atol=1e-3)
    assert not torch.allclose(first.points, network(a, c)[0].points, atol=1e-5)
    assert not torch.allclose(second.points, network(c, b)[1].points, atol=1e-5)


@pytest.mark.parametrize("size", [(80, 48), (48, 80), (16, 16)])
def test_any_proportions(network, size):
    for maps in network(pictures(1, *size), pictures(1, *size)):
        assert maps.points.shape == (1, *size, 3) and maps.points.isfinite().all()
        assert maps.confidence.shape == (1, *size) and (maps.confidence > 1).all()


def test_frames_become_pictures(network):
    frames = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 16, 32, 3)
    images = network.preprocess(frames)
    assert images.shape == (2, 3, 16, 32)
    assert (images[0] == -1).all() and (images[1] == 1).all()


def test_sides_that_are_no_multiples_are_refused(network):
    with pytest.raises(InputError, match="multiples of 16, not 64x50"):
        network.encode(pictures(1, 50, 64))


def test_half_precision_says_nearly_the_same(network):
    first, second = network(pictures(1), pictures(2)[1:])
    for part in network.TRUNK:  # as systems do; the heads stay
        network.get_submodule(part).bfloat16()
    half = network(pictures(1).bfloat16(), pictures(2)[1:].bfloat16())
    for exact, rounded in zip((first, second), half, strict=True):
        assert rounded.points.dtype == torch.float32
        assert (exact.points - rounded.points).norm() < 0.05 * exact.points.norm()


ONE_GRAPH = """
import torch
torch.set_num_threads(1)
from test_dust3r import HEADS, Dust3r, pictures
for config in HEADS.values():
    network = Dust3r(config).requires_grad_(False)
    images = pictures(1), pictures(1)
    compiled = torch.compile(network, backend="eager", fullgraph=True)(*images)
    assert torch.equal(compiled[0].points, network(*images)[0].points)
"""


@pytest.mark.slow  # a process that imports torch and its compiler
def test_it_is_one_graph():
    """In a process of its own: shape checks cannot be traced."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_GRAPH],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_memory_sets_how_many_pairs_go_at_once(network):
    one = network.pairs_at_once((480, 640), 0)
    assert one == 1
    assert network.pairs_at_once((48, 64), 2**30) > 10 * network.pairs_at_once((480, 640), 2**30)
