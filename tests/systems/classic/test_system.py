"""`classic` from a clip to a scene: what always holds, what small clips give, two real clips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_worlds import Plane, planes, slide_poses

import worldline
from worldline.evaluation.metrics.trajectory import trajectory_errors
from worldline.io.clip import Clip
from worldline.systems.classic import classic
from worldline.systems.stages import Stages

FLOOR = Plane((-8, 0.8, 0), (1, 0, 0), (0, 0, 1), seed=1, texels=30)
WALL = Plane((-8, -8, 7), (1, 0, 0), (0, 1, 0), seed=2, texels=25)
PILLAR = Plane((-0.3, -0.9, 4), (1, 0, 0), (0, 1, 0), extent=(0.5, 1.7), seed=3, texels=40)
MOVER = Plane(
    (0.4, -0.1, 3), (1, 0, 0), (0, 1, 0), (0.7, 0.9), seed=4, texels=50, velocity=(0.02, -0.06, 0)
)


def clip_of(frames, intrinsics=None) -> Clip:
    return Clip(
        frames=frames,
        times=np.arange(len(frames)) / 10.0,
        source="planes",
        fingerprint="0" * 64,
        original_size=(frames.shape[2], frames.shape[1]),
        total=len(frames),
        intrinsics=intrinsics,
        intrinsics_source="unknown" if intrinsics is None else "given",
        distortion=None,
        is_video=True,
    )


def solve(clip, seed=0):
    with Stages() as stages:
        return classic(clip, stages, seed=seed)


@pytest.fixture(scope="module")
def made():
    return planes([FLOOR, WALL, PILLAR, MOVER], slide_poses(10, 0.1, sink=0.03))


@pytest.fixture(scope="module")
def scene(made):
    return solve(clip_of(made.frames, made.intrinsics))


def test_a_camera_past_a_mover_is_reconstructed(made, scene):
    assert scene.cameras.motion == "free" and np.asarray(scene.cameras.registered).all()
    errors = trajectory_errors(np.asarray(scene.cameras.world_from_camera), made.world_from_camera)
    assert errors.ate_percent < 6.0 and errors.rpe_rotation < 0.5
    assert np.array_equal(scene.cameras.intrinsics[0], made.intrinsics)


def test_its_static_depth_is_measured_and_right(made, scene):
    static, measured = made.label != 3, np.asarray(scene.confidence) > 0
    ratio = np.asarray(scene.depth) / made.depth
    scale = np.median(ratio[static & measured])
    assert (static & measured).sum() > 0.5 * static.sum()
    assert np.median(np.abs(ratio / scale - 1)[static & measured]) < 0.05


def test_its_mover_is_found_and_moves(made, scene):
    found, truth = np.asarray(scene.dynamic) > 0.5, made.label == 3
    assert (found & truth).sum() > 0.5 * (found | truth).sum()
    moved = np.asarray(scene.displacement(2, at=7))
    on = found[2] & truth[2]
    up = moved[on][:, 1]
    assert np.median(up) < 0  # it rises, and the world's y points down
    assert np.abs(np.median(moved[on][:, 2])) < np.abs(np.median(up))


def test_the_world_is_the_first_camera(scene):
    assert np.array_equal(np.asarray(scene.cameras.world_from_camera)[0], np.eye(4))


def test_what_does_not_move_is_displaced_by_exactly_nothing(scene):
    moved = np.asarray(scene.displacement(2, at=7))
    static = np.asarray(scene.dynamic)[2] <= 0.5
    assert (moved[static] == 0).all() and np.isfinite(moved).all()


def test_what_moves_is_never_called_measured(scene):
    confidence, dynamic = np.asarray(scene.confidence), np.asarray(scene.dynamic)
    assert (confidence[dynamic > 0.5] == 0).all() and (confidence >= 0).all()
    assert np.isfinite(scene.depth).all() and (np.asarray(scene.depth) > 0).all()


def test_the_same_clip_and_seed_give_the_same_scene(made, scene):
    again = solve(clip_of(made.frames, made.intrinsics))
    for name in ("depth", "confidence", "dynamic"):
        assert np.array_equal(getattr(again, name), getattr(scene, name)), name
    # The bundle adjustment repeats itself to rounding only.
    poses = scene.cameras.world_from_camera
    assert np.abs(again.cameras.world_from_camera - poses).max() < 1e-12
    one, other = again.motion.arrays(), scene.motion.arrays()
    for name, array in one.items():
        assert np.array_equal(array, other[name], equal_nan=True), name


def test_a_resumed_run_gives_the_same_scene(made, scene, tmp_path, monkeypatch):
    """Killed after the masks, by a depth stage that fails."""
    clip = clip_of(made.frames, made.intrinsics)
    folder = tmp_path / "stages"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("worldline.systems.classic.system._depth", killed)
        with pytest.raises(KeyboardInterrupt), Stages(folder, "key") as stages:
            classic(clip, stages, seed=0)
    with Stages(folder, "key") as stages:
        resumed = classic(clip, stages, seed=0)
        assert [s.name for s in stages.times if s.resumed] == [
            "tracks", "mobility", "cameras", "masks",
        ]  # fmt: skip
    assert np.array_equal(resumed.depth, scene.depth)
    assert np.array_equal(resumed.dynamic, scene.dynamic)


def test_one_frame_has_no_depth_and_an_unknown_camera(made):
    scene = solve(clip_of(made.frames[:1]))
    assert np.isnan(scene.depth).all() and (np.asarray(scene.confidence) == 0).all()
    assert scene.cameras.motion == "unknown"
    assert "depth" in scene.provenance["warnings"][0]
    assert (np.asarray(scene.displacement(0, at=0)) == 0).all()


def test_two_identical_frames_stand_still(made):
    scene = solve(clip_of(np.repeat(made.frames[:1], 2, axis=0)))
    assert scene.cameras.motion == "still"
    assert (np.asarray(scene.cameras.world_from_camera) == np.eye(4)).all()
    assert not (np.asarray(scene.dynamic) > 0.5).any()
    assert np.isfinite(scene.depth).all() and (np.asarray(scene.confidence) == 0).all()


@pytest.mark.parametrize("grey", [0, 120, 255])
def test_a_clip_without_any_texture_gives_a_scene_at_rest(grey):
    scene = solve(clip_of(np.full((3, 48, 64, 3), grey, np.uint8)))
    assert scene.cameras.motion == "still" and np.isfinite(scene.depth).all()
    assert not (np.asarray(scene.dynamic) > 0.5).any()


def needs(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"needs the real clip {folder.name}, not kept in the repository")
    return folder


def test_a_handheld_clip_is_registered_whole_and_near_its_ground_truth(shared):
    folder = needs(shared / "data" / "tum_fr1_xyz")
    truth = np.load(folder / "cameras.npz")["c2w"]
    scene = worldline.reconstruct(folder / "frames", size=320)
    assert scene.cameras.motion == "free" and np.asarray(scene.cameras.registered).all()
    errors = trajectory_errors(np.asarray(scene.cameras.world_from_camera), truth)
    assert errors.ate_percent < 2.5
    assert (np.asarray(scene.dynamic) > 0.5).mean() < 0.02  # nothing moves in it


def test_a_walking_camel_is_found(shared):
    folder = needs(shared / "data" / "davis_camel")
    scene = worldline.reconstruct(folder / "frames", max_frames=24, size=320)
    dynamic = np.asarray(scene.dynamic) > 0.5
    files = sorted((folder / "masks").iterdir())[:24]
    size = dynamic.shape[:0:-1]
    truth = np.stack(
        [np.asarray(Image.open(f).convert("L").resize(size, Image.NEAREST)) > 127 for f in files]
    )
    jaccard = (dynamic & truth).sum(axis=(1, 2)) / (dynamic | truth).sum(axis=(1, 2))
    assert jaccard.mean() > 0.5
