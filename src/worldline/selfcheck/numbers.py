"""What is measured of a scene by itself, from its pictures alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation

from worldline.scene import Scene
from worldline.scene.cameras import CameraMotion
from worldline.selfcheck.residuals import (
    exposure_steps,
    flow_residuals,
    pairs_of,
    reprojection_gap,
    reprojection_residuals,
)

_LARGE = 0.0025  # of the picture's longer side, but at least a pixel: a residual that is too large


@dataclass(frozen=True, eq=False)
class Residuals:
    """Medians over the pixels of pairs of frames; NaN where a pair has too few of them."""

    pairs: Int64[np.ndarray, "P 2"]
    pixels: Float64[np.ndarray, " P"]  # original pixels

    @property
    def median(self) -> float:
        """Over the pairs; NaN if none could be measured."""
        known = self.pixels[np.isfinite(self.pixels)]
        return float(np.median(known)) if len(known) else float("nan")


@dataclass(frozen=True, eq=False)
class Numbers:
    """A scene in numbers. Pixels are the input's; shares are in 0..1, of all pixels.

    focal: in x, the median over the frames.
    focal_range: smallest and largest of the frames; they differ where the lens zooms.
    focal_sigma: one sigma; 0 if the focal length was given, NaN if nothing is known.
    field_of_view: horizontal, degrees, at `focal`.
    moving: share of each frame's pixels that moves.
    measured, filled: shares of the pixels whose depth was measured, or only filled in.
    measured_static: share of the static pixels whose depth was measured.
    flow: from frame to frame, optical flow against what depth and cameras predict.
    reprojection: static pixels, through two frames' measured depths and back; see `residuals`.
    tolerance: a residual above it is too large.
    exposure: factor of the brightness from each frame to the next, S = N - 1 of them.
    path: camera positions, world axes, scene units.
    turn: largest angle between a frame's camera and the first's, degrees.
    """

    times: Float64[np.ndarray, " N"]
    size: tuple[int, int]
    original_size: tuple[int, int]
    camera: CameraMotion
    focal: float
    focal_range: tuple[float, float]
    focal_sigma: float
    field_of_view: float
    registered: Bool[np.ndarray, " N"]
    moving: Float64[np.ndarray, " N"]
    measured: float
    filled: float
    measured_static: float
    flow: Residuals
    reprojection: Residuals
    tolerance: float
    exposure: Float64[np.ndarray, " S"]
    path: Float64[np.ndarray, "N 3"]
    turn: float

    def __len__(self) -> int:
        return len(self.times)


def measure(scene: Scene) -> Numbers:
    """Measure a scene. The cost is bounded: residuals are taken on at most 30 pairs of frames."""
    width = scene.original_size[0]
    scale = width / scene.size[0]
    focal = scene.original_intrinsics[:, 0, 0]
    poses = np.array(scene.cameras.world_from_camera)
    pairs = pairs_of(len(scene))
    apart = pairs_of(len(scene), reprojection_gap(len(scene)))
    return Numbers(
        times=np.array(scene.times),
        size=scene.size,
        original_size=scene.original_size,
        camera=scene.cameras.motion,
        focal=float(np.median(focal)),
        focal_range=(float(focal.min()), float(focal.max())),
        focal_sigma=float(np.median(scene.cameras.focal_sigma)) * scale,
        field_of_view=float(2 * np.degrees(np.arctan(width / 2 / np.median(focal)))),
        registered=np.array(scene.cameras.registered),
        **_shares(scene),
        flow=Residuals(pairs, scale * flow_residuals(scene, pairs)),
        reprojection=Residuals(apart, scale * reprojection_residuals(scene, apart)),
        tolerance=scale * max(1.0, _LARGE * max(scene.size)),
        exposure=exposure_steps(scene),
        path=poses[:, :3, 3],
        turn=float(np.degrees(Rotation.from_matrix(poses[:, :3, :3]).magnitude().max())),
    )


def _shares(scene: Scene) -> dict:
    """What moves and whose depth is measured, frame by frame so that no array is held whole."""
    moving, measured, known, static_measured = np.array(
        [
            (
                (scene.dynamic[i] > 0.5).mean(),
                (scene.confidence[i] > 0).mean(),
                np.isfinite(scene.depth[i]).mean(),
                ((scene.confidence[i] > 0) & (scene.dynamic[i] <= 0.5)).mean(),
            )
            for i in range(len(scene))
        ],
        np.float64,
    ).T
    static = 1 - moving.mean()
    return {
        "moving": moving,
        "measured": float(measured.mean()),
        "filled": float(known.mean() - measured.mean()),
        "measured_static": float(static_measured.mean() / static) if static > 0 else float("nan"),
    }
