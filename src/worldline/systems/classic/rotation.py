"""The lower rungs of the camera ladder: a camera that only turns, and may zoom meanwhile, and one
that stands still.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

_FOCALS = np.geomspace(0.45, 3.0, 15)  # of the longer side: 96 to 19 degrees of view
_FINER = 1.03
_AS_GOOD = 0.03  # px
_ROUNDS = 12


@dataclass(frozen=True)
class Panorama:
    """Cameras that share one centre."""

    rotations: Float64[np.ndarray, "N 3 3"]
    """`camera_from_world`, first frame the identity."""
    focal: float
    """Of the first frame, in px."""
    zoom: Float64[np.ndarray, " N"]
    """Each frame's focal length over the first one's."""
    residual: float
    """Median distance in px between the tracks and what the rotations make of them."""
    reach: float
    """Distance in px that seven of eight views stay within."""
    focal_sigma: float
    focal_range: tuple[float, float]
    """Focal lengths that explain the tracks about as well."""

    @property
    def travel(self) -> float:
        """How far the widest turn moves the picture, in px."""
        chord = np.linalg.norm(self.rotations - np.eye(3), axis=(1, 2)) / np.sqrt(2.0)
        return float(self.focal * chord.max())


def drift(uv: Float32[np.ndarray, "M N 2"], visible: Bool[np.ndarray, "M N"]) -> float:
    """Median over tracks of the farthest each strays from its median position, in px."""
    if len(uv) == 0:
        return 0.0
    seen = np.where(visible[..., None], uv, np.nan)
    home = np.nanmedian(seen, axis=1, keepdims=True)
    return float(np.median(np.nanmax(np.linalg.norm(seen - home, axis=-1), axis=1)))


def fit_panorama(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    centre: tuple[float, float],
    longer_side: int,
    focal: float | None,
    *,
    zooming: bool = False,
) -> Panorama:
    """Rotations, and the focal length if it is not given, that explain tracks best.

    Generalised Procrustes on the viewing rays: each point's mean ray and each frame's rotation
    (and zoom, where that is allowed) in turn, reweighted against outliers. The focal length is
    the best of a fine scale.
    """
    rays_px = uv.astype(np.float64) - np.array(centre)
    weight = visible & (visible.sum(axis=1, keepdims=True) >= 2)
    tried = [focal] if focal is not None else list(_FOCALS * longer_side)
    zoom = _zoom_chain(rays_px, weight) if zooming else None
    fits = [_procrustes(rays_px, weight, f, zoom) for f in tried]
    if focal is None:  # between the best one's neighbours on the scale, in steps of 3%
        middle = min(fits, key=lambda fit: fit.residual).focal
        finer = [float(middle * _FINER**k) for k in (-4, -3, -2, -1, 1, 2, 3, 4)]
        fits += [_procrustes(rays_px, weight, f, zoom) for f in finer]
    best = min(fits, key=lambda fit: fit.residual)
    # Focal lengths whose residual is hardly larger than the best one's are as good as it.
    close = [fit.focal for fit in fits if fit.residual < 1.1 * best.residual + _AS_GOOD]
    sigma = 0.0 if focal is not None else float(max(np.ptp(close) / 2, 0.07 * best.focal))
    return replace(best, focal_sigma=sigma, focal_range=(float(min(close)), float(max(close))))


def _procrustes(
    rays_px: Float64[np.ndarray, "M N 2"],
    seen: Bool[np.ndarray, "M N"],
    focal: float,
    zoom: Float64[np.ndarray, " N"] | None,
) -> Panorama:
    """The panorama of one focal length; `zoom`: what to start from, None for a fixed lens."""
    lens = focal * (np.ones(seen.shape[1]) if zoom is None else zoom)
    rotations = _chain(_rays(rays_px, lens), seen)
    weight = seen.astype(np.float64)
    error = np.zeros(seen.shape)
    for _ in range(_ROUNDS if zoom is None else 3 * _ROUNDS):
        ray = _rays(rays_px, lens)
        world = np.einsum("nji,mnj,mn->mi", rotations, ray, weight)
        world /= np.maximum(np.linalg.norm(world, axis=-1, keepdims=True), 1e-12)
        rotations = _kabsch(np.einsum("mni,mj,mn->nij", ray, world, weight))
        turned = np.einsum("nij,mj->mni", rotations, world)
        error = lens * np.linalg.norm(turned - ray, axis=-1)
        weight = seen / (1.0 + error**2)
        if zoom is not None:
            lens = _lenses(rays_px, turned, weight)
            lens *= focal / lens[0]
    rotations = rotations @ rotations[0].T
    residual, reach = np.quantile(error[seen], [0.5, 0.875]).tolist() if seen.any() else (0.0, 0.0)
    return Panorama(rotations, focal, lens / focal, residual, reach, 0.0, (focal, focal))


def _rays(
    rays_px: Float64[np.ndarray, "M N 2"], lens: Float64[np.ndarray, " N"]
) -> Float64[np.ndarray, "M N 3"]:
    """Unit viewing rays of pixels relative to the principal point."""
    z = np.broadcast_to(lens[:, None], (*rays_px.shape[:2], 1))
    ray = np.concatenate([rays_px, z], axis=-1)
    return ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def _lenses(
    rays_px: Float64[np.ndarray, "M N 2"],
    ray: Float64[np.ndarray, "M N 3"],
    weight: Float64[np.ndarray, "M N"],
) -> Float64[np.ndarray, " N"]:
    """Focal length of each frame under which rays fall on their pixels (least squares)."""
    on_plane = ray[..., :2] / np.maximum(ray[..., 2:], 0.1)
    along = np.einsum("mn,mnk,mnk->n", weight, on_plane, rays_px)
    return np.maximum(along, 1e-9) / np.maximum(
        np.einsum("mn,mnk,mnk->n", weight, on_plane, on_plane), 1e-9
    )


def _zoom_chain(
    rays_px: Float64[np.ndarray, "M N 2"], seen: Bool[np.ndarray, "M N"]
) -> Float64[np.ndarray, " N"]:
    """Start values: how much each frame is the one before it enlarged, multiplied up."""
    zoom = [1.0]
    for t in range(1, rays_px.shape[1]):
        both = seen[:, t] & seen[:, t - 1]
        factor = 1.0
        if both.sum() >= 3:
            points = rays_px[both][:, [t - 1, t]]
            similar, _ = cv2.estimateAffinePartial2D(points[:, 0], points[:, 1])
            factor = 1.0 if similar is None else float(np.hypot(*similar[:, 0]))
        zoom.append(zoom[-1] * factor)
    return np.array(zoom)


def _chain(
    ray: Float64[np.ndarray, "M N 3"], seen: Bool[np.ndarray, "M N"]
) -> Float64[np.ndarray, "N 3 3"]:
    """Start values: each frame turned onto the one before it."""
    rotations = [np.eye(3)]
    for t in range(1, ray.shape[1]):
        both = (seen[:, t] & seen[:, t - 1]).astype(np.float64)
        step = np.eye(3)
        for _ in range(4):
            step = _kabsch(np.einsum("mi,mj,m->ij", ray[:, t], ray[:, t - 1], both)[None])[0]
            error = np.linalg.norm(ray[:, t] - ray[:, t - 1] @ step.T, axis=-1)
            scale = np.median(error[both > 0]) + 1e-9 if (both > 0).any() else 1.0
            both = (seen[:, t] & seen[:, t - 1]) / (1.0 + (error / scale) ** 2)
        rotations.append(step @ rotations[-1])
    return np.stack(rotations)


def _kabsch(covariance: Float64[np.ndarray, "B 3 3"]) -> Float64[np.ndarray, "B 3 3"]:
    """Rotations that maximise trace(R^T C); the identity where there is nothing to go by."""
    u, _, vt = np.linalg.svd(covariance + 1e-12 * np.eye(3))
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt
