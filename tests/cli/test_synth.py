"""`worldline synth`: a clip with its truth, shards of many, and what it refuses."""

import json

import av
import numpy as np
import pytest
from commands import finish

import worldline

SMALL = ("--size", "32x24", "--frames", 3, "--samples", 1, "--mix", "primitives")


def test_a_clip_is_a_video_and_its_truth(cli, tmp_path):
    out = tmp_path / "clip"
    run = cli("synth", "--seed", 7, "--out", out, *SMALL, "--extra", "instance", "normals", "flow")
    assert run.code == 0, run.err
    assert str(out / "video.mp4") in run.out and "draw:" in run.err
    scene = worldline.load_scene(out / "truth.scene")
    assert len(scene) == 3 and scene.size == (32, 24) and scene.metric
    assert scene.provenance["settings"]["seed"] == 7
    assert scene.query(0, 1.5 / 24).displacement.shape == (24, 32, 3)
    with av.open(str(out / "video.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
        assert float(container.streams.video[0].average_rate) == 24
    assert np.load(out / "instance.npy").shape == (3, 24, 32)
    assert np.load(out / "normals.npy").shape == (3, 24, 32, 3)
    for way in ("forward", "backward"):
        assert np.load(out / f"flow_{way}.npy").shape == (2, 24, 32, 2)
        assert np.load(out / f"flow_{way}_visible.npy").dtype == bool


def test_the_same_seed_is_the_same_clip_and_none_is_lost(cli, tmp_path):
    out = tmp_path / "clip"
    run = cli("synth", "--out", out, *SMALL, "--json", "--quiet")
    assert run.code == 0 and run.err == "" and run.json["kept"] == 3
    before = (out / "video.mp4").read_bytes()
    again = cli("synth", "--out", out, *SMALL)
    assert again.code == 2 and "--overwrite" in again.says()
    assert cli("synth", "--out", out, *SMALL, "--overwrite").code == 0
    assert (out / "video.mp4").read_bytes() == before
    (tmp_path / "thesis").mkdir()
    assert cli("synth", "--out", tmp_path / "thesis", *SMALL, "--overwrite").code == 2


def test_a_sensor_leaves_its_marks(cli, tmp_path):
    run = cli("synth", "--out", tmp_path / "c", *SMALL, "--sensor", "action", "--json")
    assert run.code == 0, run.err
    scene = worldline.load_scene(tmp_path / "c" / "truth.scene")
    assert scene.provenance["settings"]["sensor"] == "action"
    assert scene.cameras.distortion is not None and scene.cameras.distortion[0] < 0


def test_shards_resume(cli, tmp_path):
    options = ("synth", "--shards", tmp_path / "s", "--count", 2, "--per-shard", 1, *SMALL)
    run = cli(*options, "--workers", 1, "--json")
    assert run.code == 0, run.err
    assert run.json["written"] == ["train-000000.tar", "train-000001.tar"]
    again = cli(*options)
    assert again.code == 0 and "0 written, 2 there already" in again.out


@pytest.mark.slow  # processes that each import torch
def test_stopped_shards_leave_whole_files_alone(started, tmp_path):
    options = ("--shards", tmp_path / "s", "--count", 40, "--per-shard", 1, "--workers", 2)
    process = started("synth", *options, "--size", "64x48", "--json")
    while not list((tmp_path / "s").glob("*.tar")):
        assert process.poll() is None, process.communicate()
    process.terminate()
    run = finish(process)
    assert run.code == 143 and run.says() == "stopped; run the same command to resume"
    assert json.loads(run.out)["kind"] == "stopped"
    assert all(path.suffix == ".tar" for path in (tmp_path / "s").iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--out DIR"),
        (("--out", "a", "--shards", "b"), "--out DIR"),
        (("--shards", "b"), "--count"),
        (("--out", "a", "--count", "3"), "--count is of --shards"),
        (("--out", "a", "--size", "big"), "WIDTHxHEIGHT"),
        (("--out", "a", "--size", "33x24"), "even"),
        (("--out", "a", "--mix", "soup"), "no mix 'soup'"),
        (("--out", "a", "--sensor", "eye"), "no sensor 'eye'"),
        (("--out", "a", "--frames", "0"), "at least 1"),
        (("--out", "a", "--seed", "1500000000"), "in no split"),
        (("--out", "a", "--seed", "7", "--split", "test"), "not of the test split"),
        (("--shards", "b", "--count", "3", "--seed", "7"), "--split"),
        (("--shards", "b", "--count", "0"), "cannot be made"),
    ],
)
def test_options_that_make_no_sense_write_nothing(cli, tmp_path, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    run = cli("synth", *options)
    assert run.code == 2 and told in run.says()
    assert not list(tmp_path.iterdir())
