"""`classic`: a clip in, a scene out, stage by stage."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from worldline.io.clip import Clip
from worldline.scene import Cameras, Scene, StillField, TrackField
from worldline.scene.motion import MotionField
from worldline.systems.classic import cameras, lens, masks, pairs
from worldline.systems.classic.depth import Sparse, Views, static_depth
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.known import (
    SURE,
    known_solution,
    through_one_lens,
    told_to_move,
    unit_of,
    with_known_depth,
)
from worldline.systems.classic.matches import with_features
from worldline.systems.classic.moving import carry_on, lift, moving_depth
from worldline.systems.classic.sfm import Lens
from worldline.systems.classic.straight import straight_tracks, straightened
from worldline.systems.classic.tracks import ChainedTracker, PixelTracks
from worldline.systems.listener import Report
from worldline.systems.stages import Arrays, Stages

_TEXTURED = 2.0  # (grey levels/px)^2: tracks plainer than this drift, and are kept from the cameras
_ROUNDS = 3  # of solving cameras and judging tracks by them
_SETTLED = 0.03  # share of the tracks that may change sides when both agree
_ENOUGH = 120  # textured tracks a frame; with fewer, plainer ones must do


@dataclass(frozen=True)
class _State:
    """What the stages hand on."""

    bank: FlowBank
    tracks: PixelTracks
    static: Bool[np.ndarray, " M"]
    dynamic: Float32[np.ndarray, "N H W"]


def classic(clip: Clip, stages: Stages, *, seed: int) -> Scene:
    """Reconstruct a clip with classical methods alone.

    Returns a Scene in its own units (the median depth of its points is 1), the world being the
    first frame's camera. Confidence is 0 where depth was filled in or guessed, else the inverse
    of the estimated relative depth error. A single frame's depth is NaN: it is unknown.
    """
    if len(clip.frames) == 1:
        return _single(clip)
    bank = FlowBank(clip.frames)
    tracks = _tracks(clip, bank, stages, seed)
    voted = stages.run("mobility", lambda report: _mobility(clip, tracks))
    tracks = replace(tracks, mobility=voted["mobility"])
    solved = stages.run("cameras", lambda report: _agreed(clip, tracks, voted, seed))
    tracks = replace(tracks, mobility=solved["mobility"])
    bank, tracks = straightened(bank, tracks, solved)
    found = stages.run("masks", lambda report: _masks(clip, bank, tracks, voted, solved, report))
    state = _State(bank, tracks, found["static"], found["dynamic"])
    dense = stages.run("depth", lambda report: _depth(clip, state, solved, report))
    moved = stages.run("motion", lambda report: _motion(clip, state, solved, dense))
    return _scene(clip, state, solved, dense, moved)


def _single(clip: Clip) -> Scene:
    """One frame: a picture with a camera, its depth and motion unknown unless they were told."""
    height, width = clip.frames.shape[1:3]
    intrinsics, prior = _lens(clip)
    depth = np.full((1, height, width), np.nan, np.float32)
    zero = np.zeros((1, height, width), np.float32)
    warnings = ["one frame does not tell depth: it is unknown (NaN)"]
    if clip.known_depth is not None:
        depth, warnings = np.where(clip.known_depth > 0, clip.known_depth, depth), []
    return Scene(
        frames=clip.frames,
        times=clip.times,
        cameras=Cameras(
            np.eye(4)[None],
            intrinsics[None],
            np.ones(1, bool),
            np.array([prior.focal * prior.sigma]),
            "unknown",
            clip.distortion,
        ),
        depth=depth,
        confidence=np.where(np.isfinite(depth), SURE, zero),
        dynamic=zero if clip.known_dynamic is None else np.nan_to_num(clip.known_dynamic),
        motion=StillField(height, width),
        original_size=clip.original_size,
        provenance={"warnings": warnings},
    )


def _lens(clip: Clip) -> tuple[Float64[np.ndarray, "3 3"], lens.FocalPrior]:
    """The starting intrinsics, and how sure they are."""
    height, width = clip.frames.shape[1:3]
    if clip.intrinsics is None:
        prior = lens.default_prior(max(width, height))
        matrix = np.diag([prior.focal, prior.focal, 1.0])
        matrix[:2, 2] = width / 2, height / 2
        return matrix, prior
    sigma = 0.0 if clip.intrinsics_source == "given" else 0.05
    return clip.intrinsics.copy(), lens.FocalPrior(float(clip.intrinsics[0, 0]), sigma)


def _tracks(clip: Clip, bank: FlowBank, stages: Stages, seed: int) -> PixelTracks:
    def make(report: Report) -> Arrays:
        tracker = ChainedTracker(bank, seed=seed, report=report)
        tracks = with_features(bank, tracker(clip.frames))
        return {name: getattr(tracks, name) for name in PixelTracks.__dataclass_fields__}

    return PixelTracks(**stages.run("tracks", make))


def _mobility(clip: Clip, tracks: PixelTracks) -> Arrays:
    moving = told_to_move(clip.known_dynamic, tracks)
    voted, models = pairs.vote_mobility(tracks[~moving], clip.frames.shape[2:0:-1])
    mobility = np.ones(len(tracks), np.float32)
    mobility[~moving] = voted.mobility
    return {"mobility": mobility, **pairs.pack(models)}


def _agreed(clip: Clip, tracks: PixelTracks, voted: Arrays, seed: int) -> Arrays:
    """Cameras, and the tracks' mobility as those cameras judge it, when both have settled.

    Pairs alone leave some movers in and some of the world out; the cameras of the whole clip tell
    them apart better, and then are solved better themselves.
    """
    solved: Arrays = {}
    told = told_to_move(clip.known_dynamic, tracks)
    for _ in range(_ROUNDS):
        found = _solve(clip, tracks, seed, solved)
        if clip.known_poses is None and np.ptp(found["intrinsics"][:, 0, 0]) > 0:
            found = _zoom_or_travel(clip, tracks, voted, seed, found)
        if solved and found["registered"].sum() < solved["registered"].sum():
            break
        mobility = np.where(told, np.float32(1.0), _judged(tracks, voted, found))
        solved = found | {"mobility": mobility}
        if np.mean((mobility < 0.5) != (tracks.mobility < 0.5)) < _SETTLED:
            break
        tracks = replace(tracks, mobility=mobility)
    return solved


def _zoom_or_travel(
    clip: Clip, tracks: PixelTracks, voted: Arrays, seed: int, zoomed: Arrays
) -> Arrays:
    """A zoom, unless travel sets less of the world in motion.

    On a wall the two look alike, and the vote may have taken what stands before it for movers.
    """
    travelled = _solve(clip, tracks, seed, zoomed, zooming=False)
    static = [np.mean(_judged(tracks, voted, one) < 0.5) for one in (zoomed, travelled)]
    free = cameras.RUNGS[int(travelled["rung"])] == "free"
    return travelled if free and static[1] > static[0] + _SETTLED else zoomed


def _judged(tracks: PixelTracks, voted: Arrays, solved: Arrays) -> Float32[np.ndarray, " M"]:
    """Probability that each track moves, by the solved cameras."""
    straight = straight_tracks(tracks, solved)
    return pairs.judged(straight, _known(straight, voted, solved))


def _known(tracks: PixelTracks, voted: Arrays, solved: Arrays) -> list[pairs.PairModel]:
    """The pairs as the solved cameras model them."""
    return pairs.known_cameras(
        pairs.unpack(voted),
        tracks,
        tracks.mobility < 0.5,
        np.array(solved["intrinsics"]),
        np.array(solved["world_from_camera"]),
    )


def _solve(
    clip: Clip, tracks: PixelTracks, seed: int, before: Arrays, *, zooming: bool = True
) -> Arrays:
    """Cameras from the static tracks; `before`: what they were solved to be so far, if anything."""
    intrinsics, prior = _lens(clip)
    travelled = bool(before) and cameras.RUNGS[int(before["rung"])] == "free"
    focal = float(before["intrinsics"][0, 0, 0]) if travelled else prior.focal
    height, width = clip.frames.shape[1:3]
    good = (tracks.mobility < 0.5) & _textured(tracks)
    given = (
        through_one_lens(tracks.uv[good], clip.known_intrinsics, intrinsics),
        tracks.visible[good],
        tracks.matched[good],
        (width, height),
        Lens(focal, (float(intrinsics[0, 2]), float(intrinsics[1, 2]))),
        prior,
    )
    if clip.known_poses is not None and np.isfinite(clip.known_poses).any():
        solution = known_solution(*given, np.array(clip.known_poses))
    else:
        solution = cameras.solve(*given, seed, zooming=zooming)
    points = np.full((len(tracks), 3), np.nan)
    points[good] = solution.points
    told = clip.known_intrinsics
    return {
        "world_from_camera": solution.world_from_camera,
        "registered": solution.registered,
        "intrinsics": _solved_intrinsics(intrinsics, solution) if told is None else np.array(told),
        "focal_sigma": np.array(solution.focal_sigma),
        "radial": np.array(solution.radial),
        "rung": np.array(cameras.RUNGS.index(solution.motion)),
        "warnings": np.frombuffer("\n".join(solution.warnings).encode(), np.uint8),
        "points": points,
        "unit": np.array(solution.unit),
    }


def _solved_intrinsics(
    start: Float64[np.ndarray, "3 3"], solution: cameras.Solution
) -> Float64[np.ndarray, "N 3 3"]:
    """The solver's lens in each frame for the pixels as they are, which need not be square."""
    intrinsics = np.repeat(start[None], len(solution.zoom), axis=0)
    intrinsics[:, :2, :2] *= (solution.focal * solution.zoom / start[0, 0])[:, None, None]
    shift = np.subtract(solution.centre, start[:2, 2])
    intrinsics[:, :2, 2] += shift * np.array([1.0, start[1, 1] / start[0, 0]])
    return intrinsics


