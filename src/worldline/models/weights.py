"""Weights in and out: published and saved files of weights become networks that are ready to run.

A network is built without memory (on the meta device) and its tensors are those of the file:
memory-mapped where dtype and device allow it, converted one by one where not, so that no second
copy of the whole is made.
"""

import argparse
import logging
import pickle
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from worldline.errors import InputError, StorageError
from worldline.models import fitting
from worldline.models.download import file_sha256, place, recorded_sha256
from worldline.models.fitting import Sizes
from worldline.models.registry import CHECKPOINTS, Checkpoint, find_network
from worldline.scene.store import atomic_file

log = logging.getLogger(__name__)

_MARK = "worldline"  # the entry of safetensors' metadata that describes the network
_ENDINGS = (".safetensors", ".pth", ".pt")
_INSIDE = ("state_dict", "model")  # where training programs put the tensors


@dataclass(frozen=True)
class Provenance:
    """What a network's weights are and where they come from; a loaded network's `provenance`."""

    name: str
    network: str
    licence: str
    source: str
    file: Path

    @cached_property
    def sha256(self) -> str:
        """Of the file: as checked when it was downloaded, else computed now."""
        return recorded_sha256(self.file) or file_sha256(self.file)

    def record(self) -> dict[str, str]:
        """All but the place of the file, as text, for a scene's provenance."""
        facts = {"name": self.name, "network": self.network, "licence": self.licence}
        return facts | {"source": self.source, "sha256": self.sha256}


