"""Runs resume, clips that fail are told, and reports hold what was measured."""

import csv
import dataclasses
import json
from fractions import Fraction
from io import StringIO

import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation import run as running
from worldline.evaluation.benchmark import load
from worldline.evaluation.report import Mean, columns, headings, summary, table, worst, write_report
from worldline.evaluation.run import RESULTS, Results, Task, run

GOOD = {"ate": 0.5, "mask_j": 0.25, "seconds": 2.0, "camera": "free", "sheet": "sheets/a.png"}


def task(clip: str, size: int = 64) -> Task:
    return Task("synth-bench", None, clip, "classic", size)


def results(tmp_path) -> Results:
    return Results.of(tmp_path, benchmark="synth-bench", worldline="worldline 0")


@pytest.fixture
def measured(monkeypatch):
    """What was asked to be measured, in place of measuring it."""
    asked = []

    def pretend(tasks, folder, workers):
        for one in tasks:
            asked.append(one.clip)
            bad = {"error": "it broke"} if one.clip == "bad-1" else GOOD
            yield one, dict(bad, ate=float("nan")) if one.clip == "still-1" else dict(bad)

    monkeypatch.setattr(running, "_measured", pretend)
    return asked


def test_what_was_measured_by_the_same_code_is_kept_and_failures_are_tried_again(
    tmp_path, measured
):
    tasks = [task("a-1"), task("bad-1")]
    run(tasks, results(tmp_path))
    assert measured == ["a-1", "bad-1"]
    run(tasks, results(tmp_path))
    assert measured == ["a-1", "bad-1", "bad-1"]
    run([task("a-1", size=32)], results(tmp_path))
    assert measured[-1] == "a-1"  # other settings are another measurement
    held = json.loads((tmp_path / RESULTS).read_text(encoding="utf-8"))
    assert held["clips"]["a-1"]["classic"]["ate"] == 0.5 and held["machine"]


def test_nan_is_null_in_the_file_and_a_dash_in_the_table(tmp_path, measured):
    found = results(tmp_path)
    run([task("still-1")], found)
    assert found.clips["still-1"]["classic"]["ate"] is None
    rows = summary(found, ["classic"], ["ate", "mask_j"])
    # what a benchmark does not speak of is called what it is called in the file
    names = headings(["ate_percent", "ate", "mask_j"], load("real-clips"))
    assert list(names.values()) == ["ATE, % of the path ↓", "ate", "mask J, share ↑"]
    cells = table(rows, {"ate": "ATE", "mask_j": "J"})
    assert cells[0] == ["system", "clips", "ATE", "J"]
    assert cells[1] == ["classic", "1", "-", "0.25"]


def test_reports_hold_the_rows_the_groups_what_failed_and_what_was_published(tmp_path, measured):
    found = results(tmp_path)
    run([task("a-1"), task("a-2"), task("bad-1")], found)
    files = write_report(
        found,
        ["classic"],
        {"ate": "ATE, m ↓", "mask_j": "J"},
        title="A title <b>",
        group=lambda clip: clip[0],
        published=[{"system": "Other", "ate": 0.1}],
    )
    assert [file.name for file in files] == ["rows.csv", "report.md", "report.html"]
    rows = list(csv.DictReader(StringIO(files[0].read_text(encoding="utf-8"))))
    assert [row["clip"] for row in rows] == ["a-1", "a-2", "bad-1"]
    assert rows[0]["ate"] == "0.5" and rows[2]["error"] == "it broke" and not rows[2]["ate"]
    text = files[1].read_text(encoding="utf-8")
    assert "| system | clips | ATE, m ↓ | J |" in text
    assert "| classic a | 2 | 0.5 (0.5 to 0.5)" in text and "| classic | 2 of 3 |" in text
    assert "| Other | 0.1 |" in text and "bad-1, classic: it broke" in text
    page = files[2].read_text(encoding="utf-8")
    assert "A title &lt;b&gt;" in page and 'src="sheets/a.png"' in page


