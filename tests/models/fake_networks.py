"""Two small networks as `models/` holds them, published under uglier names."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldline.models.registry import Checkpoint, Network


@dataclass(frozen=True)
class FakeConfig:
    width: int = 4
    depths: tuple[int, ...] = (1, 2)


class Fake(nn.Module):
    """A tower whose tail is its head's own tensor, and a counter that is no float."""

    Config = FakeConfig

    def __init__(self, config: FakeConfig) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Linear(config.width, config.width)
        self.blocks = nn.ModuleList(nn.Linear(config.width, depth) for depth in config.depths)
        self.tail = nn.Linear(config.width, config.width)
        self.tail.weight = self.head.weight
        self.register_buffer("steps", torch.tensor(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.head(x))


@dataclass(frozen=True)
class OtherConfig:
    width: int = 4


class Other(nn.Module):
    Config = OtherConfig

    def __init__(self, config: OtherConfig) -> None:
        super().__init__()
        self.config = config
        self.other = nn.Linear(config.width, config.width)


@dataclass(frozen=True)
class PairConfig:
    first: FakeConfig
    second: OtherConfig | None = None


class Pair(nn.Module):
    """Sizes made of sizes."""

    Config = PairConfig

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        self.first = Fake(config.first)


PUBLISHED = {
    "fake-small": FakeConfig(),
    "fake-large": FakeConfig(8, (2, 2, 2)),
    "fake-tuned": FakeConfig(),  # further weights of the same sizes
    "other": OtherConfig(),
}


def renamed(name: str) -> str | None:
    if name.startswith("loss."):  # of training
        return None
    return name.removeprefix("module.").replace("layers_", "blocks.")


def published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state under its published names."""
    return {"module." + name.replace("blocks.", "layers_"): t for name, t in state.items()}


NETWORK = Network("fake", __name__)
CHECKPOINT = Checkpoint(
    *("fake", "fake", "fake-small", "hub:them/fake/model.safetensors"),
    *("CC-BY-NC-4.0 (non-commercial)", "a fake"),
)
