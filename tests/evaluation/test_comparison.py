"""Two scenes of the same clip: what was changed is what is found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.comparison import compare_scenes, path_difference, rotation_difference
from worldline.scene import Cameras, Scene, StillField

N, H, W = 9, 30, 40


def make(scale: float = 1.0) -> Scene:
    """A bent path before slanted ground; `scale` is the size of the pictures in pixels."""
    height, width = round(H * scale), round(W * scale)
    y, x = np.mgrid[:height, :width] / scale
    s = np.linspace(0, 1, N)
    poses = np.tile(np.eye(4), (N, 1, 1))
    poses[:, :3, 3] = np.stack([s, 0.2 * np.sin(4 * s), 0.5 * s**2], axis=-1)
    poses[:, :3, :3] = Rotation.from_rotvec(0.3 * s[:, None] * [0.2, 1, 0]).as_matrix()
    K = np.array([[45.0 * scale, 0, width / 2], [0, 45.0 * scale, height / 2], [0, 0, 1]])
    depth = np.tile((2 + x / W + y / H).astype(np.float32), (N, 1, 1))
    return Scene(
        frames=np.zeros((N, height, width, 3), np.uint8),
        times=np.arange(N) / 10.0,
        cameras=Cameras(poses, np.tile(K, (N, 1, 1)), np.ones(N, bool), np.zeros(N), "free"),
        depth=depth,
        confidence=np.ones_like(depth),
        dynamic=np.tile(((x < 10) & (y < 12)).astype(np.float32), (N, 1, 1)),
        motion=StillField(height, width),
        original_size=(640, 480),
        provenance={"fingerprint": "f", "stages": [{"name": "read", "seconds": 2.5}]},
    )


def with_cameras(scene: Scene, **changes) -> Scene:
    return replace(scene, cameras=replace(scene.cameras, **changes))


def test_a_scene_equals_itself():
    found = compare_scenes(make(), make())
    assert found.a == found.b and found.same_input is True
    zeros = (found.ate_percent, found.rotation, found.focal_percent, found.depth_abs_rel)
    np.testing.assert_allclose(zeros, 0, atol=1e-6)
    assert (found.depth_scale, found.both_measured, found.mask_iou) == (1.0, 1.0, 1.0)
    assert (found.a.frames, found.a.registered, found.a.seconds) == (N, N, 2.5)
    assert found.a.moving == pytest.approx(0.1) and found.a.focal == pytest.approx(45 * 16)


def test_scale_rotation_and_shift_of_the_world_are_no_difference():
    poses = make().cameras.world_from_camera
    moved = np.tile(np.eye(4), (N, 1, 1))
    turn = Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix()
    moved[:, :3, :3] = turn @ poses[:, :3, :3]
    moved[:, :3, 3] = 3.0 * poses[:, :3, 3] @ turn.T + (5.0, -2.0, 1.0)
    assert path_difference(poses, moved) == pytest.approx(0, abs=1e-6)
    assert rotation_difference(poses, moved) == pytest.approx(0, abs=1e-6)


def test_a_scaled_scene_differs_in_scale_alone():
    scene = make()
    poses = scene.cameras.world_from_camera.copy()
    poses[:, :3, 3] *= 4
    found = compare_scenes(
        scene, replace(with_cameras(scene, world_from_camera=poses), depth=4 * scene.depth)
    )
    assert found.ate_percent == pytest.approx(0, abs=1e-6)
    assert found.depth_scale == pytest.approx(0.25)
    assert found.depth_abs_rel == pytest.approx(0, abs=1e-6)


def test_a_path_that_strays_is_measured_in_percent_of_its_length():
    s = np.linspace(0, 1, 5)
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = s
    strayed = poses.copy()
    strayed[:, 1, 3] = 0.1 * np.array([0, 1, 0, -1, 0])
    # in the plane the best Sim(3) is a complex factor, found by least squares
    a, b = strayed[:, :2, 3] - strayed[:, :2, 3].mean(0), poses[:, :2, 3] - poses[:, :2, 3].mean(0)
    one, other = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    left = other - (np.vdot(one, other) / np.vdot(one, one)) * one
    expected = 100 * np.sqrt(np.mean(np.abs(left) ** 2))
    assert path_difference(poses, strayed) == pytest.approx(expected, rel=1e-6)
    assert expected > 1


def test_known_changes_are_measured():
    scene = make()
    K = scene.cameras.intrinsics.copy()
    K[:, [0, 1], [0, 1]] *= 1.1
    poses = scene.cameras.world_from_camera.copy()
    poses[1:, :3, :3] = (
        poses[1:, :3, :3] @ Rotation.from_rotvec([0, 0, 2], degrees=True).as_matrix()
    )
    depth, confidence = scene.depth.copy(), scene.confidence.copy()
    depth[:, :, ::4] *= 1.2  # a quarter: the best scale stays 1
    confidence[:, : H // 3] = 0
    solved = np.arange(N) > 1
    other = with_cameras(scene, intrinsics=K, world_from_camera=poses, registered=solved)
    other = replace(
        other, depth=depth, confidence=confidence, dynamic=np.roll(scene.dynamic, 5, axis=2)
    )
    found = compare_scenes(scene, other)
    assert found.focal_percent == pytest.approx(10)
    assert found.rotation == pytest.approx(2 * np.sqrt((N - 1) / N), rel=1e-6)
    assert found.depth_abs_rel == pytest.approx(0.25 * 0.2, rel=1e-5)
    assert found.depth_scale == pytest.approx(1.0)
    assert found.both_measured == pytest.approx(2 / 3)
    assert found.mask_iou == pytest.approx(1 / 3)  # half of each overlaps
    assert (found.a.registered, found.b.registered) == (N, N - 2)
    assert found.b.measured == pytest.approx(2 / 3)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_sizes_may_differ(scale):
    found = compare_scenes(make(), make(scale))
    assert found.focal_percent == pytest.approx(0, abs=1e-9)
    assert found.mask_iou == 1.0 and found.both_measured == 1.0
    assert found.depth_abs_rel < 0.01  # half a pixel of slanted ground
    assert found.a.focal == found.b.focal


def test_a_camera_that_stands_has_no_path_to_compare():
    scene = make()
    still = np.tile(np.eye(4), (N, 1, 1))
    found = compare_scenes(scene, with_cameras(scene, world_from_camera=still, motion="still"))
    assert np.isnan(found.ate_percent) and found.rotation > 1


def test_nothing_measured_is_nothing_to_compare():
    scene = make()
    found = compare_scenes(scene, replace(scene, confidence=0 * scene.confidence, provenance={}))
    assert np.isnan(found.depth_abs_rel) and found.both_measured == 0
    assert np.isnan(found.b.seconds) and found.same_input is None


def test_long_clips_are_sampled(monkeypatch):
    monkeypatch.setattr("worldline.evaluation.comparison._MOST_PIXELS", N * H * W // 9)
    scene = make()
    found = compare_scenes(scene, replace(scene, depth=2 * scene.depth))
    assert found.depth_scale == pytest.approx(0.5) and found.mask_iou == 1.0


def test_scenes_of_other_frames_are_refused():
    scene = make()
    cameras = Cameras(
        scene.cameras.world_from_camera[:-1],
        scene.cameras.intrinsics[:-1],
        np.ones(N - 1, bool),
        np.zeros(N - 1),
    )
    names = ("frames", "times", "depth", "confidence", "dynamic")
    shorter = replace(scene, cameras=cameras, **{name: getattr(scene, name)[:-1] for name in names})
    with pytest.raises(InputError, match="A has 9 frames and B has 8"):
        compare_scenes(scene, shorter)
    cut = {name: getattr(scene, name)[:, :20] for name in names if name != "times"}
    with pytest.raises(InputError, match="not of one shape"):
        compare_scenes(scene, replace(scene, **cut, motion=StillField(20, W)))
