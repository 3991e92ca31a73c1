"""The numbers of published benchmarks, each as its protocol asks for them.

``numbers`` dispatches by a benchmark's family. Truth is at the scene's pixels (see ``scoring``);
alignments are ours: what published evaluators compute instead stands beside each metric under a
name of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from worldline.datasets.clip import Clip
from worldline.errors import InputError
from worldline.evaluation.alignment import moved
from worldline.evaluation.benchmark import Benchmark, Frames
from worldline.evaluation.metrics.depth import Alignment as DepthAlignment
from worldline.evaluation.metrics.depth import depth_errors
from worldline.evaluation.metrics.mobility import mobility_scores
from worldline.evaluation.metrics.surfaces import multi_view_errors
from worldline.evaluation.metrics.tapvid import Tracks as CameraTracks
from worldline.evaluation.metrics.tapvid3d import tapvid3d_counts
from worldline.evaluation.metrics.worldtrack import Alignment as TrackAlignment
from worldline.evaluation.metrics.worldtrack import moves, world_track_errors
from worldline.evaluation.pictures import Numbers, views
from worldline.evaluation.scoring import (
    cameras,
    complete,
    masks,
    on_scene,
)
from worldline.evaluation.tracking import asked_tracks, tracks_in_picture
from worldline.scene import Scene

DEPTH: dict[str, DepthAlignment] = {"scale": "scale", "scale&shift": "scale_shift"}
TRACKS: dict[str, TrackAlignment] = {
    "global-median": "global",
    "sim3-ransac": "sim3",
    "sim3": "sim3_closed",
}


def numbers(scene: Scene, clip: Clip, benchmark: Benchmark) -> Numbers:
    """A scene's numbers under the keys of a benchmark's columns; of family "scene", none.

    Raises InputError if the clip does not know what the protocol compares with.
    """
    if benchmark.family == "scene":
        return {}
    return _FAMILIES[benchmark.family](scene, on_scene(clip, scene), benchmark.parameters)


def taken(clip: Clip, frames: Frames) -> Clip:
    """The frames of a clip that a benchmark takes."""
    chosen = list(frames.chosen(len(clip)))
    if chosen == list(range(len(clip))):
        return clip
    if not chosen:
        raise InputError(f"{clip.name}: has {len(clip)} frames, none of which the benchmark takes.")
    of_frames = ("times", "world_from_camera", "intrinsics", "depth", "dynamic", "instance")
    part: dict[str, Any] = {
        name: None if (value := getattr(clip, name)) is None else value[chosen]
        for name in (*of_frames, "judged", "frames")
    }
    names = tuple(clip.frame_names[i] for i in chosen)
    tracks = clip.tracks
    if tracks is not None:
        place = {frame: i for i, frame in enumerate(chosen)}
        query = None
        if tracks.query is not None:
            query = np.array([place.get(int(frame), -1) for frame in tracks.query])
        kept = np.ones(len(tracks.visible), bool) if query is None else query >= 0
        tracks = replace(
            tracks,
            visible=tracks.visible[kept][:, chosen],
            uv=None if tracks.uv is None else tracks.uv[kept][:, chosen],
            xyz=None if tracks.xyz is None else tracks.xyz[kept][:, chosen],
            dynamic=None if tracks.dynamic is None else tracks.dynamic[kept],
            query=None if query is None else query[kept],
            known=None if tracks.known is None else tracks.known[chosen],
        )
    return replace(
        clip, **part, frame_names=names, flow=None, tracks=tracks, motion=None, source=None
    )


def _poses(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    found = _needed(cameras(scene, truth), "cameras")
    names = {"ate": "ate", "rpe_t": "rpe_translation", "rpe_r": "rpe_rotation"}
    return {key: found[name] for key, name in names.items()}


def _depth(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    if truth.depth is None:
        raise InputError("the clip has no true depth.")
    errors = depth_errors(
        np.asarray(scene.depth),
        truth.depth,
        alignment=DEPTH[how["alignment"]],
        max_depth=float(how.get("max_depth", np.inf)),
    )
    return {"abs_rel": errors.abs_rel, "delta": 100 * errors.delta}


def _tracks3d(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    asked = asked_tracks(_from(truth, int(how["query_frame"])), scene)
    if asked is None or truth.tracks is None or truth.tracks.xyz is None:
        raise InputError("the clip has no tracks in space that its query frame sees.")
    rows, queries = asked
    true = np.asarray(truth.tracks.xyz[rows], np.float64)
    if truth.world_from_camera is not None:
        true = moved(np.linalg.inv(truth.world_from_camera[0]), true)
    estimate = np.asarray(scene.tracks(queries).xyz, np.float64)
    if how["points"] == "dynamic":
        some = moves(true.swapaxes(0, 1), float(how["moved_more_than"]))
        if not some.any():
            return {"apd": np.nan, "epe": np.nan}
        true, estimate = true[some], estimate[some]
    alignment = TRACKS[how["alignment"]]
    errors = world_track_errors(estimate.swapaxes(0, 1), true.swapaxes(0, 1), alignment)
    return {"apd": 100 * errors.apd, "epe": errors.epe}


def _from(truth: Clip, frame: int) -> Clip:
    """The tracks of the points that one frame sees, queried there."""
    tracks = truth.tracks
    if tracks is None:
        return truth
    # the others are asked for where they are not seen, which leaves them out
    return replace(truth, tracks=replace(tracks, query=np.full(len(tracks.visible), frame)))


def _tapvid2d(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    asked = asked_tracks(truth, scene)
    if asked is None:
        raise InputError("the clip has no tracks in the picture.")
    found = tracks_in_picture(scene, truth, *asked, scene.tracks(asked[1]))
    names = {"aj": "tracks_aj", "delta_avg": "tracks_within", "oa": "tracks_oa"}
    return {key: 100 * found[name] for key, name in names.items()}


def _tapvid3d(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    asked = asked_tracks(truth, scene)
    tracks = truth.tracks
    if asked is None or tracks is None or tracks.xyz is None or truth.intrinsics is None:
        raise InputError("the clip has no tracks in space, or no intrinsics.")
    rows, queries = asked
    true = np.asarray(tracks.xyz[rows], np.float64)
    if truth.world_from_camera is not None:
        true = _seen_from(truth.world_from_camera, true)
    found = scene.tracks(queries)
    poses = np.asarray(scene.cameras.world_from_camera, np.float64)
    K = truth.intrinsics[0] * np.array([[256 / scene.size[0]], [256 / scene.size[1]], [1.0]])
    scores = tapvid3d_counts(
        CameraTracks(_seen_from(poses, np.asarray(found.xyz, np.float64)), ~found.visible),
        CameraTracks(true, ~tracks.visible[rows]),
        K[[0, 1, 0, 1], [0, 1, 2, 2]],
        scaling=how["scaling"],
        queries=queries[:, [0, 2, 1]],
    ).per_video()
    return {
        "aj3d": 100 * float(scores.average_jaccard),
        "apd": 100 * float(scores.average_within),
        "oa": 100 * float(scores.occlusion_accuracy),
    }


def _seen_from(
    world_from_camera: Float[np.ndarray, "N 4 4"], points: Float[np.ndarray, "M N 3"]
) -> Float[np.ndarray, "M N 3"]:
    """Each frame's points in its camera's axes."""
    pose = np.linalg.inv(world_from_camera)
    return np.einsum("nij,mnj->mni", pose[:, :3, :3], points) + pose[:, :3, 3]


def _masks(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    return {"j": 100 * _needed(masks(scene, truth), "masks of what moves")["mask_j"]}


def _mobility(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    asked = asked_tracks(truth, scene)
    if asked is None or truth.tracks is None or truth.tracks.dynamic is None:
        raise InputError("the clip has no tracks that are known to move or stand.")
    rows, queries = asked
    frame, x, y = np.floor(queries).astype(int).T
    found: Bool[np.ndarray, " Q"] = np.asarray(scene.dynamic)[frame, y, x] > 0.5
    return {"d_acc": 100 * mobility_scores(found, truth.tracks.dynamic[rows]).d_acc}


def _surfaces(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    if truth.depth is None or truth.intrinsics is None or truth.world_from_camera is None:
        raise InputError("the clip has no true depth, or no cameras.")
    true = _pointmaps(truth.depth, truth.intrinsics, truth.world_from_camera)
    estimate = np.stack([np.asarray(scene.pointmap(i), np.float64) for i in range(len(scene))])
    mask = np.isfinite(true).all(axis=-1)
    side = int(how["crop"])
    inside = np.zeros_like(mask)
    top, left = (max((n - side) // 2, 0) for n in mask.shape[1:])
    inside[:, top : top + side, left : left + side] = True
    found = multi_view_errors(
        estimate,
        true,
        mask,
        mask & inside,
        sim3=bool(how["sim3"]),
        icp_threshold=float(how["icp_threshold"]),
    )
    return {
        "acc": found.accuracy,
        "comp": found.completion,
        "nc": found.normal_consistency,
    }


def _pointmaps(
    depth: Float[np.ndarray, "N H W"],
    intrinsics: Float[np.ndarray, "N 3 3"],
    world_from_camera: Float[np.ndarray, "N 4 4"],
) -> Float[np.ndarray, "N H W 3"]:
    """Every pixel's point in the first camera's axes; NaN where the depth is unknown."""
    height, width = depth.shape[1:]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays = np.einsum("nij,hwj->nhwi", np.linalg.inv(intrinsics), pixels)
    known = np.where(depth > 0, depth, np.nan).astype(np.float64)
    pose = np.linalg.inv(world_from_camera[0]) @ world_from_camera
    points = np.einsum("nij,nhwj->nhwi", pose[:, :3, :3], known[..., None] * rays)
    return points + pose[:, None, None, :3, 3]


def _complete4d(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    found = complete(
        scene, truth, icp_threshold=float(how["icp_threshold"]), together=bool(how["together"])
    )
    _needed(found, "motion of every pixel")
    names = {
        "acc": "complete_acc",
        "acc_median": "complete_acc_median",
        "comp": "complete_comp",
        "comp_median": "complete_comp_median",
        "nc": "complete_nc",
        "nc_median": "complete_nc_median",
        "visible_acc": "complete_acc_visible",
        "visible_comp": "complete_comp_visible",
        "occluded_acc": "complete_acc_hidden",
        "occluded_comp": "complete_comp_hidden",
    }
    return {key: found[name] for key, name in names.items()}


def _needed(found: Numbers, what: str) -> Numbers:
    if not found:
        raise InputError(f"the clip's truth has no {what}.")
    return found


def _views(scene: Scene, truth: Clip, how: Mapping[str, Any]) -> Numbers:
    found = _needed(views(scene, truth), "held-out views, or no cameras and times")
    return {f"m{name}": found[f"view_{name}"] for name in ("psnr", "ssim", "lpips")}


_FAMILIES: dict[str, Callable[[Scene, Clip, Mapping[str, Any]], Numbers]] = {
    "poses": _poses,
    "depth": _depth,
    "tracks3d": _tracks3d,
    "tapvid2d": _tapvid2d,
    "tapvid3d": _tapvid3d,
    "masks": _masks,
    "mobility": _mobility,
    "surfaces": _surfaces,
    "complete4d": _complete4d,
    "views": _views,
}
