"""What the benchmarks of networks share: a clock, a peak of memory, a distance."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


def now(device: str) -> float:
    """Seconds; whatever was asked of a GPU is done."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(run: Callable[[], Result], device: str) -> tuple[float, Result]:
    """Seconds, and the result."""
    start = now(device)
    result = run()
    return now(device) - start, result


def peak(run: Callable[[], Any], device: str) -> float:
    """MB that a run takes at most beyond what there was before it."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest so far
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 2**10


def gap(ours: Tensor, truth: Tensor) -> float:
    """The largest difference, in units of the largest entry."""
    return float((ours.float() - truth.float()).abs().max() / truth.float().abs().max())


def in_bfloat16(run: Callable[[], Result], device: str) -> Callable[[], Result]:
    """The run under autocast."""

    def inner() -> Result:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            return run()

    return inner


def _status(entry: str) -> int:
    """Kilobytes that the system reports of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry))
