"""Motion as pairs tell it: where each frame's points are at the times of the frames it met."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float16, Float32, Int

from worldline.scene.motion import Motion, register


@dataclass(frozen=True, eq=False)
class PairField:
    """Displacements of frames' points at some other frames' times, straight between them.

    Beyond the first and last time that a frame met, its points stay, with confidence 0.

    pairs: (source, time) as frame indices, sorted.
    moved: displacement of each pair's source points in the source's camera, in scene units.
    rotation: from each frame's camera to the world.
    """

    pairs: Int[np.ndarray, "K 2"]
    moved: Float16[np.ndarray, "K H W 3"]
    rotation: Float32[np.ndarray, "N 3 3"]
    kind: ClassVar[str] = "pairs"

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query."""
        rows = np.flatnonzero((self.pairs[:, 0] == source) & (self.pairs[:, 1] != source))
        split = int(np.searchsorted(self.pairs[rows, 1], source))
        known = np.insert(self.pairs[rows, 1], split, source)
        rows = np.insert(rows, split, -1)  # at its own time it has not moved
        position = np.clip(at, known[0], known[-1])
        low = np.searchsorted(known, position, side="right") - 1
        high = np.minimum(low + 1, len(known) - 1)
        part = (position - known[low]) / np.maximum(known[high] - known[low], 1)
        high = np.where(part > 0, high, low)
        needed, index = np.unique(np.concatenate([low, high]), return_inverse=True)
        moved = self._moved(rows[needed], pixels)
        before, after = moved[index[: len(at)]], moved[index[len(at) :]]
        share = part.astype(np.float32).reshape(-1, *[1] * (before.ndim - 1))
        displacement = (before + share * (after - before)) @ self.rotation[source].T
        inside = ((at >= known[0]) & (at <= known[-1])).astype(np.float32)
        confidence = np.ones(displacement.shape[:-1], np.float32) * inside.reshape(
            -1, *[1] * (displacement.ndim - 2)
        )
        return Motion(displacement, confidence)

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields themselves."""
        return {"pairs": self.pairs, "moved": self.moved, "rotation": self.rotation}

    def _moved(
        self, rows: Int[np.ndarray, " R"], pixels: Float[np.ndarray, "M 2"] | None
    ) -> Float32[np.ndarray, "R *shape 3"]:
        """What the pairs of `rows` say, in the source's camera; -1: nothing."""
        if pixels is None:
            moved = self.moved[rows].astype(np.float32)
        else:
            height, width = self.moved.shape[1:3]
            x = pixels[:, 0].astype(np.int64).clip(0, width - 1)
            y = pixels[:, 1].astype(np.int64).clip(0, height - 1)
            moved = self.moved[rows[:, None], y, x].astype(np.float32)
        moved[rows < 0] = 0.0
        return moved


@register("pairs")
def _load_pairs(arrays: dict[str, np.ndarray]) -> PairField:
    return PairField(**arrays)
