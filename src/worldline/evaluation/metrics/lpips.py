"""LPIPS (Zhang et al. 2018): how different two pictures look to a network trained on ImageNet.

The networks are built here; their published weights are the user's to get: torchvision's AlexNet or
VGG-16, and the linear heads of the LPIPS release (``alex.pth`` or ``vgg.pth``, version 0.1).
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.images import Image, Mask, Other

Network = Literal["alex", "vgg"]

FOLDER = "WORLDLINE_LPIPS"  # in the environment: the user's folder with AlexNet's two files

SMALLEST = 32  # pixels: of less, nothing is left after the pooling
_MEAN = (-0.030, -0.088, -0.188)  # of pictures from -1 to 1, as LPIPS has it
_SPREAD = (0.458, 0.448, 0.450)
_FILES = {
    "alex": ("torchvision's alexnet-owt-7be5be79.pth", "alex.pth of the LPIPS release 0.1"),
    "vgg": ("torchvision's vgg16-397923af.pth", "vgg.pth of the LPIPS release 0.1"),
}


class Lpips(nn.Module):
    """The distance itself, in evaluation mode and without gradients; see ``load_lpips``."""

    def __init__(self, network: Network = "alex") -> None:
        super().__init__()
        self.features = _alexnet() if network == "alex" else _vgg16()
        self.heads = nn.ModuleList(
            nn.Conv2d(count, 1, 1, bias=False) for count in _channels(self.features)
        )
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Float[Tensor, "B H W"]:
        """Distance at every pixel of pictures [B, 3, H, W] from 0 to 1."""
        total = torch.zeros_like(first[:, :1])
        for head, a, b in zip(self.heads, self._layers(first), self._layers(second), strict=True):
            difference = head((_unit(a) - _unit(b)).square())
            total = total + functional.interpolate(
                difference, first.shape[2:], mode="bilinear", align_corners=False
            )
        return total[:, 0]

    def mean(self, first: Tensor, second: Tensor) -> Float[Tensor, " B"]:
        """The usual distance of two pictures: each layer's mean, summed over the layers."""
        layers = zip(self.heads, self._layers(first), self._layers(second), strict=True)
        means = [head((_unit(a) - _unit(b)).square()).mean(dim=(1, 2, 3)) for head, a, b in layers]
        return torch.stack(means).sum(dim=0)

    def _layers(self, pictures: Tensor) -> list[Tensor]:
        mean, spread = (pictures.new_tensor(v)[:, None, None] for v in (_MEAN, _SPREAD))
        values, found = (2 * pictures - 1 - mean) / spread, []
        for block in self.features:
            values = block(values)
            found.append(values)
        return found


def load_lpips(backbone: str | Path, heads: str | Path, network: Network = "alex") -> Lpips:
    """LPIPS with the weights in two files; both are needed, and ``InputError`` says which to get.

    ``backbone`` holds the keys of torchvision (``features.0.weight``, ...), ``heads`` those of the
    LPIPS release (``lin0.model.1.weight``, ...).
    """
    model = Lpips(network)
    wanted = dict(zip(("backbone", "heads"), _FILES[network], strict=True))
    convolutions = _read(backbone, wanted["backbone"])
    linear = _read(heads, wanted["heads"])
    _fill(model.features, convolutions, wanted["backbone"])
    for index, head in enumerate(model.heads):
        _copy(head, linear, f"lin{index}.model.1", wanted["heads"])
    return model


@cache
def users_lpips() -> Lpips | None:
    """LPIPS of AlexNet from the folder that ``WORLDLINE_LPIPS`` names; None where it is not set."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    return load_lpips(Path(folder) / "alexnet-owt-7be5be79.pth", Path(folder) / "alex.pth")


def lpips(model: Lpips, estimate: Image, truth: Other) -> float:
    """LPIPS of two pictures [H, W, 3] from 0 to 1; 0 for equal ones."""
    first, second = _batch(estimate, truth)
    return float(model.mean(first, second))


def masked_lpips(model: Lpips, estimate: Image, truth: Other, mask: Mask) -> float:
    """mLPIPS (DyCheck): the mean distance in ``mask``, both pictures made black outside of it.

    NaN where the mask is empty.
    """
    same_shape("Mask", mask, truth[..., 0])
    weight = mask.astype(np.float64)
    if not weight.any():
        return float("nan")
    black = [np.where(weight[..., None] > 0, i * weight[..., None], 0) for i in (estimate, truth)]
    distance = model(*_batch(*black))[0].numpy()
    return float(np.average(distance, weights=weight))


def _batch(estimate: Image, truth: Other) -> tuple[Tensor, Tensor]:
    same_shape("Pictures", estimate, truth)
    height, width, channels = truth.shape
    if channels != 3 or min(height, width) < SMALLEST:
        raise InputError(
            f"LPIPS needs pictures of 3 channels and at least {SMALLEST} x {SMALLEST} pixels; "
            f"these are {truth.shape}."
        )
    first, second = (
        torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
        for image in (estimate, truth)
    )
    return first, second


def _unit(features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _alexnet() -> nn.ModuleList:
    """AlexNet's five blocks, each ending where LPIPS looks at it: after a ReLU."""
    pool = nn.MaxPool2d(3, 2)
    return nn.ModuleList(
        [
            nn.Sequential(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU()),
            nn.Sequential(pool, nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            nn.Sequential(pool, nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
    )


def _vgg16() -> nn.ModuleList:
    """VGG-16's five blocks, each ending with the ReLU before the next pooling."""
    blocks, before = [], 3
    for index, (count, channels) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        layers: list[nn.Module] = [nn.MaxPool2d(2, 2)] if index else []
        for _ in range(count):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        blocks.append(nn.Sequential(*layers))
    return nn.ModuleList(blocks)


def _convolutions(features: nn.ModuleList) -> list[tuple[int, nn.Conv2d]]:
    """The convolutions with the places that torchvision gives them, counting every layer."""
    layers = [layer for block in features for layer in block]  # type: ignore[attr-defined]
    return [(i, layer) for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]


def _channels(features: nn.ModuleList) -> list[int]:
    ends = [[layer for layer in block if isinstance(layer, nn.Conv2d)][-1] for block in features]  # type: ignore[attr-defined]
    return [layer.out_channels for layer in ends]


def _fill(features: nn.ModuleList, weights: Mapping[str, Tensor], wanted: str) -> None:
    for place, layer in _convolutions(features):
        _copy(layer, weights, f"features.{place}", wanted)


def _copy(layer: nn.Module, weights: Mapping[str, Tensor], name: str, wanted: str) -> None:
    for part, parameter in layer.named_parameters():
        found = weights.get(f"{name}.{part}")
        if found is None or found.shape != parameter.shape:
            raise InputError(
                f"LPIPS weights: {name}.{part} of shape {tuple(parameter.shape)} is not there; "
                f"the file should be {wanted}."
            )
        parameter.copy_(found)


def _read(file: str | Path, wanted: str) -> Mapping[str, Tensor]:
    if not Path(file).is_file():
        raise InputError(f"LPIPS weights: there is no file {file}; download {wanted}.")
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are something else
        raise InputError(f"LPIPS weights: {file} is not {wanted}.") from error
    if not isinstance(weights, Mapping):
        raise InputError(f"LPIPS weights: {file} is not {wanted}.")
    return weights
