"""What moves is found; what rests is not, however noisy or striped it is."""

import numpy as np
import pytest
from small_worlds import SIZE, sliding, texture

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.masks import look_up, motion_masks, static_tracks
from worldline.systems.classic.pairs import PairModel, neighbours, vote_mobility
from worldline.systems.classic.tracks import ChainedTracker, PixelTracks


def judge(frames):
    bank = FlowBank(frames)
    tracks, models = vote_mobility(ChainedTracker(bank)(frames), frames.shape[2:0:-1])
    return motion_masks(bank, models, tracks), tracks


def with_box(frames, velocity, start=(50, 30), size=(40, 36)):
    """Frames with a box of another texture over them, and where it is."""
    out, truth = frames.copy(), np.zeros(frames.shape[:3], bool)
    box = texture(9, size[1], size[0])
    for t in range(len(out)):
        x, y = (int(s + t * v) for s, v in zip(start, velocity, strict=True))
        out[t, y : y + size[1], x : x + size[0]] = box[..., None]
        truth[t, y : y + size[1], x : x + size[0]] = True
    return out, truth


def noisy(frames, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def iou(found, truth):
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("pan", [(0.0, 0.0), (1.5, 0.4)])
def test_a_box_that_moves_by_itself_is_found(pan):
    frames, truth = with_box(sliding(7, pan), (4, 3))
    dynamic, _ = judge(frames)
    assert dynamic.shape == truth.shape and ((dynamic >= 0) & (dynamic <= 1)).all()
    assert iou(dynamic > 0.5, truth) > 0.7


@pytest.mark.parametrize("pan", [(0.0, 0.0), (1.5, 0.4)])
def test_a_static_clip_with_noise_has_no_movers(pan):
    dynamic, tracks = judge(noisy(sliding(7, pan), 4.0))
    assert (dynamic > 0.5).mean() < 0.002
    assert (tracks.mobility > 0.5).mean() < 0.02


def test_a_mover_that_pauses_is_still_a_mover():
    frames, truth = with_box(sliding(5, (0, 0)), (4, 2))
    frames = np.concatenate([frames, np.repeat(frames[-1:], 3, axis=0)])
    dynamic, _ = judge(frames)
    assert iou(dynamic[6] > 0.5, truth[-1]) > 0.6


class Aperture:
    """Flow of a pan of 2 px a frame as seen through a hole: in the stripes only its part across.

    The frames carry their number in their first pixel.
    """

    name = "aperture"

    def __call__(self, source, target):
        steps = int(target[0, 0, 0]) - int(source[0, 0, 0])
        flow = np.zeros((*source.shape[:2], 2), np.float32)
        flow[..., 0] = 2.0 * steps
        flow[24:72, 50:110] = 1.0 * steps
        return flow


@pytest.mark.parametrize("striped", [True, False])
def test_flow_along_stripes_is_not_believed(striped):
    """Slanted stripes seem to leave the epipolar lines; what is textured both ways really does."""
    frames = sliding(7, (2.0, 0.0))
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    stripes = 128 + 70 * np.sin(0.5 * x + 0.5 * y)
    for t in range(len(frames)):
        if striped:
            frames[t, 24:72, 50:110] = stripes[24:72, 50:110, None]
        frames[t, 0, 0] = t
    sideways = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    models = [
        PairModel(i, j, sideways, False, 0.05) for i in range(7) for j in neighbours(i, 7) if j > i
    ]
    nobody = PixelTracks(
        np.zeros((0, 7, 2), np.float32),
        np.zeros((0, 7), bool),
        np.zeros((0, 7), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, bool),
    )
    moving = motion_masks(FlowBank(frames, Aperture()), models, nobody)[:, 30:66, 56:104] > 0.5
    assert moving.mean() < 0.1 if striped else moving.mean() > 0.9


def test_without_pairs_nothing_moves():
    frames = sliding(2, (3.0, 0.0))
    bank = FlowBank(frames)
    dynamic = motion_masks(bank, [], ChainedTracker(bank)(frames))
    assert (dynamic <= 0.5).all()


def test_tracks_over_moving_pixels_or_with_a_vote_against_them_are_not_static():
    masks = np.zeros((4, 10, 10), np.float32)
    masks[:2, :, 5:] = 1.0
    uv = np.full((3, 4, 2), 2.5, np.float32)
    uv[1, :, 0] = 7.5
    mobility = np.array([0.1, 0.1, 0.9], np.float32)
    ones = np.ones((3, 4), bool)
    tracks = PixelTracks(
        uv, ones, ones.astype(np.float32), mobility, np.ones(3, np.float32), np.zeros(3, bool)
    )
    assert static_tracks(tracks, masks).tolist() == [True, False, False]


def test_maps_are_looked_up_in_each_frame_and_clipped_at_the_border():
    maps = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    uv = np.array([[[0.2, 0.9], [3.9, 2.1]], [[-4, 1.5], [50, 50]]], np.float32)
    assert look_up(maps, uv).tolist() == [[0, 23], [4, 23]]


class Astray:
    """Flow that goes 30 px wrong in the right half of the picture, there and back."""

    name = "astray"

    def __call__(self, source, target):
        forward = source.mean() <= target.mean()
        flow = np.zeros((*source.shape[:2], 2), np.float32)
        flow[:, source.shape[1] // 2 :, 1] = 30.0 if forward else -30.0
        return flow


@pytest.mark.parametrize("witnessed", [True, False])
def test_flow_that_the_tracks_contradict_is_not_believed(witnessed):
    picture = noisy(sliding(1, (0, 0)), 30.0)[0]
    frames = np.stack([np.clip(picture.astype(int) + t, 0, 255) for t in range(5)]).astype(np.uint8)
    sideways = np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    models = [
        PairModel(i, j, sideways, False, 0.05) for i in range(5) for j in neighbours(i, 5) if j > i
    ]
    height, width = SIZE[1], SIZE[0]
    grid = np.stack(np.meshgrid(np.arange(6, width, 8), np.arange(6, height, 8)), axis=-1)
    uv = np.repeat(grid.reshape(-1, 1, 2).astype(np.float32), 5, axis=1)
    chosen = np.ones(len(uv), bool) if witnessed else uv[:, 0, 0] < width / 2
    uv = uv[chosen]
    seen = np.ones(uv.shape[:2], bool)
    plain = np.full(len(uv), 1e-6, np.float32)  # tracks that have no vote of their own
    tracks = PixelTracks(
        uv, seen, seen.astype(np.float32), 0 * plain, plain, np.zeros(len(uv), bool)
    )
    dynamic = motion_masks(FlowBank(frames, Astray()), models, tracks)
    right = (dynamic[:, 10 : height - 40, width // 2 + 20 : width - 10] > 0.5).mean()
    assert right < 0.3 if witnessed else right > 0.9
