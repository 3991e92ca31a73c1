"""Protects 4RC: the published network's numbers and names; asking for less answers the same."""

import pytest
import torch

from small_networks import FOUR_RC
from worldline.models.fourrc import PUBLISHED, FourRC, renamed
from worldline.models.golden.__main__ import main

SIZE = (140, 210)


@pytest.fixture(scope="module")
def network() -> FourRC:
    torch.manual_seed(0)
    network = FourRC(FOUR_RC).eval().requires_grad_(False)
    for block in network.motion_decoder.self_blocks:  # they begin as the identity
        torch.nn.init.normal_(block.adaLN_modulation[1].weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(1, 4, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def latent(network, images):
    return network.encode(images)[0]


@pytest.fixture(scope="module")
def dense(network, latent):
    return network.displacement(latent, [0, 2], range(4)).points


def close(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_every_number_of_the_published_network(golden_file):
    assert main([str(golden_file("fourrc"))]) == 0


def test_published_names_and_shapes(same_as_published):
    with torch.device("meta"):
        same_as_published(FourRC(PUBLISHED["4rc"]), renamed, "fourrc")


def test_displacements_are_asked_for_in_the_order_given(network, latent, dense):
    assert dense.shape == (1, 2, 4, *SIZE, 3)
    swapped = network.displacement(latent, [2, 0], [3, 1]).points
    close(swapped, dense[:, [1, 0]][:, :, [3, 1]])


@pytest.mark.parametrize("pairs", [1, 3, 100])
def test_pairs_do_not_depend_on_what_they_are_decoded_with(network, latent, dense, pairs):
    close(network.displacement(latent, [0, 2], range(4), pairs=pairs).points, dense)
    alone = network.displacement(latent, [2], [1], pairs=pairs).points
    close(alone, dense[:, 1:, 1:2])


def pixels(kind: str) -> torch.Tensor:
    """Chosen pixels (x, y): corners and edges, a cluster, or spread over the image."""
    generator = torch.Generator().manual_seed(3)
    right, bottom = SIZE[1] - 1, SIZE[0] - 1
    if kind == "border":
        chosen = [[0, 0], [right, 0], [0, bottom], [right, bottom], [right, 70], [100, bottom]]
        return torch.tensor(chosen, dtype=torch.float32)
    if kind == "cluster":
        return torch.randint(40, 60, (30, 2), generator=generator).float()
    spread = torch.rand(64, 2, generator=generator) * torch.tensor([right, bottom])
    return spread.round()


@pytest.mark.parametrize("kind", ["border", "cluster", "spread"])
def test_chosen_pixels_are_those_of_the_dense_map(network, latent, dense, kind):
    chosen = pixels(kind)
    column, row = chosen.long().unbind(-1)
    sparse = network.displacement(latent, [0, 2], range(4), chosen).points
    close(sparse, dense[:, :, :, row, column])


def test_one_pixel_costs_a_part_of_the_head(network, latent):
    """Counted in multiplications of the refining convolutions, not in time."""

    def work(chosen):
        counted = []
        convolution = network.track_head.scratch.refinenet1.resConfUnit1.conv1
        handle = convolution.register_forward_hook(
            lambda _, __, out: counted.append(out.shape[0] * out.shape[2] * out.shape[3])
        )
        network.displacement(latent, [0], [1], chosen)
        handle.remove()
        return sum(counted)

    assert work(torch.tensor([[100.0, 70]])) < 0.5 * work(None)
    assert work(pixels("spread")) <= work(None)


def test_the_order_of_frames_after_the_first_does_not_matter(network, images, dense):
    order = [0, 3, 1, 2]
    latent, _ = network.encode(images[:, order])
    where = [order.index(i) for i in range(4)]
    close(network.displacement(latent, [0, where[2]], where).points, dense)


def test_clips_of_a_batch_do_not_see_each_other(network, images, dense):
    """Upstream returned the last clip's cameras for all; here every clip has its own."""
    other = 1 - images
    latent, views = network.encode(torch.cat([images, other]))
    close(network.displacement(latent, [0, 2], range(4)).points[:1], dense)
    _, alone = network.encode(other)
    close(views.cameras[1:], alone.cameras)


def test_half_precision_of_the_trunk_deviates_little(network, latent, images, dense):
    half = network.displacement(
        latent._replace(
            patches=tuple(p.bfloat16().float() for p in latent.patches),
            times=tuple(t.bfloat16().float() for t in latent.times),
        ),
        [0, 2],
        range(4),
    )
    assert (half.points - dense).abs().max() < 0.05 * dense.abs().max()
