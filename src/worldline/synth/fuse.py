"""The few functions that every ray goes through, fused by ``torch.compile`` where that is asked
for.

Fusing needs a C++ compiler (CPU) or Triton (CUDA). Where it fails, a warning says so once and the
plain functions go on: the answer is the same up to rounding.
"""

import contextvars
import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_wanted: contextvars.ContextVar[bool] = contextvars.ContextVar("fused", default=False)
_failed = threading.Event()
_one_at_a_time = threading.Lock()


@contextmanager
def fusing(wanted: bool) -> Iterator[None]:
    """Within it, ``fused`` functions are compiled (the first call of each takes seconds)."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, compiled if that is wanted here and works on this machine."""
    if not _wanted.get() or _failed.is_set():
        return function
    return functools.partial(_call, function)


def _call(function: Callable[..., Any], *inputs: Any) -> Any:
    try:
        return _compiled(function)(*inputs)
    except Exception as error:
        _failed.set()
        warnings.warn(f"torch.compile failed, so synth runs plain: {error!r:.300}", stacklevel=2)
        return function(*inputs)


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled = torch.compile(function, dynamic=True)
    return compiled
