"""Runs systems over the clips of a benchmark, each in a process of its own, and keeps what is done.

The folder of a run holds ``results.json``, replaced after every clip, and a picture sheet for each
scene. What it holds of the same code, settings and libraries is not measured again.
"""

import hashlib
import json
import math
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import worldline
from worldline.datasets.clip import Clip
from worldline.datasets.registry import dataset
from worldline.errors import InputError, WorldlineError
from worldline.evaluation.benchmark import Benchmark, Frames, load
from worldline.evaluation.metrics.lpips import FOLDER as LPIPS_FOLDER
from worldline.evaluation.protocols import numbers, taken
from worldline.evaluation.scoring import score
from worldline.io.encoder import write_video
from worldline.io.sheet import write_sheet
from worldline.scene.store import atomic_file, write_json
from worldline.systems import reconstruct
from worldline.systems.job import peak_memory
from worldline.systems.registry import find_system

RESULTS = "results.json"
SHEETS = "sheets"
LIBRARIES = ("torch", "numpy", "opencv-python-headless", "pycolmap")

Entry = dict[str, Any]  # numbers by name, or {"error": what went wrong}
Told = Callable[[str, str, Entry], None]  # is told of each clip, system and entry


@dataclass(frozen=True)
class Task:
    """One system on one clip of a benchmark; ``size`` is the longest side it works at, in pixels.

    ``frames``: at most so many of those that the benchmark takes, the first.
    ``weights``: of the system, if it is a network; None: the best that are on this machine.
    """

    benchmark: str
    root: Path | None
    clip: str
    system: str
    size: int | None = 640
    frames: int | None = None
    weights: str | None = None

    @property
    def key(self) -> str:
        """Changes with whatever changes the numbers."""
        return hashlib.sha256(f"{self}{self._file()}{_code()}".encode()).hexdigest()[:16]

    def _file(self) -> str:
        """The file of weights, by its size and time of change."""
        if self.weights is None or not (file := Path(self.weights)).is_file():
            return ""
        return f"{file.stat().st_size}, {file.stat().st_mtime_ns}"


@cache
def _code() -> str:
    """A hash of the libraries and of our own code, but for that which only shows."""
    home = Path(worldline.__file__).parent
    shows = [*home.glob("cli/*.py"), *home.glob("viewer/*.py"), home / "evaluation/report.py"]
    versions = [metadata.version(name) for name in LIBRARIES]
    digest = hashlib.sha256(repr([versions, os.environ.get(LPIPS_FOLDER)]).encode())
    for file in sorted(set(home.rglob("*.py")) - set(shows)):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@dataclass
class Results:
    """Entries by clip and system, as they stand in the folder of a run."""

    folder: Path
    told: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, dict[str, Entry]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, **told: Any) -> "Results":
        """Those of an earlier run, or none. Raises InputError for a file that holds others."""
        file = folder / RESULTS
        if not file.is_file():
            return cls(folder, told)
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
            clips, benchmark = held["clips"], held["benchmark"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} holds no results of an evaluation; give another --out."
            ) from (error)
        if benchmark != told.get("benchmark"):
            raise InputError(f"{folder} holds results of {benchmark}; give another --out.")
        return cls(folder, told, clips)

    def holds(self, task: Task) -> bool:
        """Whether this was measured, without an error, by the same code with the same settings."""
        entry = self.clips.get(task.clip, {}).get(task.system, {"error": "not measured"})
        return "error" not in entry and entry.get("key") == task.key

    def keep(self, task: Task, entry: Entry) -> None:
        """Remember an entry and write all; NaN becomes null."""
        strict = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in entry.items()
        }
        self.clips.setdefault(task.clip, {})[task.system] = strict | {"key": task.key}
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.folder / RESULTS) as partial:
            write_json(partial, {**self.told, "machine": machine(), "clips": self.clips})


def run(
    tasks: Sequence[Task], results: Results, workers: int = 1, tell: Told | None = None
) -> None:
    """Measure what the results do not hold yet; ``workers`` clips at a time.

    A clip that cannot be measured is an entry that says why; the others go on.
    """
    for task in tasks:
        find_system(task.system)
    missing = [task for task in tasks if not results.holds(task)]
    for task, entry in _measured(missing, results.folder, workers):
        results.keep(task, entry)
        if tell is not None:
            tell(task.clip, task.system, entry)


