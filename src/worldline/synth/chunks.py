"""Long work in pieces, so that memory is bounded whatever is asked for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from worldline.threads import one_thread

RAYS_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 21}  # a CPU's is what its caches hold

LANES = 64  # numbers at once in a CPU's kernels; what is left over, they round differently

_Result = TypeVar("_Result")


def slices(count: int, length: int, device: torch.device) -> Iterator[slice]:
    """``count`` tiles of ``length`` rays, in pieces that fit the device."""
    rays = RAYS_AT_ONCE.get(device.type, RAYS_AT_ONCE["cpu"])
    step = max(rays // max(length, 1), 1)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def padded(index: Int[Tensor, " M"]) -> Int[Tensor, " M2"]:
    """The last one repeated until the lanes are full: results do not depend on how many there are.

    The same clip is then the same to the bit whatever is rendered beside it.
    """
    return torch.cat([index, index[-1:].expand(-len(index) % LANES if len(index) else 0)])


def each(
    work: Callable[[slice], _Result], parts: list[slice], device: torch.device
) -> list[_Result]:
    """``work`` for every piece; on a CPU, pieces share out the cores.

    The tensors of one piece are too small to be shared out themselves: cores that others use too
    would spend their time waiting for each other.
    """
    if device.type != "cpu":
        return [work(part) for part in parts]
    with one_thread() as threads:
        if len(parts) == 1:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(threads, "synth", torch.set_num_threads, (1,)) as pool:
            # each in a copy of what holds here, such as whether formulas are fused
            running = [pool.submit(copy_context().run, work, part) for part in parts]
            return [future.result() for future in running]
