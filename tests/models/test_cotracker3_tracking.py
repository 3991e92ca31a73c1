"""Protects how users follow points: pixels, frames, visibility, both directions, groups."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from small_networks import COTRACKER3
from worldline.errors import InputError
from worldline.models import cotracker3_tracking
from worldline.models.cotracker3 import CoTracker3, Tracks
from worldline.models.cotracker3_tracking import context_grid, every_pixel

SMALL = replace(COTRACKER3, window=4, time_depth=1)
track = partial(cotracker3_tracking.track, context=2, iterations=2)
FRAMES = torch.randint(
    256, (9, 40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
QUERIES = torch.tensor([[4.0, 10.25, 7.5], [0.0, 0.5, 39.5], [8.0, 31.0, 20.0]])


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[False, True], ids=["offline", "online"])
def network(request):
    torch.manual_seed(0)
    return CoTracker3(replace(SMALL, online=request.param)).eval()


@pytest.fixture
def still(network, monkeypatch):
    """A network that sees nothing move; how sure it is can be set, in logits."""

    def set_to(visibility: float = 0.0, confidence: float = 0.0) -> CoTracker3:
        def refine(maps, frames, supports, estimate, iterations):
            seen = estimate.visibility.new_full(estimate.visibility.shape, visibility)
            return estimate._replace(visibility=seen, confidence=seen * 0 + confidence)

        monkeypatch.setattr(network, "refine", refine)
        return network

    return set_to


def test_what_stands_still_stays_at_its_pixel(still):
    """Whatever the sizes: centres of pixels are half a pixel from ours to the network's zero."""
    tracks = track(still(), FRAMES, QUERIES)
    assert tracks.xy.shape == (3, 9, 2)
    torch.testing.assert_close(tracks.xy, QUERIES[:, None, 1:].expand(-1, 9, -1))


def test_corner_pixels_centres_are_the_networks_corners(still, monkeypatch):
    network, seen = still(), []
    monkeypatch.setattr(
        cotracker3_tracking._Video,
        "follow",
        lambda self, queries, reverse: (
            seen.append(queries),
            Tracks(torch.zeros(1, 9, len(queries), 2), *torch.zeros(2, 1, 9, len(queries))),
        )[1],
    )
    track(network, FRAMES, torch.tensor([[0, 0.5, 0.5], [3, 49.5, 39.5]]), context=0)
    torch.testing.assert_close(seen[0], torch.tensor([[0.0, 0, 0], [3, 47, 31]]))


def test_a_point_is_visible_where_it_was_asked_for(network):
    tracks = track(network, FRAMES, QUERIES)
    home = torch.arange(3), QUERIES[:, 0].long()
    torch.testing.assert_close(tracks.xy[home], QUERIES[:, 1:])
    assert tracks.visible[home].all()
    assert not torch.allclose(tracks.xy[0, 5], QUERIES[0, 1:])  # elsewhere the network decides


@pytest.mark.parametrize(
    ("logits", "offline", "online"),
    [((2.1, -9.0), False, False), ((2.3, -9.0), True, False), ((1.5, 1.5), False, True)],
)
def test_offline_looks_at_visibility_online_at_confidence_too(still, logits, offline, online):
    network = still(*logits)
    visible = track(network, FRAMES, QUERIES).visible[0]
    assert visible[5:].eq(online if network.config.online else offline).all()


def test_online_says_nothing_before_a_points_frame_unless_asked_to_look_back(still):
    network = still(9.0, 9.0)
    online = network.config.online
    assert track(network, FRAMES, QUERIES).visible[0, :4].eq(not online).all()
    assert track(network, FRAMES, QUERIES, backward=True).visible.all()


def test_looking_back_is_looking_forward_in_the_reversed_video(network):
    late = torch.tensor([[8.0, 10.25, 7.5], [8.0, 30.5, 20.0]])
    first = late * torch.tensor([0, 1, 1])
    back = track(network, FRAMES, late, context=0, backward=True)
    forward = track(network, FRAMES.flip(0), first, context=0)
    torch.testing.assert_close(back.xy, forward.xy.flip(1), atol=1e-3, rtol=0)
    expected = forward.visibility.flip(1)[:, :8]
    torch.testing.assert_close(back.visibility[:, :8], expected, atol=1e-4, rtol=0)


def test_looking_back_changes_nothing_from_a_points_frame_on(network):
    forward = track(network, FRAMES, QUERIES)
    both = track(network, FRAMES, QUERIES, backward=True)
    torch.testing.assert_close(both.xy[0, 4:], forward.xy[0, 4:])
    assert not torch.allclose(both.xy[0, :4], forward.xy[0, :4], atol=1e-3)


def test_groups_are_followed_apart_and_put_back_in_order(network):
    queries = torch.cat([QUERIES, QUERIES + torch.tensor([0, 1, -1])])
    tracks = track(network, FRAMES, queries, together=2)
    for group in range(3):
        alone = track(network, FRAMES, queries[group::3])
        torch.testing.assert_close(tracks.xy[group::3], alone.xy, atol=1e-4, rtol=0)
        assert torch.equal(tracks.visible[group::3], alone.visible)


def test_context_is_heard_and_not_returned(network):
    with_it, without = (track(network, FRAMES, QUERIES, context=count) for count in (3, 0))
    assert with_it.xy.shape == without.xy.shape
    assert not torch.allclose(with_it.xy[0, 8], without.xy[0, 8], atol=1e-4)


def test_an_offline_network_encodes_a_frame_once_whatever_is_asked(network, monkeypatch):
    encoded = []
    encode = network.encode
    monkeypatch.setattr(
        network, "encode", lambda part: (encoded.append(len(part)), encode(part))[1]
    )
    track(network, FRAMES, QUERIES, backward=True, together=2)
    assert sum(encoded) == (4 * 9 if network.config.online else 9)


def test_the_grid_leaves_a_margin_of_a_64th_of_the_width():
    grid = context_grid(3, (32, 64))
    assert grid[[0, 1, 3, -1]].tolist() == [[1, 1], [32, 1], [1, 16], [63, 31]]
    assert context_grid(1, (32, 64)).tolist() == [[32, 16]]
    assert context_grid(0, (32, 64)).shape == (0, 2)


def test_every_pixel_is_asked_for_at_its_centre():
    assert every_pixel(3, 4, frame=2, step=2).tolist() == [
        [2, 0.5, 0.5],
        [2, 2.5, 0.5],
        [2, 0.5, 2.5],
        [2, 2.5, 2.5],
    ]


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (torch.empty(0, 3), "no points"),
        (torch.tensor([[9.0, 1, 1]]), "frames 9 to 9; the video has 0 to 8"),
        (torch.tensor([[-1.0, 1, 1]]), "frames -1 to -1"),
        (torch.tensor([[0.0, float("nan"), 1]]), "finite"),
    ],
)
def test_queries_that_are_not_in_the_video_are_refused(network, queries, message):
    with pytest.raises(InputError, match=message):
        track(network, FRAMES, queries)


def test_a_picture_of_one_line_is_refused(network):
    with pytest.raises(InputError, match="2 x 2"):
        track(network, FRAMES[:, :1], QUERIES)
