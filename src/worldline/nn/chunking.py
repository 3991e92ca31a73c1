"""Work in batches that fit into memory: a batch that does not is halved, and the log says so."""

import gc
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def in_batches(
    work: Callable[[slice], Result], count: int, size: int, what: str = "items"
) -> Iterator[tuple[slice, Result]]:
    """Yield `(part, work(part))` for slices that cover `range(count)` in order, `size` at a time.

    Where `work` runs out of memory (of a GPU, or of what the system grants), the part is halved,
    and so are all that follow; a warning names `what` there is less of at once. `work` must not
    depend on how it is batched, and must leave nothing behind when it fails. Raises what `work`
    raises, out of memory only for a single item; ValueError if `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"a batch has at least one of {what}, not {size}.")
    start = 0
    while start < count:
        part = slice(start, min(start + size, count))
        try:
            result = work(part)
        except RuntimeError as error:
            if not out_of_memory(error) or part.stop - part.start == 1:
                raise
        else:
            yield part, result
            del result  # the caller has it; another batch must not be computed beside it
            start = part.stop
            continue
        # only here, after `except`, does the traceback no longer hold the tensors of `work`
        size = (part.stop - part.start) // 2
        log.warning("Out of memory: from here on %d %s at once.", size, what)
        release()


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: a GPU's (its own class) or the system's (a plain RuntimeError)."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def release() -> None:
    """Give back what failed work had taken: tensors in cycles, GPU memory kept for reuse."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