def _textured(tracks: PixelTracks) -> Bool[np.ndarray, " M"]:
    """Tracks that the picture fixes well, or the best there are where few are."""
    good = tracks.texture > _TEXTURED
    seen = tracks.visible.sum(axis=0)
    if np.median((tracks.visible & good[:, None]).sum(axis=0)) < min(_ENOUGH, np.median(seen)):
        good = tracks.texture >= np.median(tracks.texture)
    return good


def _masks(  # the stages before it, and what the clip comes with
    clip: Clip,
    bank: FlowBank,
    tracks: PixelTracks,
    voted: Arrays,
    solved: Arrays,
    report: Report,
) -> Arrays:
    """What moves: as it was told, else judged by the cameras that were found."""
    dynamic = masks.motion_masks(bank, _known(tracks, voted, solved), tracks, report)
    if clip.known_dynamic is not None:
        dynamic = np.where(np.isfinite(clip.known_dynamic), clip.known_dynamic, dynamic)
    return {"dynamic": dynamic, "static": masks.static_tracks(tracks, dynamic)}


def _depth(clip: Clip, state: _State, solved: Arrays, report: Report) -> Arrays:
    """Depth as if nothing moved, and its confidence; known depth takes its place."""
    if cameras.RUNGS[int(solved["rung"])] != "free":
        found = _guessed_depth(state.dynamic.shape, np.array(solved["intrinsics"]))
    else:
        known = np.isfinite(solved["points"][:, 0]) & state.static
        sparse = Sparse(
            state.tracks.uv[known], state.tracks.visible[known], np.array(solved["points"][known])
        )
        inverse, confidence = static_depth(
            _views(state, solved), sparse, state.dynamic, state.bank.frames, report
        )
        found = {"depth": 1.0 / inverse, "confidence": confidence}
    unit = float(solved["unit"])
    if clip.known_depth is not None:
        if clip.known_poses is None:
            unit = unit_of(clip.known_depth, found)
        found = with_known_depth(found, clip.known_depth / np.float32(unit), state.bank.frames)
    return found | {"unit": np.array(unit)}


