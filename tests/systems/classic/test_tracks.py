"""Tracks stay on their points, cover the picture, and die where their points vanish."""

import numpy as np
import pytest
from small_worlds import sliding

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.tracks import (
    ChainedTracker,
    PointTracker,
    corner_strength,
    hold_ends,
    seed_points,
)

VELOCITY = np.array([0.71, -0.43])
COUNT = 16


def track(frames, **choices):
    return ChainedTracker(FlowBank(frames), **choices)(frames)


def errors(tracks, velocity=VELOCITY, age=10):
    """Distance of each track from the truth at its last frame, if it is at least `age` old."""
    first = tracks.visible.argmax(axis=1)
    last = tracks.visible.shape[1] - 1 - tracks.visible[:, ::-1].argmax(axis=1)
    old = np.flatnonzero(last - first >= age)
    travelled = (last - first)[old, None] * velocity
    start, end = tracks.uv[old, first[old]], tracks.uv[old, last[old]]
    return np.linalg.norm(end - start - travelled, axis=-1)


@pytest.fixture(scope="module")
def frames():
    return sliding(COUNT, VELOCITY)


@pytest.fixture(scope="module")
def tracks(frames):
    return track(frames)


def test_long_tracks_stay_on_their_points(tracks):
    found = errors(tracks)
    assert len(found) > 40
    assert np.median(found) < 0.15 and np.percentile(found, 90) < 0.3


def test_pinning_to_the_picture_drifts_less_than_chaining(frames, tracks, monkeypatch):
    monkeypatch.setattr(ChainedTracker, "_pin", lambda self, life, alive, t, moved: moved)
    assert np.median(errors(tracks)) < 0.6 * np.median(errors(track(frames)))


def test_every_cell_has_a_track_in_each_reseeded_frame(tracks):
    cell = 20
    for t in range(0, COUNT - 3, 3):
        at = (tracks.uv[tracks.visible[:, t], t] // cell).astype(int)
        taken = set(map(tuple, at))
        assert {(x, y) for x in range(1, 7) for y in range(1, 3)} <= taken


def test_tracks_end_where_the_picture_does(tracks):
    seen = tracks.uv[tracks.visible]
    assert (seen >= 0).all() and (seen <= [160, 96]).all()
    # content goes up and to the right: the last column's points left long before the end
    born = tracks.visible[:, 0] & (tracks.uv[:, 0, 0] > 150)
    assert born.any() and not tracks.visible[born, -1].any()


def test_tracks_end_where_something_hides_them():
    """Most do; a few cling to the edge of what hides them, but none is carried behind it."""
    frames = sliding(12, (5.0, 0.0))
    frames[:, 20:76, 90:130] = sliding(1, (0, 0), seed=5)[0, 20:76, 90:130]
    tracks = track(frames)
    start = tracks.uv[:, 0]
    hidden = tracks.visible[:, 0] & (start[:, 0] < 88) & (abs(start[:, 1] - 48) < 22)
    hidden &= start[:, 0] + 5.0 * 11 > 96
    assert hidden.sum() >= 8
    assert tracks.visible[hidden, -1].mean() < 0.3
    assert (tracks.uv[hidden, :, 0] < 96).all()


def test_the_same_seed_gives_the_same_tracks_and_another_seed_others(frames):
    one, same, other = (track(frames[:5], seed=s) for s in (3, 3, 4))
    for name in ("uv", "visible", "confidence", "texture"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.uv, other.uv)


def test_confidence_is_a_share_and_known_only_where_seen(tracks):
    assert ((tracks.confidence >= 0) & (tracks.confidence <= 1)).all()
    assert (tracks.confidence[~tracks.visible] == 0).all()
    assert (tracks.mobility == 0.5).all()
    assert isinstance(ChainedTracker(FlowBank(np.zeros((1, 20, 20, 3), np.uint8))), PointTracker)


def test_choosing_tracks_chooses_all_that_is_known_of_them(tracks):
    some = tracks[np.array([5, 2])]
    assert len(some) == 2
    assert np.array_equal(some.uv, tracks.uv[[5, 2]])
    assert np.array_equal(some.texture, tracks.texture[[5, 2]])


def test_progress_is_told_frame_by_frame(frames):
    told = []
    track(frames[:3], report=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_seeds_take_the_strongest_corner_of_each_empty_cell():
    image = np.full((40, 60), 100, np.uint8)
    image[28:, 48:] = 200  # one corner, in the last cell
    taken = np.array([[5.0, 5.0]], np.float32)
    seeds = seed_points(image, taken, 20, np.random.default_rng(0))
    assert len(seeds) == 2 * 5  # two in each of the five other cells
    cells = {tuple(cell) for cell in (seeds // 20).astype(int)}
    assert cells == {(x, y) for x in range(3) for y in range(2)} - {(0, 0)}
    best = seeds[4]
    assert np.abs(best - [48, 28]).max() <= 4


def test_texture_counts_the_worse_direction():
    edge = np.zeros((40, 40), np.uint8)
    edge[:, 20:] = 200
    corner = edge.copy()
    corner[:20] = 0
    assert corner_strength(edge).max() < 1e-2
    assert corner_strength(corner).max() > 100


def test_ends_are_held():
    uv = np.array([[[9, 9], [1, 2], [3, 4], [9, 9]]], np.float32)
    visible = np.array([[False, True, True, False]])
    assert hold_ends(uv, visible).tolist() == [[[1, 2], [1, 2], [3, 4], [3, 4]]]
