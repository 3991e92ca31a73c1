"""What needs no truth: a perfect scene explains its pictures, and a wrong one does not."""

from dataclasses import replace

import numpy as np
import pytest

from worldline.evaluation.consistency import called_moving, consistency, flow_residual
from worldline.scene import Scene
from worldline.synth.clips import make_clip


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_clip(4, "rigid", size=(128, 96), frames=9).scene


def test_a_perfect_scene_explains_its_pictures(scene):
    assert flow_residual(scene, 1) < 0.2
    assert flow_residual(scene, 4) < 0.3


def test_wrong_depth_raises_the_residual(scene):
    too_far = replace(scene, depth=1.5 * np.asarray(scene.depth))
    assert flow_residual(too_far, 1) > 2 * flow_residual(scene, 1)
    assert flow_residual(too_far, 4) > 1


def test_wrong_poses_raise_the_residual(scene):
    poses = np.array(scene.cameras.world_from_camera)
    poses[1:, :3, 3] += np.random.default_rng(0).normal(0, 0.05, (len(poses) - 1, 3))
    shaken = replace(scene, cameras=replace(scene.cameras, world_from_camera=poses))
    assert flow_residual(shaken, 1) > 1 and flow_residual(shaken, 4) > 1


def test_pixels_without_measured_depth_do_not_count(scene):
    depth, confidence = np.array(scene.depth), np.array(scene.confidence)
    depth[:, ::2], confidence[:, ::2] = 100, 0
    assert flow_residual(replace(scene, depth=depth, confidence=confidence), 1) < 0.2
    assert np.isnan(flow_residual(replace(scene, confidence=np.zeros_like(confidence)), 1))


def test_the_share_called_moving_is_exact(scene):
    dynamic = np.full(scene.dynamic.shape, 0.5, np.float32)  # undecided is not moving
    dynamic[:, :24] = 0.6
    dynamic[:3] = 0
    assert called_moving(replace(scene, dynamic=dynamic)) == pytest.approx(24 / 96 * 6 / 9)


def test_what_cannot_be_seen_is_nan(scene):
    everything = replace(scene, dynamic=np.ones_like(scene.dynamic))
    numbers = consistency(everything)
    assert numbers["called_moving"] == 1
    assert np.isnan(numbers["flow_residual_1"]) and np.isnan(numbers["flow_residual_4"])
    assert np.isnan(flow_residual(scene, len(scene)))  # no two frames are so far apart
