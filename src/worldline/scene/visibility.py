"""The depth test: a point is visible where the target frame sees a surface at its depth."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from worldline.geometry.projection import project

_TOLERANCE = 0.03  # of the depth: what depth maps of one clip disagree by on one surface


def project_to(
    points: Float[np.ndarray, "M 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
) -> tuple[Float[np.ndarray, "M 2"], Float[np.ndarray, " M"]]:
    """Working pixels (NaN behind the camera) and z-depths of world points, in float64."""
    uv, z = project(
        torch.from_numpy(points.astype(np.float64)),
        torch.from_numpy(np.array(intrinsics, np.float64)),
        torch.from_numpy(np.array(camera_from_world, np.float64)),
    )
    uv[~(z > 0)] = torch.nan
    return uv.numpy(), z.numpy()


def depth_test(
    uv: Float[np.ndarray, "M 2"], z: Float[np.ndarray, " M"], depth: Float[np.ndarray, "H W"]
) -> Bool[np.ndarray, " M"]:
    """Whether points at `uv` (working pixels) and z-depth `z` lie on the surface that is seen.

    The best of the 3x3 pixels around counts: next to a depth edge, half a pixel of projection
    error would otherwise hide a point. Never visible where the depth is NaN at the pixel itself.
    """
    height, width = depth.shape
    inside = (uv >= 0).all(axis=-1) & (uv[:, 0] < width) & (uv[:, 1] < height) & (z > 0)
    column, row = np.floor(uv[inside]).astype(np.int64).T
    error = np.full(len(row), np.inf)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = np.clip(row + dy, 0, height - 1), np.clip(column + dx, 0, width - 1)
            error = np.fmin(error, np.abs(depth[y, x] - z[inside]))
    visible = np.zeros(len(z), bool)
    visible[inside] = (error < _TOLERANCE * z[inside]) & np.isfinite(depth[row, column])
    return visible
