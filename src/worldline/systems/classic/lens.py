"""The focal length, lens distortion, and which way depth runs: what a clip leaves half decided.

Each is settled by how well the adjusted structure explains the tracks, against what is known
before looking.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import spearmanr

from worldline.systems.classic import sfm
from worldline.systems.classic.fit import residuals, triangulated

PRIOR_FOCAL = 0.9  # of the longer side: 58 degrees, between a phone's main lens and a film's 35 mm
_PRIOR_SIGMA = 0.25  # of log focal: 47 to 71 degrees is one sigma
# Variance by which the model's own errors (rolling shutter, lens, creeping tracks) exceed noise.
_SYSTEMATIC = 16.0
_CENTRE_SIGMA = 0.025  # of the longer side: how far principal points lie from the middle
_DECIDED = 1.5  # camera travel over depth beyond which near and far cannot be confused
_UNDECIDED = 0.1  # log ratio of costs below which two explanations are as good


@dataclass(frozen=True)
class FocalPrior:
    """What is known of the focal length before looking: pixels, and sigma of its logarithm."""

    focal: float
    sigma: float

    @property
    def held(self) -> bool:
        """Known for certain, so never refined."""
        return self.sigma == 0.0


def default_prior(longer_side: int) -> FocalPrior:
    """The prior of a clip that says nothing about its lens."""
    return FocalPrior(PRIOR_FOCAL * longer_side, _PRIOR_SIGMA)


def settle_focal(
    frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior
) -> tuple[sfm.Structure, float]:
    """Most probable focal length given the clip and the prior, and its one sigma in px.

    The clip's say is the curvature of the adjusted cost over log focal. Observations of a track
    err together, so the cost counts a track once, not once a frame: without that, short-baseline
    clips with movers claim focal lengths that are off by a factor.
    """
    if prior.held:
        adjusted, _ = sfm.adjust(frames, structure)
        return adjusted, 0.0
    best, log_focal, lowest, curvature = _profile_focal(frames, structure)
    focal, sigma = weighed_focal(prior, log_focal, curvature / cost_unit(frames, best, lowest))
    held, _ = sfm.adjust(frames, _with_focal(best, focal))
    return held, sigma


def weighed_focal(prior: FocalPrior, log_focal: float, information: float) -> tuple[float, float]:
    """Most probable focal length and its one sigma, px, where a clip says `log_focal` with so much
    information (one over its variance)."""
    total = information + prior.sigma**-2
    share = information / total
    focal = float(np.exp(share * log_focal + (1.0 - share) * np.log(prior.focal)))
    return focal, focal * float(total**-0.5)


def cost_unit(frames: sfm.Frames, structure: sfm.Structure, cost: float) -> float:
    """What a difference in cost must be divided by to be one of log likelihood."""
    seen = frames.visible[np.isfinite(structure.points[:, 0])]
    independent = max(1.0, seen.sum() / max(1, (seen.sum(axis=1) >= 2).sum()))
    return max(cost / max(1, seen.sum()), 0.02) * independent * _SYSTEMATIC


def settle_centre(frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior) -> sfm.Structure:
    """The principal point moved from where it was as far as the clip's evidence reaches.

    Cropped and rectified videos have it away from the middle, and a path then bends. As with the
    focal length, the clip's say is weighed against what is known before, its focal length
    being free meanwhile: here along the line to the point that explains the tracks best.
    """
    if prior.held:
        return structure
    _, before = sfm.adjust(frames, structure, hold_focal=False, iterations=5)
    moved, after = sfm.adjust(frames, structure, hold_focal=False, hold_centre=False)
    shift = np.subtract(moved.lens.centre, structure.lens.centre)
    far2 = float(shift @ shift)
    if not (np.isfinite(after) and after < before and far2 > 0.0):
        return structure
    information = 2.0 * (before - after) / (cost_unit(frames, moved, after) * far2)
    share = information / (information + (_CENTRE_SIGMA * max(frames.size)) ** -2)
    x, y = np.add(structure.lens.centre, share * shift)
    held = replace(moved, lens=replace(moved.lens, centre=(float(x), float(y))))
    return sfm.adjust(frames, held, hold_focal=False, iterations=15)[0]


def loosen_focal(frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior) -> sfm.Structure:
    """Adjusted with the focal length free, within three sigma of what is known of it."""
    free, _ = sfm.adjust(frames, structure, hold_focal=prior.held, iterations=15)
    if prior.held:
        return free
    low, high = (prior.focal * float(np.exp(k * prior.sigma)) for k in (-3.0, 3.0))
    within = float(np.clip(free.lens.focal, low, high))
    if within == free.lens.focal:
        return free
    return sfm.adjust(frames, _with_focal(structure, within), iterations=15)[0]


def _profile_focal(
    frames: sfm.Frames, structure: sfm.Structure, step: float = 0.1
) -> tuple[sfm.Structure, float, float, float]:
    """The adjusted cost as a parabola over log focal around its lowest point.

    Returns the structure there, the log focal of the parabola's bottom, its cost and its
    curvature. A free adjustment alone may stop short of the bottom: the valley is long and flat.
    """
    best, lowest = sfm.adjust(frames, structure, hold_focal=False)
    sides = [np.inf, np.inf]
    for _ in range(6):
        around = [
            sfm.adjust(frames, _with_focal(best, best.lens.focal * float(np.exp(sign * step))))
            for sign in (-1.0, 1.0)
        ]
        sides = [cost for _, cost in around]
        if min(sides) >= lowest:
            break
        best, lowest = around[int(np.argmin(sides))]
    curvature = max((sides[0] + sides[1] - 2 * lowest) / step**2, 0.0)
    slope = (sides[1] - sides[0]) / (2 * step)
    shift = np.clip(-slope / curvature, -step, step) if curvature > 0 else 0.0
    return best, float(np.log(best.lens.focal) + shift), lowest, curvature


def settle_radial(frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior) -> sfm.Structure:
    """Radial distortion, only where the clip asks for it loudly."""
    if prior.held:
        return structure
    _, before = sfm.adjust(frames, structure, iterations=5)
    bent, after = sfm.adjust(frames, structure, hold_focal=False, hold_radial=False)
    corner = np.hypot(*bent.lens.centre) / bent.lens.focal
    bend = abs(bent.lens.radial) * corner**3 * bent.lens.focal  # px at the corner
    change = abs(np.log(bent.lens.focal / structure.lens.focal))
    believable = 1.0 < bend < 0.1 * max(frames.size) and change < 0.15
    return bent if after < 0.8 * before and believable else structure


def _with_focal(structure: sfm.Structure, focal: float) -> sfm.Structure:
    return replace(structure, lens=replace(structure.lens, focal=float(focal)))


def upright(frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior) -> sfm.Structure:
    """The structure or its reversal, whichever explains the tracks better.

    Under weak perspective near and far can be swapped if the camera's travel is reversed too
    (Necker's cube). Where the two explain the tracks equally well, the ground decides: what is
    lower in the picture is nearer. Each is given its own focal length to explain them with.
    """
    first = int(structure.registered.argmax())
    home = structure.camera_from_world[first]
    points = structure.points @ home[:3, :3].T + home[:3, 3]
    poses = structure.camera_from_world @ np.linalg.inv(home)
    known = np.isfinite(points[:, 0]) & (points[:, 2] > 0)
    if known.sum() < 20:
        return structure
    middle = float(np.median(1.0 / points[known, 2]))
    if np.linalg.norm(poses[structure.registered, :3, 3], axis=1).max() * middle > _DECIDED:
        return structure
    inverse = np.clip(2.0 * middle - 1.0 / points[:, 2], 0.1 * middle, 10.0 * middle)
    mirrored = points / (points[:, 2:] * inverse[:, None])
    turned = poses.copy()
    turned[:, :3, 3] *= -1.0
    other = replace(structure, camera_from_world=turned, points=mirrored)
    candidates = [_settled(frames, candidate, prior) for candidate in (structure, other)]
    cost = [mean_cost(frames, candidate) for candidate in candidates]
    if abs(np.log(cost[1] / cost[0])) > _UNDECIDED:
        return candidates[int(np.argmin(cost))]
    return max(candidates, key=lambda candidate: _ground(frames, candidate))


def _settled(frames: sfm.Frames, structure: sfm.Structure, prior: FocalPrior) -> sfm.Structure:
    """Adjusted, every point triangulated anew, and adjusted again."""
    for _ in range(2):
        structure, _ = sfm.adjust(frames, structure, hold_focal=prior.held, iterations=60)
        structure = replace(structure, points=triangulated(frames, structure))
    return structure


def mean_cost(frames: sfm.Frames, structure: sfm.Structure, worst: float = 4.0) -> float:
    """Mean robust squared error of all observations, px^2; those without a point err `worst` px."""
    error = np.nan_to_num(residuals(frames, structure), nan=worst)
    return float(np.log1p(np.minimum(error, worst)[frames.visible] ** 2).mean())


def _ground(frames: sfm.Frames, structure: sfm.Structure) -> float:
    """Rank correlation of a point's height in the picture with how near it is."""
    k = int(structure.registered.argmax())
    pose = structure.camera_from_world[k]
    z = structure.points @ pose[2, :3] + pose[2, 3]
    seen = frames.visible[:, k] & (z > 0)
    if seen.sum() < 8:
        return 0.0
    return float(spearmanr(frames.uv[seen, k, 1], 1.0 / z[seen]).statistic)
