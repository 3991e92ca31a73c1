"""How often points are rightly told to move or to stand still."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape


@dataclass(frozen=True)
class MobilityScores:
    """Shares from 0 to 1 of the points whose label is right; NaN for a class without points."""

    d_acc: float  # of all points
    dynamic: float  # of those that truly move
    static: float  # of those that truly stand still
    dynamic_share: float  # how many truly move: calling all alike reaches this, or the rest

    @property
    def balanced(self) -> float:
        """The mean of both classes, where d_acc would follow the larger; NaN if one is missing."""
        return (self.dynamic + self.static) / 2


def mobility_scores(
    estimate: Bool[np.ndarray, "*shape"],
    truth: Bool[np.ndarray, "*same"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
) -> MobilityScores:
    """D-ACC (C4D, Wang et al. 2025): the share of points with the right label, where ``mask``.

    True is dynamic. Labels may be of tracks [N] or of every frame of them. True labels follow from
    true tracks with ``worldtrack.moves``. Raises ``InputError`` for differing or empty shapes or
    when no point is left.
    """
    same_shape("Mobility", estimate, truth)
    if mask is not None:
        same_shape("Mobility mask", mask, truth)
        estimate, truth = estimate[mask], truth[mask]
    if truth.size == 0:
        raise InputError("There is no point with a mobility label inside the mask.")
    right = estimate == truth
    return MobilityScores(
        float(right.mean()), _mean(right[truth]), _mean(right[~truth]), float(truth.mean())
    )


def _mean(right: Bool[np.ndarray, " M"]) -> float:
    return float(right.mean()) if right.size else float("nan")
