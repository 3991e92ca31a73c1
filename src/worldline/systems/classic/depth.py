"""Depth of the static scene: plane-plus-parallax flow triangulated over many views.

The cameras are known, so the only unknown of a static pixel is its inverse depth. A partner frame
is warped by the present guess; what flow remains between the frame and the warped partner is the
guess's error, which is small whatever the baseline, so the flow is good at baselines that it could
not bridge by itself. All partners vote on one inverse depth a pixel, robustly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from worldline.systems.classic.completion import complete
from worldline.systems.classic.flow import DisFlow, inside
from worldline.systems.classic.texture import structure

_PARALLAX = (5.0, 12.0, 24.0)  # px at 640 px of width that the partners should offer
_REACH = 48  # frames: how far a partner may lie away
_NEAREST = 0.05  # of its depth in one frame that a point may keep in another and still be seen
_FARTHEST = 1e-3  # inverse depth of the sky, where the median of the points' depths is 1
_NOISE = 0.35  # px: flow's error where the picture has texture
_ACROSS = 1.2  # px off the epipolar line at which a correspondence is half believed
_SURE = 0.08  # relative depth error beyond which a pixel counts as not measured
_AGREE = 0.06  # relative depth difference at which two frames agree on a point
_TEXTURE = 1.5  # grey levels a pixel: local contrast that flow can hold on to


@dataclass(frozen=True)
class Views:
    """Frames and their cameras, as depth estimation wants them."""

    grey: UInt8[np.ndarray, "N H W"]
    intrinsics: Float64[np.ndarray, "N 3 3"]
    world_from_camera: Float64[np.ndarray, "N 4 4"]

    def relative(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        """`a` and `b` with which a pixel x of frame i at inverse depth w is seen by j at a x + b w.

        Both are in homogeneous pixels of frame j.
        """
        k, k_inverse = self.intrinsics[j], np.linalg.inv(self.intrinsics[i])
        j_from_i = np.linalg.inv(self.world_from_camera[j]) @ self.world_from_camera[i]
        return k @ j_from_i[:3, :3] @ k_inverse, k @ j_from_i[:3, 3]

    def reproject(self, i: int, j: int, inverse_depth: Float32[np.ndarray, "H W"]) -> "Seen":
        """Where frame j sees the pixels of frame i at these inverse depths."""
        a, b = (x.astype(np.float32) for x in self.relative(i, j))
        height, width = inverse_depth.shape
        x = np.arange(width, dtype=np.float32) + 0.5
        y = np.arange(height, dtype=np.float32)[:, None] + 0.5
        z = (a[2, 0] * x + a[2, 2]) + a[2, 1] * y + b[2] * inverse_depth
        over_z = 1.0 / np.maximum(z, _NEAREST)
        u = ((a[0, 0] * x + a[0, 2]) + a[0, 1] * y + b[0] * inverse_depth) * over_z
        v = ((a[1, 0] * x + a[1, 2]) + a[1, 1] * y + b[1] * inverse_depth) * over_z
        return Seen(u, v, (b[0] - u * b[2]) * over_z, (b[1] - v * b[2]) * over_z, z)


@dataclass(frozen=True)
class Seen:
    """Pixels of one frame as another sees them; planes of [H, W], for speed."""

    u: Float32[np.ndarray, "H W"]
    v: Float32[np.ndarray, "H W"]
    du: Float32[np.ndarray, "H W"]
    """Derivatives of `u` and `v` by the inverse depth."""
    dv: Float32[np.ndarray, "H W"]
    z: Float32[np.ndarray, "H W"]
    """Depth in the other frame over depth in this one."""

    def look_up(self, image: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Values of the other frame's map at these pixels; its border's outside."""
        return cv2.remap(
            image, self.u - 0.5, self.v - 0.5, interpolation, borderMode=cv2.BORDER_REPLICATE
        )

    def inside(self, margin: float = 1.0) -> Bool[np.ndarray, "H W"]:
        """Which pixels the other frame has in view, in front of it."""
        height, width = self.u.shape
        return (
            (self.u > margin)
            & (self.u < width - margin)
            & (self.v > margin)
            & (self.v < height - margin)
            & (self.z > _NEAREST)
        )

    def moved(self, flow: Float32[np.ndarray, "H W 2"]) -> "Seen":
        """The same for the pixels that a flow leads to: where the other frame really has them."""
        height, width = self.u.shape
        x = flow[..., 0] + np.arange(width, dtype=np.float32)
        y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        u, v = (
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for plane in (self.u, self.v)
        )
        return Seen(u, v, self.du, self.dv, self.z)


