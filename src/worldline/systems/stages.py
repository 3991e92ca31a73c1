"""Named steps of a long job, kept on the disk so that a killed run resumes after the finished ones.

A system does its work in stages and never asks whether it is a first or a second attempt:

    flows = stages.run("flow", lambda report: compute_flows(clip, report))

`flows` is what the function returned or, in a run that resumes, what it returned last time.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from worldline.errors import InputError, ReconstructionError, StorageError
from worldline.scene.store import atomic_file, map_safetensors, write_arrays, write_json
from worldline.systems.listener import Report, StageListener

Arrays: TypeAlias = dict[str, np.ndarray]

_LOCK = "lock"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class StageTime:
    """What one stage took, in the run that did its work."""

    name: str
    seconds: float
    resumed: bool


class Stages:
    """Runs stages in order; use it as a context manager.

    folder: where finished stages are kept; None keeps nothing. It is ours alone, and is removed
        when the block ends well, or with an error that the same input would meet again. After a
        kill, Ctrl-C, a full disk or a bug it stays, as long as it holds a finished stage.
    key: hash of all that the results depend on. Stages kept under another key are discarded.
    listener: is told of each stage.

    Raises InputError when another run is using `folder`, StorageError when the disk refuses.
    """

    def __init__(
        self, folder: Path | None = None, key: str = "", listener: StageListener | None = None
    ) -> None:
        self.folder, self.key, self.listener = folder, key, listener
        self.times: list[StageTime] = []
        self._resumable = folder is not None
        self._lock: int | None = None
        if folder is not None:
            self._lock = _take(folder)
            try:
                _tidy(folder, key)
            except OSError as error:
                os.close(self._lock)
                raise _refusal(folder, error) from error

    def run(self, name: str, make: Callable[[Report], Mapping[str, np.ndarray]]) -> Arrays:
        """The arrays of stage `name`: the kept ones if there are any, else what `make` returns.

        make: does the work; it may call `report(done, total)` as it goes. It must depend on
            nothing but what the key covers and what earlier stages returned.

        A stage that has to be made discards the kept ones after it. The arrays are read-only, be
        they new or kept; kept ones are memory-mapped. Raises StorageError when the disk refuses.
        """
        if not _NAME.fullmatch(name) or name in {stage.name for stage in self.times}:
            raise ValueError(f"{name!r} is no stage name, or was run already")
        if self.listener:
            self.listener.stage_started(name)
        kept = self._kept(name)
        if kept is None:
            self._resumable = False
            arrays, seconds = self._made(name, make)
        else:
            arrays, seconds = kept
        resumed = kept is not None
        self.times.append(StageTime(name, seconds, resumed))
        if self.listener:
            self.listener.stage_finished(name, seconds, resumed)
        return arrays

    def close(self, *, keep: bool = False) -> None:
        """Remove the folder, unless it is to be kept and holds a finished stage."""
        if self.folder is None or self._lock is None:
            return
        if not (keep and any(self.folder.glob("*.json"))):
            with contextlib.suppress(OSError):
                _tidy(self.folder, key=None)
                (self.folder / _LOCK).unlink()
                self.folder.rmdir()
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> "Stages":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        again = kind is not None and not issubclass(kind, InputError | ReconstructionError)
        self.close(keep=again)

    def _kept(self, name: str) -> tuple[Arrays, float] | None:
        if not self._resumable or self.folder is None:
            return None
        note = _note(self.folder, name)
        if note is None or note["key"] != self.key:
            return None
        try:
            return map_safetensors(self.folder / f"{name}.safetensors"), note["seconds"]
        except StorageError:
            return None  # damaged: making it again is what the message would ask for

    def _made(
        self, name: str, make: Callable[[Report], Mapping[str, np.ndarray]]
    ) -> tuple[Arrays, float]:
        started = time.perf_counter()
        arrays = dict(make(self._reporter(name)))
        seconds = time.perf_counter() - started
        if self.folder is None:
            return {key: _read_only(array) for key, array in arrays.items()}, seconds
        _keep(self.folder, name, arrays, {"key": self.key, "seconds": seconds})
        return map_safetensors(self.folder / f"{name}.safetensors"), seconds

    def _reporter(self, name: str) -> Report:
        def report(done: int, total: int | None = None) -> None:
            if self.listener:
                self.listener.stage_progress(name, done, total)

        return report


def _keep(folder: Path, name: str, arrays: Arrays, note: dict[str, Any]) -> None:
    """Write a stage's arrays and then its note, which makes them count."""
    (folder / f"{name}.json").unlink(missing_ok=True)
    path = folder / f"{name}.safetensors"
    with atomic_file(path, needed=sum(array.nbytes for array in arrays.values())) as partial:
        write_arrays(partial, arrays)
    with atomic_file(folder / f"{name}.json") as partial:
        write_json(partial, note)


def _note(folder: Path, name: str) -> dict[str, Any] | None:
    """The note of a kept stage: its key and the seconds it took. None if there is none."""
    try:
        note = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return {"key": str(note["key"]), "seconds": float(note["seconds"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tidy(folder: Path, key: str | None) -> None:
    """Remove what killed runs left half-written, and stages of another key (None: all stages)."""
    for path in folder.iterdir():
        stage = path.suffix in (".json", ".safetensors")
        note = _note(folder, path.stem) if stage else None
        valid = key is not None and note is not None and note["key"] == key
        half = path.name.startswith(".") and ".partial-" in path.name
        if half or (stage and not valid):
            path.unlink(missing_ok=True)


def _take(folder: Path) -> int:
    """Make the folder and lock it for this process; a killed process's lock ends with it."""
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if _locked(lock, folder):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
    except OSError as error:
        raise _refusal(folder, error) from error


def _locked(lock: int, folder: Path) -> bool:
    """Lock the open file; False if the run before removed it meanwhile. InputError if taken."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise InputError(
            f"another run (pid {owner}) is writing to {folder}: wait until it is done, "
            "or choose another --out"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:  # some network disks cannot lock: go without
            raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    try:
        return os.path.samestat(os.fstat(lock), (folder / _LOCK).stat())
    except FileNotFoundError:
        return False


def _refusal(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be written: {error.strerror or error}; "
        "choose an --out where there is room and files may be written"
    )


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.asanyarray(array).view()
    view.flags.writeable = False
    return view
