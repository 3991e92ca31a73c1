"""Progress on stderr: bars with the time left on a terminal, else a line for each stage."""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from worldline.cli.output import errors
from worldline.systems.listener import StageListener


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[StageListener | None]:
    """A listener that shows the stages until the block ends; None if `quiet`."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=errors()) as bars:
            yield StageBars(bars)
    else:
        yield StageLines()


@contextlib.contextmanager
def shown(listener: StageListener | None, name: str) -> Iterator[None]:
    """Show what the block does as one more stage."""
    if listener is None:
        yield
        return
    listener.stage_started(name)
    started = time.perf_counter()
    yield
    listener.stage_finished(name, time.perf_counter() - started, False)


class StageBars:
    """One bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.task: TaskID | None = None

    def stage_started(self, name: str) -> None:
        """See StageListener."""
        self.task = self.bars.add_task(name, total=None, note="")

    def stage_progress(self, name: str, done: int, total: int | None) -> None:
        """See StageListener."""
        if self.task is not None:
            self.bars.update(self.task, completed=done, total=total)

    def stage_finished(self, name: str, seconds: float, resumed: bool) -> None:
        """See StageListener."""
        if self.task is not None:
            self.bars.update(self.task, completed=1, total=1, note=_note(seconds, resumed))
            self.bars.stop_task(self.task)


class StageLines:
    """One line for each finished stage."""

    def stage_started(self, name: str) -> None:
        """See StageListener."""

    def stage_progress(self, name: str, done: int, total: int | None) -> None:
        """See StageListener."""

    def stage_finished(self, name: str, seconds: float, resumed: bool) -> None:
        """See StageListener."""
        errors().print(f"{name}: {seconds:.1f} s {_note(seconds, resumed)}".rstrip())


def _note(seconds: float, resumed: bool) -> str:
    return "(kept from the earlier run)" if resumed else ""
