"""What the camera alone does to pairs of frames, and which tracks obey it.

A fundamental matrix where there is parallax; a homography where that explains the pair as well
(rotation, tripod, a distant scene: there a fundamental matrix is arbitrary).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from worldline.geometry.epipolar import fundamental_from_cameras, sampson_error, transfer_error
from worldline.systems.classic.tracks import PixelTracks

STRIDES = (1, 2, 4, 8)
_CHI2_MEDIAN = {1: 0.455, 2: 1.386}  # median of chi^2 with 1, 2 degrees of freedom
THRESHOLD = 12.0  # in noise variances: 3.5 sigma
NOISE_FLOOR = 0.12  # px^2: flow is never better than a third of a pixel
_MOST = 500  # of them: more make the fit slower and no better
_SHARP = 2.0  # (grey levels/px)^2: structure whose position is as uncertain as the flow
_MOST_VOTERS = 4000  # tracks that look for what is static; then all are judged
_BORDER = 0.7  # of the way from the centre to the edge, beyond which half of the picture lies
_RIM = 0.9  # of the way: what no mover in the middle reaches
_QUIET = 1.15 * NOISE_FLOOR  # px^2: models this good are not bent by movers
_ALL_AROUND = 0.6  # share of the tracks at the rim that the world should have
_LOUDEST = 6.0  # px^2: an error that no noise of a model excuses
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
            torch.tensor(source, dtype=torch.float32),
            torch.tensor(target, dtype=torch.float32),
            torch.tensor(self.matrix, dtype=torch.float32),
        ).numpy()

    def normal(
        self, uv: Float[np.ndarray, "M 2"], *, in_target: bool
    ) -> Float32[np.ndarray, "M 2"]:
        """Unit normals of the epipolar lines, in the target frame, of pixels of the source frame
        (or the other way round). Only displacements along them are seen by the error."""
        matrix = self.matrix if in_target else self.matrix.T
        line = uv.astype(np.float32) @ matrix[:2, :2].T.astype(np.float32) + matrix[:2, 2].astype(
            np.float32
        )
        return line / (np.linalg.norm(line, axis=-1, keepdims=True) + 1e-12)

    @property
    def threshold(self) -> float:
        """Squared error beyond which a correspondence is no noise, px^2."""
        return THRESHOLD * self.freedom**0.5 * max(self.noise, NOISE_FLOOR)

    def calibrated(self, errors: Float32[np.ndarray, "*b"]) -> "PairModel":
        """The model with the noise of these errors, most of which belong to static points."""
        return replace(self, noise=float(np.median(errors)) / _CHI2_MEDIAN[self.freedom])

    @property
    def rests(self) -> bool:
        """The camera did not move between the two frames at all."""
        return self.planar and np.allclose(self.matrix / self.matrix[2, 2], np.eye(3), atol=1e-9)

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
        models.append(model.calibrated(model.error(source_uv, target_uv)))
    if not models:
        return None
    # The homography has fewer unknowns to bend around movers: it wins unless parallax speaks.
    if len(models) == 2 and models[0].noise > 2.5 * max(models[1].noise, NOISE_FLOOR / 2):
        return models[1]
    return models[0]


def vote_mobility(
    tracks: PixelTracks, size: tuple[int, int], rounds: int = 4
) -> tuple[PixelTracks, list[PairModel]]:
    """Tracks with the probability that each moves, from every pair in which it was seen.

    In each round the pairs' camera models are fitted to the tracks that the last round held to be
    static, and every track is then judged by all pairs. A mover that fills much of the picture
    bends the models of the first round between itself and the world, and the rounds stay there;
    so they are started from several guesses of what the world is, and the start counts whose
    models leave the least noise on the most tracks. Those at the rim count twice: of two
    motions, what is filmed tends to the middle, and the world goes on all around it.

    size: width and height of the pictures.
    """
    some = np.linspace(0, len(tracks) - 1, min(len(tracks), _MOST_VOTERS)).astype(int)
    few = tracks[some]
    best: list[PairModel] = []
    lowest = np.inf
    place = _mean_place(few, size)
    away = np.abs(place).max(axis=1, initial=0.0)
    rim = away > _RIM
    starts = [np.ones(len(few), bool), away > _BORDER, rim, place[:, 1] > 0.3]
    for k, start in enumerate(starts):
        models, static, noise = _settled(few, start, rounds)
        if k == 0:
            starts.append(~static)  # what the motion of most leaves over
        around = float(static[rim].mean()) if rim.any() else 1.0
        cost = noise / max(float(static.mean()) + around, 1e-6)
        if models and cost < lowest:
            best, lowest = models, cost
        if noise < _QUIET and around > _ALL_AROUND:
            break
    voted = judged(tracks, best)
    models = _fitted(tracks, voted <= 0.5)
    return replace(tracks, mobility=judged(tracks, models)), models


def _mean_place(tracks: PixelTracks, size: tuple[int, int]) -> Float32[np.ndarray, "M 2"]:
    """Where each track is on average, from -1 at one edge of the picture to 1 at the other."""
    seen = tracks.visible[..., None]
    mean = (tracks.uv * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return (2.0 * mean / np.array(size) - 1.0).astype(np.float32)


def _settled(
    tracks: PixelTracks, static: Bool[np.ndarray, " M"], rounds: int
) -> tuple[list[PairModel], Bool[np.ndarray, " M"], float]:
    """Pair models that agree with the tracks they hold to be static, those, and their noise."""
    models = _fitted(tracks, static)
    for _ in range(rounds - 1):
        static = judged(tracks, models) <= 0.5
        models = _fitted(tracks, static)
    noises = [max(model.noise, NOISE_FLOOR) for model in models]
    return models, static, float(np.mean(noises)) if noises else float("inf")


def _fitted(tracks: PixelTracks, static: Bool[np.ndarray, " M"]) -> list[PairModel]:
    """A model of each pair of frames that enough static tracks connect."""
    count = tracks.visible.shape[1]
    uv, visible = tracks.uv[static], tracks.visible[static]
    models = []
    for i in range(count):
        for j in neighbours(i, count):
            if j > i:
                both = visible[:, i] & visible[:, j]
                models.append(fit_pair(i, j, uv[both, i], uv[both, j]))
    return [model for model in models if model is not None]


def judged(tracks: PixelTracks, models: list[PairModel]) -> Float32[np.ndarray, " M"]:
    """Probability that each track moves; 0.5 for those that no pair has seen."""
    texture = np.maximum(tracks.texture, 1e-3)
    against, cast = np.zeros((2, len(tracks)), np.float32)
    for model in models:
        i, j = model.source, model.target
        both = tracks.visible[:, i] & tracks.visible[:, j]
        error = model.error(tracks.uv[both, i], tracks.uv[both, j])
        # A point that the picture hardly fixes strays farther before it tells anything.
        allowed = min(model.threshold, _LOUDEST) * (1.0 + _SHARP / texture[both])
        # A model that fits badly may be bent by a mover: it has less to say.
        weight = NOISE_FLOOR / max(model.noise, NOISE_FLOOR)
        against[both] += weight * (error > allowed)
        cast[both] += weight
    # Movers betray themselves in some pairs only: a quarter of a life is enough.
    share = (against + 0.05) / (cast + 0.4)
    return np.where(cast > 0, share / (share + 0.25), 0.5).astype(np.float32)


def known_cameras(
    models: list[PairModel],
    tracks: PixelTracks,
    static: Bool[np.ndarray, " M"],
    intrinsics: Float64[np.ndarray, "N 3 3"],
    world_from_camera: Float64[np.ndarray, "N 4 4"],
) -> list[PairModel]:
    """The same pairs modelled by the solved cameras: nothing is left for a mover to bend.

    A pair whose tracks the solved cameras explain much worse than its own model did keeps that.
    """
    inverse = np.linalg.inv(intrinsics)
    better = []
    for model in models:
        i, j = model.source, model.target
        both = static & tracks.visible[:, i] & tracks.visible[:, j]
        if both.sum() < _FEWEST:
            better.append(model)
            continue
        a, b = tracks.uv[both, i], tracks.uv[both, j]
        turn = np.linalg.inv(world_from_camera[j]) @ world_from_camera[i]
        known = PairModel(i, j, intrinsics[j] @ turn[:3, :3] @ inverse[i], True, 1.0)
        # Where tracks show less than half a pixel of parallax, epipolar lines mean nothing.
        if np.median(known.error(a, b)) > 0.25 and np.linalg.norm(turn[:3, 3]) > 0:
            lenses = (torch.from_numpy(intrinsics[k]) for k in (i, j))
            cameras = (torch.from_numpy(world_from_camera[k]) for k in (i, j))
            fundamental = fundamental_from_cameras(*lenses, *cameras).numpy()
            known = PairModel(i, j, fundamental, False, 1.0)
        known = known.calibrated(known.error(a, b))
        worse = known.noise > 4.0 * max(model.noise, NOISE_FLOOR)
        better.append(model if worse else known)
    return better


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