def _guessed_depth(shape: tuple[int, int, int], intrinsics: Float64[np.ndarray, "N 3 3"]) -> Arrays:
    """All points at distance 1: a picture on a sphere, the same one for every turn of a camera."""
    focal, centre = intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2]
    x = (np.arange(shape[2]) + 0.5 - centre[:, :1]) / focal[:, :1]
    y = (np.arange(shape[1]) + 0.5 - centre[:, 1:]) / focal[:, 1:]
    z = 1.0 / np.sqrt(1.0 + x[:, None, :] ** 2 + y[:, :, None] ** 2)
    return {"depth": z.astype(np.float32), "confidence": np.zeros(shape, np.float32)}


def _views(state: _State, solved: Arrays) -> Views:
    return Views(state.bank.grey, solved["intrinsics"], solved["world_from_camera"])


def _motion(clip: Clip, state: _State, solved: Arrays, dense: Arrays) -> Arrays:
    """Depth with the movers in it, and the moving tracks in 3D."""
    moving = _moving_tracks(state)
    sure = dense["confidence"] >= SURE if clip.known_depth is not None else None
    if cameras.RUNGS[int(solved["rung"])] == "free":
        depth, track_depth = moving_depth(
            dense["depth"], dense["confidence"], state.dynamic, moving
        )
    else:  # the guess has no ground to stand on: movers stay on the picture
        depth = dense["depth"]
        track_depth = np.where(moving.visible, masks.look_up(depth, moving.uv), np.nan)
    if sure is not None:  # movers stand where they are known to
        depth = np.where(sure, dense["depth"], depth)
        told = np.where(sure, dense["depth"], np.nan)
        known = masks.look_up(told, moving.uv)
        track_depth = np.where(moving.visible & np.isfinite(known), known, track_depth)
    xyz = lift(moving.uv, track_depth, solved["intrinsics"], solved["world_from_camera"])
    visible = moving.visible & np.isfinite(xyz).all(axis=-1)
    lasting = visible.sum(axis=1) >= 2
    xyz, visible = xyz[lasting], visible[lasting]
    guessed = (state.dynamic > 0.5) if sure is None else (state.dynamic > 0.5) & ~sure
    return {
        "depth": depth,
        "confidence": np.where(guessed, 0.0, dense["confidence"]).astype(np.float32),
        "uv": moving.uv[lasting],
        "xyz": carry_on(np.where(visible[..., None], xyz, 0.0), visible),
        "visible": visible,
    }


