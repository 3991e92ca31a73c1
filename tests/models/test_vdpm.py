"""Protects V-DPM: published numbers and names, and that one encoding serves all target times."""

import pytest
import torch

from small_networks import VDPM
from worldline.models.golden.__main__ import main
from worldline.models.vdpm import PUBLISHED, Vdpm, renamed
from worldline.threads import one_thread


@pytest.fixture(scope="module", autouse=True)
def without_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> Vdpm:
    torch.manual_seed(0)
    return Vdpm(VDPM).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 3, 28, 42, generator=torch.Generator().manual_seed(1))


def test_computes_the_golden_vectors(golden_file):
    assert main([str(golden_file("vdpm"))]) == 0


def test_has_the_published_tensors(manifest):
    published, _ = manifest("vdpm")
    with torch.device("meta"):
        ours = Vdpm(PUBLISHED["vdpm"]).state_dict()
    expected = {renamed(name): shape for name, shape in published.items()}
    assert len(expected) == len(published)
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == expected


def test_one_encoding_serves_every_target(network, images):
    encoded = network.encode(images)
    before = [level.clone() for level in encoded.levels]
    at = [network.decode(encoded, torch.full((2, 3), j))[0] for j in (0, 2, 0)]
    assert torch.equal(at[0], at[2]) and not torch.equal(at[0], at[1])
    assert all(torch.equal(old, new) for old, new in zip(before, encoded.levels, strict=True))
    torch.testing.assert_close(network(images, torch.full((2, 3), 2))[0], at[1])


def test_each_video_has_its_own_targets(network, images):
    encoded = network.encode(images)
    mixed = network.decode(encoded, torch.tensor([[0, 0, 0], [2, 2, 2]]))[0]
    for video, target in enumerate((0, 2)):
        alone = network.decode(encoded, torch.full((2, 3), target))[0]
        torch.testing.assert_close(mixed[video], alone[video])


def test_decoded_points_keep_the_shape_of_those_at_their_own_time(network, images):
    encoded = network.encode(images)
    points, confidence = network.own_time(encoded)
    assert points.shape == (2, 3, 28, 42, 3) and (confidence > 1).all()
    assert network.cameras(encoded).shape == (4, 2, 3, 9)
