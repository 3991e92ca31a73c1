"""Protects 4RC as a system: a video and a file of weights become a scene that answers."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import worldline
from small_networks import FOUR_RC
from worldline.errors import InputError
from worldline.geometry.alignment import umeyama
from worldline.io import Clip
from worldline.models.fourrc import FourRC, world_points
from worldline.models.weights import save_weights
from worldline.systems.feedforward.fitted import fitted, images


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = FourRC(FOUR_RC)
    for block in network.motion_decoder.self_blocks:  # they begin as the identity
        torch.nn.init.normal_(block.adaLN_modulation[1].weight, std=0.1)
    torch.nn.init.constant_(network.cam_dec.fc_fov[0].bias, 1.0)  # a lens that one can buy
    torch.nn.init.constant_(network.head.scratch.output_conv2_aux[3][5].bias, 0.5)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory, textured, write_video):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", textured(5, 112, 80))


@pytest.fixture(scope="module")
def saved(tmp_path_factory, video, weights):
    folder = tmp_path_factory.mktemp("scenes") / "clip.scene"
    worldline.reconstruct(video, out=folder, system="4rc", weights=weights, precision="float32")
    return folder


@pytest.fixture(scope="module")
def scene(saved):
    return worldline.load_scene(saved)


def test_the_scene_is_whole(scene, weights):
    assert scene.frames.shape == (5, 84, 112, 3)  # multiples of the patch
    assert np.isfinite(scene.depth).all() and (scene.depth > 0).all()
    assert (scene.confidence > 1).all()
    assert ((scene.dynamic >= 0) & (scene.dynamic <= 1)).all() and scene.dynamic.max() > 0
    record = scene.provenance["weights"]
    assert record["network"] == "fourrc" and len(record["sha256"]) == 64


def test_points_are_those_of_the_network(scene, weights):
    """The house's pixels begin half a pixel later, and its world is the first camera."""
    network = worldline.load(weights)
    with torch.inference_mode():
        _, views = network.encode(images(scene.frames, torch.device("cpu")))
        theirs = world_points(views)[0].double().numpy()
    ours = np.stack([scene.pointmap(i) for i in range(5)]).astype(np.float64)
    ours, theirs = (torch.from_numpy(points.reshape(-1, 3)) for points in (ours, theirs))
    _, rotation, translation = umeyama(theirs[::97], ours[::97], with_scale=False)
    assert (theirs @ rotation.mT + translation - ours).abs().max() < 1e-3 * ours.abs().max()


def test_chosen_pixels_are_those_of_the_dense_map(scene):
    pixels = np.array([[0.5, 0.5], [40.2, 30.9], [111.9, 83.9], [70.0, 12.0]])
    for source, at in ((1, 3), (4, 0)):
        dense = scene.displacement(source, at)
        sparse = scene.displacement(source, at, pixels)
        row, column = np.floor(pixels[:, 1]).astype(int), np.floor(pixels[:, 0]).astype(int)
        np.testing.assert_allclose(sparse, dense[row, column], atol=1e-4)


def test_answers_that_were_kept_are_those_that_are_decoded_anew(saved, scene):
    first = scene.displacement(3, [0, 1])
    pixels = np.array([[10.5, 20.5], [100.5, 60.5]])
    kept = scene.displacement(3, [1, 0], pixels)
    anew = worldline.load_scene(saved)
    np.testing.assert_allclose(anew.displacement(3, [1, 0], pixels), kept, atol=1e-4)
    np.testing.assert_array_equal(scene.displacement(3, [0, 1]), first)
    np.testing.assert_allclose(kept[::-1], first[:, [20, 60], [10, 100]], atol=1e-6)


def test_motion_is_zero_at_home_and_linear_between_frames(scene):
    assert not scene.displacement(2, 2).any()
    ends = scene.displacement(2, [3, 4])
    time = float(scene.times[3] * 0.75 + scene.times[4] * 0.25)
    between = scene.displacement(2, [time])[0]
    np.testing.assert_allclose(between, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-5)
    assert np.abs(ends).max() > 0


def test_a_loaded_scene_needs_no_video_but_its_own_weights(saved, scene, weights, tmp_path):
    copy = tmp_path / "copy.scene"
    shutil.copytree(saved, copy)
    again = worldline.load_scene(copy)
    np.testing.assert_array_equal(again.displacement(0, 4), scene.displacement(0, 4))
    other = weights.with_name("other.safetensors")
    shutil.copy(weights, other)
    weights.rename(weights.with_suffix(".moved"))
    try:
        with pytest.raises(InputError, match="are needed at"):
            worldline.load_scene(copy).displacement(0, 4)
        torch.manual_seed(5)
        save_weights(FourRC(FOUR_RC), weights)
        with pytest.raises(InputError, match="other weights"):
            worldline.load_scene(copy).displacement(0, 4)
    finally:
        weights.with_suffix(".moved").rename(weights)


def test_any_command_can_open_the_scene(saved):
    """In a process that has not made it: the latent's kind is found by its name."""
    script = f"""
import worldline
scene = worldline.load_scene({str(saved)!r})
assert scene.motion.kind == "4rc" and scene.export({str(saved.parent / "scene.npz")!r}).exists()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_half_precision_deviates_little(video, weights, scene):
    half = worldline.reconstruct(video, system="4rc", weights=weights, precision="bfloat16")
    assert half.motion.network.products == torch.bfloat16
    error = np.abs(half.depth / scene.depth - 1)
    assert 0 < error.max() < 0.05
    moved = scene.displacement(0, 4)
    assert np.abs(half.displacement(0, 4) - moved).max() < 0.05 * np.abs(moved).max()


def test_cameras_from_rays(video, weights):
    scene = worldline.reconstruct(video, system="4rc", weights=weights, cameras="rays")
    assert np.isfinite(scene.cameras.world_from_camera).all()
    assert scene.provenance["settings"]["cameras"] == "rays"


def test_one_image_is_a_scene_too(video, weights):
    scene = worldline.reconstruct(video, system="4rc", weights=weights, max_frames=1)
    assert len(scene) == 1 and np.isfinite(scene.depth).all()


def test_bad_choices_are_said(video, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match="worldline download 4rc"):
        worldline.reconstruct(video, system="4rc")
    with pytest.raises(InputError, match="has no network"):
        worldline.reconstruct(video, system="classic", weights=weights)
    with pytest.raises(InputError, match="cannot be used here"):
        worldline.reconstruct(video, system="4rc", weights=weights, device="abacus")


@pytest.mark.parametrize(
    ("size", "expected"), [((640, 360), (504, 280)), ((360, 640), (280, 504)), ((30, 20), (28, 14))]
)
def test_frames_fit_the_patches(size, expected):
    frames = np.zeros((2, size[1], size[0], 3), np.uint8)
    K = np.array([[100.0, 0, size[0] / 2], [0, 100, size[1] / 2], [0, 0, 1]])
    clip = Clip(frames, np.arange(2.0), "x", "x", size, 2, K, "given", None, True)
    small = fitted(clip, 14, 504)
    assert small.frames.shape[2:0:-1] == expected
    np.testing.assert_allclose(small.intrinsics[:2, 2] * 2, expected)
