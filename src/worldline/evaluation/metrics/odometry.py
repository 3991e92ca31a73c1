"""How far a path drifts over parts of a given length (Geiger et al. 2012, KITTI odometry)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from worldline.errors import InputError
from worldline.evaluation.metrics.checks import same_shape
from worldline.evaluation.metrics.trajectory import Other, Trajectory, rotation_angle

KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)  # metres
TARTANAIR_LENGTHS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0)  # metres


@dataclass(frozen=True)
class SegmentErrors:
    """The drift over every part of the path, divided by the part's nominal length."""

    translation: Float[np.ndarray, " S"]  # a fraction: 0.01 is one percent
    rotation: Float[np.ndarray, " S"]  # degrees per truth unit
    length: Float[np.ndarray, " S"]  # truth units

    def means(self) -> tuple[float, float]:
        """Translation and rotation over all parts, as KITTI has it; NaN where there is none."""
        if not len(self.length):
            return float("nan"), float("nan")
        return float(self.translation.mean()), float(self.rotation.mean())

    def means_of_lengths(self) -> tuple[float, float]:
        """As ``means``, every length that occurs counting alike (TartanAir's evaluation)."""
        found = [self.of_length(length).means() for length in np.unique(self.length)]
        translation, rotation = np.mean(found, axis=0) if found else (np.nan, np.nan)
        return float(translation), float(rotation)

    def of_length(self, length: float) -> "SegmentErrors":
        """Those of one nominal length alone."""
        kept = self.length == length
        return SegmentErrors(self.translation[kept], self.rotation[kept], self.length[kept])


def segment_errors(
    estimate: Trajectory,
    truth: Other,
    lengths: Sequence[float] = KITTI_LENGTHS,
    step: int = 10,
) -> SegmentErrors:
    """The drift of parts of the path that start at every ``step``-th frame and last ``lengths``.

    A part ends with the first frame further along the true path than its length; where there is
    none, it does not count, so short paths have no part at all. Trajectories are
    ``world_from_camera``; the estimate's scale must be the truth's, its frame need not.
    """
    same_shape("Cameras", estimate, truth)
    if step < 1 or not all(length > 0 for length in lengths):
        raise InputError("Parts of a path need a step of at least one frame and lengths above 0.")
    way = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(way)])
    first, length = np.meshgrid(np.arange(0, len(truth), step), lengths, indexing="ij")
    last = np.searchsorted(way, way[first] + length, side="right")
    there = last < len(truth)
    first, last, length = first[there], last[there], length[there].astype(np.float64)
    found, true = (np.linalg.inv(poses[first]) @ poses[last] for poses in (estimate, truth))
    left = np.linalg.inv(found) @ true
    translation = np.linalg.norm(left[:, :3, 3], axis=1) / length
    return SegmentErrors(translation, rotation_angle(left[:, :3, :3]) / length, length)
