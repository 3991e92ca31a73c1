"""Tensors that travel together: dataclasses and named tuples of tensors, mapped at once."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def each(change: Callable[[Tensor], Tensor], value: T) -> T:
    """``value`` with every tensor in it changed; what is no tensor stays."""
    return _each(change, value)


def to(value: T, target: torch.device | torch.dtype | str) -> T:
    """``value`` on another device, or with its floating-point tensors in another dtype."""
    if isinstance(target, torch.dtype):
        return each(lambda x: x.to(target) if x.is_floating_point() else x, value)
    return each(lambda x: x.to(target), value)


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in ``value``, in the order of the fields."""
    found: list[Tensor] = []

    def note(x: Tensor) -> Tensor:
        found.append(x)
        return x

    _each(note, value)
    return iter(found)


def fingerprint(value: Any) -> str:
    """SHA-256 of shapes, dtypes and bytes: the same parameters have the same one everywhere."""
    digest = hashlib.sha256()
    for x in tensors(value):
        digest.update(f"{x.dtype}{tuple(x.shape)}".encode())
        digest.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _each(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _each(change, getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, tuple):
        parts = [_each(change, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
