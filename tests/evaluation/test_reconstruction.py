"""A scene that is the truth has no error; each fault shows in its own number."""

from types import SimpleNamespace

import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation.reconstruction import SceneTruth, evaluate_against
from worldline.scene import Cameras, Scene, StillField
from worldline.synth.demo import demo_truth


@pytest.fixture(scope="module")
def truth():
    return demo_truth(range(0, 48, 3), size=(48, 27))


def perfect(truth, scale=1.0, motion=1.0):
    poses = truth.world_from_camera.copy()
    poses[:, :3, 3] *= scale
    cameras = SimpleNamespace(
        world_from_camera=poses, intrinsics=np.repeat(truth.intrinsics[None], len(truth), axis=0)
    )
    return SimpleNamespace(
        depth=truth.depth * np.float32(scale),
        confidence=np.ones_like(truth.depth),
        dynamic=truth.dynamic.astype(np.float32),
        cameras=cameras,
        displacement=lambda i, at: scale * motion * truth.displacement(i, at),
    )


def test_the_truth_at_any_scale_has_no_error(truth):
    errors = evaluate_against(truth, perfect(truth, scale=0.37))
    assert errors.ate_percent < 1e-9 and errors.rpe_rotation < 1e-6
    assert errors.focal_error_percent == 0
    assert errors.depth_absrel_static_measured < 1e-5 and errors.depth_absrel_moving < 1e-5
    assert errors.static_measured_share == 1 and errors.mask_iou == 1
    assert errors.displacement_epe_moving < 1e-6
    assert errors.displacement_epe_zero > 0.3


def test_a_still_answer_has_the_error_of_zero(truth):
    errors = evaluate_against(truth, perfect(truth, motion=0.0))
    assert errors.displacement_epe_moving == pytest.approx(errors.displacement_epe_zero)
    unknown = perfect(truth, motion=np.nan)
    assert evaluate_against(truth, unknown).displacement_epe_moving == pytest.approx(
        errors.displacement_epe_zero
    )


def test_only_measured_static_depth_counts_as_such(truth):
    scene = perfect(truth)
    filled = np.zeros_like(truth.dynamic)
    filled[:, :, :10] = True
    scene.confidence[filled] = 0
    scene.depth[filled] *= 3
    errors = evaluate_against(truth, scene)
    assert errors.depth_absrel_static_measured < 1e-5
    assert errors.static_measured_share == pytest.approx(1 - filled[~truth.dynamic].mean())
    moving_filled = filled[truth.dynamic].mean()
    assert errors.depth_absrel_moving == pytest.approx(2 * moving_filled, abs=1e-4)


def test_focal_error_and_mask(truth):
    scene = perfect(truth)
    scene.cameras.intrinsics = scene.cameras.intrinsics * np.array([1.02, 1.02, 1])[None, :, None]
    scene.dynamic = np.ones_like(scene.dynamic)
    errors = evaluate_against(truth, scene)
    assert errors.focal_error_percent == pytest.approx(2)
    assert errors.mask_iou == pytest.approx(truth.dynamic.mean())


def test_a_camera_that_stands_takes_its_scale_from_the_depth(truth):
    scene = perfect(truth, scale=2.0)
    scene.cameras.world_from_camera[:, :3, 3] = 0
    errors = evaluate_against(truth, scene)
    assert np.isnan(errors.ate_percent) and errors.rpe_rotation < 1e-6
    assert errors.depth_absrel_static_measured < 1e-5
    assert errors.displacement_epe_moving < 1e-5


def test_another_size_is_refused(truth):
    scene = perfect(truth)
    scene.depth = scene.depth[:, :-1]
    with pytest.raises(InputError, match="Depth"):
        evaluate_against(truth, scene)
    scene = perfect(truth)
    scene.cameras.intrinsics = scene.cameras.intrinsics[:1]
    with pytest.raises(InputError, match="Intrinsics"):
        evaluate_against(truth, scene)


def test_a_scene_can_be_the_truth_with_a_zooming_lens_and_a_sky():
    count, height, width = 13, 6, 8
    poses, lenses = np.tile(np.eye(4), (count, 1, 1)), np.tile(np.eye(3), (count, 1, 1))
    poses[:, 0, 3] = np.arange(count)
    lenses[:, 0, 0] = lenses[:, 1, 1] = np.linspace(10, 20, count)
    depth = np.full((count, height, width), 5.0, np.float32)
    depth[:, :2] = np.nan
    scene = Scene(
        frames=np.zeros((count, height, width, 3), np.uint8),
        times=np.arange(count) / 10,
        cameras=Cameras(poses, lenses, np.ones(count, bool), np.zeros(count)),
        depth=depth,
        confidence=np.ones_like(depth),
        dynamic=np.zeros_like(depth),
        motion=StillField(height, width),
        original_size=(width, height),
    )
    errors = evaluate_against(SceneTruth(scene), scene)
    assert errors.focal_error_percent == 0 and errors.ate_percent < 1e-9
    assert errors.depth_absrel_static_measured < 1e-6 and errors.static_measured_share == 1
    assert np.isnan(errors.displacement_epe_moving) and np.isnan(errors.depth_absrel_moving)
