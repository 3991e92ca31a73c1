"""How a structure fits its tracks: points from cameras, residuals, outliers."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64

from worldline.geometry.triangulation import triangulate
from worldline.systems.classic import sfm


def triangulated(frames: sfm.Frames, structure: sfm.Structure) -> Float64[np.ndarray, "M 3"]:
    """Each track's point anew from the cameras that see it; NaN where they fix none."""
    uv = frames.uv
    if structure.lens.radial:
        uv = sfm.undistort(uv, structure.lens, frames)
    seen = torch.from_numpy(frames.visible & structure.registered)
    cameras = torch.from_numpy(structure.camera_from_world)
    lens = _intrinsics(structure.lens).expand(len(cameras), 3, 3)
    return triangulate(torch.from_numpy(uv).double(), seen, lens, cameras).numpy()


def residuals(frames: sfm.Frames, structure: sfm.Structure) -> Float64[np.ndarray, "M N"]:
    """Distance in px of each observation to its point; NaN where the track has none."""
    uv = frames.uv
    if structure.lens.radial:
        uv = sfm.undistort(uv, structure.lens, frames)
    cameras = structure.camera_from_world
    xyz = np.einsum("nij,mj->mni", cameras[:, :3, :3], structure.points) + cameras[:, :3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        projected = structure.lens.focal * xyz[..., :2] / xyz[..., 2:]
        projected += np.array(structure.lens.centre)
        return np.linalg.norm(projected - uv, axis=-1)


def inliers(frames: sfm.Frames, structure: sfm.Structure, most: float) -> sfm.Frames:
    """Without the observations that the structure misses by more than `most` px.

    Those of tracks without a point are kept: they get one from what remains.
    """
    bad = residuals(frames, structure) > most
    return replace(frames, visible=frames.visible & ~bad)


def _intrinsics(lens: sfm.Lens) -> torch.Tensor:
    return torch.tensor(
        [[lens.focal, 0, lens.centre[0]], [0, lens.focal, lens.centre[1]], [0, 0, 1]],
        dtype=torch.float64,
    )