@dataclass(frozen=True)
class Sparse:
    """Static tracks with a known point: where depth estimation starts."""

    uv: Float32[np.ndarray, "M N 2"]
    visible: Bool[np.ndarray, "M N"]
    points: Float64[np.ndarray, "M 3"]

    def inverse_depth(self, views: Views, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and inverse depths of the tracks that a frame sees."""
        camera_from_world = np.linalg.inv(views.world_from_camera[frame])
        at = np.flatnonzero(self.visible[:, frame])
        z = self.points[at] @ camera_from_world[2, :3] + camera_from_world[2, 3]
        front = z > 1e-3
        return self.uv[at[front], frame], (1.0 / z[front]).astype(np.float32)


def static_depth(
    views: Views,
    sparse: Sparse,
    dynamic: Float32[np.ndarray, "N H W"],
    frames: UInt8[np.ndarray, "N H W 3"],
    report: Callable[[int, int], None] = lambda done, total: None,
    rounds: int = 2,
) -> tuple[Float32[np.ndarray, "N H W"], Float32[np.ndarray, "N H W"]]:
    """Inverse depth of every pixel as if nothing moved, and its confidence.

    The confidence is 0 where the value was filled in (moving pixels always), else the inverse of
    the estimated relative depth error, so 20 means 5%.
    """
    count, height, width = views.grey.shape
    inverse = np.empty((count, height, width), np.float32)
    sureness = np.empty_like(inverse)
    quick, exact = DisFlow(cv2.DISOPTICAL_FLOW_PRESET_FAST), DisFlow()
    for i in range(count):
        uv, w = sparse.inverse_depth(views, i)
        guess = _from_points(uv, w, frames[i], dynamic[i])
        partners = choose_partners(views, uv, w, i)
        still = dynamic[i] < 0.5
        sure = np.zeros_like(guess)
        for last in [False] * (rounds - 1) + [True]:
            guess, sure = _vote(views, exact if last else quick, i, partners, guess)
            sure = np.where(still, sure, 0.0)
            if not last and sure.any():
                guess = complete(guess, sure, frames[i])
        inverse[i], sureness[i] = guess, sure
        report(i + 1, 2 * count)
    sureness, inverse = _agreement(views, inverse, sureness)
    for i in range(count):
        if sureness[i].any():
            filled = np.maximum(complete(inverse[i], sureness[i], frames[i]), _FARTHEST)
            inverse[i] = np.where(sureness[i] > 0, inverse[i], filled)
        report(count + i + 1, 2 * count)
    return inverse, sureness


def choose_partners(
    views: Views, uv: Float32[np.ndarray, "P 2"], w: Float32[np.ndarray, " P"], i: int
) -> list[int]:
    """Frames before and after that show frame i's points with little, fair and much parallax."""
    count, height, width = views.grey.shape
    if len(w) == 0:
        return []
    candidates = [j for j in range(max(0, i - _REACH), min(count, i + _REACH + 1)) if j != i]
    shifts, overlaps = [], []
    homogeneous = np.concatenate([uv, np.ones((len(uv), 1))], axis=1)
    for j in candidates:
        a, b = views.relative(i, j)
        far = homogeneous @ a.T
        near = far + w[:, None] * b
        with np.errstate(divide="ignore", invalid="ignore"):
            p, q = near[:, :2] / near[:, 2:], far[:, :2] / far[:, 2:]
        seen = (near[:, 2] > 0) & inside(p, height, width)
        overlaps.append(seen.mean())
        shifts.append(np.median(np.linalg.norm(p - q, axis=1)[seen]) if seen.any() else 0.0)
    shift, usable = np.array(shifts), np.array(overlaps) > 0.4
    chosen: list[int] = []
    for side in (np.array(candidates) < i, np.array(candidates) > i):
        for target in _PARALLAX:
            away = np.abs(np.log((shift + 1e-3) / (target * width / 640)))
            away = np.where(side & usable, away, np.inf)
            best = int(away.argmin())
            if np.isfinite(away[best]) and candidates[best] not in chosen:
                chosen.append(candidates[best])
    return chosen


def _from_points(
    uv: Float32[np.ndarray, "P 2"],
    w: Float32[np.ndarray, " P"],
    frame: UInt8[np.ndarray, "H W 3"],
    dynamic: Float32[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W"]:
    """A first guess everywhere, spread from the points along the picture's smooth parts."""
    height, width = dynamic.shape
    value, weight = np.zeros((2, height, width), np.float32)
    x = np.clip(uv[:, 0].astype(int), 0, width - 1)
    y = np.clip(uv[:, 1].astype(int), 0, height - 1)
    keep = dynamic[y, x] < 0.5
    value[y[keep], x[keep]], weight[y[keep], x[keep]] = w[keep], 20.0
    if not keep.any():
        return np.full((height, width), np.median(w) if len(w) else 1.0, np.float32)
    return np.maximum(complete(value, weight, frame), _FARTHEST)


def _vote(
    views: Views, flow: DisFlow, i: int, partners: list[int], guess: Float32[np.ndarray, "H W"]
) -> tuple[Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """One inverse depth a pixel from all partners, and its confidence."""
    if not partners:
        return guess, np.zeros_like(guess)
    along, weight, across = [], [], []
    for j in partners:
        seen = views.reproject(i, j, guess)
        found = seen.moved(flow.between(views.grey[i], seen.look_up(views.grey[j])))
        u, v = found.u - seen.u, found.v - seen.v
        length2 = seen.du**2 + seen.dv**2 + 1e-12
        off2 = (u * seen.dv - v * seen.du) ** 2 / length2
        across.append(off2)
        usable = found.inside() & seen.inside()
        along.append(np.where(usable, (u * seen.du + v * seen.dv) / length2, 0.0))
        weight.append(np.where(usable, length2 / (1.0 + off2 / _ACROSS**2), 0.0))
    step, information, spread = _robust_mean(np.stack(along), np.stack(weight))
    inverse = np.maximum(guess + step, _FARTHEST)
    noise = _NOISE * (1.0 + _TEXTURE**2 / (structure(views.grey[i], 9).total() + 1e-6))
    error = np.sqrt(noise**2 / (information + 1e-9) + spread**2) / inverse
    witnesses = (np.stack(weight) > 0).sum(axis=0)
    believed = (error < _SURE) & (witnesses >= 1) & _mostly(across, 4 * _ACROSS**2)
    return inverse.astype(np.float32), np.where(believed, 1.0 / error, 0.0).astype(np.float32)


def _mostly(values: list[np.ndarray], limit: float) -> Bool[np.ndarray, "H W"]:
    """Where at least half of the maps stay below a limit."""
    return 2 * np.sum([value < limit for value in values], axis=0) >= len(values)


def _robust_mean(
    value: Float32[np.ndarray, "P H W"], weight: Float32[np.ndarray, "P H W"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean over partners, reweighted twice; its information and the standard error."""
    w = weight
    mean = np.zeros_like(value[0])
    for _ in range(3):
        total = w.sum(axis=0) + 1e-9
        mean = (w * value).sum(axis=0) / total
        residual2 = (value - mean) ** 2
        scale2 = (w * residual2).sum(axis=0) / total + 1e-12
        w = weight / (1.0 + residual2 / (2.0 * scale2))
    total = w.sum(axis=0) + 1e-9
    variance = (w * (value - mean) ** 2).sum(axis=0) / total
    witnesses = np.maximum((weight > 0).sum(axis=0), 1)
    return mean, total, np.sqrt(variance / witnesses)


def _agreement(
    views: Views,
    inverse: Float32[np.ndarray, "N H W"],
    sureness: Float32[np.ndarray, "N H W"],
    gaps: tuple[int, ...] = (-5, -2, -1, 1, 2, 5),
) -> tuple[Float32[np.ndarray, "N H W"], Float32[np.ndarray, "N H W"]]:
    """Confidence and inverse depth after asking the neighbours: contradicted ones are dropped,
    confirmed ones averaged, which also steadies the depth in time."""
    count, height, width = inverse.shape
    new_inverse, new_sureness = inverse.copy(), sureness.copy()
    for i in range(count):
        total, value = sureness[i].copy(), sureness[i] * inverse[i]
        yes, no = np.zeros((2, height, width), np.float32)
        for j in (i + gap for gap in gaps if 0 <= i + gap < count):
            seen = views.reproject(i, j, inverse[i])
            sure_there = seen.look_up(sureness[j], cv2.INTER_NEAREST)
            known = (sure_there > 0) & seen.inside()
            # Inverse depth in j of the same point, brought back to i's axis.
            back = seen.look_up(inverse[j], cv2.INTER_NEAREST) * seen.z
            difference = np.abs(back / inverse[i] - 1.0)
            agree = known & (difference < _AGREE)
            yes += agree
            no += known & (difference > 3 * _AGREE)
            share = np.where(agree, 0.5 * sure_there, 0.0)
            total += share
            value += share * back
        kept = (yes >= 1) & (yes >= no)
        new_sureness[i] = np.where(kept, sureness[i], 0.0)
        new_inverse[i] = np.where(
            kept & (sureness[i] > 0), value / np.maximum(total, 1e-9), inverse[i]
        )
    return new_sureness, new_inverse
