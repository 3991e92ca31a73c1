"""Formulas turned into kernels of their own by ``torch.compile``, for those who render for hours.

As they stand, formulas run operation by operation: nothing to wait for, the same on any machine.
Within ``fusing`` those marked ``fused`` are compiled at their first call, which takes a minute or
two in all and a C++ compiler on a CPU; what they give then differs by rounding alone.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

import torch

VARIANTS = 64  # of a formula: kinds of solids, shared and own parameters, one ray and many

_Formula = TypeVar("_Formula", bound=Callable[..., Any])
_fusing = ContextVar("fusing", default=False)


def fused(formula: _Formula) -> _Formula:
    """A formula that is compiled where that is asked for; of tensors of any length."""

    @functools.cache
    def compiled() -> Callable[..., Any]:
        return torch.compile(formula, dynamic=True)  # not before: it takes seconds to import

    @functools.wraps(formula)
    def either(*args: Any, **kwargs: Any) -> Any:
        return (compiled() if _fusing.get() else formula)(*args, **kwargs)

    return either  # type: ignore[return-value]


@contextmanager
def fusing(on: bool = True) -> Iterator[None]:
    """Compile the formulas that are called within."""
    before = _fusing.set(on)
    try:
        with torch._dynamo.config.patch(recompile_limit=VARIANTS) if on else nullcontext():
            yield
    finally:
        _fusing.reset(before)
