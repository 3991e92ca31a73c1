"""From static tracks to cameras: which rung of a ladder, which focal length.

A ladder, chosen by evidence: does the picture move at all? does turning explain it, or zooming
and turning? If not, the camera travels and structure from motion finds it. Each rung needs less
of the clip than the next.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from scipy.spatial.transform import Rotation, Slerp

from worldline.geometry.triangulation import parallax
from worldline.scene.cameras import CameraMotion
from worldline.systems.classic import sfm
from worldline.systems.classic.fit import inliers, residuals, triangulated
from worldline.systems.classic.keyframes import graph, keyframes, spread_out
from worldline.systems.classic.lens import (
    FocalPrior,
    loosen_focal,
    mean_cost,
    settle_centre,
    settle_focal,
    settle_radial,
    upright,
)
from worldline.systems.classic.rotation import Panorama, drift, fit_panorama

RUNGS: tuple[CameraMotion, ...] = ("free", "rotation", "still")
_STILL = 0.6  # px: a picture whose points stray no farther was taken from a tripod
_TURNING = 0.5  # px: rotations that leave no more than this explain everything
_TURNED = 2.0  # px: and no more than this for all but a few, where a wall could pass for all
_ZOOM = 0.03  # of log focal: lenses that change less are taken for one
_ZOOMED = 1000  # tracks that tell a zoom from travel
_MOST_SAMPLED = 240  # frames whose cells are filled with tracks for the last adjustment
_SUPPORT = 0.3  # share of a frame's views that must agree with its pose
_ROUNDS = 4  # of carrying the structure on to frames that it did not reach
_CONTRADICTED = 6.0  # px by which a view may miss a point before the two disagree
_FEWEST_POINTS = 30  # points that make a structure
_MAPPINGS = 3  # of the keyframes, each under the focal length that the last one told
_FAR_OFF = 0.15  # change of log focal under which keyframes would have been mapped otherwise


@dataclass(frozen=True)
class Solution:
    """Cameras of every frame; the world is the first frame's camera."""

    world_from_camera: Float64[np.ndarray, "N 4 4"]
    registered: Bool[np.ndarray, " N"]
    focal: float
    focal_sigma: float
    centre: tuple[float, float]
    radial: float
    motion: CameraMotion
    zoom: Float64[np.ndarray, " N"]
    """Each frame's focal length over `focal`."""
    points: Float64[np.ndarray, "M 3"]
    """World point of each track that was given, NaN where it has none."""
    warnings: tuple[str, ...] = ()
    unit: float = 1.0
    """Length of one of its units in those of poses that were known; 1 where none were."""


