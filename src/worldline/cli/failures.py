"""How a command ends when it fails: one line that says what to do, and an exit code."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from worldline.cli.output import errors, print_json
from worldline.errors import (
    DownloadError,
    InputError,
    ReconstructionError,
    StorageError,
    WorldlineError,
)

RESUMABLE = ("reconstruct", "demo", "download")
_KINDS = {
    InputError: "input",
    StorageError: "storage",
    ReconstructionError: "reconstruction",
    DownloadError: "download",
}
_NO_MEMORY = ("can't allocate memory", "out of memory", "insufficient memory", "bad_alloc")


@dataclass(frozen=True)
class Failure:
    """What to tell of an error. `bug`: it is ours, so the traceback is shown too."""

    kind: str
    message: str
    exit_code: int
    bug: bool = False


class Terminated(BaseException):
    """SIGTERM, as an exception: what is being written is cleaned up on the way out."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into `Terminated` inside the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report_failure(error: BaseException, arguments: list[str]) -> int:
    """Tell of an error and return the exit code. With --json, stdout gets an object too."""
    if isinstance(error, BrokenPipeError):
        # nobody reads any more (`| head`); Python's own flush at the end must not fail either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    resumable = arguments[:1] != [] and arguments[0] in RESUMABLE
    sharded = any(argument.partition("=")[0] == "--shards" for argument in arguments)
    failure = explain(error, resumable=resumable or sharded)
    if failure.bug:
        errors().print("".join(traceback.format_exception(error)).rstrip())
    errors().print(f"worldline: {failure.message}")
    if "--json" in arguments:
        print_json({"error": failure.message, "kind": failure.kind})
    return failure.exit_code


def explain(error: BaseException, *, resumable: bool) -> Failure:
    """What to tell of an error, in one line."""
    stopped = "stopped; run the same command to resume" if resumable else "stopped"
    if isinstance(error, KeyboardInterrupt):
        return Failure("stopped", stopped, 128 + signal.SIGINT)
    if isinstance(error, Terminated):
        return Failure("stopped", stopped, 128 + signal.SIGTERM)
    if isinstance(error, WorldlineError):
        kind = next((name for base, name in _KINDS.items() if isinstance(error, base)), "other")
        return Failure(kind, " ".join(str(error).split()), error.exit_code)
    if _is_out_of_memory(error):
        message = "there is not enough memory: pass a smaller --size, or fewer --max-frames"
        return Failure("memory", message, ReconstructionError.exit_code)
    message = (
        f"this is a bug ({type(error).__name__}), not your input's fault: please report it, with "
        "the lines above"
    )
    return Failure("bug", message, 1, bug=True)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    # torch raises RuntimeError and OpenCV its own error; only their words say so
    libraries = type(error).__module__.split(".")[0] in ("torch", "cv2", "builtins")
    words = str(error).lower()
    return isinstance(error, Exception) and libraries and any(hint in words for hint in _NO_MEMORY)
