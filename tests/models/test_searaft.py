"""Protects SEA-RAFT: the published network's numbers and names, and what its mixture says."""

import pytest
import torch

from worldline.models.golden.__main__ import main
from worldline.models.searaft import PUBLISHED, ConvNextBlock, SeaRaft, SeaRaftConfig, renamed
from worldline.threads import one_thread

TINY = SeaRaftConfig(
    levels=3, radius=2, stem=8, widths=(8, 16, 24), depths=(1, 2, 1), dim=8, refinements=1
)


@pytest.fixture(autouse=True)
def no_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> SeaRaft:
    torch.manual_seed(0)
    network = SeaRaft(TINY).eval().requires_grad_(False)
    for block in network.update_block.refine:
        block.gamma.fill_(0.5)  # 1e-6 at first, of which nothing would be seen
    return network


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 75, 90, 3), dtype=torch.uint8, generator=generator)


def test_every_number_of_the_published_network(golden_file):
    assert main([str(golden_file("searaft"))]) == 0


@pytest.mark.parametrize("size", ["S", "M", "L"])
def test_published_names_and_shapes(same_as_published, size):
    with torch.device("meta"):
        network = SeaRaft(PUBLISHED[f"searaft-{size.lower()}"])
        same_as_published(network, renamed, f"searaft_{size}")


def test_a_file_may_hold_either_name_of_a_shortcuts_norm():
    """Published safetensors hold one name of a shared tensor: the first of the alphabet."""
    ours = "cnet.layer2.0.downsample.1.weight"
    assert renamed("cnet.layer2.0.bn3.weight") == renamed(ours) == ours


def test_two_linear_maps_in_a_row_are_one():
    torch.manual_seed(0)
    block = ConvNextBlock(12, 4).requires_grad_(False)
    block.gamma.uniform_(-1, 1)
    x = torch.randn(2, 12, 6, 5)
    y = block.pwconv1(block.norm(block.dwconv(x).permute(0, 2, 3, 1)))
    y = block.gamma * block.pwconv2(torch.nn.functional.gelu(y))
    expected = block.final(x + y.permute(0, 3, 1, 2))
    torch.testing.assert_close(block(x, block.merged()), expected)


def test_encoded_frames_give_the_flow_of_pairs(network, frames):
    pairs = torch.tensor([[0, 1], [1, 0], [2, 0]])
    matched = network.match(network.encode(frames), pairs)
    alone = network.flow(frames[pairs[:, 0]], frames[pairs[:, 1]], budget=1)
    assert alone.flow.shape == (3, 75, 90, 2) and alone.confidence.shape == (3, 75, 90)
    assert alone.flow.std() > 0.01 and alone.confidence.std() > 0
    torch.testing.assert_close(matched.flow, alone.flow, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matched.confidence, alone.confidence, rtol=1e-4, atol=1e-4)


def test_without_iterations_there_is_the_regressed_flow(network, frames):
    first, second = (frames[i : i + 1].permute(0, 3, 1, 2).float() for i in (0, 1))
    regressed, refined = network(first, second, 0), network(first, second, 2)
    assert torch.equal(network(first, second, 2, regressed.coarse).flow, refined.flow)
    elsewhere = network(first, second, 2, torch.zeros_like(regressed.coarse))
    assert not torch.allclose(elsewhere.flow, refined.flow)


def test_confidence_is_how_peaked_the_mixture_is(network):
    """Against the density itself, of logits and scales as the published loss reads them."""
    mixture = 4 * torch.randn(2, 4, 16, 16)
    weights = mixture[:, :2].softmax(1)
    scales = torch.stack([mixture[:, 2].clamp(0, 10), mixture[:, 3].clamp(0, 0)], 1).exp()
    density = torch.distributions.Laplace(0.0, scales).log_prob(torch.zeros(())).exp()
    found = network.confidence(mixture)
    torch.testing.assert_close(found, 2 * (weights * density).sum(1))
    assert found.min() >= 0 and found.max() <= 1


def test_half_precision_is_near(network, frames):
    found = network.flow(frames[:1], frames[1:2])
    half = SeaRaft(TINY).eval().requires_grad_(False)
    half.load_state_dict(network.state_dict())
    rough = half.to(torch.bfloat16).flow(frames[:1], frames[1:2])
    assert rough.flow.dtype == rough.confidence.dtype == torch.float32
    assert (rough.flow - found.flow).norm() < 0.1 * found.flow.norm()
    assert (rough.confidence - found.confidence).abs().max() < 0.1
