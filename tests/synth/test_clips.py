"""A synthetic clip as a Scene: in our axes, exact at any time, and the same after a round trip."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
import zoo

import worldline
from worldline.errors import InputError
from worldline.scene.motion import MotionField
from worldline.synth import trees
from worldline.synth.clips import record_clip
from worldline.synth.render import render
from worldline.synth.truth import pointmap

MOVER = "pushed cylinder"


def one(value, which):
    return trees.each(
        lambda x: x[which : which + 1] if x.dim() and len(x) == zoo.WORLDS else x, value
    )


@pytest.fixture(scope="module")
def clip():
    """On flat ground under the sky, where some pixels see nothing."""
    cameras = one(zoo.cameras(5, (64, 48)), 2)
    return record_clip(one(zoo.world(), 2), cameras, samples=1, provenance={"seed": 3})


@pytest.fixture(scope="module")
def scene(clip):
    return clip.scene


def centres(scene, step=5):
    width, height = scene.size
    x, y = np.meshgrid(np.arange(0, width, step) + 0.5, np.arange(0, height, step) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def test_the_scene_is_metric_and_starts_at_its_first_camera(clip, scene):
    assert scene.metric and scene.cameras.motion == "free"
    assert np.array_equal(scene.cameras.world_from_camera[0], np.eye(4))
    assert scene.provenance["seed"] == 3 and len(scene.provenance["fingerprint"]) == 64
    assert np.array_equal(np.isnan(scene.depth), clip.views.instance < 0)
    assert 0.02 < scene.dynamic.mean() < 0.9


def test_points_are_where_the_engine_has_them(clip, scene):
    """Two ways to P_i: depth along the ray in our axes, the named point in the engine's."""
    seen = render(clip.world, clip.cameras, colour=False)
    first = clip.cameras.world_from_camera[0, 0]
    for at in (1, 4):
        engine = pointmap(clip.world, seen, 1, clip.cameras.times[:, [at]])[0, 0]
        ours = torch.from_numpy(scene.pointmap(1, at=at)).double()
        back = ours @ first[:3, :3].mT + first[:3, 3]
        known = torch.from_numpy(np.isfinite(scene.depth[1]))
        assert (back - engine)[known].abs().max() < 2e-4
        assert not torch.from_numpy(scene.pointmap(1, at=at))[~known].isfinite().any()


def test_the_field_is_one_and_answers_alike_for_all_and_for_chosen_pixels(scene):
    assert isinstance(scene.motion, MotionField) and scene.motion.kind == "world"
    pixels = centres(scene)
    dense, chosen = scene.query(2, [0, 1.3, 4]), scene.query(2, [0, 1.3, 4], pixels)
    x, y = pixels.astype(int).T
    assert np.abs(dense.displacement[:, y, x] - chosen.displacement).max() < 1e-5
    assert (dense.visible[:, y, x] == chosen.visible).mean() > 0.995
    assert scene.query(2, 2, pixels[:0]).displacement.shape == (0, 3)
    assert scene.query(2, [1, 3], pixels[:0]).visible.shape == (2, 0)


def test_home_is_exactly_zero_and_what_stands_never_moves(clip, scene):
    moved = scene.query(2, range(5))
    assert (moved.displacement[2] == 0).all()
    assert np.array_equal(moved.visible[2], clip.views.instance[2] >= 0)
    assert (moved.displacement[:, scene.dynamic[2] == 0] == 0).all()
    assert (moved.confidence[:, clip.views.instance[2] < 0] == 0).all()
    assert not moved.visible[:, clip.views.instance[2] < 0].any()


def test_a_push_is_straight_between_frames_too(clip, scene):
    """The pushed cylinder's velocity is known: the field must give it at a fractional time."""
    velocity = np.array([-0.5, -0.2, 0.0])
    axes = clip.cameras.world_from_camera[0, 0, :3, :3].numpy()
    own = clip.views.instance[0] == zoo.NAMES.index(MOVER)
    assert own.any()
    for seconds in (0.25, 0.77, 2.0):
        moved = scene.displacement(0, at=seconds)[own]
        assert np.abs(moved - (velocity @ axes) * seconds).max() < 1e-5


def test_visibility_agrees_with_the_depth_test(scene):
    motion = scene.query(0, 3)
    points = scene.pointmap(0, at=3)
    _, tested = scene._seen_in(3, points)
    # farther off, a pixel of these small pictures spans more of the ground than the test allows
    near = np.linalg.norm(points - scene.cameras.world_from_camera[3, :3, 3], axis=-1) < 7
    assert (motion.visible == tested)[near].mean() > 0.9
    assert 0.3 < motion.visible[near].mean() < 1


