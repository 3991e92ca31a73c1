"""Protects CoTracker3: the published names and numbers, and what holds whatever the weights are."""

import subprocess
import sys

import pytest
import torch

from small_networks import COTRACKER3 as SMALL
from worldline.errors import InputError
from worldline.models import cotracker3
from worldline.models.cotracker3 import PUBLISHED, CoTracker3, renamed
from worldline.models.cotracker3_online import Stream
from worldline.models.golden.__main__ import main
from worldline.nn import sampling


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CoTracker3(SMALL).eval().requires_grad_(False)


@pytest.fixture
def clip():
    """Two videos of 15 frames, and five points in each, asked for in frames 0 to 14."""
    generator = torch.Generator().manual_seed(1)
    video = torch.rand(2, 15, 3, 32, 48, generator=generator) * 255
    xy = torch.rand(2, 5, 2, generator=generator) * torch.tensor([48, 32])
    return video, torch.cat([torch.tensor([0.0, 3, 7, 8, 14]).expand(2, 5)[..., None], xy], dim=-1)


def test_golden(golden_file):
    assert main([str(golden_file("cotracker3"))]) == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(manifest, name):
    published, shared = manifest(name.replace("-", "_"))
    assert shared == []
    with torch.device("meta"):
        ours = CoTracker3(PUBLISHED[name]).state_dict()
    renamings = {renamed(each): shape for each, shape in published.items()}
    assert {each: tuple(tensor.shape) for each, tensor in ours.items()} == renamings


def test_online_is_the_same_however_many_frames_come_at_a_time(network, clip):
    video, queries = clip

    def followed(pieces):
        stream = Stream(network, queries, 2)
        for piece in video.split(pieces, dim=1):
            stream.push(piece)
        return stream.finish()

    whole = followed([15])
    for pieces in ([1] * 15, [7, 8], [2, 13]):
        for ours, theirs in zip(followed(pieces), whole, strict=True):
            assert ours.shape[:3] == (2, 5, 15)
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 6, 7, 9, 10])
def test_online_takes_videos_of_any_length(network, clip, count):
    video, queries = clip
    stream = Stream(network, queries.clone().index_fill_(2, torch.tensor(0), 0), 1)
    stream.push(video[:, :count])
    assert stream.finish().xy.shape == (2, 5, count, 2)


def test_a_window_is_the_offline_network_on_its_frames(network, clip):
    video, queries = clip[0][:, :6], clip[1][:, :2]
    stream = Stream(network, queries, 3)
    stream.push(video)
    ours, theirs = stream.finish().tracks(4), network(video, queries, 3)
    torch.testing.assert_close(ours.xy, theirs.xy, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.visibility, theirs.visibility, atol=1e-5, rtol=0)


def test_a_stream_keeps_the_features_of_one_window(network, clip):
    video, queries = clip
    stream = Stream(network, queries, 1)
    for _ in range(3):
        stream.push(video)
        assert stream.maps[0].shape[1] <= SMALL.window


def test_points_asked_for_later_change_nothing_about_earlier_windows_features(network, clip):
    """What is remembered of a point is what its own frame shows, though windows overlap."""
    video, queries = clip
    stream = Stream(network, queries, 1)
    stream.push(video)
    stream.finish()
    maps = network.encode(video.flatten(0, 1))
    frames = queries[..., 0].long() + torch.tensor([[0], [15]])
    for ours, theirs in zip(
        stream.supports, network.supports(maps, frames, queries[..., 1:] / 4), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_order_of_points_is_of_no_matter(network, clip):
    video, queries = clip
    order = torch.tensor([3, 0, 4, 1, 2])
    ours = network(video, queries[:, order], 2)
    for each, other in zip(ours, network(video, queries, 2), strict=True):
        torch.testing.assert_close(each, other[:, :, order], atol=1e-4, rtol=0)


def test_each_video_of_a_batch_is_followed_by_itself(network, clip):
    video, queries = clip
    together = network(video, queries, 2)
    alone = network(video[1:], queries[1:], 2)
    torch.testing.assert_close(together.xy[1:], alone.xy, atol=1e-4, rtol=0)


def test_a_few_points_and_frames_at_a_time_change_nothing(network, clip, monkeypatch):
    at_once = network(*clip, 2)
    monkeypatch.setitem(sampling.WINDOW_ELEMENTS, "cpu", 1)
    monkeypatch.setattr(cotracker3, "FRAMES", 4)
    torch.testing.assert_close(network(*clip, 2).xy, at_once.xy, atol=1e-4, rtol=0)


def test_half_precision_keeps_positions_in_single(network, clip):
    exact = network(*clip, 1)
    rough = network.bfloat16()(*clip, 1)
    assert rough.xy.dtype == rough.visibility.dtype == torch.float32
    assert network.encode(clip[0][0])[0].dtype == torch.bfloat16
    assert 0 < (rough.xy - exact.xy).abs().max() < 0.3


def test_the_network_compiles_without_a_graph_break():
    """In a process of its own: the checks of shapes in these tests are breaks themselves."""
    script = f"""
import torch
from worldline.models.cotracker3 import CoTracker3, CoTracker3Config
network = CoTracker3({SMALL!r}).eval().requires_grad_(False)
video, queries = torch.rand(1, 6, 3, 32, 48) * 255, torch.ones(1, 4, 3)
ours = torch.compile(network, backend="eager", fullgraph=True)(video, queries, 2)
torch.testing.assert_close(ours, network(video, queries, 2))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_gradients_reach_every_parameter(clip):
    network = CoTracker3(SMALL)
    sum(each.sum() for each in network(clip[0][:1], clip[1][:1], 2)).backward()
    assert [name for name, each in network.named_parameters() if each.grad is None] == []


def test_frames_that_do_not_fit_the_stride_are_refused(network, clip):
    with pytest.raises(InputError, match="multiples of 4; these are 46 x 32"):
        network(clip[0][..., :46], clip[1])
