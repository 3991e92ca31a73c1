"""How far estimated surfaces are from the true ones, both given as points on them.

Accuracy is the distance from estimated points to the nearest true one, completion that from true
points to the nearest estimated one, normal consistency |n · n'| between the two at either
(the protocol of Spann3R and CUT3R; the names are those of Seitz et al. 2006).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.clouds import Cloud, Follower, Points, Queries, space_order
from worldline.evaluation.metrics.registration import Registration, register
from worldline.geometry.alignment import umeyama

RATIO_DISTANCE = 0.05  # truth units, of the completion ratio


@dataclass(frozen=True)
class SurfaceErrors:
    """Means and medians over points, distances in truth units; see ``surface_errors``."""

    accuracy: float
    accuracy_median: float
    completion: float
    completion_median: float
    completion_ratio: float  # share of the true points with an estimated one nearer than 5 cm
    normals_accuracy: float  # |n . n'| at the estimated points (NC1)
    normals_accuracy_median: float
    normals_completion: float  # at the true points (NC2)
    normals_completion_median: float

    @property
    def normal_consistency(self) -> float:
        """NC: the mean of both sides' means."""
        return 0.5 * (self.normals_accuracy + self.normals_completion)

    @property
    def normal_consistency_median(self) -> float:
        """The mean of both sides' medians."""
        return 0.5 * (self.normals_accuracy_median + self.normals_completion_median)


@dataclass(frozen=True)
class PointErrors:
    """The errors of every point, in the order given; NaN for points that are not finite.

    ``registration`` is what ICP found, None without it.
    """

    accuracy: Float[np.ndarray, " N"]  # from the estimated points, inf without any true one
    completion: Float[np.ndarray, " M"]  # from the true points, inf without any estimated one
    normals_accuracy: Float[np.ndarray, " N"]  # |n . n'|, NaN where a normal is not defined
    normals_completion: Float[np.ndarray, " M"]
    registration: Registration | None

    def summary(
        self,
        of_estimate: Bool[np.ndarray, " N"] | None = None,
        of_truth: Bool[np.ndarray, " M"] | None = None,
        ratio_distance: float = RATIO_DISTANCE,
    ) -> SurfaceErrors:
        """The errors of all points, or of a part of the estimated and of the true ones.

        Each of a part still looks for its nearest in the other whole cloud. What no point of the
        part has is NaN.
        """
        completion = _chosen(self.completion, of_truth)
        within = np.mean(completion < ratio_distance) if completion.size else np.nan
        return SurfaceErrors(
            *_mean_and_median(_chosen(self.accuracy, of_estimate)),
            *_mean_and_median(completion),
            float(within),
            *_mean_and_median(_chosen(self.normals_accuracy, of_estimate)),
            *_mean_and_median(_chosen(self.normals_completion, of_truth)),
        )


def surface_errors(
    estimate: Points,
    truth: Queries,
    icp_threshold: float | None = None,
    normals: bool = True,
    ratio_distance: float = RATIO_DISTANCE,
) -> SurfaceErrors:
    """Accuracy, completion, its ratio and normal consistency of points [N, 3] against [M, 3].

    Both are in one frame and unit; with ``icp_threshold`` (truth units; CUT3R: 0.1) the estimate is
    laid on the truth by ICP first. Normals are fitted to the 30 nearest points of each cloud;
    without ``normals`` theirs are NaN. Points that are not finite do not count, so what was not
    estimated shows in the completion only. Without any estimated point the accuracy is NaN and the
    completion infinite, without any true point the other way round.
    """
    return point_errors(estimate, truth, icp_threshold, normals).summary(
        ratio_distance=ratio_distance
    )