def _moving_tracks(state: _State) -> PixelTracks:
    """Tracks where they pass over moving pixels; elsewhere they count as not seen."""
    over = masks.look_up(state.dynamic, state.tracks.uv) > 0.5
    visible = state.tracks.visible & over
    mostly = visible.sum(axis=1) >= 0.5 * state.tracks.visible.sum(axis=1)
    mostly &= ~state.tracks.matched  # seen here and there only: no path
    kept = mostly & (visible.sum(axis=1) >= 2)
    return replace(state.tracks[kept], visible=visible[kept])


def _scene(clip: Clip, state: _State, solved: Arrays, dense: Arrays, moved: Arrays) -> Scene:
    count = len(clip.frames)
    radial = float(solved["radial"])
    estimated = (radial, 0.0, 0.0, 0.0, 0.0) if radial else None
    unit = float(dense["unit"])
    depth, dynamic = moved["depth"] * np.float32(unit), state.dynamic
    xyz = moved["xyz"] * np.float32(unit)
    if clip.known_depth is not None:  # to the last bit
        depth = np.where(clip.known_depth > 0, clip.known_depth, depth)
    motion: MotionField = TrackField(moved["uv"], xyz, moved["visible"], dynamic, depth)
    frames: UInt8[np.ndarray, "N H W 3"] = state.bank.frames
    return Scene(
        frames=frames,
        times=clip.times,
        cameras=Cameras(
            _in_units(clip, solved["world_from_camera"], unit),
            solved["intrinsics"],
            solved["registered"],
            np.full(count, float(solved["focal_sigma"])),
            cameras.RUNGS[int(solved["rung"])],
            estimated or clip.distortion,
        ),
        depth=depth,
        confidence=moved["confidence"],
        dynamic=dynamic,
        motion=motion,
        original_size=clip.original_size,
        provenance={"warnings": _warnings(solved, moved)},
    )


def _in_units(
    clip: Clip, solved: Float64[np.ndarray, "N 4 4"], unit: float
) -> Float64[np.ndarray, "N 4 4"]:
    """Solved cameras in the scene's units; known ones as they were given, from the first one's."""
    poses = np.array(solved)
    poses[:, :3, 3] *= unit
    if clip.known_poses is not None:
        known = np.flatnonzero(np.isfinite(clip.known_poses).all(axis=(1, 2)))
        if len(known):  # the first one known may be seen from a first frame that was solved
            given = np.array(clip.known_poses[known])
            poses[known] = poses[known[0]] @ np.linalg.inv(given[0]) @ given
    return poses


def _warnings(solved: Arrays, moved: Arrays) -> list[str]:
    told = bytes(solved["warnings"]).decode()
    warnings = told.split("\n") if told else []
    share = float((moved["confidence"] > 0).mean())
    if cameras.RUNGS[int(solved["rung"])] == "free" and share < 0.3:
        warnings.append(f"only {share:.0%} of the depth was measured, the rest is filled in")
    return warnings
