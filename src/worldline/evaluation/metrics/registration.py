"""Iterative closest points: the rigid motion that lays one cloud on another."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from worldline.evaluation.metrics.clouds import Cloud, Follower, Points
from worldline.evaluation.metrics.similarity import moved
from worldline.evaluation.metrics.trajectory import Similarity
from worldline.geometry.alignment import umeyama
from worldline.threads import one_thread

_ITERATIONS = 30  # this and the next are Open3D's defaults
_CHANGE = 1e-6  # of the fitness and of the RMSE, below which it stops


@dataclass(frozen=True)
class Registration:
    """What ``register`` found."""

    transform: Float[np.ndarray, "4 4"]
    fitness: float  # share of the points with a target nearer than the threshold
    inlier_rmse: float  # of their distances, target units; 0 without any, as Open3D has it

    def points(self, points: Points) -> Points:
        """Positions carried over."""
        return points @ self.transform[:3, :3].T + self.transform[:3, 3]


@one_thread()
def register(points: Points, target: Cloud, threshold: float) -> tuple[Registration, Follower]:
    """Point-to-point ICP from where the points are (Besl and McKay 1992; stops as Open3D does).

    Only pairs nearer than ``threshold`` (target units) pull, with no scale. It stops when neither
    the fitness nor the RMSE changes by 1e-6, or after 30 steps. Without any pair it stays.
    Returned beside it is what lies nearest to each moved point.
    """
    points = np.array(points, dtype=np.float64)
    transform, nearest = np.eye(4), Follower.start(target, points)
    fitness, error = _fit(nearest, threshold)
    for _ in range(_ITERATIONS):
        step = _step(points, nearest, threshold)
        points = moved(Similarity(1.0, step[:3, :3], step[:3, 3]), points)
        transform = step @ transform
        nearest.move(points)
        before, (fitness, error) = (fitness, error), _fit(nearest, threshold)
        if abs(before[0] - fitness) < _CHANGE and abs(before[1] - error) < _CHANGE:
            break
    return Registration(transform, fitness, error), nearest


def _fit(nearest: Follower, threshold: float) -> tuple[float, float]:
    near = nearest.distance[nearest.distance < threshold]
    if not near.size:
        return 0.0, 0.0
    return near.size / nearest.distance.size, float(np.sqrt(np.mean(near**2)))


def _step(points: Points, nearest: Follower, threshold: float) -> Float[np.ndarray, "4 4"]:
    near, step = nearest.distance < threshold, np.eye(4)
    if near.any():
        source = torch.from_numpy(points[near])
        target = torch.from_numpy(nearest.target.points[nearest.index[near]])
        _, rotation, shift = umeyama(source, target, with_scale=False)
        step[:3, :3], step[:3, 3] = rotation.numpy(), shift.numpy()
    return step
