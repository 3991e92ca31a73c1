"""What is known of the demo clip is kept, and makes the rest of it better."""

from pathlib import Path

import numpy as np
import pytest

import worldline
from worldline.evaluation.reconstruction import evaluate_against
from worldline.synth.demo import demo_clip_path, demo_truth

FRAMES, SIZE = 16, (320, 180)
ENLARGED = np.diag([1.5, 1.5, 1.0])  # the clip is 480 pixels wide


@pytest.fixture(scope="module")
def truth():
    return demo_truth(range(FRAMES), SIZE)


def made(**known):
    return worldline.reconstruct(demo_clip_path(), size=SIZE[0], max_frames=FRAMES, **known)


@pytest.fixture(scope="module")
def alone(truth):
    return evaluate_against(truth, made())


@pytest.fixture(scope="module")
def archive(truth, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("known") / "truth.npz"
    np.savez(
        path,
        world_from_camera=truth.world_from_camera,
        intrinsics=ENLARGED @ np.broadcast_to(truth.intrinsics, (FRAMES, 3, 3)),
        depth=truth.depth.astype(np.float32),
        masks=truth.dynamic,
    )
    return path


def test_known_cameras_are_kept_and_better_the_demo_clip(truth, alone, archive):
    scene = made(cameras_from=archive)
    assert np.allclose(scene.cameras.world_from_camera, truth.world_from_camera, atol=1e-6)
    assert np.allclose(scene.cameras.intrinsics, truth.intrinsics, atol=1e-6)
    errors = evaluate_against(truth, scene)
    assert errors.depth_absrel_static_measured < alone.depth_absrel_static_measured
    assert scene.provenance["settings"]["cameras_from"] == "truth.npz"


def test_known_depth_is_kept_and_betters_the_demo_clip(truth, alone, archive):
    scene = made(depth_from=archive)
    assert np.array_equal(scene.depth, truth.depth.astype(np.float32))
    errors = evaluate_against(truth, scene)
    assert errors.displacement_epe_moving < alone.displacement_epe_moving


def test_known_masks_are_kept_and_better_the_demo_clip(truth, alone, archive):
    scene = made(masks_from=archive)
    assert np.array_equal(scene.dynamic > 0.5, truth.dynamic)
    errors = evaluate_against(truth, scene)
    assert errors.ate_percent < alone.ate_percent
    assert errors.depth_absrel_moving < alone.depth_absrel_moving
