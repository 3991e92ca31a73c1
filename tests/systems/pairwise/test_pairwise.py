"""Protects the pairwise system: true pairs make the true world, of any network's units.

The networks here are the demo clip's truth, asked in pairs and answered in a unit drawn anew for
each; only the last tests run a network, which has not learned anything.
"""

import numpy as np
import pytest
import torch

import worldline
from worldline.errors import ReconstructionError
from worldline.io import Clip
from worldline.models.dust3r import Dust3r, Dust3rConfig, Pointmaps
from worldline.models.weights import save_weights
from worldline.scene import load_scene
from worldline.synth.demo import demo_truth
from worldline.systems.pairwise import pairwise
from worldline.systems.pairwise.pairs import Pairing, network_pairs
from worldline.systems.stages import Stages
from worldline.threads import one_thread

SIZE = (160, 90)
FRAMES = range(0, 48, 6)


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def truth():
    return demo_truth(FRAMES, SIZE)


def clip_of(truth, **known) -> Clip:
    frames = np.zeros((len(truth), SIZE[1], SIZE[0], 3), np.uint8)
    parts = {"intrinsics": None, "intrinsics_source": "unknown"} | known
    return Clip(
        frames=frames,
        times=truth.times,
        source="demo",
        fingerprint="",
        original_size=SIZE,
        total=len(frames),
        distortion=None,
        is_video=True,
        **parts,
    )


def true_pairs(truth, *, moves=False, noise=0.0, asked=None):
    """A pair model that knows the truth, but no unit."""

    def model(frames):
        rng = np.random.default_rng(0)

        def seen(i, j, at):
            """Frame j's points at a time, in frame i's camera."""
            camera = np.linalg.inv(truth.world_from_camera[i])
            points = truth.pointmap(j, at) @ camera[:3, :3].T + camera[:3, 3]
            return points * (1 + noise * rng.standard_normal((*points.shape[:2], 1)))

        def pairs(i, seconds):
            if asked is not None:
                asked.extend((i, j) for j in seconds)
            units = rng.uniform(0.1, 10, len(seconds))
            first = [s * seen(i, i, j if moves else i) for s, j in zip(units, seconds, strict=True)]
            second = [s * seen(i, j, j) for s, j in zip(units, seconds, strict=True)]
            return tuple(
                Pointmaps(
                    torch.tensor(np.array(points)).float(),
                    torch.full((len(seconds), *frames.shape[1:3]), 2.0),
                )
                for points in (first, second)
            )

        return pairs

    return model


def made(truth, pairing=None, clip=None, **choices):
    pairing = pairing or Pairing()
    model = true_pairs(truth, moves=pairing.moves, **choices)
    return pairwise(clip or clip_of(truth), Stages(), model, seed=0, pairing=pairing)


def errors(truth, scene):
    """Unit, largest pose errors (of the path, in degrees) and depth errors, after the unit."""
    unit = np.nanmedian(scene.depth / truth.depth)
    poses, true = scene.cameras.world_from_camera, truth.world_from_camera
    path = np.linalg.norm(true[:, :3, 3] - true[0, :3, 3], axis=-1).max()
    shift = np.linalg.norm(poses[:, :3, 3] / unit - true[:, :3, 3], axis=-1).max() / path
    cosine = (np.einsum("nij,nij->n", poses[:, :3, :3], true[:, :3, :3]) - 1) / 2
    turn = np.degrees(np.arccos(np.clip(cosine, -1, 1))).max()
    depth = np.abs(scene.depth / unit / truth.depth - 1)
    return unit, shift, turn, depth


def test_true_pairs_make_the_true_world(truth):
    scene = made(truth)
    _, shift, turn, depth = errors(truth, scene)
    assert shift < 1e-3 and turn < 0.01 and depth.max() < 1e-3
    assert np.allclose(scene.cameras.intrinsics, truth.intrinsics, rtol=1e-3)
    assert (scene.cameras.focal_sigma < 1e-2).all()
    assert np.median(scene.depth) == pytest.approx(1, rel=0.05)
    assert scene.motion.kind == "still" and not scene.dynamic.any()


@pytest.mark.parametrize("pairing", [Pairing(1, 1), Pairing(8, 1)])
def test_a_chain_and_all_pairs_do_as_well(truth, pairing):
    asked = []
    _, shift, turn, depth = errors(truth, made(truth, pairing, asked=asked))
    assert shift < 1e-3 and turn < 0.01 and depth.max() < 1e-3
    count = len(truth)
    assert len(asked) == (2 * (count - 1) if pairing.window == 1 else count * (count - 1))


def test_noise_averages_out(truth):
    _, few, _, _ = errors(truth, made(truth, Pairing(1, 1), noise=0.05))
    _, shift, turn, depth = errors(truth, made(truth, Pairing(8, 1), noise=0.05))
    assert shift < 0.01 and shift < few / 3 and turn < 0.2 and np.median(depth) < 0.02


