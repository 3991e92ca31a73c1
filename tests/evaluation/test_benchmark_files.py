import math
from pathlib import Path

import pytest

from worldline.errors import InputError
from worldline.evaluation.benchmark import FOLDER, Frames, load, names, read
from worldline.synth.bench import HASH, VERSION


@pytest.mark.parametrize("name", names())
def test_every_file_loads_and_every_row_fills_its_columns(name: str):
    benchmark = load(name)
    assert benchmark.title
    keys = [column.key for column in benchmark.columns]
    for row in benchmark.published:
        assert list(row.numbers) == keys
        assert any(math.isfinite(number) for number in row.numbers.values()), row.system
    rows = [(row.system, row.source) for row in benchmark.published]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("name", names())
def test_shares_are_published_in_percent_and_errors_are_not(name: str):
    benchmark = load(name)
    for row in benchmark.published:
        for column in benchmark.columns:
            number = row.numbers[column.key]
            if column.unit == "%" and math.isfinite(number):
                assert 1 < number <= 100, (row.system, column.key)
            elif column.unit in ("", "m") and math.isfinite(number):
                assert 0 < number < 15, (row.system, column.key)


def test_nothing_that_the_field_reports_on_is_missing():
    tracks = {f"worldtrack-{part}" for part in ("po", "dr", "adt", "pstudio")}
    poses = {"sintel-poses", "tum-dynamics-poses", "scannet-poses"}
    depth = {"sintel-depth", "bonn-depth", "kitti-depth"}
    others = {"seven-scenes", "nrgbd", "sailvos3d", "davis-16-masks", "tapvid-davis", "tapvid3d"}
    more = {"tapvid-kinetics", "dycheck", "complet4r-table-1", "synth-bench", "real-clips"}
    movi = {"d-acc-movi-e", "d-acc-panning-movi-e", "d-acc-movi-f"}
    dense = {"kubric-dense", "waymo-dense"}
    assert tracks | poses | depth | others | more | movi | dense <= set(names())


@pytest.mark.parametrize(
    ("name", "system", "source", "numbers"),
    [
        ("waymo-dense", "V-DPM", "4RC, table 1 (a)", {"apd": 41.44, "epe": 1.948}),
        ("worldtrack-adt", "SpatialTrackerV2", "4RC, table 1 (b)", {"apd": 95.48, "epe": 0.0594}),
        ("worldtrack-pstudio-median", "4RC", "4RC, table 7 (b)", {"apd": 69.04, "epe": 0.2603}),
        (
            "worldtrack-dr-dynamic",
            "SpaTracker",
            "Complet4R, table 2",
            {"apd": 58.65, "epe": 1.0828},
        ),
        (
            "scannet-poses",
            "4RC",
            "4RC, table 2 (a)",
            {"ate": 0.032, "rpe_t": 0.012, "rpe_r": 0.437},
        ),
        ("nrgbd", "Pi3", "4RC, table 2 (b)", {"acc": 0.022, "comp": 0.025, "nc": 0.911}),
        ("sintel-depth", "4RC", "4RC, table 3", {"abs_rel": 0.311, "delta": 62.2}),
        ("bonn-depth", "Complet4R", "Complet4R, table 5", {"abs_rel": 0.066, "delta": 95.9}),
        ("kitti-depth-shift", "VGGT", "4RC, table 8", {"abs_rel": 0.057, "delta": 96.6}),
    ],
)
def test_published_numbers_stand_where_the_papers_have_them(name, system, source, numbers):
    rows = {(row.system, row.source): dict(row.numbers) for row in load(name).published}
    assert rows[system, source] == numbers


def test_the_pairwise_baseline_stands_beside_complet4r():
    benchmark = load("complet4r-table-1")
    assert benchmark.baselines == ("pairwise",)
    assert "St4RTrack-pairs" in [row.system for row in benchmark.published]


def test_synth_bench_is_the_one_that_is_made_now():
    parameters = load("synth-bench").parameters
    assert (parameters["version"], parameters["hash"]) == (VERSION, HASH)


def test_a_name_that_there_is_not_lists_those_there_are():
    with pytest.raises(InputError, match=r"'sintle'.*sintel-poses"):
        load("sintle")


def test_frames_are_counted_from_the_first_by_steps():
    assert list(Frames(first=2, count=3, every=4).chosen(100)) == [2, 6, 10]
    assert list(Frames().chosen(3)) == [0, 1, 2]
    assert list(Frames(count=64).chosen(2)) == [0, 1]


GOOD = (FOLDER / "bonn-depth.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "', "title = 3 # ", "bad.toml: title must be a string"),
        ('dataset = "bonn"', 'dataset = "bonnn"', "bad.toml: dataset is 'bonnn'"),
        ('dataset = "bonn"', "", "bad.toml: dataset is missing"),
        ('name = "bad"', 'name = "other"', "bad.toml: name must be 'bad'"),
        ("clips = [", "klips = [", "bad.toml: clips must be named"),
        ('family = "depth"', 'family = "deep"', "bad.toml: protocol.family is 'deep'"),
        ("[protocol]", "[protokoll]", "bad.toml: protocol is missing"),
        ("count = 110", "count = 0", "bad.toml: frames.count must be a whole number"),
        ('better = "lower"', 'better = "low"', r"bad.toml: columns\[0\].better is 'low'"),
        ("delta = 83.3", "d = 83.3", r"bad.toml: published\[0\].numbers.delta is missing"),
        ("delta = 83.3", 'delta = "-"', r"published\[0\].numbers.delta must be a number"),
        ("delta = 83.3", "delta = 83.3, rmse = 1.0", r"published\[0\].numbers.rmse is not a key"),
        ('"delta"', '"abs_rel"', "bad.toml: columns must be there, each key once"),
        ("[protocol]", "[protocol", "bad.toml: cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_key(tmp_path: Path, old, new, message):
    good = GOOD.replace('name = "bonn-depth"', 'name = "bad"')
    assert old in good
    path = tmp_path / "bad.toml"
    path.write_text(good, encoding="utf-8")
    assert read(path).name == "bad"
    path.write_text(good.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message) as refusal:
        read(path)
    assert "\n" not in str(refusal.value)
