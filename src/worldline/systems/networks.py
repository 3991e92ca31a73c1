"""The network behind a system: which weights, on which device, in which precision; and again later.

Listing systems needs none of this, so torch is imported where a network is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from worldline.errors import InputError
from worldline.systems.registry import System

if TYPE_CHECKING:
    import torch
    from torch import nn

CamerasFrom: TypeAlias = Literal["head", "rays"]


@dataclass(frozen=True)
class ChosenNetwork:
    """Weights for a system, found but not yet loaded."""

    system: System
    weights: str
    device: str | None
    cameras: CamerasFrom

    @property
    def identity(self) -> list[Any]:
        """What the results depend on: the file by its size and time of change, the precision."""
        from worldline.models.weights import find_file

        state = (file := find_file(self.weights)).stat()
        precision = str(trunk_precision(best_device(self.device)))
        return [str(file), state.st_size, state.st_mtime_ns, precision]

    def loaded(self) -> "nn.Module":
        """The network, its transformers in the precision that is fastest on the device.

        Raises InputError for weights of a network that the system is not made for.
        """
        network = _ready(self.weights, best_device(self.device))
        if (found := recorded(network)["network"]) != self.system.network:
            raise InputError(
                f"{self.weights} holds weights of {found}, but the system {self.system.name} is "
                f"made for: {self.system.network}"
            )
        return network


def chosen_network(
    system: System, weights: str | Path | None, device: str | None, cameras: CamerasFrom
) -> ChosenNetwork | None:
    """The weights that the system is to use; None if it needs none.

    Raises InputError where there are none on this machine, or for choices that the system has not.
    """
    if system.network is None:
        if weights is not None:
            raise InputError(f"the system {system.name} has no network: leave out --weights")
        return None
    if cameras == "rays" and not system.cameras:
        raise InputError(f"the system {system.name} has no ray maps: leave out --cameras rays")
    name = str(weights) if weights is not None else _best_there(system)
    return ChosenNetwork(system, name, device, cameras)


def best_device(device: str | None) -> "torch.device":
    """The device asked for, or a GPU if there is one. Raises InputError if it cannot be used."""
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device} cannot be used here: {reason}") from error


def trunk_precision(device: "torch.device") -> "torch.dtype":
    """bfloat16 where it is fast: on GPUs that have it, and on CPUs with matrix units."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    fast = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def recorded(network: "nn.Module") -> dict[str, Any]:
    """Name, licence, file and hash of a network's weights, as plain values."""
    provenance: Any = network.provenance
    return provenance.record()


def same_weights(weights: dict[str, Any], kind: type) -> Any:
    """The network that `recorded` told of. Raises InputError if these weights are not there."""
    try:
        network = _ready(weights["file"], best_device(None))
    except InputError as error:
        raise InputError(
            f"this scene's motion is decoded by a network: its weights {weights['name']} "
            f"(sha256 {weights['sha256'][:12]}...) are needed at {weights['file']}: {error}"
        ) from error
    found = recorded(network)["sha256"]
    if not isinstance(network, kind) or found != weights["sha256"]:
        raise InputError(
            f"{weights['file']} holds other weights than those that made this scene "
            f"(sha256 {found[:12]}..., not {weights['sha256'][:12]}...): put them back"
        )
    return network


def _ready(weights: str, device: "torch.device") -> "nn.Module":
    from worldline.models.weights import load

    network = load(weights, device=device)
    for part in getattr(network, "TRUNK", ()):
        network.get_submodule(part).to(trunk_precision(device))
    return network


def _best_there(system: System) -> str:
    from worldline.models.download import place
    from worldline.models.registry import CHECKPOINTS

    for name in system.weights:
        if place(CHECKPOINTS[name].source).file.is_file():
            return name
    if not system.weights:
        raise InputError(
            f"no weights are published for the system {system.name}: give --weights FILE"
        )
    best = CHECKPOINTS[system.weights[0]]
    raise InputError(
        f"the system {system.name} needs weights, and none are on this machine: give --weights "
        f"FILE, or run: worldline download {best.name} (licence: {best.licence})"
    )
