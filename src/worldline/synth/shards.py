"""Synthetic clips as WebDataset shards: tar files, written by several processes, resumable.

Shard k of a split holds its seeds k * per_shard and on; each clip is a sample whose key is its
seed (see ``clip_files.sample_files``). A shard is whole or absent, and its bytes follow from the
recipe, so a run that was stopped goes on where it was: what is there already, of the same recipe,
is kept.
"""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from worldline.errors import InputError
from worldline.io.encoder import check_even
from worldline.scene.store import atomic_file, to_json
from worldline.synth.clip_files import sample_files
from worldline.synth.clips import make_clip
from worldline.synth.generator import VERSION
from worldline.synth.splits import split_range

Progress = Callable[[int, int], None]  # shards done, and of how many


@dataclass(frozen=True)
class Recipe:
    """What every clip of the shards is made with; ``sensor`` None: clean pictures."""

    split: str = "train"
    mix: str = "train"
    size: tuple[int, int] = (224, 168)
    frames: int = 24
    rate: float = 24.0
    samples: int = 2
    sensor: str | None = None

    def key(self) -> str:
        """A hash that changes with whatever changes the clips."""
        told = json.dumps([asdict(self), VERSION, version("worldline")], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Shard:
    """One tar file and the seeds of its clips."""

    path: Path
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Written:
    """What a run did: the shards that it wrote, and those that were there already."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def plan_shards(directory: Path, split: str, count: int, per_shard: int) -> list[Shard]:
    """The shards of a split's first ``count`` seeds. Raises InputError where there are no such."""
    seeds = split_range(split)
    if not 0 < count <= len(seeds) or per_shard < 1:
        raise InputError(
            f"{count} clips, {per_shard} a shard, cannot be made: the {split} split has "
            f"{len(seeds)}, and a shard holds at least one"
        )
    starts = range(0, count, per_shard)
    return [
        Shard(
            directory / f"{split}-{k:06d}.tar",
            tuple(seeds[start : min(start + per_shard, count)]),
        )
        for k, start in enumerate(starts)
    ]


def write_shards(
    directory: Path,
    count: int,
    recipe: Recipe,
    *,
    per_shard: int = 32,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Write the split's first ``count`` clips; ``workers`` processes (None: one for each core).

    Shards that are there already are kept where they are what would be written. Raises InputError
    where one is not (and ``overwrite`` does not allow to replace it), StorageError when the disk
    refuses.
    """
    check_even(recipe.size)
    shards = plan_shards(directory, recipe.split, count, per_shard)
    kept: list[Shard] = []
    missing: list[Shard] = []
    for shard in shards:
        (kept if _is_there(shard, recipe, overwrite) else missing).append(shard)
    if progress is not None:
        progress(len(kept), len(shards))
    jobs = [(shard, recipe) for shard in missing]
    for done, _ in enumerate(_each(jobs, workers), start=1):
        if progress is not None:
            progress(len(kept) + done, len(shards))
    return Written(tuple(one.path for one in missing), tuple(one.path for one in kept))


def write_shard(shard: Shard, recipe: Recipe) -> Path:
    """Write one shard, whole or not at all."""
    with (
        atomic_file(shard.path) as partial,
        tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for seed in shard.seeds:
            clip = make_clip(
                seed,
                recipe.mix,
                size=recipe.size,
                frames=recipe.frames,
                rate=recipe.rate,
                samples=recipe.samples,
                sensor=recipe.sensor,
            )
            for ending, content in sample_files(clip).items():
                told = _bytes(content, recipe) if isinstance(content, dict) else content
                _add(tar, f"{seed:010d}.{ending}", told)
    return shard.path


def _each(jobs: list[tuple[Shard, Recipe]], workers: int | None) -> Iterator[Path]:
    """``write_shard`` of every job, here or in processes of their own."""
    many = min(workers or os.cpu_count() or 1, len(jobs))
    if many <= 1:
        yield from (write_shard(*job) for job in jobs)
        return
    # not forked: torch's threads do not survive that
    context = multiprocessing.get_context("spawn")
    with context.Pool(many, _start_worker) as pool:  # which ends its processes on the way out
        yield from pool.imap_unordered(_write, jobs)


def _write(job: tuple[Shard, Recipe]) -> Path:
    return write_shard(*job)


def _start_worker() -> None:
    """One core each; Ctrl-C is the parent's to handle, and its end lets a worker clean up."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _is_there(shard: Shard, recipe: Recipe, overwrite: bool) -> bool:
    """Whether what would be written is there. InputError where other things may not be replaced."""
    if not shard.path.exists():
        return False
    if list(_recipes(shard.path)) == [(f"{seed:010d}", recipe.key()) for seed in shard.seeds]:
        return True
    if not overwrite:
        raise InputError(
            f"{shard.path} holds other clips, or those of other settings or of another version; "
            "give another folder, or pass overwrite to replace it"
        )
    return False


def _recipes(path: Path) -> Iterable[tuple[str, str]]:
    """Key and recipe of every sample of a shard; none of a file that is no tar."""
    with (
        contextlib.suppress(tarfile.TarError, OSError, ValueError, KeyError),
        tarfile.open(path) as tar,
    ):
        for member in tar:
            key, _, ending = member.name.partition(".")
            file = tar.extractfile(member) if ending == "json" else None
            if file is not None:
                yield key, str(json.load(file)["recipe"])


def _bytes(told: dict[str, Any], recipe: Recipe) -> bytes:
    return to_json({**told, "recipe": recipe.key(), "split": recipe.split}).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A file without owner and date, so that the same clips make the same shard."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
