"""How well a scene follows the points that a clip's truth follows."""

import numpy as np
from jaxtyping import Float, Int

from worldline.datasets.clip import Clip
from worldline.errors import InputError
from worldline.evaluation.alignment import moved
from worldline.evaluation.metrics.tapvid import Tracks as PictureTracks
from worldline.evaluation.metrics.tapvid import tapvid_counts
from worldline.evaluation.metrics.temporal import depth_flicker
from worldline.evaluation.metrics.worldtrack import Alignment, world_track_scores
from worldline.evaluation.pictures import Numbers
from worldline.scene import Scene, Tracks

NAN = float("nan")
IN_PICTURE = ("tracks_aj", "tracks_within", "tracks_oa")
FLICKER = "depth_flicker"
IN_SPACE = tuple(
    f"tracks3d_{what}{part}{way}"
    for way in ("", "_sim3")
    for what in ("apd", "epe")
    for part in ("", "_dynamic")
)


def tracks(scene: Scene, truth: Clip) -> Numbers:
    """How well the points that the truth follows are followed, in the picture and in space.

    See ``tracks_in_picture``, ``tracks_in_space`` and ``steadiness``; all NaN where the truth
    starts no point inside the picture.
    """
    if truth.tracks is None or truth.tracks.uv is None:
        return {}
    in_space = truth.tracks.xyz is not None
    asked = asked_tracks(truth, scene)
    if asked is None:
        return dict.fromkeys((*IN_PICTURE, *((*IN_SPACE, FLICKER) if in_space else ())), NAN)
    rows, queries = asked
    found = scene.tracks(queries)
    numbers = tracks_in_picture(scene, truth, rows, queries, found)
    if in_space:
        numbers |= tracks_in_space(truth, rows, found) | steadiness(scene, truth, rows)
    return numbers


def tracks_in_picture(
    scene: Scene,
    truth: Clip,
    rows: Int[np.ndarray, " Q"],
    queries: Float[np.ndarray, "Q 3"],
    found: Tracks,
) -> Numbers:
    """TAP-Vid's AJ, < δ_avg and OA, queried first, of the true tracks ``rows``.

    Where points were marked in some frames only, the others say nothing.
    """
    true = truth.tracks
    assert true is not None and true.uv is not None
    scale = 256 / np.array(scene.size)
    known = np.ones(len(truth), bool) if true.known is None else true.known
    place = np.cumsum(known) - 1  # of each frame among those
    scores = tapvid_counts(
        PictureTracks(found.uv[:, known] * scale, ~found.visible[:, known]),
        PictureTracks(true.uv[rows][:, known] * scale, ~true.visible[rows][:, known]),
        np.column_stack([place[queries[:, 0].astype(int)], queries[:, [2, 1]]]),
    ).per_video()
    return {
        "tracks_aj": float(scores.average_jaccard),
        "tracks_within": float(scores.average_within),
        "tracks_oa": float(scores.occlusion_accuracy),
    }


def tracks_in_space(truth: Clip, rows: Int[np.ndarray, " Q"], found: Tracks) -> Numbers:
    """WorldTrack's APD and EPE, of all tracks and of those that move, in the first camera's frame.

    Aligned by the medians of the distances ("global") and by a robust similarity ("sim3").
    """
    assert truth.tracks is not None and truth.tracks.xyz is not None
    numbers = dict.fromkeys(IN_SPACE, NAN)
    true = np.asarray(truth.tracks.xyz[rows], np.float64)
    if truth.world_from_camera is not None:
        true = moved(np.linalg.inv(truth.world_from_camera[0]), true)
    estimate = np.asarray(found.xyz, np.float64).swapaxes(0, 1)
    ways: tuple[tuple[str, Alignment], ...] = (("", "global"), ("_sim3", "sim3"))
    for way, alignment in ways:
        try:
            scores = world_track_scores(estimate, true.swapaxes(0, 1), alignment)
        except InputError:  # too few points to align
            continue
        numbers |= {
            f"tracks3d_apd{way}": scores.all.apd,
            f"tracks3d_epe{way}": scores.all.epe,
            f"tracks3d_apd_dynamic{way}": scores.dynamic.apd,
            f"tracks3d_epe_dynamic{way}": scores.dynamic.epe,
        }
    return numbers


def steadiness(scene: Scene, truth: Clip, rows: Int[np.ndarray, " Q"]) -> Numbers:
    """How much the depth along the true tracks jumps from frame to frame, in shares of the depth.

    At the pixels where the points truly are: the camera's motion and a wrong scale cost nothing.
    """
    true = truth.tracks
    assert true is not None and true.uv is not None and true.xyz is not None
    if truth.world_from_camera is None or len(truth) < 2:
        return {FLICKER: NAN}
    uv, xyz = (np.asarray(x[rows], np.float64).swapaxes(0, 1) for x in (true.uv, true.xyz))
    camera_from_world = np.linalg.inv(truth.world_from_camera)
    z = np.einsum("tk,tnk->tn", camera_from_world[:, 2, :3], xyz) + camera_from_world[:, 2, 3:]
    inside = np.all((uv >= 0) & (uv < np.array(scene.size)), axis=-1)  # NaN is not
    x, y = np.moveaxis(np.where(np.expand_dims(inside, -1), uv, 0).astype(int), -1, 0)
    estimate = np.asarray(scene.depth)[np.arange(len(truth))[:, None], y, x].astype(np.float64)
    found = depth_flicker(estimate, z, inside & true.visible[rows].T)
    return {FLICKER: found.mean}


def asked_tracks(
    truth: Clip, scene: Scene
) -> tuple[Int[np.ndarray, " Q"], Float[np.ndarray, "Q 3"]] | None:
    """The tracks that start inside the picture, and their queries (frame, x, y)."""
    tracks = truth.tracks
    if tracks is None or tracks.uv is None:
        return None
    visible = tracks.visible & np.isfinite(tracks.uv).all(axis=-1)
    start = visible.argmax(axis=1) if tracks.query is None else np.asarray(tracks.query, np.int64)
    every = np.arange(len(visible))
    uv = np.asarray(tracks.uv[every, start], np.float64)
    # a query frame of -1 is one that was left out
    inside = (start >= 0) & visible[every, start] & ((uv >= 0) & (uv < scene.size)).all(axis=1)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return None
    return rows, np.column_stack([start[rows].astype(np.float64), uv[rows]])
