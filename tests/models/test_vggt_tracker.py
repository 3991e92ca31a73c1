"""Protects VGGT's tracker: published names, and what must hold whatever the weights are."""

import pytest
import torch

from worldline.errors import InputError
from worldline.models.vggt_tracker import (
    VggtTracker,
    VggtTrackerConfig,
    grid_embedding,
    motion_embedding,
)
from worldline.nn import sampling

SMALL = VggtTrackerConfig(
    latent=8, hidden=16, heads=2, depth=2, virtual_tracks=3, levels=3, radius=1
)


@pytest.fixture
def tracker():
    torch.manual_seed(0)
    return VggtTracker(SMALL).eval().requires_grad_(False)


@pytest.fixture
def clip():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 4, 8, 12, 16, generator=generator)
    return features, torch.rand(2, 5, 2, generator=generator) * 24


def test_names_and_shapes_are_the_published_ones(manifest):
    prefix = "track_head.tracker."
    published = {
        name.removeprefix(prefix): shape
        for name, shape in manifest("vggt")[0].items()
        if name.startswith(prefix)
    }
    with torch.device("meta"):
        ours = VggtTracker(VggtTrackerConfig()).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == published


def test_points_stay_where_they_were_asked_for(tracker, clip):
    features, points = clip
    tracks, seen, sure = tracker(features, points, 3)
    assert len(tracks) == 3 and tracks[0].shape == (2, 4, 5, 2)
    for each in tracks:
        torch.testing.assert_close(each[:, 0], points)
        assert not torch.allclose(each[:, 1], points, atol=1e-3)
    for each in (seen, sure):
        assert each.shape == (2, 4, 5) and each.gt(0).all() and each.lt(1).all()


def test_the_order_of_points_is_of_no_matter(tracker, clip):
    features, points = clip
    order = torch.tensor([3, 0, 4, 1, 2])
    tracks, seen, _ = tracker(features, points, 2)
    again, seen_again, _ = tracker(features, points[:, order], 2)
    torch.testing.assert_close(again[-1], tracks[-1][:, :, order], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen_again, seen[:, :, order], atol=1e-4, rtol=0)


def test_each_clip_of_a_batch_is_followed_by_itself(tracker, clip):
    features, points = clip
    together = tracker(features, points, 2)[0][-1]
    alone = tracker(features[1:], points[1:], 2)[0][-1]
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=0)


def test_correlating_a_few_points_at_a_time_changes_nothing(tracker, clip, monkeypatch):
    features, points = clip
    at_once = tracker(features, points, 2)[0][-1]
    monkeypatch.setitem(sampling.WINDOW_ELEMENTS, "cpu", 1)
    torch.testing.assert_close(tracker(features, points, 2)[0][-1], at_once, atol=1e-4, rtol=0)


def test_correlation_is_that_of_the_whole_map_with_zeros_around_it(tracker):
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 6, 7, 8, generator=generator)
    feature = torch.randn(1, 1, 2, 8, generator=generator)
    at = torch.tensor([0.0, 2.0])
    found = tracker.correlation([features], at.expand(1, 1, 2, 2), feature)
    whole = torch.einsum("tyxc,bntc->tyx", features, feature) / 8**0.5
    around = torch.nn.functional.pad(whole, (1, 1, 1, 1))[:, 2:5, 0:3]  # (2, 0) +- 1
    torch.testing.assert_close(found[0, 0], around.transpose(1, 2).flatten(1))


def test_pictures_too_small_for_the_pyramid_are_refused(tracker, clip):
    features, points = clip
    with pytest.raises(InputError, match="8 pixels or more a side; these are about 32 x 6"):
        tracker(features[..., :3, :], points)


def test_embedding_of_a_place_is_sampled_from_that_of_pixels():
    grid = torch.tensor([[2.0, 1.0], [3.0, 1.0], [2.5, 1.0], [9.0, -4.0], [4.0, 0.0]])
    left, right, between, outside, corner = grid_embedding(grid, 5, 3, 12)
    torch.testing.assert_close(between, (left + right) / 2)
    torch.testing.assert_close(outside, corner)
    frequencies = 10000 ** -(torch.arange(3) / 3)
    expected = [(2 * frequencies).sin(), (2 * frequencies).cos()]
    torch.testing.assert_close(left[:6], torch.cat(expected))


def test_embedding_of_motion_has_sine_and_cosine_in_turn():
    x, y = motion_embedding(torch.tensor([0.01, 0.0]), 8).split(4)
    torch.testing.assert_close(y, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    phase = torch.tensor(0.01 * 2 * 1000 / 4)
    torch.testing.assert_close(x, torch.stack([x[0] * 0, x[1] * 0 + 1, phase.sin(), phase.cos()]))
