"""Which frames of a clip are read, and what lies between them: flow, and points that move."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from worldline.errors import InputError

Frames: TypeAlias = Sequence[int] | slice | None  # which of a clip's frames to read; None: all

MOVES = 0.01  # units of the world: what is ever farther from its first place moves


def indices(count: int, frames: Frames, name: str) -> Int[np.ndarray, " N"]:
    """The asked frames as indices into ``count``; ``InputError`` where a clip lacks one of them."""
    if count == 0:
        raise InputError(f"{name}: has no frames; download or extract the dataset again.")
    every = np.arange(count)
    if frames is None or isinstance(frames, slice):
        chosen = every if frames is None else every[frames]
    else:
        chosen = np.array(list(frames), dtype=int)
    wrong = chosen[(chosen < 0) | (chosen >= count)]
    if len(wrong) or not len(chosen):
        asked = f"frame {wrong[0]} was asked for" if len(wrong) else "no frame was asked for"
        raise InputError(f"{name}: {asked}; it has frames 0 to {count - 1}.")
    return chosen


def consecutive(chosen: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " N-1"]:
    """Whether each chosen frame is followed by the one that follows it in the dataset."""
    return np.asarray(np.diff(chosen) == 1)


def flow_of_pairs(
    flows: Mapping[int, np.ndarray], chosen: Int[np.ndarray, " N"], shape: tuple[int, int]
) -> Float32[np.ndarray, "N-1 H W 2"] | None:
    """Flow from each chosen frame to the next; NaN where they are not neighbours in the dataset.

    ``flows`` holds by the dataset's own index the flow to the frame after it. None where no pair
    of the chosen frames has any.
    """
    pairs = [k for k in np.flatnonzero(consecutive(chosen)) if int(chosen[k]) in flows]
    if not pairs:
        return None
    result = np.full((len(chosen) - 1, *shape, 2), np.nan, np.float32)
    for k in pairs:
        result[k] = flows[int(chosen[k])]
    return result


def where_asked(
    query: Int[np.ndarray, " M"], chosen: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " M"]:
    """Query frames of the dataset as positions among the chosen frames; -1 where left out."""
    hits = query[:, None] == chosen[None, :]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def first_visible(visible: Bool[np.ndarray, "M N"]) -> Int[np.ndarray, " M"]:
    """The first frame that sees each point; -1 where none does."""
    return np.where(visible.any(axis=1), visible.argmax(axis=1), -1)


def moves_by_path(xyz: Float[np.ndarray, "M N 3"], bound: float) -> Bool[np.ndarray, " M"]:
    """Whether a point's path through the world is longer than ``bound``, as benchmarks count it."""
    steps = np.linalg.norm(np.diff(xyz, axis=1), axis=-1)
    return np.nansum(steps, axis=1) > bound


def moves_by_distance(xyz: Float[np.ndarray, "M N 3"]) -> Bool[np.ndarray, " M"]:
    """Whether points are ever farther than ``MOVES`` from where they are first known.

    Other than a path's length this does not grow with the noise of each frame, so it holds for
    clips of any length.
    """
    there = np.isfinite(xyz).all(axis=-1)
    first = xyz[np.arange(len(xyz)), there.argmax(axis=1)]
    way = np.linalg.norm(xyz - first[:, None], axis=-1)
    return np.asarray((np.where(there, way, 0.0) > MOVES).any(axis=1))