def solve(
    uv: Float32[np.ndarray, "M N 2"],
    visible: Bool[np.ndarray, "M N"],
    matched: Bool[np.ndarray, " M"],
    size: tuple[int, int],
    lens: sfm.Lens,
    prior: FocalPrior,
    seed: int,
    *,
    zooming: bool = True,
) -> Solution:
    """Cameras from tracks that are held to be static; `matched`: see `PixelTracks`.

    lens: what to start from; with a focal length near the right one, less can go wrong.
    zooming: whether the focal length may change where the camera stays in its place.
    """
    longer, centre = max(size), lens.centre
    if drift(uv, visible) < _STILL * longer / 640:
        return _still(uv, visible, centre, prior)
    chosen = spread_out(uv, visible, matched, size, np.arange(visible.shape[1]))
    known = prior.focal if prior.sigma < 0.1 else None

    def turning(frames: np.ndarray, focal: float | None, zooming: bool = False) -> Panorama:
        some = np.flatnonzero(chosen)
        some = some[:: max(1, len(some) // _ZOOMED)] if zooming else some
        part = uv[some][:, frames], visible[some][:, frames]
        return fit_panorama(*part, centre, longer, focal, zooming=zooming)

    everything = np.arange(visible.shape[1])
    few = _few_frames(visible[chosen])
    look = turning(few, known)
    if look.residual < _TURNING * longer / 640:
        panorama = turning(everything, _likelier(look, prior))
        if panorama.travel < max(_STILL * longer / 640, 0.5):
            return _still(uv, visible, centre, prior)
        return _turning(uv, visible, panorama, look.focal_sigma, centre)
    if zooming and not prior.held:
        zoomed = turning(few, known, zooming=True)
        explained = max(zoomed.residual / _TURNING, zoomed.reach / _TURNED) < longer / 640
        if explained and np.ptp(np.log(zoomed.zoom)) > _ZOOM:
            panorama = turning(everything, _likelier(zoomed, prior), zooming=True)
            return _turning(uv, visible, panorama, zoomed.focal_sigma, centre)
    travelled = _travelling(uv, visible, matched, size, lens, prior, seed)
    if travelled is None:
        warning = (
            "no 3D structure could be found in this clip; its camera is described by rotations "
            "alone and its depth is a guess"
        )
        panorama = turning(everything, look.focal)
        return replace(
            _turning(uv, visible, panorama, look.focal_sigma, centre), warnings=(warning,)
        )
    return travelled


def _likelier(panorama: Panorama, prior: FocalPrior) -> float:
    """The focal length of the clip or, where the clip knows less than the prior does, the likeliest
    of those that explain it as well."""
    if panorama.focal_sigma < prior.focal * prior.sigma:
        return panorama.focal
    return float(np.clip(prior.focal, *panorama.focal_range))


def _few_frames(visible: Bool[np.ndarray, "M N"], count: int = 12) -> np.ndarray:
    """Some frames, spread over the clip, that tracks connect; all frames if some are cut off."""
    few = np.unique(np.linspace(0, visible.shape[1] - 1, count).astype(int))
    shared = visible[:, few] & (visible[:, few].sum(axis=1, keepdims=True) >= 2)
    return few if shared.sum(axis=0).min() >= 12 else np.arange(visible.shape[1])


def _still(
    uv: np.ndarray, visible: np.ndarray, centre: tuple[float, float], prior: FocalPrior
) -> Solution:
    count = visible.shape[1]
    return Solution(
        world_from_camera=np.tile(np.eye(4), (count, 1, 1)),
        registered=np.ones(count, bool),
        focal=prior.focal,
        focal_sigma=prior.focal * prior.sigma,
        centre=centre,
        radial=0.0,
        motion="still",
        zoom=np.ones(count),
        points=np.full((len(uv), 3), np.nan),
        warnings=("the camera stands still: depth is a guess",),
    )


def _turning(
    uv: np.ndarray,
    visible: np.ndarray,
    panorama: Panorama,
    focal_sigma: float,
    centre: tuple[float, float],
) -> Solution:
    count = visible.shape[1]
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = panorama.rotations.transpose(0, 2, 1)
    return Solution(
        world_from_camera=poses,
        registered=visible.sum(axis=0) >= 8,
        focal=panorama.focal,
        focal_sigma=focal_sigma,
        centre=centre,
        radial=0.0,
        motion="rotation",
        zoom=panorama.zoom,
        points=np.full((len(uv), 3), np.nan),
        warnings=(f"the camera only {_doing(panorama)}: depth is a guess",),
    )


def _doing(panorama: Panorama) -> str:
    return "turns" if np.ptp(panorama.zoom) == 0.0 else "turns and zooms"


def _travelling(
    uv: np.ndarray,
    visible: np.ndarray,
    matched: np.ndarray,
    size: tuple[int, int],
    lens: sfm.Lens,
    prior: FocalPrior,
    seed: int,
) -> Solution | None:
    keys = keyframes(uv, visible, size)
    chosen = np.flatnonzero(spread_out(uv, visible, matched, size, keys))
    key_frames = sfm.Frames(uv[chosen][:, keys], visible[chosen][:, keys], size)
    mapped = _mapped(key_frames, lens, prior, seed)
    if mapped is None:
        return None
    frames = sfm.Frames(uv, visible, size)
    structure = _all_frames(frames, keys, chosen, mapped)
    structure, focal_sigma = _refine(frames, matched, structure, prior)
    if np.isfinite(structure.points[:, 0]).sum() < _FEWEST_POINTS:
        return None
    return replace(in_first_camera(frames, structure, focal_sigma), unit=1.0)


def _mapped(
    frames: sfm.Frames, lens: sfm.Lens, prior: FocalPrior, seed: int
) -> sfm.Structure | None:
    """The keyframes' structure from nothing, of the right depth order.

    Under a focal length that is far off, the mapper may be led astray (some frames reversed,
    others on a scale of their own), which no adjustment undoes; but it tells a better focal
    length, under which all is mapped anew. What explains the tracks better is kept.
    """
    best: sfm.Structure | None = None
    lowest = np.inf
    pairs = graph(frames.visible)
    for _ in range(_MAPPINGS):
        mapped = sfm.map_frames(frames, pairs, lens, hold_focal=True, seed=seed)
        if mapped is None or mapped.registered.sum() < 2:
            break
        clean = inliers(frames, mapped, 4.0)
        mapped = replace(mapped, points=triangulated(clean, mapped))
        mapped = upright(clean, mapped, prior)
        cost = mean_cost(frames, mapped)
        if np.isfinite(mapped.points[:, 0]).sum() < _FEWEST_POINTS or cost >= lowest:
            break
        best, lowest = mapped, cost
        change = abs(np.log(mapped.lens.focal / lens.focal))
        if change < _FAR_OFF:
            break
        lens = replace(lens, focal=mapped.lens.focal)
    return best


def _all_frames(
    frames: sfm.Frames, keys: np.ndarray, chosen: np.ndarray, mapped: sfm.Structure
) -> sfm.Structure:
    """Keyframe structure carried to every frame by resection."""
    count = frames.visible.shape[1]
    poses = np.tile(np.eye(4), (count, 1, 1))
    registered = np.zeros(count, bool)
    poses[keys], registered[keys] = mapped.camera_from_world, mapped.registered
    points = np.full((len(frames.uv), 3), np.nan)
    points[chosen] = mapped.points
    structure = resected(frames, sfm.Structure(poses, registered, points, mapped.lens))
    for _ in range(_ROUNDS):
        if structure.registered.all():
            break
        before = int(structure.registered.sum())
        # What is known now, without the views that contradict it, may reach frames left out.
        known = inliers(frames, structure, _CONTRADICTED)
        structure = replace(structure, points=triangulated(known, structure))
        structure = resected(frames, _trusted(frames, structure))
        if int(structure.registered.sum()) <= before:
            break
    return structure


def _trusted(frames: sfm.Frames, structure: sfm.Structure) -> sfm.Structure:
    """Without the poses that most of their own views speak against."""
    agrees = (residuals(frames, structure) < _CONTRADICTED) & frames.visible
    share = agrees.sum(axis=0) / np.maximum(frames.visible.sum(axis=0), 1)
    return replace(structure, registered=structure.registered & (share > _SUPPORT))


def resected(frames: sfm.Frames, structure: sfm.Structure) -> sfm.Structure:
    """Frames without a pose given the one from which their known points are seen."""
    poses, registered = structure.camera_from_world.copy(), structure.registered.copy()
    for t in np.flatnonzero(~registered):
        at = np.flatnonzero(frames.visible[:, t] & np.isfinite(structure.points[:, 0]))
        if len(at) < 12:
            continue
        pose = sfm.resect(frames.uv[at, t], structure.points[at], frames, structure.lens)
        if pose is not None:
            poses[t], registered[t] = pose, True
    return replace(structure, camera_from_world=poses, registered=registered)


def _refine(
    frames: sfm.Frames, matched: np.ndarray, structure: sfm.Structure, prior: FocalPrior
) -> tuple[sfm.Structure, float]:
    """All frames adjusted together, and the lens with them; outliers dropped in between.

    What counts as an outlier under a wrong focal length are the points that tell the right one:
    the first rounds are wide, and every point is made anew in each.
    """
    count = frames.visible.shape[1]
    adjusted = np.unique(np.linspace(0, count - 1, min(count, _MOST_SAMPLED)).astype(int))
    chosen = spread_out(frames.uv, frames.visible, matched, frames.size, adjusted, per_cell=1)
    part = replace(frames, uv=frames.uv[chosen], visible=frames.visible[chosen])
    structure = replace(structure, points=structure.points[chosen])
    for most in (8.0, 4.0):
        clean = inliers(part, structure, most)
        structure = replace(structure, points=triangulated(clean, structure))
        structure = loosen_focal(clean, structure, prior)
        structure = replace(structure, points=triangulated(part, structure))
    clean = inliers(part, structure, 2.5)
    structure = replace(structure, points=triangulated(clean, structure))
    structure = settle_centre(clean, structure, prior)
    structure, sigma = settle_focal(clean, structure, prior)
    structure = settle_radial(clean, structure, prior)
    trusted = _trusted(part, structure)
    return trusted if trusted.registered.sum() >= 2 else structure, sigma


def in_first_camera(frames: sfm.Frames, structure: sfm.Structure, focal_sigma: float) -> Solution:
    """The solution moved into the first camera's axes, the median point at distance 1."""
    visible, count = frames.visible, frames.visible.shape[1]
    camera_from_world = _interpolated(structure.camera_from_world, structure.registered)
    structure = replace(structure, camera_from_world=camera_from_world)
    points = triangulated(frames, structure)
    world_from_camera = np.linalg.inv(camera_from_world)
    tensor = torch.from_numpy(points)
    angle = parallax(
        tensor, torch.from_numpy(visible), torch.from_numpy(world_from_camera[:, :3, 3])
    ).numpy()
    points[~(angle > np.deg2rad(0.2))] = np.nan
    xyz = np.einsum("nij,mj->mni", camera_from_world[:, :3, :3], points)
    z = xyz[..., 2] + camera_from_world[:, 2, 3]
    seen = visible & np.isfinite(z) & (z > 0)
    scale = 1.0 / float(np.median(z[seen])) if seen.any() else 1.0
    first = camera_from_world[0]
    points = scale * (points @ first[:3, :3].T + first[:3, 3])
    moved = first @ world_from_camera
    moved[:, :3, 3] *= scale
    moved[0] = np.eye(4)
    missing = count - int(structure.registered.sum())
    warnings = (f"{missing} of {count} cameras were interpolated",) if missing else ()
    return Solution(
        world_from_camera=moved,
        registered=structure.registered,
        focal=structure.lens.focal,
        focal_sigma=focal_sigma,
        centre=structure.lens.centre,
        radial=structure.lens.radial,
        motion="free",
        zoom=np.ones(count),
        points=points,
        warnings=warnings,
        unit=1.0 / scale,
    )


def _interpolated(
    camera_from_world: Float64[np.ndarray, "N 4 4"], registered: Bool[np.ndarray, " N"]
) -> Float64[np.ndarray, "N 4 4"]:
    """Frames without a pose put between their solved neighbours (on the nearest, at the ends)."""
    known = np.flatnonzero(registered)
    if len(known) == len(registered):
        return camera_from_world
    at = np.clip(np.arange(len(registered)), known[0], known[-1])
    world_from_camera = np.linalg.inv(camera_from_world[known])
    turn = world_from_camera[:, :3, :3]
    filled = np.tile(np.eye(4), (len(registered), 1, 1))
    if len(known) == 1:
        filled[:] = world_from_camera[0]
    else:
        filled[:, :3, :3] = Slerp(known, Rotation.from_matrix(turn))(at).as_matrix()
        filled[:, :3, 3] = np.stack(
            [np.interp(at, known, world_from_camera[:, k, 3]) for k in range(3)], axis=-1
        )
    return np.linalg.inv(filled)
