"""Protects geometry plus tracker: true depth and tracks give true motion; any network runs."""

import numpy as np
import pytest
import torch

import small_networks
import worldline
from worldline.errors import InputError
from worldline.models.cotracker3 import CoTracker3
from worldline.models.da3 import DA3, DA3Nested, DA3NestedConfig
from worldline.models.vggt import Vggt
from worldline.models.weights import save_weights
from worldline.systems.lifted.motion import in_world, mobility, spread


@pytest.fixture(scope="module")
def video(tmp_path_factory, textured, write_video):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", textured(5, 112, 80))


@pytest.fixture
def saved(tmp_path):
    def save(network: torch.nn.Module, name: str = "network"):
        for module in network.modules():  # a lens that one can buy, whichever head says it
            if isinstance(module, torch.nn.Linear) and module.out_features in (2, 9):
                torch.nn.init.constant_(module.bias[-2:], 1.0)
        save_weights(network, tmp_path / f"{name}.safetensors")
        return tmp_path / f"{name}.safetensors"

    return save


def checked(scene, metric=False):
    assert np.isfinite(scene.depth).all() and (scene.depth > 0).all()
    assert ((scene.dynamic >= 0) & (scene.dynamic <= 1)).all()
    assert np.isfinite(scene.pointmap(0, at=len(scene) - 1)).all()
    assert scene.metric == metric
    return scene


def test_depth_anything_with_optical_flow(video, saved):
    torch.manual_seed(0)
    scene = checked(
        worldline.reconstruct(video, system="da3", weights=saved(DA3(small_networks.DA3)))
    )
    assert scene.provenance["tracker"] == "chained optical flow"
    assert scene.frames.shape == (5, 84, 112, 3)


def test_the_nested_model_is_metric(video, saved):
    torch.manual_seed(0)
    weights = saved(DA3Nested(DA3NestedConfig(small_networks.DA3, small_networks.DA3_MONO)))
    checked(worldline.reconstruct(video, system="da3", weights=weights), metric=True)


def test_vggt_with_a_tracking_network(video, saved):
    torch.manual_seed(0)
    vggt = saved(Vggt(small_networks.VGGT), "vggt")
    tracker = saved(CoTracker3(small_networks.COTRACKER3), "tracker")
    scene = checked(worldline.reconstruct(video, system="vggt", weights=vggt, tracker=tracker))
    assert scene.provenance["tracker"] == "cotracker3"


def test_given_cameras_set_poses_and_unit(video, saved, tmp_path):
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = np.arange(5) * 3.0
    lens = np.array([[100.0, 0, 56], [0, 100, 40], [0, 0, 1]])
    np.savez(tmp_path / "cameras.npz", world_from_camera=poses, intrinsics=np.tile(lens, (5, 1, 1)))
    torch.manual_seed(0)
    scene = worldline.reconstruct(
        video,
        system="da3",
        weights=saved(DA3(small_networks.DA3)),
        cameras_from=tmp_path / "cameras.npz",
    )
    np.testing.assert_allclose(scene.cameras.world_from_camera, poses, atol=1e-5)
    np.testing.assert_allclose(scene.cameras.intrinsics[0, 0, 0], 100.0)


def test_weights_of_another_network_are_refused(video, saved):
    torch.manual_seed(0)
    tracker = saved(CoTracker3(small_networks.COTRACKER3))
    with pytest.raises(InputError, match="takes those of vggt"):
        worldline.reconstruct(video, system="vggt", weights=tracker)
    with pytest.raises(InputError, match="leave out --cameras rays"):
        worldline.reconstruct(video, system="vggt", weights=tracker, cameras="rays")
    with pytest.raises(InputError, match="leave out --tracker"):
        worldline.reconstruct(video, system="4rc", weights=tracker, tracker=tracker)


def moving_and_still():
    """Two tracks before a camera that slides: a still point, and one that goes with the camera."""
    count = 6
    pose = np.tile(np.eye(4), (count, 1, 1))
    pose[:, 0, 3] = np.arange(count) * 0.2
    K = np.tile(np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]]), (count, 1, 1))
    point = np.zeros((2, count, 3))
    point[0], point[1] = (0.3, 0, 4), (0, 0.2, 2)
    point[1, :, 0] += np.arange(count) * 0.2
    local = point - pose[:, :3, 3]
    uv = (local[..., :2] / local[..., 2:] * 100 + (50, 40)).astype(np.float32)
    depth = np.full((count, 80, 100), 4.0, np.float32)
    for t in range(count):
        x, y = uv[1, t].astype(int)
        depth[t, y - 4 : y + 5, x - 4 : x + 5] = 2.0
    return uv, np.ones((2, count), bool), depth, K, pose, point


def test_lifted_tracks_are_the_true_ones_and_the_mover_is_found():
    uv, visible, depth, K, pose, point = moving_and_still()
    xyz = in_world(uv, visible, depth, K, pose)
    np.testing.assert_allclose(xyz, point, atol=1e-4)
    moves = mobility(uv, visible, xyz, K, np.linalg.inv(pose), (80, 100))
    assert moves[0] < 0.01 and moves[1] > 0.9
    dynamic = spread(uv, visible, moves, depth)
    assert (dynamic[depth < 3] > 0.9).all() and dynamic[depth > 3].mean() < 0.1


def test_a_hidden_point_goes_on_between_where_it_is_seen():
    uv, visible, depth, K, pose, point = moving_and_still()
    visible[1, 2:4] = False
    xyz = in_world(uv, visible, depth, K, pose)
    np.testing.assert_allclose(xyz[1], point[1], atol=1e-4)
