"""synth-bench: fixed clips of the test split by difficulty, made on the fly, known by a hash.

What is reported of a system on synth-bench names VERSION and HASH: clips whose parameters changed
are another benchmark. Nothing may be trained, tuned or chosen on them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from worldline.errors import InputError
from worldline.synth.clips import Progress, SyntheticClip, make_clip
from worldline.synth.generator import MIXES, fingerprint, generate
from worldline.synth.splits import SPLITS

VERSION = 1
HASH = "f016a7ca081e7d52"  # of ``bench_hash``; with other clips it changes, and VERSION with it

CLIPS_EACH = 3
SIZE, FRAMES = (320, 180), 30
LONG_SIZE, LONG_FRAMES = (160, 90), 300
MIX_OF = {  # what is hard about a clip, and the mix that makes such
    "static": "static",
    "rigid": "rigid",
    "articulated": "articulated",
    "nonrigid": "nonrigid",
    "mostly-dynamic": "mostly-dynamic",
    "fast": "fast",
    "low-texture": "low-texture",
    "long": "long",
    "loop": "loop",
}


@dataclass(frozen=True)
class BenchClip:
    """One clip of the benchmark; ``size`` is (width, height)."""

    name: str
    difficulty: str
    mix: str
    seed: int
    size: tuple[int, int]
    frames: int


def bench_list(names: Iterable[str] | None = None) -> list[BenchClip]:
    """The benchmark's clips; ``names`` picks clips ("fast-1") or difficulties ("fast").

    Raises InputError for a name that there is not.
    """
    clips = [_clip(which, number) for which in range(len(MIX_OF)) for number in range(CLIPS_EACH)]
    if names is None:
        return clips
    wanted = set(names)
    if unknown := wanted - {c.name for c in clips} - set(MIX_OF):
        raise InputError(
            f"synth-bench has no {sorted(unknown)[0]!r}; it has {', '.join(MIX_OF)}, and of each "
            f"{CLIPS_EACH}: {clips[0].name}, ..."
        )
    return [clip for clip in clips if clip.name in wanted or clip.difficulty in wanted]


def bench_clips(
    names: Iterable[str] | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Iterator[tuple[BenchClip, SyntheticClip]]:
    """The clips, drawn one after the other."""
    for one in bench_list(names):
        yield one, draw_bench_clip(one, device=device, progress=progress)


def draw_bench_clip(
    one: BenchClip, *, device: torch.device | str = "cpu", progress: Progress | None = None
) -> SyntheticClip:
    """Frames and truth of one of them."""
    return make_clip(
        one.seed, one.mix, size=one.size, frames=one.frames, device=device, progress=progress
    )


def bench_hash(names: Iterable[str] | None = None) -> str:
    """A hash of what the benchmark asks for and of all that its seeds make of it."""
    digest = hashlib.sha256(str(VERSION).encode())
    for one in bench_list(names):
        made = generate([one.seed], MIXES[one.mix], size=one.size, frames=one.frames)
        digest.update(f"{one}{fingerprint(*made)}".encode())
    return digest.hexdigest()[:16]


def _clip(which: int, number: int) -> BenchClip:
    difficulty = list(MIX_OF)[which]
    long = difficulty == "long"
    return BenchClip(
        name=f"{difficulty}-{number + 1}",
        difficulty=difficulty,
        mix=MIX_OF[difficulty],
        seed=SPLITS["test"].start + 100 * which + number,
        size=LONG_SIZE if long else SIZE,
        frames=LONG_FRAMES if long else FRAMES,
    )
