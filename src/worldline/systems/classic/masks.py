"""What moves: static correspondences fix the camera's motion, the rest must move by itself.

C4D's test (section 3 of the paper): a robust fundamental matrix from points held to be static,
the Sampson error of every pixel's flow under it, a threshold, the union over the pairs of a frame.
Where it differs: the threshold is absolute, in px^2, calibrated on the pair's own noise (a
threshold relative to the pair's largest error finds movers in a clip at rest), a homography takes
over where it explains the pair as well (rotation, tripod: there a fundamental matrix is
arbitrary), and the union wants two witnesses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from worldline.systems.classic.completion import complete
from worldline.systems.classic.flow import inside, sample
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.pairs import THRESHOLD, PairModel
from worldline.systems.classic.texture import Structure, structure
from worldline.systems.classic.tracks import PixelTracks

_ROUND_TRIP = 1.5  # px: pixels whose flow does not lead back are hidden
_LENGTH_NOISE = 0.01  # px of flow error for each px of its length
_PLAIN = 1.5  # grey levels a pixel: below this contrast flow is guesswork
_MISSED, _MISSED_SHARE = 1.5, 0.03  # px, and share of its length, by which flow may miss a track
_CELL = 24  # px: squares in which tracks are asked whether flow follows
_FOLLOWED_BEFORE = 0.05  # tracks' worth of belief in flow where there are none
_SILENT = 0.002  # trust of a pixel of which nothing is known: it goes with those around it
_FADE = 0.92  # of what is remembered of a mover from one frame to the next
_TRACK_WEIGHT = 6.0  # what a track's vote over its whole life counts against one pixel's


def motion_masks(
    bank: FlowBank,
    models: list[PairModel],
    tracks: PixelTracks,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Float32[np.ndarray, "N H W"]:
    """Probability that each pixel moves: every pair's flow, and every track's vote over its life.

    Pairs are judged at half the picture's size. Where the picture is too plain for its flow to be
    believed, the verdict comes from around it, along the picture's smooth parts.
    """
    count, height, width = bank.grey.shape
    of_frame: list[list[tuple[PairModel, int]]] = [[] for _ in range(count)]
    for model in models:
        of_frame[model.source].append((model, model.target))
        of_frame[model.target].append((model, model.source))
    masks = np.zeros((count, height, width), np.float32)
    for i, pairs in enumerate(of_frame):
        texture = structure(bank.grey[i], 9).halved()
        evidence = [_judge(bank, model, i, j, texture, tracks) for model, j in pairs]
        score, trust = (cv2.resize(m, (width, height)) for m in _merge(evidence, height, width))
        _add_tracks(score, trust, tracks, i)
        masks[i] = complete(score, trust, bank.frames[i])
        report(i + 1, count)
    return np.stack([_without_specks(mask) for mask in _steadied(bank, masks)])


@dataclass(frozen=True)
class _Evidence:
    """What one pair says of a frame, at half its size."""

    score: Float32[np.ndarray, "h w"]
    """How far each pixel breaks the camera's model, 0 to 1; NaN where the other frame hides it."""
    trust: Float32[np.ndarray, "h w"]
    """How far its flow can be believed across the epipolar line, 0 to 1."""


