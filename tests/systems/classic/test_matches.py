"""Matched features join the tracks, and carry them across where flow loses the picture."""

import cv2
import numpy as np
import pytest
from small_worlds import SIZE, moved, sliding, texture

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.matches import join, with_features
from worldline.systems.classic.tracks import ChainedTracker, PixelTracks

JUMP = np.array([[1.25, 0.0, -35.0], [0.0, 1.25, -24.0]])
BEFORE, AFTER = 6, 6


@pytest.fixture(scope="module")
def bank():
    """A still picture that jumps 30 px and grows by a quarter between two frames."""
    picture = texture(7, SIZE[1], SIZE[0], blur=1.2)
    still = np.eye(2, 3)
    frames = [moved(picture, still)] * BEFORE + [moved(picture, JUMP)] * AFTER
    return FlowBank(np.stack(frames))


@pytest.fixture(scope="module")
def tracks(bank):
    return ChainedTracker(bank)(bank.frames)


def test_a_jump_gets_tracks_that_cross_it_at_the_right_places(bank, tracks):
    across = tracks.visible[:, BEFORE - 1] & tracks.visible[:, BEFORE]
    joined = with_features(bank, tracks)
    new = joined[np.arange(len(tracks), len(joined))]
    crossing = new.visible[:, BEFORE - 1] & new.visible[:, BEFORE]
    assert crossing.sum() > max(16, across.sum())
    before, after = new.uv[crossing, BEFORE - 1], new.uv[crossing, BEFORE]
    error = np.linalg.norm(after - (before @ JUMP[:, :2].T + JUMP[:, 2]), axis=-1)
    assert np.median(error) < 0.4 and np.percentile(error, 90) < 1.5


def test_the_tracks_that_were_there_are_kept_as_they_are(bank, tracks):
    joined = with_features(bank, tracks)
    kept = joined[np.arange(len(tracks))]
    assert np.array_equal(kept.uv, tracks.uv) and np.array_equal(kept.visible, tracks.visible)
    assert (joined.visible.sum(axis=1) >= 2).all()
    assert (joined.mobility == 0.5).all()


def test_features_join_in_where_flow_follows_and_lie_where_the_picture_went():
    bank = FlowBank(sliding(6, (0.5, 0.2)))
    tracks = ChainedTracker(bank)(bank.frames)
    joined = with_features(bank, tracks)
    assert not tracks.matched.any() and joined.matched[len(tracks) :].all()
    new = joined[joined.matched]
    ends = new.visible[:, 0] & new.visible[:, 5]
    assert ends.sum() > 30
    moved = new.uv[ends, 5] - new.uv[ends, 0]
    assert np.median(np.linalg.norm(moved - (2.5, 1.0), axis=-1)) < 0.15


def test_plain_pictures_have_nothing_to_match():
    bank = FlowBank(np.full((4, 60, 80, 3), 90, np.uint8))
    tracks = ChainedTracker(bank)(bank.frames)
    lost = PixelTracks(
        tracks.uv,
        np.zeros_like(tracks.visible),
        tracks.confidence,
        tracks.mobility,
        tracks.texture,
        tracks.matched,
    )
    assert with_features(bank, lost) is lost


def test_pictures_of_different_things_are_not_linked():
    frames = np.stack([moved(texture(s, SIZE[1], SIZE[0]), np.eye(2, 3)) for s in (1, 1, 2, 2)])
    bank = FlowBank(frames)
    tracks = ChainedTracker(bank)(bank.frames)
    joined = with_features(bank, tracks)
    new = joined.visible[len(tracks) :]
    assert not (new[:, :2].any(axis=1) & new[:, 2:].any(axis=1)).any()


def test_the_same_clip_gives_the_same_tracks_twice(bank, tracks):
    cv2.setRNGSeed(99)
    one = with_features(bank, tracks)
    cv2.setRNGSeed(5)
    other = with_features(bank, tracks)
    assert np.array_equal(one.uv, other.uv) and np.array_equal(one.visible, other.visible)


def test_joining_appends(tracks):
    both = join(tracks, tracks[np.arange(3)])
    assert len(both) == len(tracks) + 3
    assert np.array_equal(both.confidence[-3:], tracks.confidence[:3])
