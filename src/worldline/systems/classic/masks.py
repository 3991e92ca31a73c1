"""What moves: static correspondences fix the camera's motion, the rest must move by itself.

C4D's test (section 3 of the paper): a robust fundamental matrix from points held to be static,
the Sampson error of every pixel's flow under it, a threshold, the union over the pairs of a frame.
Where it differs: the threshold is absolute, in px^2, calibrated on the pair's own noise (a
threshold relative to the pair's largest error finds movers in a clip at rest), a homography takes
over where it explains the pair as well (rotation, tripod: there a fundamental matrix is
arbitrary), and the union wants two witnesses.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from worldline.geometry.epipolar import fundamental_from_cameras, sampson_error, transfer_error
from worldline.systems.classic.completion import complete
from worldline.systems.classic.flow import inside
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.tracks import PixelTracks

STRIDES = (1, 2, 4, 8)
_CHI2_MEDIAN = {1: 0.455, 2: 1.386}  # median of chi^2 with 1, 2 degrees of freedom
_THRESHOLD = 12.0  # in noise variances: 3.5 sigma
_NOISE_FLOOR = 0.12  # px^2: flow is never better than a third of a pixel
_ROUND_TRIP = 1.5  # px: pixels whose flow does not lead back are hidden
_PLAIN = 1.5  # grey levels a pixel: below this contrast flow is guesswork
_MOST = 500  # of them: more make the fit slower and no better
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
    few = np.linspace(0, len(source_uv) - 1, min(len(source_uv), _MOST)).astype(int)
    a, b = source_uv[few].astype(np.float64), target_uv[few].astype(np.float64)
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


def known_cameras(
    models: list[PairModel],
    tracks: PixelTracks,
    static: Bool[np.ndarray, " M"],
    intrinsics: Float64[np.ndarray, "3 3"],
    world_from_camera: Float64[np.ndarray, "N 4 4"],
) -> list[PairModel]:
    """The same pairs modelled by the solved cameras: nothing is left for a mover to bend.

    A pair whose tracks the solved cameras explain much worse than its own model did keeps that.
    """
    inverse = np.linalg.inv(intrinsics)
    lens = torch.from_numpy(intrinsics)
    better = []
    for model in models:
        i, j = model.source, model.target
        both = static & tracks.visible[:, i] & tracks.visible[:, j]
        if both.sum() < _FEWEST:
            better.append(model)
            continue
        a, b = tracks.uv[both, i], tracks.uv[both, j]
        turn = np.linalg.inv(world_from_camera[j]) @ world_from_camera[i]
        known = PairModel(i, j, intrinsics @ turn[:3, :3] @ inverse, True, 1.0)
        # Where tracks show less than half a pixel of parallax, epipolar lines mean nothing.
        if np.median(known.error(a, b)) > 0.25 and np.linalg.norm(turn[:3, 3]) > 0:
            cameras = (torch.from_numpy(world_from_camera[k]) for k in (i, j))
            fundamental = fundamental_from_cameras(lens, lens, *cameras).numpy()
            known = PairModel(i, j, fundamental, False, 1.0)
        noise = float(np.median(known.error(a, b))) / _CHI2_MEDIAN[known.freedom]
        worse = noise > 4.0 * max(model.noise, _NOISE_FLOOR)
        better.append(model if worse else replace(known, noise=noise))
    return better


def motion_masks(
    bank: FlowBank,
    models: list[PairModel],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Float32[np.ndarray, "N H W"]:
    """Probability that each pixel moves, from the flows of the pairs that have a camera model.

    Pairs are judged at half the picture's size. Where the picture is too plain for its flow to be
    believed, the verdict comes from around it, along the picture's smooth parts.
    """
    count, height, width = bank.grey.shape
    by_frame: list[list[np.ndarray]] = [[] for _ in range(count)]
    for done, model in enumerate(models):
        for i, j, forward in (
            (model.source, model.target, True),
            (model.target, model.source, False),
        ):
            by_frame[i].append(_pair_score(bank, model, i, j, forward=forward))
        report(done + 1, len(models))
    masks = np.zeros((count, height, width), np.float32)
    for i, scores in enumerate(by_frame):
        if scores:
            trust = 0.02 + _texture(bank.grey[i])
            score = cv2.resize(_two_witnesses(np.stack(scores)), (width, height))
            masks[i] = complete(score, 4.0 * trust, bank.frames[i])
    return np.stack([_without_specks(mask) for mask in _steadied(bank, masks)])


def _pair_score(
    bank: FlowBank, model: PairModel, i: int, j: int, *, forward: bool
) -> Float32[np.ndarray, "h w"]:
    """How far frame i's pixels break the model of a pair, 0 to 1; NaN where they are hidden in j."""
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
    error = model.error(*((here, there) if forward else (there, here))).reshape(height, width)
    # Dense flow is noisier than tracks: its own median says by how much.
    dense = float(np.median(error)) / _CHI2_MEDIAN[model.freedom]
    noise = min(dense, 4 * max(model.noise, _NOISE_FLOOR))
    scale = _threshold(replace(model, noise=noise))
    score = error / (error + scale)
    score[lost] = np.nan
    return score


def _texture(grey: np.ndarray) -> Float32[np.ndarray, "H W"]:
    """How far flow can be believed, 0 to 1: root mean square gradient against its noise."""
    gx, gy = (cv2.Scharr(grey, cv2.CV_32F, *axis) / 32.0 for axis in ((1, 0), (0, 1)))
    energy = cv2.boxFilter(gx * gx + gy * gy, cv2.CV_32F, (9, 9))
    return energy / (energy + _PLAIN**2)


def _steadied(bank: FlowBank, masks: Float32[np.ndarray, "N H W"]) -> Float32[np.ndarray, "N H W"]:
    """Masks averaged with their neighbours' along the flow: movers do not flicker."""
    count, height, width = masks.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    out = np.empty_like(masks)
    for i in range(count):
        total, weight = 2.0 * masks[i], 2.0
        for j in (j for j in (i - 1, i + 1) if 0 <= j < count):
            total = total + cv2.remap(
                masks[j],
                grid + bank.flow(i, j),
                None,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            weight += 1.0
        out[i] = total / weight
    return out


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


def pack(models: list[PairModel]) -> dict[str, np.ndarray]:
    """Pair models as arrays, to be kept."""
    return {
        "pairs": np.array([(m.source, m.target) for m in models], np.int64).reshape(-1, 2),
        "matrices": np.array([m.matrix for m in models], np.float64).reshape(-1, 3, 3),
        "planar": np.array([m.planar for m in models], bool),
        "noise": np.array([m.noise for m in models], np.float64),
    }


def unpack(arrays: dict[str, np.ndarray]) -> list[PairModel]:
    """What `pack` packed."""
    rows = zip(arrays["pairs"], arrays["matrices"], arrays["planar"], arrays["noise"], strict=True)
    return [PairModel(int(p[0]), int(p[1]), m, bool(planar), float(n)) for p, m, planar, n in rows]
