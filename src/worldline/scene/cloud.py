"""Points gathered from all frames at one time."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8


@dataclass(frozen=True, eq=False)
class PointCloud:
    """P coloured points.

    xyz: world, scene units.
    confidence: of the geometry, >= 0, larger is surer.
    source_frame: the frame whose pixel the point was.
    dynamic: probability that the point moves in the world.
    """

    xyz: Float32[np.ndarray, "P 3"]
    rgb: UInt8[np.ndarray, "P 3"]
    confidence: Float32[np.ndarray, " P"]
    source_frame: Int32[np.ndarray, " P"]
    dynamic: Float32[np.ndarray, " P"]

    def __len__(self) -> int:
        return len(self.xyz)

    def __getitem__(self, keep: np.ndarray | slice) -> "PointCloud":
        return PointCloud(
            self.xyz[keep],
            self.rgb[keep],
            self.confidence[keep],
            self.source_frame[keep],
            self.dynamic[keep],
        )


def empty_cloud(count: int = 0) -> PointCloud:
    """A cloud of `count` points to be filled in."""
    return PointCloud(
        np.empty((count, 3), np.float32),
        np.empty((count, 3), np.uint8),
        np.empty(count, np.float32),
        np.empty(count, np.int32),
        np.empty(count, np.float32),
    )


def fused(cloud: PointCloud, spacing: Float32[np.ndarray, " P"]) -> PointCloud:
    """One point for all that share a cell as wide as their spacing (to the next power of two).

    Place and colour are means weighted by confidence; all else is that of the surest point.
    """
    level = np.rint(np.log2(np.maximum(spacing, np.finfo(np.float32).tiny)))
    cell = np.floor(cloud.xyz / np.exp2(level)[:, None]).astype(np.int64)
    # 19 bits an axis: cells that share them are half a million cells apart
    x, y, z = (cell & (1 << 19) - 1).T
    key = (level.astype(np.int64) & 63) << 57 | x << 38 | y << 19 | z
    order = np.lexsort((-cloud.confidence, key))
    first = np.flatnonzero(np.diff(key[order], prepend=key[order][:1] - 1))
    weight = np.maximum(cloud.confidence, 1e-6).astype(np.float64)[order, None]
    total = np.add.reduceat(weight, first)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(weight * values[order], first) / total

    surest = cloud[order[first]]
    colour = np.rint(mean(cloud.rgb)).astype(np.uint8)
    return replace(surest, xyz=mean(cloud.xyz).astype(np.float32), rgb=colour)


def even_quotas(available: Int[np.ndarray, " N"], total: int | None) -> Int[np.ndarray, " N"]:
    """How many points each frame gives so that at most `total` come, as evenly as they allow.

    What a poor frame cannot give is shared among the others.
    """
    if total is None or available.sum() <= total:
        return available
    quotas = np.zeros_like(available)
    left = total
    for rank, frame in enumerate(np.argsort(available, kind="stable")):
        quotas[frame] = min(available[frame], left // (len(available) - rank))
        left -= quotas[frame]
    return quotas
