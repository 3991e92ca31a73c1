"""How a job tells of its progress. Apart from the stages, so that it imports nothing heavy."""

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

Report: TypeAlias = Callable[[int, int | None], None]  # units done, and of how many if known


@runtime_checkable
class StageListener(Protocol):
    """Is told how a job proceeds."""

    def stage_started(self, name: str) -> None:
        """A stage begins."""

    def stage_progress(self, name: str, done: int, total: int | None) -> None:
        """So many of `total` units (None: not known) of the running stage are done."""

    def stage_finished(self, name: str, seconds: float, resumed: bool) -> None:
        """A stage is over; a resumed one took its `seconds` in the earlier run."""
