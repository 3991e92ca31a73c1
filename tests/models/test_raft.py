"""Protects RAFT: the published networks' numbers and names, and what frames and pairs may do."""

from dataclasses import replace

import pytest
import torch

from worldline.errors import InputError
from worldline.models import flow as flow_module
from worldline.models.golden.__main__ import main
from worldline.models.raft import PUBLISHED, Raft, renamed
from worldline.threads import one_thread

TINY = {
    name: replace(
        PUBLISHED[name],
        stem=8,
        widths=(8, 16, 24),
        features=16,
        hidden=16,
        context=8,
        flow_widths=(8, 8),
        motion=14,
        head=16,
        iterations=3,
    )
    for name in PUBLISHED
}


@pytest.fixture(autouse=True)
def no_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module", params=TINY)
def network(request) -> Raft:
    torch.manual_seed(0)
    return Raft(TINY[request.param]).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.randint(
        0, 256, (4, 75, 90, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("name", ["raft_small", "raft_basic"])
def test_every_number_of_the_published_network(golden_file, name):
    assert main([str(golden_file(name))]) == 0


@pytest.mark.parametrize(("ours", "theirs"), [(n, n.replace("-", "_")) for n in PUBLISHED])
def test_published_names_and_shapes(same_as_published, ours, theirs):
    with torch.device("meta"):
        same_as_published(Raft(PUBLISHED[ours]), renamed, theirs)


def test_names_of_published_files():
    """Files carry the prefix of the class that trained on many GPUs."""
    name = "module.cnet.layer2.0.norm3.running_var"
    assert renamed(name) == "cnet.layer2.0.downsample.1.running_var"
    assert renamed("module.update_block.flow_head.conv2.bias") == "update_block.flow_head.2.bias"


def test_frames_of_any_size_have_flow_of_that_size(network):
    for height, width in [(70, 101), (9, 30), (64, 64)]:
        frame = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
        found = network.flow(frame, frame)
        assert found.flow.shape == (1, height, width, 2) and found.flow.isfinite().all()
        assert found.confidence is None


def test_padding_repeats_the_border(network, frames):
    """A frame that fits, because its border was repeated by hand, has the same flow inside."""
    first, second = (frames[i : i + 1].permute(0, 3, 1, 2).float() for i in (0, 1))
    found = network(first, second).flow
    padding = (3, 3, 2, 3)  # 96 x 80
    whole = network(
        *(torch.nn.functional.pad(x, padding, mode="replicate") for x in (first, second))
    )
    torch.testing.assert_close(found, whole.flow[:, :, 2:-3, 3:-3])


def test_encoded_frames_give_the_flow_of_pairs(network, frames):
    pairs = torch.tensor([[0, 1], [1, 0], [3, 1], [2, 2]])
    matched = network.match(network.encode(frames), pairs)
    alone = network.flow(frames[pairs[:, 0]], frames[pairs[:, 1]])
    assert alone.flow.std() > 0.01
    torch.testing.assert_close(matched.flow, alone.flow, rtol=1e-4, atol=1e-4)


def test_the_budget_changes_nothing_but_the_batches(network, frames, monkeypatch):
    sizes = []

    def counted(work, count, size, what):
        sizes.append((what, size))
        return in_batches(work, count, size, what)

    in_batches = flow_module.in_batches
    monkeypatch.setattr(flow_module, "in_batches", counted)
    pairs = torch.tensor([[0, 1], [1, 2], [2, 3]])
    one = network.match(network.encode(frames, budget=1), pairs, budget=1)
    all_ = network.match(network.encode(frames), pairs)
    torch.testing.assert_close(one.flow, all_.flow, rtol=1e-4, atol=1e-4)
    assert [size for _, size in sizes[:2]] == [1, 1] and min(size for _, size in sizes[2:]) > 3
    assert [what for what, _ in sizes] == ["frames", "pairs"] * 2


def test_a_start_takes_the_place_of_iterations(network, frames):
    first, second = (frames[i : i + 1].permute(0, 3, 1, 2).float() for i in (0, 1))
    start = torch.full((1, 2, 10, 12), 2.0)
    assert torch.equal(network(first, second, 0, start).coarse, start)
    started = network(first, second, 1, start).coarse
    assert not torch.allclose(started, network(first, second, 1).coarse)


def test_half_precision_is_near(network, frames):
    found = network.flow(frames[:1], frames[1:2]).flow
    state = network.state_dict()
    half = Raft(network.config).eval().requires_grad_(False)
    half.load_state_dict(state)
    rough = half.to(torch.bfloat16).flow(frames[:1], frames[1:2]).flow
    assert rough.dtype == torch.float32
    assert (rough - found).norm() < 0.1 * found.norm()
    with torch.autocast("cpu", torch.bfloat16):
        automatic = network.flow(frames[:1], frames[1:2]).flow
    assert 0 < (automatic - found).norm() < 0.1 * found.norm()


def test_what_cannot_be_matched_is_said(network, frames):
    with pytest.raises(InputError, match="two frames of one size"):
        network.flow(frames[:1], frames[1:2, :50])
    with pytest.raises(InputError, match="no frame"):
        network.encode(frames[:0])
    with pytest.raises(InputError, match="0 to 3"):
        network.match(network.encode(frames), torch.tensor([[0, 4]]))
    nothing = network.match(network.encode(frames), torch.empty(0, 2, dtype=torch.long))
    assert nothing.flow.shape == (0, 75, 90, 2)
