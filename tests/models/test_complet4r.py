"""Protects Complet4R: what it inherits from VGGT, what a target changes, and its ablations."""

from dataclasses import asdict, replace

import pytest
import torch

from small_networks import COMPLET4R, VGGT
from worldline.errors import InputError
from worldline.models.complet4r import (
    PUBLISHED,
    Complet4r,
    Complet4rConfig,
    own_points,
    renamed,
    renamed_vggt,
)
from worldline.models.vggt import Vggt, cameras_of
from worldline.threads import one_thread


@pytest.fixture(scope="module", autouse=True)
def without_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def vggt() -> Vggt:
    torch.manual_seed(0)
    network = Vggt(VGGT).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("camera_token", "register_token", "gamma")):  # all but nothing at first
            torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.constant_(
        network.camera_head.pose_branch.fc2.bias[-2:], 0.25
    )  # of four additions
    return network


def started(vggt: Vggt, **choices) -> Complet4r:
    torch.manual_seed(1)
    network = Complet4r.from_vggt(vggt.state_dict(), replace(COMPLET4R, **choices))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network(vggt) -> Complet4r:
    """With aggregation tokens that say something."""
    network = started(vggt)
    network.aggregator.aggregation_token.normal_()
    return network


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(1, 3, 3, 28, 42, generator=torch.Generator().manual_seed(1))


def target(i: int) -> torch.Tensor:
    return torch.tensor([i])


def test_the_full_size_is_vggt_without_tracks_and_with_two_sets_of_tokens(manifest):
    published, _ = manifest("vggt")
    with torch.device("meta"):
        ours = Complet4r(PUBLISHED["complet4r"]).state_dict()
    expected = {renamed_vggt(name): shape for name, shape in published.items()}
    del expected[None]
    expected["aggregator.aggregation_token"] = (1, 2, 4, 1024)
    assert {renamed(name): tuple(tensor.shape) for name, tensor in ours.items()} == expected


def test_added_tokens_of_zero_leave_vggt_as_it_was(vggt, images):
    network = started(vggt, fusion="add")
    network.aggregator.aggregation_token.zero_()
    ours, theirs = network(images, target(1)), vggt(images)
    for name in ("poses", "depth", "depth_confidence", "points", "points_confidence"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


def test_sets_of_no_tokens_leave_vggt_as_it_was(vggt, images):
    ours, theirs = started(vggt, aggregation_tokens=0)(images, target(1)), vggt(images)
    assert torch.equal(ours.points, theirs.points) and torch.equal(ours.poses, theirs.poses)


def test_equal_sets_know_no_target_and_different_ones_do(vggt, network, images):
    ignorant = started(vggt)
    ignorant.aggregator.aggregation_token.copy_(network.aggregator.aggregation_token[:, :1])
    assert torch.equal(ignorant(images, target(0)).points, ignorant(images, target(2)).points)
    first, last = network(images, target(0)), network(images, target(2))
    assert not torch.allclose(first.points, last.points, rtol=1e-3)
    assert not torch.allclose(first.poses, last.poses, rtol=1e-3)  # hence one pass for a scene


def test_the_target_is_a_matter_of_its_frame_alone(network, images):
    """Frames but the first may change places, as long as the target goes with them."""
    order = [0, 2, 1]
    here, there = network(images, target(1)), network(images[:, order], target(2))
    torch.testing.assert_close(there.points, here.points[:, order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("choices", [{}, {"fusion": "add"}, {"representation": "offset"}])
def test_several_targets_of_one_encoding_are_as_each_alone(vggt, images, choices):
    network = started(vggt, **choices)
    network.aggregator.aggregation_token.normal_(generator=torch.Generator().manual_seed(2))
    video = torch.cat([images, images.flip(-1)])
    encoded = network.encode(video)
    home = network.reconstruct(encoded, torch.tensor([0, 1]))
    own = own_points(home.poses[-1], home.depth)
    targets = torch.tensor([[0, 2], [1, 0]])
    points, confidence = network.aggregate(encoded, targets, own)
    assert points.shape == (2, 2, 3, 28, 42, 3) and (confidence > 1).all()
    torch.testing.assert_close(points[:, 0], home.points, rtol=1e-4, atol=1e-5)
    again, _ = network.aggregate(encoded, targets[:, 1:], own)
    torch.testing.assert_close(points[:, 1:], again, rtol=1e-4, atol=1e-5)


def test_own_points_are_seen_by_their_cameras_where_they_came_from(vggt, images):
    out = vggt(images)
    points = own_points(out.poses[-1], out.depth)
    motion, intrinsics = cameras_of(out.poses[-1], (28, 42))
    seen = (
        torch.einsum("bsij,bshwj->bshwi", motion[..., :3], points) + motion[:, :, None, None, :, 3]
    )
    torch.testing.assert_close(seen[..., 2], out.depth, rtol=1e-4, atol=1e-4)
    pixel = torch.einsum("bsij,bshwj->bshwi", intrinsics, seen / seen[..., 2:])
    x = torch.arange(42.0).expand(1, 3, 28, 42)
    torch.testing.assert_close(pixel[..., 0], x, rtol=1e-3, atol=1e-2)


def test_what_does_not_fit_is_said(vggt, images):
    with pytest.raises(InputError, match="fusion is 'mix'"):
        replace(COMPLET4R, fusion="mix")
    with pytest.raises(InputError, match="not the weights of such a VGGT"):
        Complet4r.from_vggt(vggt.state_dict(), Complet4rConfig(**asdict(COMPLET4R) | {"depth": 3}))
    offsets = started(vggt, representation="offset")
    with pytest.raises(InputError, match="predicts offsets"):
        offsets.aggregate(offsets.encode(images), torch.tensor([[1]]))
