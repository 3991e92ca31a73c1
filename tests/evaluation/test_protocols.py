"""A perfect scene has perfect numbers under every protocol, and truth that lacks them is told."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from worldline.datasets.clip import Clip, HeldOut, PointTracks
from worldline.errors import InputError
from worldline.evaluation.benchmark import Frames, load, names
from worldline.evaluation.protocols import numbers, taken
from worldline.synth.clips import make_clip

FRAMES = 13


@pytest.fixture(scope="module")
def made():
    """A synthetic clip that holds a mover."""
    return make_clip(4, "rigid", size=(64, 48), frames=FRAMES)


@pytest.fixture(scope="module")
def scene(made):
    return made.scene


@pytest.fixture(scope="module")
def clip(made, scene):
    dynamic = np.asarray(scene.dynamic) > 0.5
    # points inside of things: at their edges, depth is the nearest pixel's
    smooth = maximum_filter(scene.depth, (1, 5, 5)) < 1.1 * minimum_filter(scene.depth, (1, 5, 5))
    apart = np.zeros_like(dynamic)
    apart[:, 2::3, 2::3] = True
    frame, y, x = np.nonzero(smooth & apart)
    asked = np.isin(frame, (0, 11))
    queries = np.column_stack([frame, x + 0.5, y + 0.5])[asked].astype(np.float64)
    found = made.tracks(queries)
    there = found.confidence[:, 0] > 0
    queries = queries[there]
    frame, x, y = np.floor(queries).astype(int).T
    tracks = PointTracks(
        visible=found.visible[there],
        uv=found.uv[there],
        xyz=found.xyz[there],
        dynamic=dynamic[frame, y, x],
        query=frame,
    )
    return Clip(
        name="true",
        frames=np.asarray(scene.frames),
        frame_names=tuple(map(str, range(FRAMES))),
        metric=True,
        times=scene.times,
        world_from_camera=np.asarray(scene.cameras.world_from_camera, np.float64),
        intrinsics=np.asarray(scene.cameras.intrinsics, np.float64),
        depth=np.asarray(scene.depth),
        dynamic=dynamic,
        tracks=tracks,
        motion=scene.motion,
        motion_size=scene.size,
    )


def asked_in(clip, frame):
    """The clip with the tracks alone that are asked for in a frame (None: in any)."""
    if frame is None:
        return clip
    tracks, rows = clip.tracks, clip.tracks.query == frame
    part = {name: getattr(tracks, name)[rows] for name in ("visible", "uv", "xyz", "dynamic")}
    return replace(clip, tracks=PointTracks(**part, query=tracks.query[rows]))


PERFECT = {
    "sintel-poses": {"ate": 0, "rpe_t": 0, "rpe_r": 0},
    "sintel-depth": {"abs_rel": 0, "delta": 100},
    "kitti-depth-shift": {"abs_rel": 0, "delta": 100},
    "worldtrack-po": {"apd": 100, "epe": 0},
    "worldtrack-po-median": {"apd": 100, "epe": 0},
    "worldtrack-po-dynamic": {"apd": 100, "epe": 0},
    "worldtrack-po-dynamic-sim3": {"apd": 100, "epe": 0},
    "kubric-dense": {"apd": 100, "epe": 0},
    "tapvid-davis": {"aj": 100, "delta_avg": 100, "oa": 100},
    "tapvid3d": {"aj3d": 100, "apd": 100, "oa": 100},
    "davis-16-masks": {"j": 100},
    "d-acc-movi-e": {"d_acc": 100},
    "seven-scenes": {"acc": 0, "comp": 0, "nc": 1},
    "complet4r-table-1": {"acc": 0, "comp": 0, "nc": 1},
    "sailvos3d": {"acc": 0, "comp": 0, "occluded_acc": 0, "occluded_comp": 0},
}


@pytest.mark.parametrize("name", PERFECT)
def test_a_perfect_scene_has_perfect_numbers(scene, clip, name):
    benchmark = load(name)
    found = numbers(scene, asked_in(clip, benchmark.parameters.get("query_frame")), benchmark)
    assert {column.key for column in benchmark.columns} <= found.keys()
    # whether a ray that grazes an edge is blocked is a matter of rounding
    margin = 0.3 if benchmark.family.startswith("tapvid") else 2e-3
    for key, value in PERFECT[name].items():
        assert found[key] == pytest.approx(value, abs=margin), key


def test_every_benchmark_has_a_protocol_or_says_that_it_has_none():
    told = {name for name in names() if load(name).family == "scene"}
    assert told == {"synth-bench", "real-clips"}
    # held-out views have a test of their own: drawn from points, none is perfect
    assert {load(name).family for name in names()} - {"scene", "views"} == {
        load(name).family for name in PERFECT
    }


def test_held_out_views_are_seen_from_their_cameras_at_their_times(made, scene, clip):
    cameras = scene.cameras
    at, later = np.array([1, 4, 8]), np.array([7, 11, 3])
    poses, K = (x[at].astype(np.float64) for x in (cameras.world_from_camera, cameras.intrinsics))
    pictures = made.novel_views(poses, K, scene.times[later]).frames
    judged = np.zeros(pictures.shape[:3], bool)
    judged[:, 12:36, 16:48] = True
    held = HeldOut(pictures, poses, K, scene.times[later], judged)

    def psnr(**changes):
        return numbers(scene, replace(clip, views=replace(held, **changes)), load("dycheck"))[
            "mpsnr"
        ]

    right = psnr()
    assert right > 25
    assert psnr(times=scene.times[at]) < right - 3
    assert psnr(world_from_camera=poses[::-1].copy()) < right - 3
    # only what is judged counts
    spoilt = np.where(judged[..., None], pictures, 0)
    assert psnr(frames=spoilt) == pytest.approx(right)
    assert psnr(judged=None, frames=spoilt) < right - 3
    # the scene may lie anywhere: the cameras are brought to it
    turn = np.eye(4)
    turn[:3, :3] = 2 * np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    moved = [turn @ x for x in (clip.world_from_camera, poses)]
    for x in moved:
        x[:, :3, :3] /= 2
    away = replace(
        clip, world_from_camera=moved[0], views=replace(held, world_from_camera=moved[1])
    )
    assert numbers(scene, away, load("dycheck"))["mpsnr"] == pytest.approx(right, abs=0.5)
    none = replace(held, judged=np.zeros_like(judged))
    assert np.isnan(numbers(scene, replace(clip, views=none), load("dycheck"))["mpsnr"])


def test_a_benchmark_of_scenes_adds_nothing(scene, clip):
    assert numbers(scene, clip, load("synth-bench")) == {}


@pytest.mark.parametrize("name", [*PERFECT, "dycheck"])
def test_truth_that_lacks_what_is_compared_is_told(scene, clip, name):
    bare = Clip(clip.name, clip.frames, clip.frame_names, metric=False)
    with pytest.raises(InputError, match="the clip"):
        numbers(scene, bare, load(name))


def test_a_wrong_scene_has_worse_numbers(scene, clip):
    wrong = replace(scene, depth=(scene.depth * np.linspace(1, 1.5, 64)).astype(np.float32))
    for name, key, worse in (
        ("sintel-depth", "abs_rel", 0.02),
        ("seven-scenes", "acc", 0.01),
        ("worldtrack-po-median", "epe", 0.01),
    ):
        assert numbers(wrong, clip, load(name))[key] > worse, name


def test_the_frames_that_a_benchmark_takes_are_taken_of_everything(clip):
    part = taken(clip, Frames(first=1, count=4, every=3))
    assert part.frame_names == ("1", "4", "7", "10")
    for name in ("depth", "world_from_camera", "intrinsics", "dynamic", "times"):
        assert np.array_equal(getattr(part, name), getattr(clip, name)[[1, 4, 7, 10]]), name
    assert part.motion is None and part.source is None
    # queries in frames that were left out are gone
    assert not len(part.tracks.visible)
    part = taken(clip, Frames(first=11))
    rows = clip.tracks.query == 11
    assert np.array_equal(part.tracks.uv, clip.tracks.uv[rows][:, 11:])
    assert (part.tracks.query == 0).all() and len(part.tracks.query) == rows.sum() > 0
    assert taken(clip, Frames()) is clip
    with pytest.raises(InputError, match="has 13 frames, none of which"):
        taken(clip, Frames(first=13))
