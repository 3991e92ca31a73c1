"""Which network, of which sizes, the tensors of a file are; and what is wrong where they are none.

Only names and shapes are looked at. Published names become ours by the network's `renamed`.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from typing import Any, get_type_hints

import torch
from torch import nn

from worldline.errors import InputError
from worldline.models.registry import NETWORKS, Network, find_network, network_of

Shapes = Mapping[str, tuple[int, ...]]

_NAMED = 4  # tensors that a message names; of the others it says how many


@dataclass(frozen=True)
class Sizes:
    """A network, its sizes (an instance of its `Config`), and what to call the pair."""

    network: Network
    config: Any
    name: str

    def skeleton(self) -> nn.Module:
        """The network without memory, on the meta device."""
        with torch.device("meta"):
            return self.network.build(self.config)


@dataclass(frozen=True)
class Misfit:
    """How the tensors of a file are not those of a network; nothing where they are."""

    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)

    def __str__(self) -> str:
        parts = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.misshapen,
        }
        return "; ".join(f"{what}: {some(names)}" for what, names in parts.items() if names)


def describe(network: nn.Module) -> str:
    """The network and its sizes as JSON. Raises InputError for a module that is not registered."""
    registered = network_of(network)
    config: Any = network.config
    return json.dumps(
        {"network": registered.name, "sizes": type(config).__name__, "config": asdict(config)}
    )


def described(text: str) -> Sizes | None:
    """What `describe` wrote; None for JSON of others. InputError where it cannot be used."""
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or not {"network", "sizes", "config"} <= set(value):
            return None
        network = find_network(value["network"])
        architecture: Any = network.classes[value["sizes"]]
        config = _restored(architecture.Config, value["config"])
        return Sizes(network, config, network.name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"its description of the network cannot be used ({error!r})") from error


def published(name: str) -> Sizes:
    """The published sizes of that name. Raises InputError for a name that is none."""
    every = _every_published()
    for sizes in every:
        if sizes.name == name:
            return sizes
    raise InputError(f"there are no sizes {name!r}; there is: {', '.join(s.name for s in every)}")


def fitting(shapes: Shapes) -> list[Sizes]:
    """All published sizes that the tensors have, each once."""
    fit = [sizes for sizes, miss in _misses(shapes) if not miss]
    different = {(sizes.network.name, sizes.config): sizes for sizes in reversed(fit)}
    return list(different.values())[::-1]


def nearest(shapes: Shapes) -> tuple[Sizes, Misfit] | None:
    """The published sizes that the tensors miss by the fewest, and how."""
    return min(_misses(shapes), key=lambda miss: len(miss[1]), default=None)


def renaming(sizes: Sizes, shapes: Shapes) -> dict[str, str | None]:
    """Our name for each name of a file, None where the network leaves the tensor out."""
    expected, _ = _expected(sizes)
    if set(shapes) <= set(expected):  # already ours
        return {name: name for name in shapes}
    return {name: sizes.network.module.renamed(name) for name in shapes}


def misfit(sizes: Sizes, names: Mapping[str, str | None], shapes: Shapes) -> Misfit:
    """Compare a file with a network. Of a group that is one tensor, a file may hold any name."""
    expected, groups = _expected(sizes)
    given = {ours: name for name, ours in names.items() if ours is not None}
    missing = [group[0] for group in groups if not any(name in given for name in group)]
    unexpected = [name for ours, name in given.items() if ours not in expected]
    misshapen = [
        f"{name} ({_by(shapes[name])}, not {_by(expected[ours])})"
        for ours, name in given.items()
        if ours in expected and shapes[name] != expected[ours]
    ]
    return Misfit(missing, unexpected, misshapen)


def shared(network: nn.Module) -> list[list[str]]:
    """The names in a network's state, those that are one and the same tensor together."""
    groups = defaultdict(list)
    for name, tensor in network.state_dict(keep_vars=True).items():
        groups[id(tensor)].append(name)
    return list(groups.values())


@cache
def _expected(sizes: Sizes) -> tuple[dict[str, tuple[int, ...]], list[list[str]]]:
    skeleton = sizes.skeleton()
    shapes = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    return shapes, shared(skeleton)


def _misses(shapes: Shapes) -> list[tuple[Sizes, Misfit]]:
    return [(s, misfit(s, renaming(s, shapes), shapes)) for s in _every_published()]


def _every_published() -> list[Sizes]:
    there = [network for network in NETWORKS.values() if network.there]
    return [Sizes(n, config, name) for n in there for name, config in n.module.PUBLISHED.items()]


def _restored(kind: Any, value: Any) -> Any:
    """A dataclass of sizes from what JSON made of it: lists for tuples, objects for dataclasses."""
    if isinstance(kind, type) and is_dataclass(kind):
        kinds = get_type_hints(kind)
        return kind(**{name: _restored(kinds.get(name), part) for name, part in value.items()})
    return tuple(_restored(None, part) for part in value) if isinstance(value, list) else value


def some(names: list[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"
