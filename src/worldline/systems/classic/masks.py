"""What moves: static correspondences fix the camera's motion, the rest must move by itself.

C4D's test (section 3 of the paper): a robust fundamental matrix from points held to be static,
the Sampson error of every pixel's flow under it, a threshold, the union over the pairs of a frame.
Where it differs: the threshold is absolute, in px^2, calibrated on the pair's own noise (a
threshold relative to the pair's largest error finds movers in a clip at rest), a homography takes
over where it explains the pair as well (rotation, tripod: there a fundamental matrix is
arbitrary), and the union wants two witnesses.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from worldline.geometry.epipolar import sampson_error, transfer_error
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.tracks import PixelTracks

STRIDES = (1, 2, 4, 8)
_CHI2_MEDIAN = {1: 0.455, 2: 1.386}  # median of chi^2 with 1, 2 degrees of freedom
_THRESHOLD = 12.0  # in noise variances: 3.5 sigma
_NOISE_FLOOR = 0.12  # px^2: flow is never better than a third of a pixel
_FEWEST = 24  # correspondences that fix a fundamental matrix against outliers


@dataclass(frozen=True)
class PairModel:
    """What the camera alone does to a pair of frames."""

    source: int
    target: int
    matrix: Float64[np.ndarray, "3 3"]
    planar: bool
    """True: `matrix` is a homography (no parallax to speak of); False: a fundamental matrix."""
    noise: float
    """Variance of the correspondences' error, px^2."""

    def error(
        self, source: Float[np.ndarray, "M 2"], target: Float[np.ndarray, "M 2"]
    ) -> Float32[np.ndarray, " M"]:
        """Squared error of correspondences, in px^2."""
        measure = transfer_error if self.planar else sampson_error
        return measure(
            torch.as_tensor(source, dtype=torch.float32),
            torch.as_tensor(target, dtype=torch.float32),
            torch.as_tensor(self.matrix, dtype=torch.float32),
        ).numpy()

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the error."""
        return 2 if self.planar else 1


def neighbours(frame: int, count: int, strides: Iterable[int] = STRIDES) -> list[int]:
    """Frames that a frame is compared with."""
    both = [frame + sign * s for s in strides for sign in (1, -1)]
    return [other for other in both if 0 <= other < count]


def fit_pair(
    source: int,
    target: int,
    source_uv: Float32[np.ndarray, "M 2"],
    target_uv: Float32[np.ndarray, "M 2"],
) -> PairModel | None:
    """Robust camera model of a pair from correspondences most of which are static."""
    if len(source_uv) < _FEWEST:
        return None
    a, b = source_uv.astype(np.float64), target_uv.astype(np.float64)
    cv2.setRNGSeed(0)
    homography, _ = cv2.findHomography(a, b, cv2.LMEDS)
    fundamental, _ = cv2.findFundamentalMat(a, b, cv2.FM_LMEDS)
    models = []
    for matrix, planar in ((homography, True), (fundamental, False)):
        if matrix is None or matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            continue
        model = PairModel(source, target, matrix, planar, 1.0)
        noise = float(np.median(model.error(source_uv, target_uv))) / _CHI2_MEDIAN[model.freedom]
        models.append(replace(model, noise=noise))
    if not models:
        return None
    # The homography has fewer unknowns to bend around movers: it wins unless parallax speaks.
    if len(models) == 2 and models[0].noise > 2.5 * max(models[1].noise, _NOISE_FLOOR / 2):
        return models[1]
    return models[0]


def vote_mobility(tracks: PixelTracks, rounds: int = 2) -> tuple[PixelTracks, list[PairModel]]:
    """Tracks with the probability that each moves, from every pair in which it was seen.

    In each round the pairs' camera models are fitted to the tracks that the last round held to
    be static, and every track is then judged by all pairs.
    """
    count = tracks.visible.shape[1]
    mobility = tracks.mobility
    models: list[PairModel] = []
    for _ in range(rounds):
        models = []
        ballots = np.zeros((2, len(tracks)), np.float32)  # votes for "moves", votes cast
        for i in range(count):
            for j in neighbours(i, count):
                if j < i:
                    continue
                both = tracks.visible[:, i] & tracks.visible[:, j]
                static = both & (mobility <= 0.5)
                model = fit_pair(i, j, tracks.uv[static, i], tracks.uv[static, j])
                if model is None:
                    continue
                models.append(model)
                error = model.error(tracks.uv[both, i], tracks.uv[both, j])
                ballots[0, both] += error > _threshold(model)
                ballots[1, both] += 1
        # Movers betray themselves in some pairs only: a quarter of a life is enough.
        share = (ballots[0] + 0.05) / (ballots[1] + 0.4)
        mobility = np.where(ballots[1] > 0, share / (share + 0.25), 0.5).astype(np.float32)
    return replace(tracks, mobility=mobility), models


def _threshold(model: PairModel) -> float:
    return _THRESHOLD * model.freedom**0.5 * max(model.noise, _NOISE_FLOOR)


def epipolar_masks(
    bank: FlowBank, models: list[PairModel], round_trip: float = 1.5
) -> Float32[np.ndarray, "N H W"]:
    """Probability that each pixel moves, from the flows of the pairs that have a camera model."""
    count, height, width = bank.grey.shape
    by_frame: list[list[np.ndarray]] = [[] for _ in range(count)]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) + 0.5
    grid = grid.reshape(-1, 2).astype(np.float32)
    for model in models:
        for forward in (True, False):
            i, j = (model.source, model.target) if forward else (model.target, model.source)
            flow = bank.flow(i, j).reshape(-1, 2)
            pair = (grid, grid + flow) if forward else (grid + flow, grid)
            error = model.error(*pair).reshape(height, width)
            # Dense flow is noisier than tracks: its own median says by how much.
            dense = float(np.median(error)) / _CHI2_MEDIAN[model.freedom]
            scale = _threshold(replace(model, noise=min(dense, 4 * max(model.noise, _NOISE_FLOOR))))
            score = error / (error + scale)
            score[bank.round_trip(i, j) > round_trip] = np.nan
            by_frame[i].append(score.astype(np.float32))
    masks = np.full((count, height, width), 0.0, np.float32)
    for i, scores in enumerate(by_frame):
        if scores:
            masks[i] = soften(_two_witnesses(np.stack(scores)), bank.frames[i])
    return masks


def _two_witnesses(scores: Float32[np.ndarray, "P H W"]) -> Float32[np.ndarray, "H W"]:
    """Second-largest score of each pixel (its largest where only one pair can see it)."""
    known = np.where(np.isnan(scores), -1.0, scores)
    if len(known) == 1:
        best = known[0]
    else:
        two = np.partition(known, len(known) - 2, axis=0)[-2:]
        best = np.where(two[0] >= 0, two[0], two[1])
    return np.where(best < 0, np.float32(0.3), best).astype(np.float32)


def soften(
    probability: Float32[np.ndarray, "H W"], guide: np.ndarray, radius: int = 6
) -> Float32[np.ndarray, "H W"]:
    """Probability that follows the picture's edges (guided filter, He et al. 2010), specks gone."""
    filtered = guided_filter(cv2.medianBlur(probability, 5), guide, radius, 1e-3)
    return _without_specks(np.clip(filtered, 0.0, 1.0))


def guided_filter(
    value: Float32[np.ndarray, "H W"], guide: np.ndarray, radius: int, epsilon: float
) -> Float32[np.ndarray, "H W"]:
    """Edge-aware smoothing of a map by the luminance of a picture (grey in [0, 1])."""
    grey = guide if guide.ndim == 2 else cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY)
    g = grey.astype(np.float32) / 255.0
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(x, cv2.CV_32F, size, borderType=cv2.BORDER_REFLECT)

    mean_g, mean_v = mean(g), mean(value)
    slope = (mean(g * value) - mean_g * mean_v) / (mean(g * g) - mean_g**2 + epsilon)
    offset = mean_v - slope * mean_g
    return mean(slope) * g + mean(offset)


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
    height, width = masks.shape[1:]
    x = np.clip(tracks.uv[..., 0].astype(int), 0, width - 1)
    y = np.clip(tracks.uv[..., 1].astype(int), 0, height - 1)
    over = masks[np.arange(len(masks)), y, x] > 0.5
    seen = np.maximum(tracks.visible.sum(axis=1), 1)
    return (tracks.mobility < 0.5) & ((over & tracks.visible).sum(axis=1) / seen < 0.3)
