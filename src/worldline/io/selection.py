"""Which frames to keep and at what size: the settings, checked once, and what a reader returns."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, UInt8

from worldline.errors import InputError

Progress = Callable[[int, int | None], None]

MIN_ORIGINAL = 32  # px on the short side: less holds nothing to track
MIN_WORKING = 16


@dataclass(frozen=True)
class Selection:
    """The frames asked for: times in [start, end), every stride-th, at most max_frames of them."""

    start: float | None = None
    end: float | None = None
    stride: int = 1
    max_frames: int | None = None
    size: int | None = 640

    def __post_init__(self) -> None:
        for name, value in (("--start", self.start), ("--end", self.end)):
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} is {value}: give a time in seconds.")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InputError(
                f"--start {self.start:g} is not before --end {self.end:g}: give an earlier start."
            )
        if self.stride < 1:
            raise InputError(f"--stride is {self.stride}: give 1 (every frame) or more.")
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"--max-frames is {self.max_frames}: give 1 or more.")
        if self.size is not None and self.size < MIN_WORKING:
            raise InputError(f"--size is {self.size}: give {MIN_WORKING} pixels or more.")

    def before(self, time: float) -> bool:
        """Whether a time lies before the range."""
        return self.start is not None and time < self.start

    def after(self, time: float) -> bool:
        """Whether a time lies behind the range (the end itself does)."""
        return self.end is not None and time >= self.end

    def keeps(self, index: int) -> bool:
        """Whether the index-th frame of the range is one of every `stride`."""
        return index % self.stride == 0

    def full(self, kept: int) -> bool:
        """Whether max_frames have been kept."""
        return self.max_frames is not None and kept >= self.max_frames

    def will_keep(self, total: int) -> int:
        """How many of the range's `total` frames are kept in the end."""
        kept = -(-total // self.stride)
        return kept if self.max_frames is None else min(kept, self.max_frames)

    def range_words(self) -> str:
        """The range in words: "between 1 and 2 s"."""
        start, end = self.start, self.end
        if start is not None and end is not None:
            return f"between {start:g} and {end:g} s"
        if start is not None:
            return f"at or after {start:g} s"
        return f"before {end:g} s" if end is not None else "in the whole source"

    def cut_notes(self, kept: int, total: int) -> list[str]:
        """Say it when max_frames left frames out."""
        after_stride = -(-total // self.stride)
        return (
            [f"--max-frames kept the first {kept} of {after_stride} frames."]
            if kept < after_stride and self.full(kept)
            else []
        )

    def working_size(self, original: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) to work at: the longest side is at most `size`, never larger.

        Raises InputError where the original or the working picture is too small to use.
        """
        width, height = original
        if min(width, height) < MIN_ORIGINAL:
            raise InputError(
                f"frames are {width}x{height} px; "
                f"at least {MIN_ORIGINAL}x{MIN_ORIGINAL} needed: give a larger picture."
            )
        longest = max(width, height)
        if self.size is None or longest <= self.size:
            return original
        scale = self.size / longest
        working = (math.floor(width * scale + 0.5), math.floor(height * scale + 0.5))
        if min(working) < MIN_WORKING:
            needed = math.ceil(MIN_WORKING * longest / min(width, height))
            raise InputError(
                f"--size {self.size} would make {working[0]}x{working[1]} px of the "
                f"{width}x{height} frames: give --size {needed} or more."
            )
        return working


@dataclass
class Reading:
    """What a reader got out of a source, before the lens is looked at."""

    frames: UInt8[np.ndarray, "N H W 3"]
    times: Float64[np.ndarray, "N"]
    total: int
    original_size: tuple[int, int]
    focal: float | None = None  # original pixels, from the source's own metadata
    notes: list[str] = field(default_factory=list)
    names: tuple[str, ...] = ()  # of the files that the frames are; empty for a video
