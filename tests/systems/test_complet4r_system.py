"""Protects Complet4R as a system: a clip becomes a scene with the network's end points."""

import importlib

import numpy as np
import pytest
import torch

import worldline
from small_networks import COMPLET4R
from worldline.errors import InputError
from worldline.models.complet4r import Complet4r, own_points
from worldline.models.weights import save_weights
from worldline.scene import motion
from worldline.systems.feedforward.fitted import images
from worldline.threads import one_thread


@pytest.fixture(scope="module", autouse=True)
def without_threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = Complet4r(COMPLET4R)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("_token", "gamma")):  # all but nothing at first
                parameter.normal_(std=0.5)
        network.camera_head.pose_branch.fc2.bias[6:] = 0.25  # upright, a lens that one can buy
        network.aggregation_head.scratch.output_conv2[2].weight.mul_(4)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory, textured, write_video, weights):
    video = write_video(tmp_path_factory.mktemp("video") / "clip.mp4", textured(4, 70, 42))
    folder = tmp_path_factory.mktemp("scenes") / "clip.scene"
    worldline.reconstruct(video, out=folder, system="complet4r", weights=weights)
    return folder


@pytest.fixture(scope="module")
def scene(saved):
    return worldline.load_scene(saved)


def gathered(scene, weights, target: int) -> np.ndarray:
    """The network's own end points, in its own world."""
    network = worldline.load(weights)
    with torch.inference_mode():
        out = network(images(scene.frames, torch.device("cpu")), torch.tensor([target]))
    return out.points[0].numpy()


def test_the_scene_is_whole(scene):
    assert scene.frames.shape == (4, 42, 70, 3)
    assert np.isfinite(scene.depth).all() and (scene.depth > 0).all()
    assert (scene.confidence > 1).all()
    assert ((scene.dynamic >= 0) & (scene.dynamic <= 1)).all() and scene.dynamic.max() > 0
    assert scene.provenance["weights"]["network"] == "complet4r"


def test_displacement_is_from_end_point_to_end_point(scene, weights):
    assert not scene.displacement(1, at=1).any()
    at, home = (gathered(scene, weights, j)[1] for j in (3, 1))
    moved = scene.displacement(1, at=3)
    np.testing.assert_allclose(  # up to the scene's axes, and tokens stored with 8 bits
        np.linalg.norm(moved, axis=-1), np.linalg.norm(at - home, axis=-1), atol=0.05 * at.std()
    )
    half = scene.query(1, at=float(scene.times[1:3].mean())).displacement
    np.testing.assert_allclose(half, scene.displacement(1, at=2) / 2, atol=1e-6)


def test_end_points_of_the_scene_are_those_of_the_network_in_the_first_camera(scene, weights):
    points, sure = scene.motion.end_points(2, np.array([1.0]))
    theirs = gathered(scene, weights, 1)[2]
    turn, shift = scene.motion.to_world[:, :3], scene.motion.to_world[:, 3]
    np.testing.assert_allclose(points[0], theirs @ turn.T + shift, atol=0.05 * theirs.std())
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
    assert (sure > 1).all()
    network, field = worldline.load(weights), scene.motion
    with torch.inference_mode():
        poses, depth = (
            torch.from_numpy(np.array(part))[None] for part in (field.poses, field.depth)
        )
        own = own_points(poses, depth)[0, 3].numpy()
    assert isinstance(network, Complet4r)
    np.testing.assert_allclose(scene.pointmap(3), own @ turn.T + shift, rtol=1e-3, atol=1e-3)


def test_chosen_pixels_are_those_of_the_dense_map(scene):
    pixels = np.array([[0.5, 0.5], [40.2, 30.9], [69.9, 41.9]])
    dense, sparse = scene.displacement(0, 3), scene.displacement(0, 3, pixels)
    row, column = np.floor(pixels[:, 1]).astype(int), np.floor(pixels[:, 0]).astype(int)
    np.testing.assert_array_equal(sparse, dense[row, column])


def test_complete_is_made_of_end_points_and_fuses_what_overlaps(scene):
    cloud = scene.complete(at=2)
    ends = np.concatenate(
        [scene.motion.end_points(i, np.array([2.0]))[0].reshape(-1, 3) for i in range(4)]
    )
    assert 0 < len(cloud) < len(ends)
    low, high = ends.min(axis=0), ends.max(axis=0)
    assert ((cloud.xyz >= low - 1e-5) & (cloud.xyz <= high + 1e-5)).all()
    distance = np.linalg.norm(ends[:, None] - cloud.xyz[None, ::17], axis=-1).min(axis=0)
    assert np.median(distance) < 0.05 * ends.std()


def test_one_pass_a_target_is_computed_and_kept(scene, monkeypatch):
    passes = []
    original = Complet4r.aggregate
    monkeypatch.setattr(
        Complet4r, "aggregate", lambda *inputs: passes.append(1) or original(*inputs)
    )
    scene.motion._kept.clear()
    scene.tracks(np.array([[0, 3.5, 4.5], [2, 20.0, 20.0], [0, 50.0, 30.0]]))
    assert len(passes) == 4


def test_weights_are_needed_and_must_fit(saved, weights, tmp_path):
    with pytest.raises(InputError, match="give --weights FILE"):
        worldline.reconstruct(saved / "none.mp4", system="complet4r")
    scene = worldline.load_scene(saved)
    scene.motion.weights = scene.motion.weights | {"file": str(tmp_path / "gone.safetensors")}
    with pytest.raises(InputError, match="decoded by a network"):
        scene.displacement(0, at=1)


def test_stored_motion_is_found_where_it_lives():
    """A process that only loads scenes imports systems by these names alone."""
    for kind, home in motion._HOMES.items():
        importlib.import_module(home)
        assert kind in motion._LOADERS