def load(
    source: str | Path,
    *,
    sizes: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """A network with its weights, in evaluation mode and without gradients.

    source: the name of a published checkpoint or `hub:owner/name[/file][@revision]`, either of them
        downloaded before (`worldline download`); or the path of a .safetensors, .pth or .pt file,
        or of a folder that holds one.
    sizes: which published sizes the file has, where it does not say and several fit.
    dtype: of all floating-point tensors, whatever the file holds.

    The result says in `provenance` what it is. Nothing is downloaded here.

    Raises InputError for a source that is not there, is no file of weights or fits no network (it
    names what is missing, unexpected or misshapen), StorageError for a damaged file.
    """
    checkpoint = CHECKPOINTS.get(str(source))
    file = find_file(source)
    tensors, description = _read(file)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    found = _known(checkpoint, sizes) or _described(file, description) or _guessed(file, shapes)
    names = fitting.renaming(found, shapes)
    if misfit := fitting.misfit(found, names, shapes):
        others = ", ".join(other.name for other in fitting.fitting(shapes))
        hint = f"; it fits {others}" if others else ""
        raise InputError(f"{file} does not fit {found.name}: {misfit}{hint}")
    network = _filled(found, _ours(file, names, tensors), torch.device(device), dtype)
    network.provenance = _provenance(source, file, found, checkpoint)  # type: ignore[assignment]
    return network


def save_weights(network: nn.Module, path: str | Path) -> None:
    """Write a network's weights and sizes as one .safetensors file that `load` reads; whole or not.

    Raises InputError for another ending or a module that is no registered network, StorageError
    where the disk refuses.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: weights are saved as .safetensors")
    description = fitting.describe(network)
    state = network.state_dict()
    # of a group that is one tensor, one name
    tensors = {group[0]: state[group[0]].contiguous() for group in fitting.shared(network)}
    needed = sum(tensor.nbytes for tensor in tensors.values())
    with atomic_file(path, needed=needed) as partial:
        save_file(tensors, partial, {_MARK: description})


def find_file(source: str | Path) -> Path:
    """The file on this machine that `load` would read. Raises InputError where there is none."""
    if checkpoint := CHECKPOINTS.get(str(source)):
        file = place(checkpoint.source).file
        if not file.is_file():
            raise InputError(
                f"{checkpoint.name} is not on this machine; its weights have the licence "
                f"{checkpoint.licence}: to download them, run: worldline download {checkpoint.name}"
            )
        return file
    if isinstance(source, str) and source.startswith("hub:"):
        file = place(source).file
        if not file.is_file():
            raise InputError(f"{source} is not on this machine: run: worldline download {source}")
        return file
    path = Path(source).expanduser()
    if path.is_dir():
        return _only_file(path)
    if not path.is_file():
        known = ", ".join(CHECKPOINTS)
        raise InputError(f"{source} is no file of weights and no published checkpoint: {known}")
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path}: weights are read from {', '.join(_ENDINGS)} files")
    return path


def _only_file(folder: Path) -> Path:
    if (folder / "model.safetensors").is_file():
        return folder / "model.safetensors"
    files = sorted(file for file in folder.iterdir() if file.suffix in _ENDINGS)
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{folder}: one file of weights is looked for, there is: {names}")
    return files[0]


def _read(file: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors of a file, mapped rather than read where its format allows; its description."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                names = opened.keys()
                tensors = {name: opened.get_tensor(name) for name in names}
                return tensors, (opened.metadata() or {}).get(_MARK)
        return _unpickled(file), None
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} is no plain file of weights; code that it may hold is never run"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StorageError(f"{file} is damaged or no file of weights: {reason}") from error


def _unpickled(file: Path) -> dict[str, Tensor]:
    """Tensors that torch.save wrote, flat or one level down."""
    # DUSt3R keeps the settings of its training beside them, which are plain values
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    nested = [content.get(name) for name in _INSIDE] if isinstance(content, dict) else []
    for tensors in (content, *nested):
        if isinstance(tensors, dict) and tensors and all(map(torch.is_tensor, tensors.values())):
            return dict(tensors)
    raise InputError(f"{file} holds no weights")


def _known(checkpoint: Checkpoint | None, sizes: str | None) -> Sizes | None:
    """What the caller says, or the registry."""
    if sizes is not None:
        return fitting.published(sizes)
    if checkpoint is None:
        return None
    network = find_network(checkpoint.network)
    return Sizes(network, network.module.PUBLISHED[checkpoint.sizes], checkpoint.sizes)


def _described(file: Path, description: str | None) -> Sizes | None:
    """What the file, or a config.json of ours beside it, says."""
    beside = file.with_name("config.json")
    try:
        if description is None and beside.is_file():
            description = beside.read_text(encoding="utf-8")
        return fitting.described(description) if description is not None else None
    except OSError as error:
        raise StorageError(f"{beside} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _guessed(file: Path, shapes: fitting.Shapes) -> Sizes:
    """The one network and its published sizes that fit."""
    fit = fitting.fitting(shapes)
    if len(fit) == 1:
        return fit[0]
    if fit:
        names = ", ".join(sizes.name for sizes in fit)
        raise InputError(f"{file} fits {names}: say which it is with sizes=")
    miss = fitting.nearest(shapes)
    nearest = f"; the nearest is {miss[0].name}: {miss[1]}" if miss else ""
    raise InputError(f"{file} fits no network that there is{nearest}")


def _ours(
    file: Path, names: dict[str, str | None], tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors by our names; `tensors` is emptied."""
    ours: dict[str, Tensor] = {}
    for name, own in names.items():
        tensor = tensors.pop(name)
        if own is None:
            continue
        if own in ours and not torch.equal(ours[own], tensor):
            raise InputError(f"{file}: {name} is {own} of this network, and has other values")
        ours[own] = tensor
    if left := [name for name, own in names.items() if own is None]:
        log.info("%s: %d tensors are left out on purpose: %s", file, len(left), fitting.some(left))
    return ours


def _filled(
    found: Sizes, tensors: dict[str, Tensor], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """The network with these tensors as its own; names of one tensor stay one."""
    network = found.skeleton()
    state: dict[str, Tensor] = {}
    for group in fitting.shared(network):
        tensor = next(tensors.pop(name) for name in group if name in tensors)
        to = dtype if tensor.is_floating_point() else tensor.dtype
        state |= dict.fromkeys(group, tensor.to(device=device, dtype=to))
    network.load_state_dict(state, assign=True)
    if lost := [name for name, buffer in network.named_buffers() if buffer.is_meta]:
        raise TypeError(f"{found.name}: {lost[0]} is in no file; compute it in forward")
    return network.eval().requires_grad_(False)


def _provenance(
    source: str | Path, file: Path, found: Sizes, checkpoint: Checkpoint | None
) -> Provenance:
    if checkpoint is not None:
        parts = (checkpoint.name, found.network.name, checkpoint.licence, checkpoint.source)
    else:
        parts = (found.name, found.network.name, "unknown", str(source))
    log.info("%s: weights %s, licence %s", parts[1], parts[0], parts[2])
    return Provenance(*parts, file)