def point_errors(
    estimate: Points,
    truth: Queries,
    icp_threshold: float | None = None,
    normals: bool = True,
    published: bool = False,
) -> PointErrors:
    """The same for every point; see ``surface_errors``.

    ``published`` counts points whose neighbours span no plane as Open3D does, which gives them the
    z axis for a normal, so that two heaps of one place agree perfectly.
    """
    if icp_threshold is not None and not icp_threshold > 0:
        raise InputError(f"The ICP threshold is a distance > 0, not {icp_threshold}.")
    ours, theirs = _finite_in_space_order(estimate), _finite_in_space_order(truth)
    source, target = Cloud(estimate[ours]), Cloud(truth[theirs])
    if icp_threshold is None:
        found = Registration(np.eye(4), np.nan, np.nan)
        there = Follower.start(target, source.points)
    else:
        # what lies nearest to the moved points, the last step of ICP has asked already
        found, there = register(source.points, target, icp_threshold)
    # moving the truth the other way finds the same in the tree that is there
    rotation = found.transform[:3, :3]
    distance, index = source.nearest((target.points - found.transform[:3, 3]) @ rotation)
    normals_there, normals_back = np.full(len(source), np.nan), np.full(len(target), np.nan)
    if normals and len(source) and len(target):
        turned, right = source.normals @ rotation.T, target.normals
        if published:
            turned, right = (np.where(np.isnan(n), [0.0, 0.0, 1.0], n) for n in (turned, right))
        normals_there = _agreement(turned, right[there.index])
        normals_back = _agreement(right, turned[index[:, 0]])
    return PointErrors(
        _put_back(there.distance, ours, len(estimate)),
        _put_back(distance[:, 0], theirs, len(truth)),
        _put_back(normals_there, ours, len(estimate)),
        _put_back(normals_back, theirs, len(truth)),
        None if icp_threshold is None else found,
    )


