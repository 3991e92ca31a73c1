"""A perfect scene scores perfectly, and each number worsens as its own error grows."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from worldline.datasets.clip import Clip, PointTracks
from worldline.errors import InputError
from worldline.evaluation.consistency import consistency
from worldline.evaluation.scoring import score
from worldline.evaluation.tracking import tracks
from worldline.scene import Motion, Scene
from worldline.synth.clips import SyntheticClip, make_clip

LEVELS = (0.0, 0.7, 2.0)


@pytest.fixture(scope="module")
def made() -> SyntheticClip:
    return make_clip(4, "rigid", size=(64, 48), frames=13)


@pytest.fixture(scope="module")
def scene(made: SyntheticClip) -> Scene:
    return made.scene


@pytest.fixture(scope="module")
def clip(made: SyntheticClip, scene: Scene) -> Clip:
    # in the middle of pixels, where the depth is exact
    x, y = np.meshgrid(np.arange(4, 64, 8) + 0.5, np.arange(4, 48, 8) + 0.5)
    found = made.tracks(np.column_stack([np.full(x.size, 6.0), x.ravel(), y.ravel()]))
    return Clip(
        name="true",
        frames=np.asarray(scene.frames),
        frame_names=tuple(map(str, range(len(scene)))),
        metric=True,
        times=scene.times,
        world_from_camera=np.asarray(scene.cameras.world_from_camera, np.float64),
        intrinsics=np.asarray(scene.cameras.intrinsics, np.float64),
        depth=np.asarray(scene.depth),
        dynamic=np.asarray(scene.dynamic) > 0.5,
        motion=scene.motion,
        motion_size=scene.size,
        flow=np.stack([made.flow(i, i + 1).flow for i in range(12)]),
        tracks=PointTracks(found.visible, found.uv, found.xyz, query=np.full(x.size, 6)),
    )


class Scaled:
    """A motion field whose answers are a share of the true ones."""

    kind = "scaled"

    def __init__(self, field, share):
        self.field, self.share = field, share

    def arrays(self):
        return {}

    def query(self, source, at, pixels=None):
        answer = self.field.query(source, at, pixels)
        return Motion(
            (self.share * answer.displacement).astype(np.float32),
            answer.confidence,
            answer.visible,
        )


def test_a_perfect_scene_scores_perfectly(scene, clip):
    numbers = score(scene, clip)
    assert clip.dynamic.any()
    for name in ("ate", "ate_percent", "rpe_translation", "focal_error_percent", "false_moving"):
        assert numbers[name] == pytest.approx(0, abs=1e-4), name
    assert numbers["rpe_rotation"] == pytest.approx(0, abs=1e-3)
    for name in ("depth_abs_rel", "depth_abs_rel_measured", "depth_abs_rel_moving", "motion_epe"):
        assert numbers[name] == pytest.approx(0, abs=1e-5), name
    for name in ("registered", "measured", "depth_delta", "mask_j", "mask_iou", "motion_apd"):
        assert numbers[name] == 1, name
    assert numbers["motion_epe_of_zero"] > 0.01
    assert numbers["flow_epe"] == pytest.approx(0, abs=1e-3) and numbers["flow_fl"] == 0
    for name in ("control_rotation", "control_translation", "control_cam_mc"):
        assert numbers[name] == pytest.approx(0, abs=1e-4), name
    assert numbers["depth_flicker"] < 0.01  # the nearest pixel's depth, at edges another thing's


def with_cameras(scene: Scene, **given) -> Scene:
    return replace(scene, cameras=replace(scene.cameras, **given))


def moved_cameras(scene: Scene, level: float) -> Scene:
    poses = np.array(scene.cameras.world_from_camera)
    noise = np.random.default_rng(0).normal(0, 0.05, (len(poses), 3))
    poses[1:, :3, 3] += level * noise[1:]
    return with_cameras(scene, world_from_camera=poses)


def turned_cameras(scene: Scene, level: float) -> Scene:
    poses = np.array(scene.cameras.world_from_camera)
    vectors = np.random.default_rng(1).normal(0, 0.02, (len(poses), 3)) * level
    vectors[0] = 0
    poses[:, :3, :3] = poses[:, :3, :3] @ Rotation.from_rotvec(vectors).as_matrix()
    return with_cameras(scene, world_from_camera=poses)


def other_lens(scene: Scene, level: float) -> Scene:
    K = np.array(scene.cameras.intrinsics)
    K[:, [0, 1], [0, 1]] *= 1 + 0.1 * level
    return with_cameras(scene, intrinsics=K)


def fewer_cameras(scene: Scene, level: float) -> Scene:
    registered = np.ones(len(scene), bool)
    registered[len(scene) - int(3 * level) :] = level == 0
    return with_cameras(scene, registered=registered)


def noisy_depth(scene: Scene, level: float) -> Scene:
    noise = np.random.default_rng(2).normal(0, 0.2, scene.depth.shape)
    return replace(scene, depth=(scene.depth * np.exp(level * noise)).astype(np.float32))


def fewer_depths(scene: Scene, level: float) -> Scene:
    drawn = np.random.default_rng(3).random(scene.depth.shape)
    return replace(scene, confidence=(drawn >= 0.3 * level).astype(np.float32))


def wrong_masks(scene: Scene, level: float) -> Scene:
    flipped = np.random.default_rng(4).random(scene.depth.shape) < 0.2 * level
    dynamic = np.asarray(scene.dynamic)
    return replace(scene, dynamic=np.where(flipped, 1 - dynamic, dynamic).astype(np.float32))


def slow_motion(scene: Scene, level: float) -> Scene:
    return replace(scene, motion=Scaled(scene.motion, 1 - 0.4 * level))


@pytest.mark.parametrize(
    ("inject", "errors", "shares"),
    [
        (moved_cameras, ("ate", "ate_percent", "rpe_translation", "control_translation"), ()),
        (
            turned_cameras,
            ("rpe_rotation", "control_rotation", "control_cam_mc", "flow_epe", "flow_fl"),
            (),
        ),
        (other_lens, ("focal_error_percent",), ()),
        (fewer_cameras, (), ("registered",)),
        (
            noisy_depth,
            ("depth_abs_rel", "depth_abs_rel_static", "depth_flicker", "flow_epe"),
            ("depth_delta",),
        ),
        (fewer_depths, (), ("measured",)),
        (wrong_masks, ("false_moving",), ("mask_j", "mask_iou")),
        (slow_motion, ("motion_epe",), ("motion_apd",)),
    ],
)
def test_numbers_worsen_as_their_error_grows(scene, clip, inject, errors, shares):
    # these ask the worlds anew, and take their time
    if inject is not slow_motion:
        clip = replace(clip, motion=None)
    if inject not in (turned_cameras, noisy_depth):
        clip = replace(clip, flow=None, tracks=None)
    found = [score(inject(scene, level), clip) for level in LEVELS]
    for name in errors:
        values = [numbers[name] for numbers in found]
        assert all(a < b for a, b in itertools.pairwise(values)), (name, values)
    for name in shares:
        values = [numbers[name] for numbers in found]
        assert all(a > b for a, b in itertools.pairwise(values)), (name, values)


def test_truth_of_another_size_is_brought_onto_the_scenes_pixels(scene, clip):
    large = replace(
        clip,
        frames=clip.frames.repeat(2, axis=1).repeat(2, axis=2),
        depth=clip.depth.repeat(2, axis=1).repeat(2, axis=2),
        dynamic=clip.dynamic.repeat(2, axis=1).repeat(2, axis=2),
        intrinsics=clip.intrinsics * np.array([[2.0], [2.0], [1.0]]),
        tracks=replace(clip.tracks, uv=2 * clip.tracks.uv),
    )
    same, other = score(scene, clip), score(scene, large)
    assert same.keys() == other.keys()
    for name, value in same.items():
        assert other[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


def test_what_the_truth_does_not_know_is_left_out_and_what_has_no_answer_is_nan(scene, clip):
    nothing = Clip(clip.name, clip.frames, clip.frame_names, metric=False)
    assert score(scene, nothing) == consistency(scene)
    still = replace(clip, dynamic=np.zeros_like(clip.dynamic))
    assert np.isnan(score(scene, still)["motion_epe"])
    clip = replace(clip, motion=None)
    unknown = score(scene, replace(clip, flow=np.full_like(clip.flow, np.nan)))
    assert np.isnan(unknown["flow_epe"]) and np.isnan(unknown["flow_fl"])
    unseen = replace(clip, depth=np.full_like(clip.depth, np.nan))
    numbers = score(scene, unseen)
    assert np.isnan(numbers["depth_abs_rel"]) and np.isnan(numbers["measured"])
    standing = np.repeat(clip.world_from_camera[:1], len(clip), axis=0)
    numbers = score(scene, replace(clip, world_from_camera=standing))
    assert np.isnan(numbers["ate"]) and numbers["rpe_rotation"] >= 0


def test_clips_of_other_lengths_are_refused(scene, clip):
    shorter = Clip(clip.name, clip.frames[:12], clip.frame_names[:12], metric=True)
    with pytest.raises(InputError, match="13 frames and the clip 12"):
        score(scene, shorter)


def test_frames_in_which_no_point_was_marked_say_nothing_of_tracks(scene, clip):
    true = scene.tracks(np.array([[0, 20.5, 20.5], [0, 40.5, 24.5], [4, 30.5, 10.5]]))
    marked = np.zeros(len(scene), bool)
    marked[[0, 4, 9]] = True
    uv = np.where(marked[:, None], true.uv, np.nan)
    points = PointTracks(true.visible & marked, uv)
    known = replace(points, known=marked)
    assert tracks(scene, replace(clip, tracks=known))["tracks_aj"] == 1
    # taken for hidden ones instead, points that are followed rightly are counted as wrong
    assert tracks(scene, replace(clip, tracks=points))["tracks_oa"] < 0.6
