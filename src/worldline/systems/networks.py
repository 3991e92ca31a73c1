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
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class ChosenNetwork:
    """Weights for a system, found but not yet loaded."""

    system: System
    weights: str
    device: str | None
    cameras: CamerasFrom
    tracker: str | None
    precision: Precision

    @property
    def identity(self) -> list[Any]:
        """What the results depend on: files by their sizes and times of change, the precision."""
        from worldline.models.weights import find_file

        files = [find_file(one) for one in (self.weights, self.tracker) if one is not None]
        told = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        return [*told, str(products_in(self.precision, best_device(self.device)))]

    def arguments(self) -> tuple["nn.Module", dict[str, Any]]:
        """The network and what else the system's function takes.

        Raises InputError for weights of a network that the system is not made for.
        """
        more: dict[str, Any] = {"cameras": self.cameras} if self.system.cameras else {}
        if self.tracker is not None:
            more["tracker"] = self._fitting(self.tracker, TRACKER)
        return self._fitting(self.weights, self.system.network), more

    def _fitting(self, weights: str, expected: str | None) -> "nn.Module":
        device = best_device(self.device)
        network = _ready(weights, device, products_in(self.precision, device))
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
    precision: Precision,
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
    follows = None if follows is None else str(follows)
    return ChosenNetwork(system, str(name), device, cameras, follows, precision)


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


def products_in(precision: Precision, device: "torch.device") -> "torch.dtype":
    """What transformers' matrix products are computed in; "auto": in half where that is fast.

    On GPUs and on CPUs with matrix units or bfloat16 instructions, that is.
    """
    import torch

    if precision != "auto":
        return getattr(torch, precision)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    units = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if device.type == "cpu" and units else torch.float32


def recorded(network: "nn.Module") -> dict[str, Any]:
    """Name, licence, file and hash of a network's weights, as plain values."""
    provenance: Any = network.provenance
    return provenance.record()


def located(network: "nn.Module") -> dict[str, Any]:
    """What `recorded` tells, and where the file is, for whoever will need it again."""
    provenance: Any = network.provenance
    where = {"file": str(provenance.file), "precision": str(network.products).split(".")[1]}
    return recorded(network) | where


def same_weights(weights: dict[str, Any], kind: type) -> Any:
    """The network that `located` told of. Raises InputError if these weights are not there.

    Where the file is gone, a published checkpoint is looked for by its name.
    """
    from worldline.models.registry import CHECKPOINTS

    moved = not Path(weights["file"]).is_file() and weights["name"] in CHECKPOINTS
    try:
        device = best_device(None)
        products = products_in(weights["precision"], device)
        network = _ready(weights["name"] if moved else weights["file"], device, products)
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


def _ready(weights: str, device: "torch.device", products: "torch.dtype") -> "nn.Module":
    from worldline.models.weights import load
    from worldline.nn.precision import halve

    network = load(weights, device=device)
    for part in getattr(network, "TRUNK", ()):
        halve(network.get_submodule(part), products)
    network.products = products  # type: ignore[assignment]
    return network


def _first_there(checkpoints: tuple[str, ...]) -> str | None:
    """The first of them that is on this machine."""
    from worldline.models.download import place
    from worldline.models.registry import CHECKPOINTS

    there = (name for name in checkpoints if place(CHECKPOINTS[name].source).file.is_file())
    return next(there, None)
