"""What was known beforehand: cameras, depth, masks. All of it is kept; the rest is found with it.

Known cameras leave points to be found, the focal length if nobody told it, and the frames that
nobody knew.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from scipy.optimize import minimize_scalar

from worldline.systems.classic import cameras, masks, sfm
from worldline.systems.classic.completion import complete
from worldline.systems.classic.fit import inliers, triangulated
from worldline.systems.classic.keyframes import spread_out
from worldline.systems.classic.lens import FocalPrior, cost_unit, mean_cost, weighed_focal
from worldline.systems.classic.tracks import PixelTracks

SURE = np.float32(1000.0)  # confidence of known depth
_ROUNDS = 4  # of carrying points on to frames that nobody knew
_MISSED = 4.0  # px by which an outlier misses its point
_FEWEST = 30  # points without which the cameras did not travel, or nothing is there to see it by
_FINE = 0.001  # of log focal: how finely the unknown focal length is looked for
_ASIDE = 0.03  # of log focal: how far aside it is asked how much worse the tracks are explained


def known_solution(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    matched: Bool[np.ndarray, " M"],
    size: tuple[int, int],
    lens: sfm.Lens,
    prior: FocalPrior,
    poses: Float64[np.ndarray, "N 4 4"],
) -> cameras.Solution:
    """The solution around known poses (`world_from_camera`, NaN where unknown), which stay.

    Its `unit` is the length of one of its units in those of the poses.
    """
    known = np.isfinite(poses).all(axis=(1, 2))
    frames = sfm.Frames(uv, visible, size)
    camera_from_world = np.linalg.inv(np.where(known[:, None, None], poses, np.eye(4)))
    nowhere = np.full((len(uv), 3), np.nan)
    structure = sfm.Structure(camera_from_world, known, nowhere, lens)
    sigma = 0.0
    if not prior.held:
        chosen = spread_out(uv, visible, matched, size, np.flatnonzero(known))
        part = replace(frames, uv=uv[chosen], visible=visible[chosen])
        structure, sigma = _with_best_focal(part, replace(structure, points=nowhere[chosen]), prior)
    structure = replace(structure, points=triangulated(frames, structure))
    for _ in range(_ROUNDS):
        clean = inliers(frames, structure, _MISSED)
        structure = replace(structure, points=triangulated(clean, structure))
        before = int(structure.registered.sum())
        structure = cameras.resected(frames, structure)
        if int(structure.registered.sum()) == before:
            break
    solution = cameras.in_first_camera(frames, structure, sigma)
    if np.isfinite(solution.points[:, 0]).sum() >= _FEWEST:
        return solution
    turns = solution.world_from_camera[:, :3, :3]
    still = bool(np.abs(turns - np.eye(3)).max() < 1e-6)
    return replace(
        solution,
        motion="still" if still else "rotation",
        warnings=(*solution.warnings, "the known cameras tell no depth of what they see"),
    )


def _with_best_focal(
    frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior
) -> tuple[sfm.Structure, float]:
    """With the most probable focal length, and its one sigma in px.

    The clip's say is how well the known poses explain the tracks under each focal length. It has
    none where cameras travel without turning: a longer lens and a deeper world look the same.
    """
    views = int(frames.visible.sum())

    def under(log_focal: float) -> sfm.Structure:
        lens = replace(structure.lens, focal=float(np.exp(log_focal)))
        changed = replace(structure, lens=lens)
        return replace(changed, points=triangulated(frames, changed))

    def cost(log_focal: float) -> float:  # half the sum of squares, as `cost_unit` counts
        return 0.5 * views * mean_cost(frames, under(log_focal))

    middle, reach = np.log(prior.focal), 3.0 * prior.sigma
    best = minimize_scalar(
        cost,
        bounds=(middle - reach, middle + reach),
        method="bounded",
        options={"xatol": _FINE},
    )
    rises = cost(best.x - _ASIDE) + cost(best.x + _ASIDE) - 2.0 * best.fun
    information = max(rises, 0.0) / _ASIDE**2 / cost_unit(frames, under(best.x), best.fun)
    focal, sigma = weighed_focal(prior, float(best.x), information)
    return replace(structure, lens=replace(structure.lens, focal=focal)), sigma


def through_one_lens(
    uv: Float32[np.ndarray, "M N 2"],
    lenses: Float64[np.ndarray, "N 3 3"] | None,
    lens: Float64[np.ndarray, "3 3"],
) -> Float32[np.ndarray, "M N 2"]:
    """Pixels as one lens of one focal length would have them, which is all the solver knows."""
    uv = uv.copy()
    if lenses is None:
        uv[..., 1] = (uv[..., 1] - lens[1, 2]) * (lens[0, 0] / lens[1, 1]) + lens[1, 2]
        return uv
    ray = (uv - lenses[:, :2, 2]) / lenses[:, [0, 1], [0, 1]]
    return (ray * lens[0, 0] + lens[:2, 2]).astype(np.float32)


def told_to_move(
    dynamic: Float32[np.ndarray, "N H W"] | None, tracks: PixelTracks
) -> Bool[np.ndarray, " M"]:
    """Tracks that known masks (1: moving) call moving, for most of what they say.

    That a track should be static they cannot tell: it may have crept on to something else.
    """
    if dynamic is None:
        return np.zeros(len(tracks), bool)
    over = masks.look_up(dynamic, tracks.uv)
    known = tracks.visible & np.isfinite(over)
    return (np.nan_to_num(over) * known).sum(axis=1) > 0.5 * known.sum(axis=1)


def unit_of(known: Float32[np.ndarray, "N H W"], found: Mapping[str, np.ndarray]) -> float:
    """Length of our unit in that of the known depth: the median over what both have."""
    both = np.isfinite(known) & (known > 0)
    measured = both & (found["confidence"] > 0)
    where = measured if measured.any() else both
    return float(np.median(known[where] / found["depth"][where])) if where.any() else 1.0


def with_known_depth(
    found: Mapping[str, np.ndarray],
    known: Float32[np.ndarray, "N H W"],
    frames: UInt8[np.ndarray, "N H W 3"],
) -> dict[str, np.ndarray]:
    """Known depth where there is some, and what was filled in filled in again around it."""
    there = np.isfinite(known) & (known > 0)
    depth = np.where(there, known, found["depth"])
    confidence = np.where(there, SURE, found["confidence"]).astype(np.float32)
    for i in np.flatnonzero(there.any(axis=(1, 2)) & (confidence <= 0).any(axis=(1, 2))):
        filled = complete(1.0 / depth[i], confidence[i], frames[i])
        depth[i] = np.where(confidence[i] > 0, depth[i], 1.0 / np.maximum(filled, 1e-6))
    return {"depth": depth.astype(np.float32), "confidence": confidence}