def clips_of(benchmark: Benchmark, root: Path | None) -> list[str]:
    """The clips that a benchmark takes of the data under ``root``.

    Raises InputError where there is none.
    """
    reader = dataset(benchmark.dataset)
    if benchmark.part is not None and hasattr(reader, "split"):
        names: list[str] = reader.split(root, benchmark.part)
    else:
        names = reader.names(root)
    if benchmark.part is not None and any("/" in name for name in names):
        names = [name for name in names if _is_in(name, benchmark.part)]
    if benchmark.clips:
        names = [name for name in names if name.rpartition("/")[2] in benchmark.clips]
    if not names:
        what = " ".join(filter(None, (benchmark.part, "such as", *benchmark.clips[:1])))
        raise InputError(f"{root} has none of the clips of {benchmark.name} ({what}).")
    return names


def _is_in(name: str, part: str) -> bool:
    """Whether one of the folders of a clip's name is a dataset's part: po of po_mini/CLIP."""
    folders = [folder.replace("_", "-").lower() for folder in name.split("/")[:-1]]
    return any(f"{folder}-".startswith(f"{part}-") for folder in folders)


def frames_of(benchmark: Benchmark, root: Path | None, clip: str) -> slice | None:
    """The frames of a clip that a benchmark takes; None: all.

    Where a reader knows what is reported on, as it depends on the files, it is asked.
    """
    asked = benchmark.frames.slice
    protocol = getattr(dataset(benchmark.dataset), "protocol", None)
    return asked if asked is None or protocol is None else protocol(root, clip)


def machine() -> str:
    """Processor and number of its cores."""
    model = platform.processor() or platform.machine()
    book = Path("/proc/cpuinfo")
    if book.is_file():
        lines = book.read_text(encoding="utf-8").splitlines()
        model = next(
            (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), model
        )
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def _measured(tasks: Sequence[Task], folder: Path, workers: int) -> Iterator[tuple[Task, Entry]]:
    """Entries as they come; each in a fresh process, whose peak of memory is the task's own."""
    context = multiprocessing.get_context("spawn")
    waiting, running = (
        list(reversed(tasks)),
        dict[Future[Entry], tuple[Task, ProcessPoolExecutor]](),
    )
    try:
        while waiting or running:
            while waiting and len(running) < max(workers, 1):
                task = waiting.pop()
                pool = ProcessPoolExecutor(1, mp_context=context)
                running[pool.submit(measure, task, folder)] = (task, pool)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, pool = running.pop(future)
                pool.shutdown()
                yield task, _entry(future)
    finally:
        for _, pool in running.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _entry(future: "Future[Entry]") -> Entry:
    try:
        return future.result()
    except WorldlineError as refused:
        return {"error": str(refused)}
    except Exception as error:  # also a process that died: the others are still worth their numbers
        return {"error": f"{type(error).__name__}: {error}"}


def measure(task: Task, folder: Path) -> Entry:
    """All numbers of the scene that a system makes of a clip, and its picture sheet."""
    benchmark = load(task.benchmark)
    reader = dataset(benchmark.dataset)
    clip = reader.read(task.root, task.clip, frames_of(benchmark, task.root, task.clip))
    clip = clip if task.frames is None else taken(clip, Frames(count=task.frames))
    with tempfile.TemporaryDirectory(prefix="worldline-eval-") as temporary:
        source = clip.source or written(clip, Path(temporary))
        started = time.perf_counter()
        weights = task.weights if find_system(task.system).network else None
        scene = reconstruct(source, system=task.system, size=task.size, weights=weights)
        seconds = time.perf_counter() - started
    peak = peak_memory() / 1e9
    sheet = folder / SHEETS / task.system / f"{task.clip}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_sheet(scene, sheet)
    found = score(scene, clip) | numbers(scene, clip, benchmark)
    return {
        **found,
        "seconds": seconds,
        "peak_gb": peak,
        "frames": len(scene),
        "camera": scene.cameras.motion,
        "sheet": str(sheet.relative_to(folder)),
    }


def written(clip: Clip, folder: Path) -> Path:
    """The clip's frames as a file or folder that systems read.

    Frames that have times become a video of H.264 that is hard to tell from them; others, pictures
    without loss.
    """
    size, times = clip.frames.shape[2:0:-1], clip.times
    if times is not None and len(times) > 1 and not (size[0] % 2 or size[1] % 2):
        rate = Fraction(1 / float(np.median(np.diff(times)))).limit_denominator(1001)
        write_video(folder / "video.mp4", clip.frames, size, rate)
        return folder / "video.mp4"
    frames = folder / "frames"
    frames.mkdir()
    for i, frame in enumerate(clip.frames):
        Image.fromarray(frame).save(frames / f"{i:06d}.png", compress_level=1)
    return frames
