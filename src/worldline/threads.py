"""Doing without torch's threads where they cost more than they give."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[int]:
    """No threads inside torch's operations on a CPU; says how many there were. Also a decorator.

    For many operations on little: where other work shares the cores, each of them waits for a
    thread that does not run, twenty times as long as the work itself takes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)  # the workers' setting is partly everyone's
