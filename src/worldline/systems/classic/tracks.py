"""Long-term point tracks: the other half of C4D's two correspondences."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from worldline.systems.classic.flow import inside, sample
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.texture import corner_strength, structure


@dataclass(frozen=True)
class PixelTracks:
    """Points followed through the video, in pixels of its working frames.

    A track outside its life has a position too (the last or first one known), and is not visible.
    """

    uv: Float32[np.ndarray, "M N 2"]
    visible: Bool[np.ndarray, "M N"]
    confidence: Float32[np.ndarray, "M N"]
    """In [0, 1]: how well each step survived the round trip through the flow."""
    mobility: Float32[np.ndarray, " M"]
    """Probability that the point moves in the world; 0.5 = no opinion."""
    texture: Float32[np.ndarray, " M"]
    """Smaller eigenvalue of the structure tensor where the track was born, (grey levels/px)^2:
    how well the picture fixes the point in its worse direction."""
    matched: Bool[np.ndarray, " M"]
    """True: a feature found anew in each frame and matched; False: followed from frame to frame."""

    def __len__(self) -> int:
        return len(self.uv)

    def __getitem__(self, chosen: np.ndarray) -> "PixelTracks":
        """Some of the tracks, by mask or index."""
        return PixelTracks(*(getattr(self, field.name)[chosen] for field in fields(self)))


@runtime_checkable
class PointTracker(Protocol):
    """Anything that follows points through a video and says which of them move."""

    name: str

    def __call__(self, frames: UInt8[np.ndarray, "N H W 3"]) -> PixelTracks:
        """Tracks that together cover every part of every frame."""
        ...


def seed_points(
    image: UInt8[np.ndarray, "H W"],
    taken: Float32[np.ndarray, "M 2"],
    cell: int,
    generator: np.random.Generator,
) -> Float32[np.ndarray, "S 2"]:
    """New points where none is: in each empty cell the strongest gradient and one at random.

    C4D's sampling (20x20 cells). The random one covers what has no texture; it is dropped later
    if it cannot be followed.
    """
    height, width = image.shape
    rows, columns = height // cell, width // cell
    # A gradient that fixes both coordinates, where there is one; else any gradient.
    strength = corner_strength(image) + 1e-3 * structure(image, 3).total()
    blocks = (
        strength[: rows * cell, : columns * cell]
        .reshape(rows, cell, columns, cell)
        .transpose(0, 2, 1, 3)
        .reshape(rows * columns, cell * cell)
    )
    free = np.ones(rows * columns, bool)
    c = np.clip((taken / cell).astype(int), 0, [columns - 1, rows - 1])
    free[c[:, 1] * columns + c[:, 0]] = False
    cells = np.flatnonzero(free)
    inner = np.concatenate(
        [blocks[cells].argmax(axis=1), generator.integers(0, cell * cell, len(cells))]
    )
    cells = np.concatenate([cells, cells])
    x = (cells % columns) * cell + inner % cell
    y = (cells // columns) * cell + inner // cell
    return np.stack([x, y], axis=-1).astype(np.float32) + 0.5


class ChainedTracker:
    """Tracks chained from dense flow and pinned to the picture of each point's birth.

    Each step follows the flow, checks that the way back returns, then lets Lucas-Kanade align the
    patch with the one at the track's reference frame, which stops the drift of plain chaining.
    """

    name = "chained-flow"

    def __init__(
        self,
        bank: FlowBank,
        cell: int | None = None,
        reseed_every: int = 3,
        round_trip: float = 1.0,
        seed: int = 0,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.bank = bank
        self.report = report
        # 20 px as in C4D, whose frames are about 512 px wide; finer in smaller pictures.
        self.cell = cell or int(np.clip(max(bank.grey.shape[1:]) // 24, 8, 20))
        self.reseed_every = reseed_every
        self.round_trip = round_trip
        self._generator = np.random.default_rng(seed)

    def __call__(self, frames: UInt8[np.ndarray, "N H W 3"]) -> PixelTracks:
        """See `PointTracker`; mobility is 0.5 until `pairs.vote_mobility` has seen the tracks."""
        count, (height, width) = len(frames), frames.shape[1:3]
        life = _Lives(count)
        for t in range(count):
            if t % self.reseed_every == 0:
                alive = life.uv[life.alive, t]
                grey = self.bank.grey[t]
                new = seed_points(grey, alive, self.cell, self._generator)
                life.give_birth(t, new, sample(corner_strength(grey)[..., None], new)[:, 0])
            if t + 1 < count:
                self._step(life, t, height, width)
            self.report(t + 1, count)
        return life.tracks()

    def _step(self, life: "_Lives", t: int, height: int, width: int) -> None:
        alive = np.flatnonzero(life.alive)
        start = life.uv[alive, t]
        forward = sample(self.bank.flow(t, t + 1), start)
        moved = start + forward
        back = sample(self.bank.flow(t + 1, t), moved)
        error = np.linalg.norm(forward + back, axis=-1)
        # Fast points may return a little less exactly: the flow's own error grows with its length.
        allowed = self.round_trip + 0.02 * np.linalg.norm(forward, axis=-1)
        keep = (error < allowed) & inside(moved, height, width, margin=2.0)
        life.alive[alive[~keep]] = False
        alive, moved, error = alive[keep], moved[keep], error[keep]
        pinned = self._pin(life, alive, t, moved)
        same = self._unchanged(life.uv[alive, t], pinned, t)
        life.alive[alive[~same]] = False
        alive, pinned, error = alive[same], pinned[same], error[same]
        life.uv[alive, t + 1] = pinned
        life.visible[alive, t + 1] = True
        life.confidence[alive, t + 1] = np.exp(-error)

    def _unchanged(
        self, before: Float32[np.ndarray, "A 2"], after: Float32[np.ndarray, "A 2"], t: int
    ) -> Bool[np.ndarray, " A"]:
        """Which tracks show in frame t+1 what they showed in frame t: the others are hidden.

        Flow at the edge of what hides a point follows the edge, there and back, so the round trip
        does not tell. The patch does: its far side is eaten up.
        """
        offset = np.stack(np.meshgrid(*2 * [np.arange(-6, 7, 2)]), axis=-1).reshape(-1, 2)
        patches = [
            sample(
                self.bank.grey[k].astype(np.float32)[..., None],
                (uv[:, None] + offset).reshape(-1, 2).astype(np.float32),
            ).reshape(len(uv), len(offset))
            for k, uv in ((t, before), (t + 1, after))
        ]
        # Brightness may change; the pattern may not.
        first, second = (patch - patch.mean(axis=1, keepdims=True) for patch in patches)
        return np.abs(first - second).mean(axis=1) < _PATCH_CHANGE

    def _pin(
        self, life: "_Lives", alive: np.ndarray, t: int, moved: Float32[np.ndarray, "A 2"]
    ) -> Float32[np.ndarray, "A 2"]:
        """Positions in frame t+1 aligned with the patches at the tracks' reference frames."""
        pinned = moved.copy()
        target = self.bank.grey[t + 1]
        reference = life.reference[alive]
        for r in np.unique(reference):
            of = np.flatnonzero(reference == r)
            at = life.uv[alive[of], r]
            found, status, residual = cv2.calcOpticalFlowPyrLK(
                self.bank.grey[r],
                target,
                at[:, None] - 0.5,
                moved[of][:, None] - 0.5,
                winSize=(13, 13),
                maxLevel=0,
                criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.02),
                flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
                minEigThreshold=1e-4,
            )
            found = found[:, 0] + 0.5
            near = np.linalg.norm(found - moved[of], axis=-1) < 1.0
            good = (status[:, 0] > 0) & near & (residual[:, 0] < _PATCH_RESIDUAL)
            pinned[of[good]] = found[good]
            # The patch has changed too much to compare: from here on it is compared with today's.
            life.reference[alive[of[~good]]] = t + 1
        return pinned


