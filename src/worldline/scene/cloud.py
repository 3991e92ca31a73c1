"""Points gathered from all frames at one time."""

from dataclasses import dataclass

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