def test_saved_and_loaded_it_answers_the_same(scene, tmp_path):
    scene.save(tmp_path / "s")
    again = worldline.load_scene(tmp_path / "s")
    pixels = centres(scene)
    for at in ([0, 4], [0.3, 1.9]):
        before, after = scene.query(1, at, pixels), again.query(1, at, pixels)
        assert np.array_equal(before.displacement, after.displacement)
        assert np.array_equal(before.visible, after.visible)
    assert (tmp_path / "s" / "motion.safetensors").stat().st_size < 100_000


def test_a_fresh_process_loads_it_without_being_told_how(scene, tmp_path):
    scene.save(tmp_path / "s")
    code = (
        "import sys, worldline; s = worldline.load_scene(sys.argv[1]);"
        "print(abs(s.displacement(0, at=4)).max())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(np.abs(scene.displacement(0, at=4)).max(), rel=1e-5)


def test_flow_is_the_projected_displacement(clip, scene):
    flow = clip.flow(1, 3)
    uv, _ = scene._seen_in(3, scene.pointmap(1, at=3))
    grid = centres(scene, 1).reshape(*scene.depth.shape[1:], 2)
    known = np.isfinite(uv).all(axis=-1)
    assert np.abs(grid + flow.flow - uv)[known].max() < 2e-2
    assert np.array_equal(flow.visible[known], scene.query(1, 3).visible[known])


def test_tracks_follow_the_pixels_that_were_asked(clip, scene):
    pixels = centres(scene, 9)
    queries = np.concatenate(
        [np.repeat([[0.0], [4.0]], len(pixels), 0), np.tile(pixels, (2, 1))], 1
    )
    tracks = clip.tracks(queries)
    points = np.concatenate([scene.pointmap(frame, at=2, pixels=pixels) for frame in (0, 4)])
    home = tracks.uv[np.arange(len(queries)), queries[:, 0].astype(int)]
    seen = tracks.confidence[:, 0] > 0
    assert np.abs(home - queries[:, 1:])[seen].max() < 1e-2
    assert np.abs(tracks.xyz[:, 2] - points)[seen].max() < 1e-3
    assert np.isnan(tracks.xyz[~seen]).all() and not tracks.visible[~seen].any()


def test_normals_face_the_camera_that_sees_them(clip, scene):
    position = scene.cameras.world_from_camera[2, :3, 3]
    known = np.isfinite(scene.depth[2])
    sight = scene.pointmap(2)[known] - position
    assert ((clip.views.normals[2][known] * sight).sum(axis=-1) < 1e-3).mean() > 0.999


def test_complete_geometry_lies_on_and_behind_what_is_seen(clip, scene):
    cloud = clip.complete(at=1.0, count=4000)
    assert 3000 < len(cloud.xyz) <= 4000
    _, visible = scene._seen_in(2, cloud.xyz)  # frame 2 is at 1.0 s
    assert 0.02 < visible.mean() < 0.6
    with pytest.raises(InputError, match="one time"):
        clip.complete(at=[0, 1])


def test_a_novel_view_from_the_clips_own_camera_is_its_frame(clip, scene):
    own = scene.cameras
    views = clip.novel_views(
        own.world_from_camera[1:3], own.intrinsics[1:3], clip.times[1:3], samples=1
    )
    assert (np.abs(views.frames.astype(int) - clip.views.frames[1:3]) <= 1).mean() > 0.999
    other = clip.novel_views(
        own.world_from_camera[1:2], own.intrinsics[1:2], clip.times[4:], samples=1
    )
    still = ~other.dynamic[0] & ~clip.views.dynamic[1] & (other.instance[0] >= 0)
    assert np.abs(other.depth[0] - clip.views.depth[1])[still].max() < 1e-3
    assert (other.instance[0] != clip.views.instance[1]).any()


def test_several_worlds_are_no_clip():
    with pytest.raises(InputError, match="one world"):
        record_clip(zoo.world(), zoo.cameras(2))


def test_a_camera_that_stands_or_turns_is_called_so(clip):
    still = dataclasses.replace(
        clip.cameras,
        world_from_camera=clip.cameras.world_from_camera[:, :1].expand(-1, 5, -1, -1).clone(),
    )
    assert dataclasses.replace(clip, cameras=still).scene.cameras.motion == "still"
    turning = clip.cameras.world_from_camera.clone()
    turning[..., :3, 3] = turning[:, :1, :3, 3]
    turned = dataclasses.replace(clip.cameras, world_from_camera=turning)
    assert dataclasses.replace(clip, cameras=turned).scene.cameras.motion == "rotation"
