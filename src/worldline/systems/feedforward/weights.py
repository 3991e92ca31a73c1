"""Which weights a scene was made with, and the same ones again when it is asked later."""

from typing import Any, Literal, TypeAlias, TypeVar

from torch import nn

from worldline.errors import InputError
from worldline.models.weights import load

CamerasFrom: TypeAlias = Literal["head", "rays"]
Network = TypeVar("Network", bound=nn.Module)


def recorded(network: nn.Module) -> dict[str, Any]:
    """Name, licence, file and hash of a network's weights, as plain values."""
    provenance: Any = network.provenance
    return provenance.record()


def same_weights(weights: dict[str, Any], kind: type[Network]) -> Network:
    """The network that `recorded` told of. Raises InputError if these weights are not there."""
    try:
        network = load(weights["file"])
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
