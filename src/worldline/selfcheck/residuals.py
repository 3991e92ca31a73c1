"""How well cameras and depth explain the pictures: residuals that need no truth.

A residual is NaN where a frame has too few pixels that it could be measured on.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from worldline.geometry.projection import invert, pixel_grid, project, unproject
from worldline.scene import Scene
from worldline.scene.motion import look_up

_MOST_PAIRS = 30  # bounds the cost on long clips
_GRID = 3  # every third pixel, both ways: a median needs no more
_ROUND_TRIP = 1.0  # px: a flow there and back that misses by more is not to be trusted itself
_FEWEST = 50  # pixels of a grid, below which a median says nothing
_SMALLEST = 32  # px of the shorter side, below which optical flow sees nothing
_SPAN = 1 / 12  # of the clip: how far apart the frames of a reprojection are


def pairs_of(count: int, gap: int = 1) -> Int64[np.ndarray, "P 2"]:
    """At most 30 pairs of frames `gap` apart, spread evenly over `count` frames."""
    starts = np.linspace(0, count - gap - 1, min(count - gap, _MOST_PAIRS)).round()
    starts = starts.astype(np.int64)
    return np.stack([starts, starts + gap], axis=-1)


def flow_residuals(scene: Scene, pairs: Int64[np.ndarray, "P 2"]) -> Float64[np.ndarray, " P"]:
    """Median distance of each pair, in working pixels, between where static pixels go by optical
    flow and where depth and cameras put them.

    The flow is OpenCV's dense inverse search, where going there and back ends where it began.
    Where the camera travels, only measured depth counts; a camera that does not needs no depth.
    """
    if min(scene.size) < _SMALLEST:
        return np.full(len(pairs), np.nan)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    residuals = np.full(len(pairs), np.nan)
    for k, (i, j) in enumerate(pairs.tolist()):
        uv, target, usable = predicted_flow(scene, i, j)
        seen, sure = _seen_at(uv, _grey(scene.frames[i]), _grey(scene.frames[j]), search)
        residuals[k] = _median(np.linalg.norm(seen - target, axis=-1)[usable & sure])
    return residuals


def predicted_flow(
    scene: Scene, i: int, j: int
) -> tuple[Float64[np.ndarray, "M 2"], Float64[np.ndarray, "M 2"], Bool[np.ndarray, " M"]]:
    """Frame i's pixels (every third, both ways), where depth and cameras put them in frame j if
    nothing moved, and which of them are static, measured where that matters, and in view.

    All in working pixels.
    """
    uv, usable = _judged_pixels(scene, i)
    target, z = _carried(scene, i, j, uv, _depth_at(scene, i, uv))
    return uv, target, usable & _in_view(target, z, scene.size)


def reprojection_residuals(
    scene: Scene, pairs: Int64[np.ndarray, "P 2"]
) -> Float64[np.ndarray, " P"]:
    """Median distance of each pair, in working pixels, by which static pixels miss themselves.

    Each goes to the other frame by its own measured depth and comes back by the depth measured
    there, as multi-view stereo checks its depth maps.
    """
    residuals = np.full(len(pairs), np.nan)
    for k, (i, j) in enumerate(pairs.tolist()):
        uv, usable = _judged_pixels(scene, i)
        there, z = _carried(scene, i, j, uv, _depth_at(scene, i, uv))
        usable &= _in_view(there, z, scene.size)
        uv, there = uv[usable], there[usable]
        back, z = _carried(scene, j, i, there, _depth_at(scene, j, there))
        known = (look_up(scene.confidence[j], there) > 0) & (z > 0)
        residuals[k] = _median(np.linalg.norm(back - uv, axis=-1)[known])
    return residuals


def reprojection_gap(count: int) -> int:
    """How many frames apart a reprojection is: far enough that errors show."""
    return max(1, round(_SPAN * count))


def exposure_steps(scene: Scene) -> Float64[np.ndarray, " S"]:
    """By what factor the picture's brightness changes from each frame to the next.

    The median over pixels at the same place, which moves little when the camera or things do.
    """
    levels = np.stack([_grey(frame[::4, ::4]) for frame in scene.frames])
    dark = 8.0  # grey levels: what is black stays black under any exposure
    steps = [np.median((after + dark) / (before + dark)) for before, after in pairwise(levels)]
    return np.array(steps, np.float64)


def _seen_at(
    uv: Float64[np.ndarray, "M 2"],
    source: UInt8[np.ndarray, "H W"],
    target: UInt8[np.ndarray, "H W"],
    search: cv2.DISOpticalFlow,
) -> tuple[Float64[np.ndarray, "M 2"], Bool[np.ndarray, " M"]]:
    """Where optical flow sees the source's pixels in the target, and where it leads back home."""
    there = uv + look_up(search.calc(source, target, None), uv)
    back = there + look_up(search.calc(target, source, None), there)
    return there, np.linalg.norm(back - uv, axis=-1) < _ROUND_TRIP


def _grey(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)


def _grid() -> tuple[slice, slice]:
    return slice(None, None, _GRID), slice(None, None, _GRID)


def _judged_pixels(
    scene: Scene, i: int
) -> tuple[Float64[np.ndarray, "M 2"], Bool[np.ndarray, " M"]]:
    """Frame i's pixels on a grid, and which of them are static and, if it matters, measured."""
    width, height = scene.size
    uv = pixel_grid(height, width, dtype=torch.float64)[_grid()].reshape(-1, 2).numpy()
    usable = (scene.dynamic[i][_grid()] <= 0.5).reshape(-1)
    if scene.cameras.motion == "free":
        usable &= (scene.confidence[i][_grid()] > 0).reshape(-1)
    return uv, usable


def _depth_at(scene: Scene, i: int, uv: Float64[np.ndarray, "M 2"]) -> Float64[np.ndarray, " M"]:
    return look_up(scene.depth[i], uv).astype(np.float64)


def _carried(
    scene: Scene, i: int, j: int, uv: Float64[np.ndarray, "M 2"], depth: Float64[np.ndarray, " M"]
) -> tuple[Float64[np.ndarray, "M 2"], Float64[np.ndarray, " M"]]:
    """Where frame j's camera has frame i's pixels if nothing moved, and at which z-depth."""
    poses = torch.from_numpy(np.array(scene.cameras.world_from_camera[[i, j]]))
    K = torch.from_numpy(np.array(scene.cameras.intrinsics[[i, j]]))
    points = unproject(torch.from_numpy(uv), torch.from_numpy(depth), K[0], poses[0])
    target, z = project(points, K[1], invert(poses[1]))
    return target.numpy(), z.numpy()


def _in_view(
    uv: Float64[np.ndarray, "M 2"], z: Float64[np.ndarray, " M"], size: tuple[int, int]
) -> Bool[np.ndarray, " M"]:
    """Which points are in front of the camera and inside the picture; NaN is not."""
    return (z > 0) & (uv >= 0).all(axis=-1) & (uv <= size).all(axis=-1)


def _median(errors: Float[np.ndarray, " M"]) -> float:
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if len(errors) >= _FEWEST else float("nan")
