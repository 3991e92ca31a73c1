"""All frames' points brought to one time: chosen once, asked for at many times."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32

from worldline.scene.cloud import PointCloud, empty_cloud, even_quotas
from worldline.scene.motion import EndPoints

if TYPE_CHECKING:
    from worldline.scene.scene import Scene

_AT_ONCE = 10_000_000  # places that one batch of times may hold


class Gathering:
    """Pixels of all frames that stand for a scene, and where their points are at any time.

    max_points: at most so many, drawn before anything is computed, as evenly over the frames as
        they allow; the same seed draws the same ones.
    min_confidence: leaves out pixels whose depth is less sure; unknown depth is always left out.
    """

    def __init__(
        self,
        scene: "Scene",
        max_points: int | None = None,
        *,
        seed: int = 0,
        min_confidence: float | None = None,
    ) -> None:
        frames = range(len(scene))
        available = [int(_usable(scene, i, min_confidence).sum()) for i in frames]
        quotas = even_quotas(np.array(available), max_points)
        self.scene, self._home = scene, empty_cloud(int(quotas.sum()))
        self._ends = np.cumsum([0, *quotas])
        self._chosen = np.empty(len(self._home), np.int32)  # flat indices of pixels, by frame
        for i, own in self._frames():
            usable = np.flatnonzero(_usable(scene, i, min_confidence))
            self._chosen[own] = _drawn(usable, int(quotas[i]), [seed, i])
            self._bring_home(i, own)

    def __len__(self) -> int:
        return len(self._home)

    def at(self, position: int | float) -> PointCloud:
        """The points where they are at a frame position: an index, or a share between frames."""
        return next(self.each(np.array([position], np.float64)))

    def each(self, positions: Float[np.ndarray, " T"]) -> Iterator[PointCloud]:
        """The points at one frame position after the other, asked for in large batches."""
        step = max(1, _AT_ONCE // max(1, len(self)))
        for first in range(0, len(positions), step):
            for xyz, sure in zip(*self._places(positions[first : first + step]), strict=True):
                yield replace(self._home, xyz=xyz, confidence=sure)

    def _places(
        self, positions: Float[np.ndarray, " T"]
    ) -> tuple[Float32[np.ndarray, "T P 3"], Float32[np.ndarray, "T P"]]:
        """Where the points are, and how sure they are."""
        motion = self.scene.motion
        places = np.empty((len(positions), len(self), 3), np.float32)
        sure = np.broadcast_to(self._home.confidence, places.shape[:2])
        if isinstance(motion, EndPoints):
            sure = sure.copy()
            for i, own in self._frames():
                ends = motion.end_points(i, positions, self._pixels(own))
                places[:, own], sure[:, own] = ends
            return places, sure
        for i, own in self._frames():
            moved = motion.query(i, positions, self._pixels(own)).displacement
            np.add(self._home.xyz[own], moved, out=places[:, own])
        return places, sure

    def _frames(self) -> Iterator[tuple[int, slice]]:
        """The frames that have points here, and which points are theirs."""
        for i in np.flatnonzero(np.diff(self._ends)).tolist():
            yield i, slice(self._ends[i], self._ends[i + 1])

    def _pixels(self, own: slice) -> Float[np.ndarray, "M 2"]:
        row, column = np.divmod(self._chosen[own], self.scene.size[0])
        return np.stack([column, row], axis=-1) + 0.5

    def _bring_home(self, i: int, own: slice) -> None:
        """Fill in frame i's points as they are at its own time."""
        scene, home = self.scene, self._home
        home.xyz[own] = scene.pointmap(i, pixels=self._pixels(own))
        pixel = np.divmod(self._chosen[own], scene.size[0])
        home.rgb[own] = scene.frames[i][pixel]
        home.confidence[own] = scene.confidence[i][pixel]
        home.source_frame[own] = i
        home.dynamic[own] = scene.dynamic[i][pixel]


def _usable(scene: "Scene", i: int, min_confidence: float | None) -> Bool[np.ndarray, "H W"]:
    usable = np.isfinite(scene.depth[i]) & (scene.depth[i] > 0)
    return usable if min_confidence is None else usable & (scene.confidence[i] >= min_confidence)


def _drawn(usable: np.ndarray, quota: int, seed: list[int]) -> Int32[np.ndarray, " quota"]:
    """So many of the pixels, ascending."""
    if quota < len(usable):
        usable = np.sort(np.random.default_rng(seed).choice(usable, quota, replace=False))
    return usable.astype(np.int32)
