"""A point cloud that answers who is nearest to what, and how its surface lies."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from scipy.spatial import cKDTree

from worldline.threads import one_thread

Points = Float[np.ndarray, "N 3"]
Queries = Float[np.ndarray, "M 3"]

NEIGHBOURS = 30  # of a point, itself among them, that its normal is fitted to (Open3D's default)
_CHUNK = 1 << 13  # points whose neighbours a thread holds at once: 6 MB
_BITS = 21  # of each coordinate in a Morton code of 63


class Cloud:
    """Points [N, 3] in float64 with a KD-tree that is built once.

    The tree and all answers are in the order of ``points``: bring clouds into ``space_order``
    before, since a tree whose questions come from all over it waits for memory most of the time.
    """

    def __init__(self, points: Points) -> None:
        self.points = np.ascontiguousarray(points, dtype=np.float64)

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def nearest(
        self, queries: Queries, count: int = 1
    ) -> tuple[Float[np.ndarray, "M K"], Int[np.ndarray, "M K"]]:
        """Distances to the ``count`` nearest points, and which they are.

        Where the cloud has fewer, the distance is infinite and the index ``len(self)``.
        """
        return self._tree.query(queries, k=np.arange(1, count + 1), workers=-1)

    @cached_property
    def normals(self) -> Points:
        """Unit normals [N, 3], of either sign: the least axis of the nearest ``NEIGHBOURS`` points.

        NaN where these do not span a plane (fewer than 3 of them, all in a line or in one place).
        """
        if not len(self):
            return np.empty((0, 3))
        tree, count = self._tree, np.arange(1, min(NEIGHBOURS, len(self)) + 1)

        def normals_of(some: Points) -> Points:
            return _least_axes(self.points[tree.query(some, count)[1]])

        parts = np.split(self.points, range(_CHUNK, len(self), _CHUNK))
        with (
            one_thread() as threads,  # in an operation: parts share out the cores
            ThreadPoolExecutor(threads, "normals", torch.set_num_threads, (1,)) as pool,
        ):
            return np.concatenate(list(pool.map(normals_of, parts)))


@dataclass
class Follower:
    """Which target is nearest to each of N points while these move a little at a time.

    A point that has moved less than the second nearest target was farther away cannot have another
    nearest one. Only the others ask the tree again: the answers are the same as if all did.
    """

    target: Cloud
    index: Int[np.ndarray, " N"]
    distance: Float[np.ndarray, " N"]  # inf where the target is empty
    _asked: Points  # where each point was when it asked last
    _second: Float[np.ndarray, " N"]  # how far the second nearest target was then

    @classmethod
    def start(cls, target: Cloud, points: Points) -> "Follower":
        """The nearest targets of ``points`` where they are now."""
        distance, index = target.nearest(points, 2)
        return cls(target, index[:, 0], distance[:, 0], points.copy(), distance[:, 1])

    def move(self, points: Points) -> None:
        """The points, in the same order, are there now."""
        if not len(self.target):
            return
        self.distance = _lengths(points - self.target.points[self.index])
        unsure = self.distance > self._second - _lengths(points - self._asked)
        distance, index = self.target.nearest(points[unsure], 2)
        self.index[unsure], self.distance[unsure] = index[:, 0], distance[:, 0]
        self._asked[unsure], self._second[unsure] = points[unsure], distance[:, 1]


def space_order(points: Points) -> Int[np.ndarray, " N"]:
    """An order in which neighbours in space are near each other: along a Morton curve."""
    if not len(points):
        return np.empty(0, np.int64)
    low, side = points.min(axis=0), np.ptp(points, axis=0).max()
    cells = ((points - low) / (side if side > 0 else 1.0) * (2**_BITS - 1)).astype(np.uint64)
    x, y, z = (_spread(cells[:, axis]) for axis in range(3))
    return np.argsort(x | y << np.uint64(1) | z << np.uint64(2), kind="stable")


def _spread(cells: UInt64[np.ndarray, " N"]) -> UInt64[np.ndarray, " N"]:
    """Two zeros before every bit."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        cells = (cells | cells << np.uint64(shift)) & np.uint64(mask)
    return cells


def _least_axes(groups: Float[np.ndarray, "B K 3"]) -> Float[np.ndarray, "B 3"]:
    centred = torch.from_numpy(groups)
    centred = centred - centred.mean(dim=1, keepdim=True)
    spread, axes = torch.linalg.eigh(centred.mT @ centred)
    # below either of these it is rounding that spans the plane
    rounding = groups.shape[1] * (1e-15 * np.abs(groups).max(axis=(1, 2))) ** 2
    flat = spread[:, 1] > torch.maximum(1e-12 * spread[:, 2], torch.from_numpy(rounding))
    return torch.where(flat[:, None], axes[:, :, 0], torch.nan).numpy()


def _lengths(vectors: Points) -> Float[np.ndarray, " N"]:
    return np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
