"""Long work in pieces, so that memory is bounded whatever is asked for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

RAYS_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 21}  # a CPU's is what its caches hold

_Result = TypeVar("_Result")


def slices(count: int, length: int, device: torch.device) -> Iterator[slice]:
    """``count`` tiles of ``length`` rays, in pieces that fit the device."""
    rays = RAYS_AT_ONCE.get(device.type, RAYS_AT_ONCE["cpu"])
    step = max(rays // max(length, 1), 1)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


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
            return list(pool.map(work, parts))


@contextmanager
def one_thread() -> Iterator[int]:
    """No threads inside an operation (on a CPU); says how many there were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)  # the workers' setting is partly everyone's