def _judge(
    bank: FlowBank, model: PairModel, i: int, j: int, texture: Structure, tracks: PixelTracks
) -> _Evidence:
    """Frame i's pixels against the model of a pair, by their flow to frame j.

    A picture striped across the epipolar lines says nothing of motion across them (the aperture
    problem): the noise allowed grows as the structure in that direction fades, and where the flow
    contradicts the tracks, which came there in smaller steps or by their looks.
    """
    flow = bank.flow(i, j)[::2, ::2]
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width) * 2, np.arange(height) * 2)
    grid = np.stack([x, y], axis=-1).astype(np.float32)
    target = grid + flow
    back = cv2.remap(
        bank.flow(j, i), target, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    lost = np.abs(flow + back).max(axis=-1) > _ROUND_TRIP
    lost |= ~inside(target + 0.5, *bank.grey.shape[1:])
    here, there = (grid + 0.5).reshape(-1, 2), (target + 0.5).reshape(-1, 2)
    forward = i == model.source
    error = model.error(*((here, there) if forward else (there, here))).reshape(height, width)
    # Dense flow is noisier than tracks: its own median says by how much.
    dense = model.calibrated(error)
    allowed = min(dense.threshold, 4 * model.threshold)
    allowed = allowed + THRESHOLD * _LENGTH_NOISE**2 * (flow**2).sum(axis=-1)
    if model.planar:
        information = texture.weakest()
    else:
        normal = model.normal(here, in_target=forward).reshape(height, width, 2)
        information = texture.along(normal)
    trust = information / (information + _PLAIN**2) * _followed(bank, tracks, i, j)
    score = error / (error + allowed / np.maximum(trust, 1e-3))
    if model.rests:
        same = _looks_still(bank, i, j)
        score *= 1.0 - same
        trust = np.maximum(trust, 0.3 * same)
    score[lost] = np.nan
    return _Evidence(score, np.where(lost, 0.0, trust).astype(np.float32))


def _followed(bank: FlowBank, tracks: PixelTracks, i: int, j: int) -> Float32[np.ndarray, "h w"]:
    """Share of the tracks around each pixel that go where the flow from i to j says."""
    height, width = bank.grey.shape[1:]
    both = np.flatnonzero(tracks.visible[:, i] & tracks.visible[:, j])
    start = tracks.uv[both, i]
    moved = tracks.uv[both, j] - start
    missed = np.linalg.norm(sample(bank.flow(i, j), start) - moved, axis=-1)
    agree = missed < _MISSED + _MISSED_SHARE * np.linalg.norm(moved, axis=-1)
    cells = (-(-height // _CELL), -(-width // _CELL))
    x, y = np.clip((start / _CELL).astype(int), 0, (cells[1] - 1, cells[0] - 1)).T
    votes = np.zeros((2, *cells), np.float32)
    np.add.at(votes[0], (y, x), agree)
    np.add.at(votes[1], (y, x), 1.0)
    yes, cast = (cv2.GaussianBlur(v, (5, 5), 1.0, borderType=cv2.BORDER_CONSTANT) for v in votes)
    share = (yes + _FOLLOWED_BEFORE) / (cast + _FOLLOWED_BEFORE)
    size = ((width + 1) // 2, (height + 1) // 2)
    return cv2.resize(share**2, size, interpolation=cv2.INTER_LINEAR)


def _looks_still(bank: FlowBank, i: int, j: int) -> Float32[np.ndarray, "h w"]:
    """How far two frames of a tripod show the same at each pixel, 0 to 1.

    Flow is smooth, so it drags plain ground along with the mover beside it; the picture does not.
    """
    difference = cv2.absdiff(bank.grey[i], bank.grey[j])[::2, ::2].astype(np.float32)
    difference = cv2.boxFilter(difference, cv2.CV_32F, (3, 3))
    noise = 2.0 + 3.0 * float(np.median(difference))
    return np.exp(-((difference / noise) ** 2))


def _merge(
    evidence: list[_Evidence], height: int, width: int
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """The frame's score, by its second-best witness, and its trust, from the mean of all."""
    if not evidence:
        nothing = np.zeros(((height + 1) // 2, (width + 1) // 2), np.float32)
        return nothing, nothing + _SILENT
    score = _two_witnesses(np.stack([e.score for e in evidence]))
    trust = np.mean([e.trust for e in evidence], axis=0)
    return score, (_SILENT + trust**2).astype(np.float32)


def _add_tracks(
    score: Float32[np.ndarray, "H W"],
    trust: Float32[np.ndarray, "H W"],
    tracks: PixelTracks,
    frame: int,
) -> None:
    """Blend the tracks' mobility in, in place, at the pixels they stand on."""
    height, width = score.shape
    at = np.flatnonzero(tracks.visible[:, frame])
    x = np.clip(tracks.uv[at, frame, 0].astype(int), 0, width - 1)
    y = np.clip(tracks.uv[at, frame, 1].astype(int), 0, height - 1)
    weight = _TRACK_WEIGHT * tracks.texture[at] / (tracks.texture[at] + _PLAIN**2)
    total = trust[y, x] + weight
    score[y, x] = (score[y, x] * trust[y, x] + tracks.mobility[at] * weight) / total
    trust[y, x] = total


def _steadied(bank: FlowBank, masks: Float32[np.ndarray, "N H W"]) -> Float32[np.ndarray, "N H W"]:
    """Masks carried along the flow: what moves now is the same thing when it pauses.

    Each frame is blended with its neighbours, which stops flicker; then what was seen to move is
    remembered, forwards and backwards, fading a little with every frame.
    """
    count = len(masks)
    blended = 2.0 * masks
    weight = np.full((count, 1, 1), 2.0, np.float32)
    for i in range(count - 1):
        blended[i] += _Warp(bank, i, i + 1)(masks[i + 1])
        blended[i + 1] += _Warp(bank, i + 1, i)(masks[i])
        weight[i : i + 2] += 1.0
    blended /= weight
    out = blended.copy()
    memory = blended[0]
    for i in range(1, count):
        memory = np.maximum(blended[i], _FADE * _Warp(bank, i, i - 1).sure(memory))
        out[i] = memory
    memory = blended[-1]
    for i in range(count - 2, -1, -1):
        memory = np.maximum(blended[i], _FADE * _Warp(bank, i, i + 1).sure(memory))
        out[i] = np.maximum(out[i], memory)
    return out


class _Warp:
    """Maps of frame j brought to frame i."""

    def __init__(self, bank: FlowBank, i: int, j: int) -> None:
        flow = bank.flow(i, j)
        height, width = flow.shape[:2]
        self.x = flow[..., 0] + np.arange(width, dtype=np.float32)
        self.y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        self.round_trip = partial(bank.round_trip, i, j)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return cv2.remap(image, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def sure(self, image: np.ndarray) -> np.ndarray:
        """The same, zero where the flow does not lead back."""
        return self(image) * (self.round_trip() < 1.0)


def _two_witnesses(scores: Float32[np.ndarray, "P H W"]) -> Float32[np.ndarray, "H W"]:
    """Second-largest score of each pixel (its largest where only one pair can see it)."""
    known = np.where(np.isnan(scores), -1.0, scores)
    if len(known) == 1:
        best = known[0]
    else:
        two = np.partition(known, len(known) - 2, axis=0)[-2:]
        best = np.where(two[0] >= 0, two[0], two[1])
    return np.where(best < 0, np.float32(0.3), best).astype(np.float32)


def _without_specks(probability: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """Islands smaller than 0.1% of the picture pushed below one half."""
    smallest = max(12, probability.size // 1000)
    moving = (probability > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    speck = stats[:, cv2.CC_STAT_AREA] < smallest
    speck[0] = False
    out = probability.copy()
    out[speck[labels]] *= 0.5
    return out


def static_tracks(
    tracks: PixelTracks, masks: Float32[np.ndarray, "N H W"]
) -> Bool[np.ndarray, " M"]:
    """Tracks held to be static by their own vote and by the pixels they pass over."""
    over = (look_up(masks, tracks.uv) > 0.5) & tracks.visible
    seen = np.maximum(tracks.visible.sum(axis=1), 1)
    return (tracks.mobility < 0.5) & (over.sum(axis=1) / seen < 0.3)


def look_up(
    maps: Float32[np.ndarray, "N H W"], uv: Float32[np.ndarray, "M N 2"]
) -> Float32[np.ndarray, "M N"]:
    """Each frame's map at the pixels that tracks have in it."""
    height, width = maps.shape[1:]
    x = np.clip(uv[..., 0].astype(int), 0, width - 1)
    y = np.clip(uv[..., 1].astype(int), 0, height - 1)
    return maps[np.arange(len(maps)), y, x]
