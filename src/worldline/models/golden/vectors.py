"""Reads golden vectors and says how far from them a tensor is."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from worldline.errors import InputError

RELATIVE = 1e-4  # of the largest entry of the expected tensor
NOISE = 20  # times what one rounding of every weight changes


@dataclass(frozen=True)
class Golden:
    """One reduced instance: what it is, its weights and inputs, and what it must compute."""

    network: str
    config: dict[str, Any]
    description: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    noise: dict[str, float]


@dataclass(frozen=True)
class Deviation:
    """How far a tensor is from the expected one: the maximum, relative to the largest entry."""

    name: str
    error: float
    tolerance: float

    @property
    def fine(self) -> bool:
        """Whether the deviation is within the tolerance (never for nan)."""
        return self.error <= self.tolerance


def read(file: Path) -> Golden:
    """The vectors of `file` (.json or .safetensors). Raises InputError if they cannot be read."""
    try:
        description = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        network = description["network"]
        tensors = {}
        if file.with_suffix(".safetensors").exists():
            tensors = load_file(file.with_suffix(".safetensors"))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{file}: no golden vectors can be read from it ({error!r}).") from error

    def start(prefix: str) -> dict[str, Tensor]:
        return {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}

    expected = {n: t for n, t in tensors.items() if n.startswith(("out.", "mid."))}
    weights = {name: tensor.float() for name, tensor in start("w.").items()}
    config = description.get("config", {})
    noise = _noise_floor(file)
    return Golden(network, config, description, weights, start("in."), expected, noise)


def deviations(ours: Mapping[str, Tensor], golden: Golden) -> Iterator[Deviation]:
    """One deviation for every expected tensor; infinite where ours is missing or misshapen."""
    for name, expected in golden.expected.items():
        scale = _scale(expected)
        noise = NOISE * _noise(name, golden)
        error = float("inf")
        if name in ours and ours[name].shape == expected.shape:
            gap = (ours[name].double() - expected.double()).abs()
            error = float(gap.max()) / scale if gap.numel() else 0.0
        yield Deviation(name, error, max(RELATIVE, noise))


def _scale(expected: Tensor) -> float:
    return max(float(expected.double().abs().max()), 1e-12) if expected.numel() else 1.0


def _noise(name: str, golden: Golden) -> float:
    """What rounding every weight changes, relative to the largest entry.

    Only outputs have figures of their own. Rounding grows from call to call of a recurrent module:
    `mid.track.*@callN` is taken to be as noisy as the noisiest of the outputs `out.track_*`.
    """
    names = [name]
    if "@call" in name:
        start = f"out.{name.split('.')[1]}_"
        names = [output for output in golden.expected if output.startswith(start)]
    figures = {n: golden.noise.get(n.removeprefix("out."), 0.0) for n in names}
    return max((f / _scale(golden.expected[n]) for n, f in figures.items() if f), default=0.0)


class Recorder:
    """Keeps what modules return while a network runs: `record(module, "mid.block0")`.

    Further calls of the same module are kept as `name@call1`, `name@call2`, ...
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}

    def record(
        self, module: nn.Module, name: str, read: Callable[[Any], Tensor] = lambda out: out
    ) -> RemovableHandle:
        """Keep `read(output)` of every call of `module` until the handle is removed."""

        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.keep(name, read(output))

        return module.register_forward_hook(keep)

    def keep(self, name: str, tensor: Tensor) -> None:
        """Keep one tensor as a further call of `name`."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        self.tensors[f"{name}@call{call}" if call else name] = tensor.detach().clone()


def _noise_floor(file: Path) -> dict[str, float]:
    """Of each output, what rounding the weights changes (`noise_floor.json`, beside or above)."""
    for folder in (file.parent, file.parent.parent):
        path = folder / "noise_floor.json"
        if path.exists():
            floors = json.loads(path.read_text(encoding="utf-8"))
            return floors.get(f"{file.parent.name}/{file.stem}", {})
    return {}


def strict_load(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights under our names into `network`, all of them, in evaluation mode."""
    network.load_state_dict(dict(weights), strict=True)
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
