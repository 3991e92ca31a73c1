"""Shards read back as what was made, are the same bytes again, and are never mixed up."""

import gc
import io
import json
import tarfile

import numpy as np
import pytest
import webdataset

from worldline.errors import InputError
from worldline.io import read_clip
from worldline.scene.motion import load_field
from worldline.synth.clips import make_clip
from worldline.synth.shards import Recipe, plan_shards, write_shards
from worldline.synth.splits import SPLITS

RECIPE = Recipe(mix="primitives", size=(48, 32), frames=3, samples=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three clips in two shards."""
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, 3, RECIPE, per_shard=2, workers=1)
    return folder


def samples(path):
    """What webdataset makes of a tar: neighbours whose names agree up to the first dot."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, ending = member.name.partition(".")
            file = tar.extractfile(member)
            assert file is not None
            found.setdefault(key, {})[ending] = file.read()
    return found


def test_a_shard_reads_back_as_the_clips(written, tmp_path):
    assert sorted(path.name for path in written.iterdir()) == [
        "train-000000.tar",
        "train-000001.tar",
    ]
    sample = samples(written / "train-000000.tar")["0000000001"]
    clip = make_clip(1, "primitives", size=(48, 32), frames=3, samples=1)
    assert np.array_equal(
        np.load(io.BytesIO(sample["depth.npy"])), clip.views.depth, equal_nan=True
    )
    assert np.array_equal(np.load(io.BytesIO(sample["instance.npy"])), clip.views.instance)
    cameras = np.load(io.BytesIO(sample["cameras.npz"]))
    assert np.array_equal(cameras["world_from_camera"], clip.scene.cameras.world_from_camera)
    told = json.loads(sample["json"])
    assert told["settings"]["seed"] == 1 and told["split"] == "train"
    (tmp_path / "clip.mp4").write_bytes(sample["rgb.mp4"])
    frames = read_clip(tmp_path / "clip.mp4").frames.astype(int)
    # brightness: of colour, video has half as many pixels each way
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert np.abs((frames - clip.views.frames) @ weights).mean() < 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_decodes_what_a_shard_holds(written):
    files = [str(path) for path in sorted(written.glob("*.tar"))]
    clips = list(webdataset.WebDataset(files, shardshuffle=False).decode())
    gc.collect()  # it leaves files open, and it is here that Python says so
    assert [clip["__key__"] for clip in clips] == [f"000000000{k}" for k in range(3)]
    for k, clip in enumerate(clips):
        true = make_clip(k, "primitives", size=(48, 32), frames=3, samples=1)
        np.testing.assert_array_equal(clip["depth.npy"], true.views.depth)


def test_the_motion_in_a_shard_answers_for_any_time(written):
    sample = samples(written / "train-000001.tar")["0000000002"]
    field = load_field("world", dict(np.load(io.BytesIO(sample["motion.npz"]))))
    clip = make_clip(2, "primitives", size=(48, 32), frames=3, samples=1)
    at = np.array([0.5, 2.0])
    assert np.array_equal(
        field.query(0, at).displacement, clip.scene.motion.query(0, at).displacement
    )


def test_what_is_there_is_kept_and_what_is_missing_made_again_alike(written):
    missing = written / "train-000000.tar"
    before = missing.read_bytes()
    missing.unlink()
    seen = []
    done = write_shards(
        written, 3, RECIPE, per_shard=2, workers=1, progress=lambda *count: seen.append(count)
    )
    assert [path.name for path in done.written] == ["train-000000.tar"]
    assert [path.name for path in done.kept] == ["train-000001.tar"]
    assert seen == [(1, 2), (2, 2)]
    assert missing.read_bytes() == before


@pytest.mark.slow  # processes that each import torch
def test_two_processes_write_the_same_bytes_as_one(written, tmp_path):
    write_shards(tmp_path, 3, RECIPE, per_shard=2, workers=2)
    for path in written.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("change", ["recipe", "torn", "other"])
def test_other_content_is_not_taken_for_it_nor_lost(written, tmp_path, change):
    path = tmp_path / "train-000000.tar"
    whole = (written / "train-000000.tar").read_bytes()
    path.write_bytes({"recipe": whole, "torn": whole[:2000], "other": b"thesis"}[change])
    recipe = Recipe(mix="static", size=(48, 32), frames=3) if change == "recipe" else RECIPE
    before = path.read_bytes()
    with pytest.raises(InputError, match="holds other clips"):
        write_shards(tmp_path, 2, recipe, per_shard=2, workers=1)
    assert path.read_bytes() == before


def test_shards_cover_the_count_with_the_splits_own_seeds(tmp_path):
    shards = plan_shards(tmp_path, "test", 5, 2)
    start = SPLITS["test"].start
    assert [one.seeds for one in shards] == [
        (start, start + 1),
        (start + 2, start + 3),
        (start + 4,),
    ]
    for count, each in ((0, 2), (3, 0), (10**12, 2)):
        with pytest.raises(InputError, match="cannot be made"):
            plan_shards(tmp_path, "test", count, each)
    with pytest.raises(InputError, match="even"):
        write_shards(tmp_path, 1, Recipe(size=(33, 24)))