def test_a_broken_pair_is_outvoted(truth):
    """One pair is a lie: another place, another unit, another order."""
    honest = true_pairs(truth)

    def model(frames):
        ask = honest(frames)

        def pairs(i, seconds):
            first, second = ask(i, seconds)
            if i == 3:
                k = seconds.index(4)
                second.points[k] = second.points[k].flip(0) * 3 + 1
            return first, second

        return pairs

    scene = pairwise(clip_of(truth), Stages(), model, seed=0)
    _, shift, turn, _ = errors(truth, scene)
    assert shift < 0.01 and turn < 0.1


def test_a_network_that_moves_points_makes_motion(truth, tmp_path):
    scene = made(truth, Pairing(window=8, stride=1, moves=True))
    unit, shift, turn, depth = errors(truth, scene)
    assert shift < 1e-3 and turn < 0.01 and depth.max() < 1e-3
    scene.save(tmp_path / "scene")
    for each in (scene, load_scene(tmp_path / "scene")):
        for i, j in ((2, 2), (0, 5), (7, 1)):
            moved = each.displacement(i, j) / unit
            assert np.abs(moved - truth.displacement(i, j)).max() < 0.02
    moves = np.linalg.norm([truth.displacement(2, j) for j in range(8)], axis=-1).max(axis=0) > 0.3
    assert (scene.dynamic[2] > 0.5)[moves].mean() > 0.95
    assert (scene.dynamic[2] > 0.5)[~truth.dynamic[2]].mean() < 0.01


def test_motion_between_and_beyond_the_frames_that_met(truth):
    field = made(truth, Pairing(window=1, moves=True)).motion
    pixels = np.array([[40.5, 60.5], [80.0, 30.0]])
    answer = field.query(3, np.array([3.0, 3.5, 4.0, 6.0]), pixels)
    assert not answer.displacement[0].any()
    assert np.allclose(answer.displacement[1], answer.displacement[2] / 2, atol=1e-5)
    assert np.array_equal(answer.displacement[3], answer.displacement[2])
    assert answer.confidence[:, 0].tolist() == [1, 1, 1, 0]
    whole = field.query(3, np.array([4.0])).displacement[0]
    assert np.array_equal(whole[60, 40], answer.displacement[2, 0])


def test_a_lens_that_is_given_is_kept(truth):
    given = clip_of(truth, intrinsics=truth.intrinsics, intrinsics_source="given")
    scene = made(truth, clip=given)
    assert np.array_equal(scene.cameras.intrinsics[3], truth.intrinsics)
    assert not scene.cameras.focal_sigma.any()


def test_known_cameras_are_said_to_be_left_out(truth):
    clip = clip_of(truth, known_poses=truth.world_from_camera)
    assert "no known cameras" in made(truth, clip=clip).provenance["warnings"][0]


@pytest.mark.parametrize("sign", [(1, 1, -1), (-1, -1, 1)])
def test_points_that_no_camera_sees_are_refused(truth, sign):
    honest = true_pairs(truth)

    def model(frames):
        def pairs(i, seconds):
            flip = torch.tensor(sign, dtype=torch.float32)
            return tuple(maps._replace(points=maps.points * flip) for maps in ask(i, seconds))

        ask = honest(frames)
        return pairs

    with pytest.raises(ReconstructionError):
        pairwise(clip_of(truth), Stages(), model, seed=0)


def untrained() -> Dust3r:
    torch.manual_seed(0)
    sizes = {"enc_dim": 32, "enc_depth": 2, "enc_heads": 2, "dec_dim": 16, "dec_depth": 4}
    dpt = {"dpt_features": 8, "dpt_read_off": 4, "dpt_channels": (4, 4, 8, 8)}
    config = Dust3rConfig(image=64, dec_heads=1, hooks=(0, 2, 3, 4), **sizes, **dpt)
    return Dust3r(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = untrained()
    for head in (network.downstream_head1, network.downstream_head2):
        torch.nn.init.constant_(head.scratch.output_conv2[2].bias, 0.5)  # in front of the camera
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path)
    return path


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_of_weights_makes_a_scene_of_a_video(
    tmp_path, textured, write_video, weights, count
):
    video = write_video(tmp_path / "clip.mp4", textured(count, 96, 64))
    choices = {"system": "pairwise", "weights": weights, "focal": 100.0}
    scene = worldline.reconstruct(video, out=tmp_path / "scene", **choices)
    assert scene.frames.shape == (count, 48, 64, 3)  # no side above the network's, whole patches
    assert np.isfinite(scene.depth).any() and (scene.confidence > 0).all()
    assert scene.motion.kind == "still" and not scene.displacement(0, count - 1).any()
    assert scene.provenance["weights"]["network"] == "dust3r"
    assert scene.provenance["pairs"] == max(1, count * (count - 1) - 2 * (count == 3))


def test_chunks_of_pairs_change_nothing(textured, monkeypatch):
    network, frames = untrained(), textured(3, 64, 48)
    whole = network_pairs(network)(frames)(1, [0, 2])
    monkeypatch.setattr(network, "pairs_at_once", lambda size, memory: 1)
    parts = network_pairs(network)(frames)(1, [0, 2])
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one.points, other.points, rtol=1e-4, atol=1e-5)
