"""Batches without end: seeds in order, from their own split, and where a state says."""

from itertools import pairwise

import pytest
import torch

from worldline.errors import InputError
from worldline.synth.clips import make_clip
from worldline.synth.splits import SPLITS, check_seeds, split_of
from worldline.synth.stream import SyntheticWorlds

SMALL = {"size": (32, 24), "frames": 3, "batch": 2}


def worlds(split="train", mix="primitives", device="cpu", **choices):
    return SyntheticWorlds(split, mix, device=device, **(SMALL | choices))


@pytest.fixture(scope="module")
def batch(device):
    return next(worlds(device=device))


def test_a_batch_has_all_truth_on_the_device_that_trains(batch, device):
    for name in ("rgb", "depth", "normals", "instance", "dynamic", "world_from_camera"):
        value = getattr(batch, name)
        assert value.device.type == torch.device(device).type, name
        assert value.shape[:2] == (2, 3), name
    assert batch.rgb.shape == (2, 3, 24, 32, 3) and 0 <= batch.rgb.min() <= batch.rgb.max() <= 1
    assert torch.equal(batch.world_from_camera[:, 0].cpu(), torch.eye(4).expand(2, 4, 4))
    seen = batch.instance >= 0
    assert torch.equal(seen, batch.depth.isfinite())
    assert (batch.normals.norm(dim=-1)[seen] - 1).abs().max() < 1e-3


def test_its_displacement_is_that_of_the_clips_scene(batch):
    scene = make_clip(batch.seeds[1], "primitives", size=(32, 24), frames=3, samples=1).scene
    moved = batch.displacement(0, batch.times[:, 1:])[1].cpu()
    expected = torch.from_numpy(scene.displacement(0, at=[1, 2]))
    known = batch.depth[1, 0].isfinite().cpu()
    assert (moved - expected)[:, known].abs().max() < 1e-4
    visible = torch.from_numpy(scene.query(0, 2).visible)
    assert (batch.visible(0, 2)[1].cpu() == visible)[known].float().mean() > 0.98


def test_seeds_come_in_order_once_among_all_ranks():
    first = [next(worlds(rank=rank, ranks=2)).seeds for rank in (0, 1)]
    assert first == [(0, 1), (2, 3)]
    stream = worlds(rank=1, ranks=2)
    assert [next(stream).seeds for _ in range(2)] == [(2, 3), (6, 7)]


def test_it_goes_on_where_its_state_says():
    stream = worlds()
    next(stream)
    state = stream.state_dict()
    expected = next(stream)
    other = worlds()
    other.load_state_dict(state)
    again = next(other)
    assert again.seeds == expected.seeds == (2, 3)
    assert torch.equal(again.rgb, expected.rgb) and torch.equal(again.depth, expected.depth)
    with pytest.raises(InputError, match="the state is of"):
        worlds(batch=3).load_state_dict(state)


def test_a_sensor_changes_the_pictures_and_no_truth(batch):
    other = next(worlds(sensor="webcam"))
    assert (other.rgb - batch.rgb.cpu()).abs().mean() > 0.01
    assert torch.equal(other.instance, batch.instance.cpu())


def test_no_seed_is_in_two_splits_and_the_test_split_is_told_apart():
    ranges = sorted(SPLITS.values(), key=lambda seeds: seeds.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))
    assert next(worlds("test", batch=1, frames=1)).seeds == (SPLITS["test"].start,)
    assert split_of(7) == "train" and split_of(SPLITS["test"].start) == "test"
    with pytest.raises(InputError, match="not of the test split; train: 0 to"):
        check_seeds("test", [7])
    with pytest.raises(InputError, match="in no split"):
        split_of(-1)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"split": "exam"}, "no split 'exam'"),
        ({"mix": "soup"}, "no mix 'soup'"),
        ({"sensor": "eye"}, "no sensor 'eye'"),
        ({"batch": 0}, "at least 1"),
        ({"rank": 2, "ranks": 2}, "rank 2"),
    ],
)
def test_choices_without_sense_are_refused(choices, told):
    with pytest.raises(InputError, match=told):
        worlds(**choices)
