"""The similarity between two sets of points: of all of them, or of those that agree (RANSAC)."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from worldline.errors import InputError
from worldline.evaluation.metrics.tapvid import squared_error
from worldline.evaluation.metrics.trajectory import Similarity
from worldline.geometry.alignment import umeyama
from worldline.threads import one_thread

INLIER = 0.05  # metres, of RANSAC
SAMPLES = 1000  # of three points each
MOST_POINTS = 16384  # that RANSAC looks at

_FIRST_LOOK = 1024  # points on which all samples are ranked
_FINALISTS = 32  # samples that are then judged on all points
_CHUNK = 50_000  # distances at a time: they stay in the cache

_Points = Float[np.ndarray, "M 3"]
_Hypotheses = tuple[  # scales, rotations and translations
    Float[np.ndarray, " H"], Float[np.ndarray, "H 3 3"], Float[np.ndarray, "H 3"]
]


def ransac_similarity(
    source: Float[np.ndarray, "M 3"],
    target: Float[np.ndarray, "M 3"],
    seed: int = 0,
    published: bool = False,
) -> Similarity:
    """The least-squares similarity of the inliers of the best of 1000 three-point samples.

    Points must be finite; at most 16384 are looked at. All samples are ranked on about 1024 of
    them, the best 32 on all. If no sample has three inliers (< 0.05 m), the best sample's own
    similarity is the result. Raises ``InputError`` for fewer than three points or if no sample
    fixes a scale. Equal seeds give equal results; see ``world_track_errors`` for ``published``.
    """
    if len(source) < 3:
        raise InputError(f"A similarity needs at least 3 finite points; got {len(source)}.")
    rng = np.random.default_rng(seed)
    some_source, some_target = source, target
    if len(source) > MOST_POINTS:
        drawn = rng.choice(len(source), MOST_POINTS, replace=False)
        some_source, some_target = source[drawn], target[drawn]
    samples = _triples(rng, len(some_source))
    hypotheses = _through_three(some_source[samples], some_target[samples])
    best = _most_inliers(hypotheses, some_source, some_target)
    model = Similarity(*(part[best] for part in hypotheses))
    if not np.isfinite(model.scale):  # no sample fixes one
        return closed_similarity(source, target, published)
    near = squared_error(moved(model, some_source), some_target) < INLIER**2
    if near.sum() < 3:
        return Similarity(float(model.scale), model.rotation, model.translation)
    return closed_similarity(some_source[near], some_target[near], published)


@one_thread()
def closed_similarity(source: _Points, target: _Points, published: bool = False) -> Similarity:
    """The least-squares similarity of all points, or with 4RC's scale if ``published``.

    That scale is Σσ over the variance, without the sign that the smallest σ has after a mirror
    image was avoided (Umeyama 1991, eq. 42): larger than the best one.
    """
    if len(source) < 3:
        raise InputError(f"A similarity needs at least 3 finite points; got {len(source)}.")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    x, y = source - source_mean, target - target_mean
    if not _spread(x, source):
        if published:  # 4RC adds 1e-12 to a variance of 0
            return Similarity(0.0, np.eye(3), target_mean)
        raise InputError("The estimated points coincide, so their scale cannot be aligned.")
    found = umeyama(torch.from_numpy(source), torch.from_numpy(target))
    scale, rotation, translation = found[0].item(), found[1].numpy(), found[2].numpy()
    if published:
        scale = float(np.linalg.norm(y.T @ x, "nuc") / np.sum(x**2))
        translation = target_mean - scale * rotation @ source_mean
    return Similarity(scale, rotation, translation)


def moved(
    similarity: Similarity, points: Float[np.ndarray, "*shape 3"]
) -> Float[np.ndarray, "*shape 3"]:
    """What ``similarity.points`` gives, several times faster for very many of them."""
    columns = np.ascontiguousarray(points.reshape(-1, 3).T)
    with np.errstate(invalid="ignore", over="ignore"):
        columns = np.einsum("ij,jn->in", similarity.scale * similarity.rotation, columns)
        columns += similarity.translation[:, None]
    return columns.T.reshape(points.shape)


def _triples(rng: np.random.Generator, count: int) -> Int64[np.ndarray, "H 3"]:
    """Three different indices below the count for each sample, all triples alike."""
    first, second, third = (rng.integers(count - k, size=SAMPLES) for k in range(3))
    second += second >= first
    third += third >= np.minimum(first, second)
    third += third >= np.maximum(first, second)
    return np.stack([first, second, third], axis=1)


def _through_three(
    source: Float[np.ndarray, "H 3 3"], target: Float[np.ndarray, "H 3 3"]
) -> _Hypotheses:
    """The least-squares similarities of triples [H, point, axis]; NaN where points coincide."""
    source_mean, target_mean = source.mean(axis=1), target.mean(axis=1)
    x, y = source - source_mean[:, None], target - target_mean[:, None]
    U, D, Vt = np.linalg.svd(np.swapaxes(y, 1, 2) @ x)
    # three points span a plane, so the smallest singular value is 0 and its sign only turns
    U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
    rotation, variance = U @ Vt, np.sum(x**2, axis=(1, 2))
    nan = np.full(len(D), np.nan)
    scale = np.divide(D.sum(axis=1), variance, out=nan, where=_spread(x, source))
    turned = np.einsum("hij,hj->hi", rotation, source_mean)
    return scale, rotation, target_mean - scale[:, None] * turned


def _spread(
    centred: Float[np.ndarray, "*shape M 3"], points: Float[np.ndarray, "*shape M 3"]
) -> Bool[np.ndarray, "*shape"]:
    """Whether points are further apart than rounding makes them."""
    size, length = (np.sum(p**2, axis=(-2, -1)) for p in (centred, points))
    return np.asarray(size > 1e-28 * length)


def _most_inliers(hypotheses: _Hypotheses, source: _Points, target: _Points) -> int:
    """The hypothesis with the most inliers, of those that have most among some of the points.

    Judging every one on all points costs many times as much and, but for ties that sampling noise
    decides, finds the same.
    """
    coefficients, features = _linear_distances(hypotheses, source, target)
    stride = max(1, len(source) // _FIRST_LOOK)
    first = _inlier_counts(coefficients, np.ascontiguousarray(features[:, ::stride]))
    finalists = np.argsort(-first, kind="stable")[:_FINALISTS]
    return int(finalists[_inlier_counts(coefficients[finalists], features).argmax()])


def _inlier_counts(
    coefficients: Float[np.ndarray, "H 18"], features: Float[np.ndarray, "18 M"]
) -> Int64[np.ndarray, " H"]:
    rows = max(1, _CHUNK // features.shape[1])
    counts = []
    for start in range(0, len(coefficients), rows):
        # not @: waiting for its threads takes longer than the product where the machine is busy
        squared = np.einsum("hk,kn->hn", coefficients[start : start + rows], features)
        counts.append(np.sum(squared < INLIER**2, axis=1))
    return np.concatenate(counts)


def _linear_distances(
    hypotheses: _Hypotheses, source: _Points, target: _Points
) -> tuple[Float[np.ndarray, "H 18"], Float[np.ndarray, "18 M"]]:
    """Two matrices whose product is the squared distance of each hypothesis and each point.

    |s R p + t - q|² is linear in 1, p, q, |p|², |q|² and the products of p and q, so one product
    of matrices judges all hypotheses. The points are centred, which keeps it exact.
    """
    scale, rotation, translation = hypotheses
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    p, q = source - source_mean, target - target_mean
    linear = scale[:, None, None] * rotation
    t = translation + linear @ source_mean - target_mean
    coefficients = np.concatenate(
        [
            np.sum(t**2, axis=1)[:, None],
            2 * np.einsum("hij,hi->hj", linear, t),
            -2 * t,
            scale[:, None] ** 2,
            np.ones((len(scale), 1)),
            -2 * linear.reshape(-1, 9),
        ],
        axis=1,
    )
    features = np.concatenate(
        [
            np.ones((1, len(p))),
            p.T,
            q.T,
            np.sum(p**2, axis=1)[None],
            np.sum(q**2, axis=1)[None],
            (q.T[:, None] * p.T[None]).reshape(9, -1),
        ]
    )
    return coefficients, features