def median_aligned(
    estimate: Float[np.ndarray, "*shape 3"],
    truth: Float[np.ndarray, "*same 3"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
    published: bool = False,
) -> Float[np.ndarray, "*shape 3"]:
    """Estimated points brought to the true depth and size, as CUT3R's ``mv_recon`` does.

    Both are in the frame of the first camera, and a point stands for the same pixel in both. The
    median z of the estimate becomes that of the truth, and it is scaled around the point on the
    axis there by the ratio of the medians of the distances from the median points (all medians
    over ``mask``, all views together).

    ``published`` is what the evaluators of CUT3R and 4RC do: of an even number of values the lower
    one in the middle, and an estimate smaller than 1e-3 (larger than 1e3) is taken for so large.
    Raises ``InputError`` when no point is left or all estimated ones coincide.
    """
    same_shape("Points", estimate, truth)
    mask = np.ones(truth.shape[:-1], bool) if mask is None else mask
    same_shape("Mask", mask, truth[..., 0])
    known = mask & np.isfinite(truth).all(axis=-1) & np.isfinite(estimate).all(axis=-1)
    if not known.any():
        raise InputError("No point is both estimated and true inside the mask.")
    median = _lower_median if published else _median
    estimated_z, estimated_size = _depth_and_size(estimate[known], median)
    true_z, true_size = _depth_and_size(truth[known], median)
    if published:
        estimated_size = float(np.clip(estimated_size, 1e-3, 1e3))
    if not estimated_size > 0:
        raise InputError("Most estimated points coincide, so their scale cannot be aligned.")
    centred = estimate.astype(np.float64) - np.array([0, 0, estimated_z])
    return centred * (true_size / estimated_size) + np.array([0, 0, true_z])


def multi_view_errors(
    estimate: Float[np.ndarray, "V H W 3"],
    truth: Float[np.ndarray, "*same 3"],
    mask: Bool[np.ndarray, "*mask"],
    counted: Bool[np.ndarray, "*mask"] | None = None,
    sim3: bool = False,
    icp_threshold: float | None = 0.1,
    published: bool = False,
) -> SurfaceErrors:
    """The protocol of CUT3R's ``mv_recon`` (Spann3R's before), with the option that 4RC adds.

    Point maps of V views, in the frame of the first camera, are aligned by ``median_aligned`` over
    ``mask``. Then only points inside ``counted`` as well (the crop: CUT3R takes the central
    224 x 224 pixels) are compared: with ``sim3`` after a least-squares similarity over them
    (Umeyama, as Pi3 and 4RC do), and after ICP.
    """
    aligned = median_aligned(estimate, truth, mask, published)
    mask = mask if counted is None else mask & counted
    if sim3:
        aligned = _similar(aligned, truth, mask)
    return surface_errors(aligned[mask], truth[mask], icp_threshold)


@dataclass(frozen=True)
class Complete4DErrors:
    """Means over the target times; see ``complete_4d_errors``."""

    all: SurfaceErrors
    visible: SurfaceErrors
    occluded: SurfaceErrors
    targets: tuple[SurfaceErrors, ...]  # of all points, time by time


def complete_4d_errors(
    estimate: Float[np.ndarray, "A P 3"],
    truth: Float[np.ndarray, "*same 3"],
    visible: Bool[np.ndarray, "*mask"],
    together: bool = False,
    icp_threshold: float | None = 0.1,
    most: int | None = None,
    seed: int = 0,
) -> Complete4DErrors:
    """Complete 4D reconstruction: all that is ever seen, where it is at each of A target times.

    P points are the pixels of all frames, moved to the target time, in the frame of the first
    camera; NaN is what is not known or not estimated. Each time's cloud is compared as CUT3R
    compares its own (Complet4R, section 4.1): aligned by ``median_aligned``, then ICP, with means
    over the times. ``together`` aligns all times by one depth and scale instead, which a sequence
    that breathes does not survive. At most ``most`` points of each time are taken, drawn by
    ``seed``, the same of both clouds.

    ``visible`` says which points the target frame itself sees. The accuracy of a part is that of
    its estimated points against the whole truth, the completion that of its true points against
    the whole estimate; a part that a time does not have does not count in the mean. Raises
    ``InputError`` for a time of which nothing is both known and estimated.
    """
    same_shape("Points", estimate, truth)
    same_shape("Visibility", visible, truth[..., 0])
    aligned = median_aligned(estimate, truth) if together else None
    rng = np.random.default_rng(seed)
    parts = []
    for time in range(len(truth)):
        cloud = median_aligned(estimate[time], truth[time]) if aligned is None else aligned[time]
        some = _drawn(np.isfinite(truth[time]).all(axis=-1), most, rng)
        errors = point_errors(cloud[some], truth[time, some], icp_threshold)
        seen = visible[time, some]
        parts.append((errors.summary(), errors.summary(seen, seen), errors.summary(~seen, ~seen)))
    whole, in_view, hidden = zip(*parts, strict=True)
    return Complete4DErrors(mean_errors(whole), mean_errors(in_view), mean_errors(hidden), whole)


def mean_errors(errors: Iterable[SurfaceErrors]) -> SurfaceErrors:
    """The mean of every number over clouds, each counting alike; NaN ones do not count."""
    table = np.array([list(vars(each).values()) for each in errors], dtype=np.float64)
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0).sum(axis=0), known.sum(axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return SurfaceErrors(*means.tolist())


def _drawn(
    known: Bool[np.ndarray, " P"], most: int | None, rng: np.random.Generator
) -> Int[np.ndarray, " S"]:
    """The points of a time that are compared."""
    points = np.flatnonzero(known)
    if most is None or len(points) <= most:
        return points
    return rng.choice(points, most, replace=False)


def _similar(
    estimate: Float[np.ndarray, "*shape 3"],
    truth: Float[np.ndarray, "*shape 3"],
    mask: Bool[np.ndarray, "*mask"],
) -> Float[np.ndarray, "*shape 3"]:
    known = mask & np.isfinite(truth).all(axis=-1) & np.isfinite(estimate).all(axis=-1)
    source = torch.from_numpy(estimate[known].astype(np.float64))
    target = torch.from_numpy(truth[known].astype(np.float64))
    scale, rotation, shift = umeyama(source, target)
    return scale.item() * estimate @ rotation.numpy().T + shift.numpy()


def _depth_and_size(
    points: Points, median: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """The median z, and the median distance from the median point."""
    points = points.astype(np.float64)
    distances = np.linalg.norm(points - median(points), axis=-1)
    return float(median(points[:, 2])), float(median(distances))


def _median(values: Float[np.ndarray, "N *d"]) -> Float[np.ndarray, "*d"]:
    return np.asarray(np.median(values, axis=0))


def _lower_median(values: Float[np.ndarray, "N *d"]) -> Float[np.ndarray, "*d"]:
    middle = (len(values) - 1) // 2  # as torch.median takes it
    return np.asarray(np.partition(values, middle, axis=0)[middle])


def _finite_in_space_order(points: Points) -> Int[np.ndarray, " K"]:
    finite = np.flatnonzero(np.isfinite(points).all(axis=-1))
    return finite[space_order(points[finite].astype(np.float64))]


def _agreement(
    normals: Float[np.ndarray, "K 3"], others: Float[np.ndarray, "K 3"]
) -> Float[np.ndarray, " K"]:
    return np.abs(np.einsum("nd,nd->n", normals, others))


def _put_back(
    values: Float[np.ndarray, " K"], places: Int[np.ndarray, " K"], count: int
) -> Float[np.ndarray, " N"]:
    whole = np.full(count, np.nan)
    whole[places] = values
    return whole


def _chosen(
    values: Float[np.ndarray, " N"], part: Bool[np.ndarray, " N"] | None
) -> Float[np.ndarray, " K"]:
    """The values of a part that are known."""
    known = ~np.isnan(values)
    return values[known if part is None else known & part]


def _mean_and_median(values: Float[np.ndarray, " K"]) -> tuple[float, float]:
    if not values.size:
        return float("nan"), float("nan")
    return float(np.mean(values)), float(np.median(values))
