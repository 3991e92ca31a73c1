"""The network behind a system: which weights, on which device, in which precision; and again later.

Listing systems needs none of this, so torch is imported where a network is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from worldline.errors import InputError
from worldline.systems.registry import TRACKER, System

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
    tracker: str | None

    @property
    def identity(self) -> list[Any]:
        """What the results depend on: files by their sizes and times of change, the precision."""
        from worldline.models.weights import find_file

        files = [find_file(one) for one in (self.weights, self.tracker) if one is not None]
        told = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        return [*told, str(trunk_precision(best_device(self.device)))]

    def arguments(self) -> tuple["nn.Module", dict[str, Any]]:
        """The network and what else the system's function takes.

        Transformers are in the precision that is fastest on the device. Raises InputError for
        weights of a network that the system is not made for.
        """
        more: dict[str, Any] = {"cameras": self.cameras} if self.system.cameras else {}
        if self.tracker is not None:
            more["tracker"] = self._fitting(self.tracker, TRACKER)
        return self._fitting(self.weights, self.system.network), more

    def _fitting(self, weights: str, expected: str | None) -> "nn.Module":
        network = _ready(weights, best_device(self.device))
        if (found := recorded(network)["network"]) != expected:
            raise InputError(
                f"{weights} holds weights of {found}, but the system {self.system.name} takes "
                f"those of {expected}"
            )
        return network


def chosen_network(
    system: System,
    weights: str | Path | None,
    device: str | None,
    cameras: CamerasFrom,
    tracker: str | Path | None,
) -> ChosenNetwork | None:
    """The weights that the system is to use; None if it needs none.

    Raises InputError where there are none on this machine, or for choices that the system has not.
    """
    if not (system.weights or system.network):
        if weights is not None:
            raise InputError(f"the system {system.name} has no network: leave out --weights")
        return None
    if cameras == "rays" and not system.cameras:
        raise InputError(f"the system {system.name} has no ray maps: leave out --cameras rays")
    if tracker is not None and not system.trackers:
        raise InputError(f"the system {system.name} takes no tracker: leave out --tracker")
    name = weights or _first_there(system.weights)
    if name is None and not system.weights:
        raise InputError(
            f"no weights are published for the system {system.name}: give --weights FILE"
        )
    if name is None:
        from worldline.models.registry import CHECKPOINTS

        if not system.weights:
            raise InputError(f"of {system.name} no weights are published: give --weights FILE")
        best = CHECKPOINTS[system.weights[0]]
        raise InputError(
            f"the system {system.name} needs weights, and none are on this machine: give "
            f"--weights FILE, or run: worldline download {best.name} (licence: {best.licence})"
        )
    follows = tracker or _first_there(system.trackers)
    return ChosenNetwork(system, str(name), device, cameras, follows and str(follows))


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


def located(network: "nn.Module") -> dict[str, Any]:
    """What `recorded` tells, and where the file is, for whoever will need it again."""
    provenance: Any = network.provenance
    return recorded(network) | {"file": str(provenance.file)}


def same_weights(weights: dict[str, Any], kind: type) -> Any:
    """The network that `located` told of. Raises InputError if these weights are not there.

    Where the file is gone, a published checkpoint is looked for by its name.
    """
    from worldline.models.registry import CHECKPOINTS

    moved = not Path(weights["file"]).is_file() and weights["name"] in CHECKPOINTS
    try:
        network = _ready(weights["name"] if moved else weights["file"], best_device(None))
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


def _first_there(checkpoints: tuple[str, ...]) -> str | None:
    """The first of them that is on this machine."""
    from worldline.models.download import place
    from worldline.models.registry import CHECKPOINTS

    there = (name for name in checkpoints if place(CHECKPOINTS[name].source).file.is_file())
    return next(there, None)
