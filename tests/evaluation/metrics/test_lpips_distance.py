"""LPIPS with random weights: what holds for any weights, and what is said without them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from worldline.errors import InputError
from worldline.evaluation.metrics.lpips import Lpips, load_lpips, lpips, masked_lpips

# places and shapes as torchvision and the LPIPS release have them
ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
VGG = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    generator = torch.Generator().manual_seed(0)
    backbone, heads = {}, {}
    for level, (place, (out, into, size)) in enumerate(ALEX.items()):
        spread = (into * size * size) ** -0.5
        weight = torch.randn(out, into, size, size, generator=generator)
        backbone[f"features.{place}.weight"] = weight * spread
        backbone[f"features.{place}.bias"] = 0.1 * torch.randn(out, generator=generator)
        heads[f"lin{level}.model.1.weight"] = torch.rand(1, out, 1, 1, generator=generator)
    backbone["classifier.1.weight"] = torch.zeros(2, 2)  # the published file holds more
    folder = tmp_path_factory.mktemp("lpips")
    torch.save(backbone, folder / "alexnet.pth")
    torch.save(heads, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


@pytest.fixture(scope="module")
def model(files) -> Lpips:
    return load_lpips(*files)


def pictures(seed=0, shape=(40, 56, 3)):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, shape), rng.uniform(0, 1, shape)


def test_equal_pictures_are_no_distance_apart_and_others_are_either_way(model):
    first, second = pictures()
    assert lpips(model, first, first) == 0
    assert lpips(model, first, second) > 0.01
    assert lpips(model, first, second) == pytest.approx(lpips(model, second, first))
    nearer = 0.9 * first + 0.1 * second
    assert lpips(model, first, nearer) < lpips(model, first, second)


def test_distance_equals_its_formula_written_out(model, files):
    """By torch's functions alone, from the weights as stored."""
    weights, heads = torch.load(files[0]), torch.load(files[1])
    first, second = pictures()

    def layers(image):
        x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] * 2 - 1
        x = x - torch.tensor([-0.03, -0.088, -0.188])[:, None, None]
        x = x / torch.tensor([0.458, 0.448, 0.45])[:, None, None]
        for place, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            if place in (3, 6):
                x = torch.nn.functional.max_pool2d(x, 3, 2)
            w, b = (weights[f"features.{place}.{part}"] for part in ("weight", "bias"))
            x = torch.relu(torch.conv2d(x, w, b, stride, padding))
            yield x / x.norm(dim=1, keepdim=True)

    total = sum(
        (heads[f"lin{i}.model.1.weight"] * (a - b) ** 2).sum(dim=1).mean().item()
        for i, (a, b) in enumerate(zip(layers(first), layers(second), strict=True))
    )
    assert lpips(model, first, second) == pytest.approx(total, rel=1e-5)


def test_masked_distance(model):
    first, second = pictures()
    everything = np.ones((40, 56), bool)
    half = everything.copy()
    half[:, 30:] = False
    where_equal = np.where(half[..., None], first, second)
    assert masked_lpips(model, first, where_equal, half) == 0
    assert masked_lpips(model, first, second, half) > 0
    assert np.isnan(masked_lpips(model, first, second, ~everything))
    # enlarging the layers' maps to the picture keeps their means only nearly
    spatial = masked_lpips(model, first, second, everything)
    assert spatial == pytest.approx(lpips(model, first, second), rel=0.1)


def test_mean_of_the_map_is_the_scalar_where_layers_are_uniform(model):
    """Enlarging a layer's map changes nothing where the map is the same everywhere."""
    grey, white = np.full((64, 64, 3), 0.3), np.full((64, 64, 3), 0.9)
    a, b = (torch.from_numpy(i.astype(np.float32)).permute(2, 0, 1)[None] for i in (grey, white))
    for block in model.features:  # without borders: zero padding is not uniform
        block[-2].padding_mode = "replicate"
    try:
        assert model(a, b).mean().item() == pytest.approx(model.mean(a, b).item(), rel=1e-5)
    finally:
        for block in model.features:
            block[-2].padding_mode = "zeros"


def test_vgg_has_the_places_of_torchvision():
    from worldline.evaluation.metrics.lpips import _convolutions

    model = Lpips("vgg")
    assert tuple(place for place, _ in _convolutions(model.features)) == VGG
    assert [head.in_channels for head in model.heads] == [64, 128, 256, 512, 512]
    picture = torch.rand(1, 3, 32, 48)
    assert model(picture, picture.flip(3)).shape == (1, 32, 48)


def test_weights_that_are_not_there(files, tmp_path, model):
    with pytest.raises(InputError, match="download torchvision's alexnet"):
        load_lpips(tmp_path / "none.pth", files[1])
    with pytest.raises(InputError, match=r"lin0.model.1.weight .* alex.pth of the LPIPS release"):
        load_lpips(files[0], files[0])
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(InputError, match="is not torchvision's alexnet"):
        load_lpips(tmp_path / "text.pth", files[1])
    with pytest.raises(InputError, match="32 x 32"):
        lpips(model, *pictures(shape=(31, 40, 3)))
    with pytest.raises(InputError, match="same"):
        lpips(model, pictures()[0], pictures(shape=(40, 57, 3))[0])
