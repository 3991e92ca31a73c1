"""The lower rungs of the camera ladder: a camera that only turns, and one that stands still."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

_FOCALS = np.geomspace(0.45, 3.0, 15)  # of the longer side: 96 to 19 degrees of view
_FINER = 1.03
_ROUNDS = 12


@dataclass(frozen=True)
class Panorama:
    """Cameras that share one centre."""

    rotations: Float64[np.ndarray, "N 3 3"]
    """`camera_from_world`, first frame the identity."""
    focal: float
    residual: float
    """Median distance in px between the tracks and what the rotations make of them."""
    focal_sigma: float

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
) -> Panorama:
    """Rotations, and the focal length if it is not given, that explain tracks best.

    Generalised Procrustes on the viewing rays: each point's mean ray and each frame's rotation
    in turn, reweighted against outliers. The focal length is the best of a fine scale.
    """
    rays_px = uv.astype(np.float64) - np.array(centre)
    weight = visible & (visible.sum(axis=1, keepdims=True) >= 2)
    tried = [focal] if focal is not None else list(_FOCALS * longer_side)
    fits = [(_procrustes(rays_px, weight, f), f) for f in tried]
    if focal is None:  # between the best one's neighbours on the scale, in steps of 3%
        middle = min(fits, key=lambda fit: fit[0][1])[1]
        finer = [float(middle * _FINER**k) for k in (-4, -3, -2, -1, 1, 2, 3, 4)]
        fits += [(_procrustes(rays_px, weight, f), f) for f in finer]
        tried += finer
    residuals = np.array([fit[1] for fit, _ in fits])
    best = int(residuals.argmin())
    (rotations, residual), chosen = fits[best]
    # Focal lengths whose residual is within 10% of the best one's are as good as it.
    close = np.array(tried)[residuals < 1.1 * residual + 1e-3]
    sigma = 0.0 if focal is not None else float(max(np.ptp(close) / 2, 0.07 * chosen))
    return Panorama(rotations, float(chosen), residual, sigma)


def _procrustes(
    rays_px: Float64[np.ndarray, "M N 2"], seen: Bool[np.ndarray, "M N"], focal: float
) -> tuple[Float64[np.ndarray, "N 3 3"], float]:
    ray = np.concatenate([rays_px, np.full((*rays_px.shape[:2], 1), focal)], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    rotations = _chain(ray, seen)
    weight = seen.astype(np.float64)
    error = np.zeros(seen.shape)
    for _ in range(_ROUNDS):
        world = np.einsum("nji,mnj,mn->mi", rotations, ray, weight)
        world /= np.maximum(np.linalg.norm(world, axis=-1, keepdims=True), 1e-12)
        rotations = _kabsch(np.einsum("mni,mj,mn->nij", ray, world, weight))
        error = focal * np.linalg.norm(np.einsum("nij,mj->mni", rotations, world) - ray, axis=-1)
        weight = seen / (1.0 + error**2)
    rotations = rotations @ rotations[0].T
    return rotations, float(np.median(error[seen])) if seen.any() else 0.0


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