_PATCH_CHANGE = 26.0  # mean absolute grey difference by which a patch changes in one frame at most
_PATCH_RESIDUAL = 12.0  # mean absolute grey difference of two patches that show the same thing


class _Lives:
    """Growing arrays of tracks, one row each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.uv = np.zeros((0, count, 2), np.float32)
        self.visible = np.zeros((0, count), bool)
        self.confidence = np.zeros((0, count), np.float32)
        self.alive = np.zeros(0, bool)
        self.reference = np.zeros(0, np.int32)
        self.texture = np.zeros(0, np.float32)

    def give_birth(
        self, t: int, uv: Float32[np.ndarray, "S 2"], texture: Float32[np.ndarray, " S"]
    ) -> None:
        new = len(uv)
        self.texture = np.concatenate([self.texture, texture])
        self.uv = np.concatenate([self.uv, np.zeros((new, self.count, 2), np.float32)])
        self.visible = np.concatenate([self.visible, np.zeros((new, self.count), bool)])
        self.confidence = np.concatenate([self.confidence, np.zeros((new, self.count), np.float32)])
        self.alive = np.concatenate([self.alive, np.ones(new, bool)])
        self.reference = np.concatenate([self.reference, np.full(new, t, np.int32)])
        born = slice(len(self.uv) - new, None)
        self.uv[born, t] = uv
        self.visible[born, t] = True
        self.confidence[born, t] = 1.0

    def tracks(self, shortest: int = 3) -> PixelTracks:
        kept = self.visible.sum(axis=1) >= min(shortest, self.count)
        uv, visible = self.uv[kept], self.visible[kept]
        return PixelTracks(
            uv=hold_ends(uv, visible),
            visible=visible,
            confidence=self.confidence[kept],
            mobility=np.full(len(uv), 0.5, np.float32),
            texture=self.texture[kept],
            matched=np.zeros(len(uv), bool),
        )


def hold_ends(
    uv: Float32[np.ndarray, "M N 2"], visible: Bool[np.ndarray, "M N"]
) -> Float32[np.ndarray, "M N 2"]:
    """Positions outside each track's life replaced by its first or last seen one."""
    count = visible.shape[1]
    first = visible.argmax(axis=1)
    last = count - 1 - visible[:, ::-1].argmax(axis=1)
    at = np.clip(np.arange(count), first[:, None], last[:, None])
    return np.take_along_axis(uv, at[..., None], axis=1)
