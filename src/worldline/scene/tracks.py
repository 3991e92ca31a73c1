"""Trajectories of chosen points through the whole clip."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32


@dataclass(frozen=True, eq=False)
class Tracks:
    """M points followed through N frames.

    xyz: world, scene units.
    visible: inside the frame, and not behind another surface there.
    uv: (x, y) in working pixels, possibly outside the frame; NaN behind the camera.
    confidence: of the motion, in 0..1.
    """

    xyz: Float32[np.ndarray, "M N 3"]
    visible: Bool[np.ndarray, "M N"]
    uv: Float32[np.ndarray, "M N 2"]
    confidence: Float32[np.ndarray, "M N"]

    def __len__(self) -> int:
        return len(self.xyz)