def test_the_worst_are_the_largest_errors_and_the_smallest_shares(tmp_path):
    found = results(tmp_path)
    for clip, ate, share in (("a", 0.1, 0.9), ("b", 0.3, 0.2), ("c", 0.2, 0.5)):
        found.clips[clip] = {"classic": {"ate": ate, "mask_j": share}}
    assert [clip for clip, _, _ in worst(found, ["classic"], "ate")] == ["b", "c", "a"]
    assert [clip for clip, _, _ in worst(found, ["classic"], "mask_j")] == ["b", "c", "a"]
    assert columns(found) == ["ate", "mask_j"] and columns(found, ["mask_j"]) == ["mask_j"]


def test_the_bootstraps_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    inside = [
        (found := Mean.of(generator.normal(3, 1, 30).tolist())).low <= 3 <= found.high
        for _ in range(300)
    ]
    assert 0.88 < np.mean(inside) < 0.98
    assert Mean.of([2.0]) == Mean(2.0, 2.0, 2.0, 1)
    assert np.isnan(Mean.of([]).mean)


def test_a_folder_of_other_results_is_refused(tmp_path, measured):
    run([task("a-1")], results(tmp_path))
    with pytest.raises(InputError, match="holds results of synth-bench"):
        Results.of(tmp_path, benchmark="davis")
    (tmp_path / RESULTS).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="holds no results"):
        results(tmp_path)


def test_frames_with_times_become_a_video_of_their_rate_and_others_exact_pictures(tmp_path):
    from worldline.datasets.clip import Clip
    from worldline.io import read_clip

    frames = np.random.default_rng(0).integers(0, 255, (3, 36, 40, 3), dtype=np.uint8)
    names = ("0", "1", "2")
    still = Clip("still", frames, names, metric=False)
    folder = running.written(still, tmp_path)
    assert np.array_equal(np.asarray(read_clip(folder).frames), frames)
    timed = Clip("timed", frames, names, metric=False, times=np.arange(3) / 12.0)
    video = read_clip(running.written(timed, tmp_path))
    assert np.allclose(np.diff(video.times), float(Fraction(1, 12)))


def test_what_goes_wrong_in_a_process_of_its_own_is_told(tmp_path):
    found = results(tmp_path)
    run([task("no-such-clip")], found)
    assert "synth-bench has no 'no-such-clip'" in found.clips["no-such-clip"]["classic"]["error"]
    with pytest.raises(InputError, match="there is no system"):
        run([Task("synth-bench", None, "rigid-1", "nothing", 64)], found)


def test_a_benchmark_takes_its_part_its_clips_and_its_frames(tmp_path, monkeypatch):
    class Reader:
        @staticmethod
        def names(root):
            return ["po_mini/a", "po_mini/b", "pstudio_mini/a", "dr_mini/c"]

        @staticmethod
        def protocol(root, name):
            return slice(0, 5)

    monkeypatch.setattr(running, "dataset", lambda name: Reader)
    po = load("worldtrack-po")
    assert running.clips_of(po, tmp_path) == ["po_mini/a", "po_mini/b"]
    named = dataclasses.replace(po, clips=("b", "c"))
    assert running.clips_of(named, tmp_path) == ["po_mini/b"]
    with pytest.raises(InputError, match="has none of the clips of worldtrack-po"):
        running.clips_of(dataclasses.replace(po, clips=("z",)), tmp_path)
    assert running.frames_of(po, tmp_path, "po_mini/a") == slice(0, 5)
    del Reader.protocol
    assert running.frames_of(po, tmp_path, "po_mini/a") == slice(0, 64, 1)
    assert running.frames_of(load("sintel-poses"), tmp_path, "a") is None
    assert load("scannet-poses").frames.slice == slice(0, 270, 3)
    # of a split that the data lists itself, that alone
    Reader.split = staticmethod(lambda root, year: [f"of {year}"])
    davis = dataclasses.replace(load("davis-16-masks"), clips=())
    assert running.clips_of(davis, tmp_path) == ["of 2016"]
