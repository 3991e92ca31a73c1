import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from worldline.errors import InputError
from worldline.evaluation.goldens import tapvid2d
from worldline.evaluation.metrics.tapvid import Tracks, tapvid_counts


def video(seed=0, tracks=6, frames=9):
    rng = np.random.default_rng(seed)
    truth = Tracks(rng.uniform(0, 256, (tracks, frames, 2)), rng.random((tracks, frames)) < 0.3)
    estimate = Tracks(
        truth.points + 4 * rng.normal(size=truth.points.shape), rng.random((tracks, frames)) < 0.3
    )
    queries = np.zeros((tracks, 3))
    queries[:, 0] = rng.integers(0, frames - 1, tracks)
    return estimate, truth, queries


def test_scores_by_hand():
    truth = Tracks(np.zeros((1, 5, 2)), np.array([[False, False, False, False, True]]))
    x = np.array([[100, 0, 1, 3, 0.0]])
    estimate = Tracks(np.stack([x, 0 * x], axis=-1), np.array([[True, False, False, True, False]]))
    scores = tapvid_counts(estimate, truth, np.zeros((1, 3))).per_video()
    # frames 1, 2, 3 are truly visible; 1 px is not nearer than 1 px
    assert scores.within == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    # at 1 px: one hit; frame 2 too far, frame 3 not claimed, frame 4 claimed though hidden
    assert scores.jaccard[:2] == pytest.approx([1 / 5, 2 / 4])
    assert scores.occlusion_accuracy == pytest.approx(0.5)
    assert scores.average_within == pytest.approx(0.8)


def test_a_perfect_tracker_has_ones():
    _, truth, queries = video()
    scores = tapvid_counts(truth, truth, queries, "strided").per_video()
    assert (scores.jaccard == 1).all() and scores.average_within == scores.occlusion_accuracy == 1


def test_videos_of_a_batch_are_scored_as_if_alone():
    videos = [video(seed) for seed in range(3)]
    estimate, truth = (
        Tracks(np.stack([v[i].points for v in videos]), np.stack([v[i].occluded for v in videos]))
        for i in (0, 1)
    )
    for mode in ("first", "strided"):
        both = tapvid_counts(estimate, truth, np.stack([v[2] for v in videos]), mode)
        for i, alone in enumerate(videos):
            single = tapvid_counts(*alone, mode)
            assert both.per_video().average_jaccard[i] == single.per_video().average_jaccard
            assert np.array_equal(
                both.per_track().jaccard[i], single.per_track().jaccard, equal_nan=True
            )


def test_what_is_before_a_first_query_and_at_any_query_does_not_matter():
    estimate, truth, queries = video()
    queries[:, 0] = 3
    spoilt = Tracks(estimate.points.copy(), estimate.occluded.copy())
    spoilt.points[:, 3], spoilt.occluded[:, 3] = 999, True
    for mode in ("first", "strided"):
        before = tapvid_counts(estimate, truth, queries, mode).per_video()
        after = tapvid_counts(spoilt, truth, queries, mode).per_video()
        assert np.array_equal(before.jaccard, after.jaccard)
    spoilt.points[:, :3] = 999
    changed = tapvid_counts(spoilt, truth, queries, "strided").per_video()
    assert changed.average_within < before.average_within
    assert (
        tapvid_counts(spoilt, truth, queries, "first").per_video().average_within
        == tapvid_counts(estimate, truth, queries, "first").per_video().average_within
    )


def test_positions_that_are_not_finite_are_misses():
    _, truth, queries = video()
    lost = Tracks(np.full(truth.points.shape, np.nan), truth.occluded)
    scores = tapvid_counts(lost, truth, queries).per_video()
    assert scores.average_jaccard == scores.average_within == 0


def test_nothing_to_score_is_nan():
    estimate, truth, queries = video()
    queries[:, 0] = 8  # nothing follows the last frame
    scores = tapvid_counts(estimate, truth, queries).per_video()
    assert np.isnan(
        [scores.average_jaccard, scores.average_within, scores.occlusion_accuracy]
    ).all()
    hidden = Tracks(truth.points, np.ones_like(truth.occluded))
    scores = tapvid_counts(hidden, hidden, queries, "strided").per_video()
    assert np.isnan(scores.average_jaccard) and scores.occlusion_accuracy == 1
    empty = Tracks(np.zeros((0, 9, 2)), np.zeros((0, 9), bool))
    assert np.isnan(tapvid_counts(empty, empty, np.zeros((0, 3))).per_video().average_jaccard)


def test_what_does_not_fit_is_refused():
    estimate, truth, queries = video()
    with pytest.raises(InputError, match="alike"):
        tapvid_counts(Tracks(estimate.points[1:], estimate.occluded[1:]), truth, queries)
    with pytest.raises(InputError, match="Queries"):
        tapvid_counts(estimate, truth, queries[1:])
    for outside in (-1, 9, np.nan):
        with pytest.raises(InputError, match="among the 9 frames"):
            tapvid_counts(estimate, truth, np.full_like(queries, outside))


def test_equals_the_golden_numbers(golden: Path):
    arrays = load_file(golden / "metrics_tapvid2d.safetensors")
    cases = json.loads((golden / "metrics_tapvid2d.json").read_text())["cases"]
    for case, content in cases.items():
        inputs = {k.removeprefix(f"{case}."): v for k, v in arrays.items() if k.startswith(case)}
        found = tapvid2d.numbers(inputs, content["params"], content["expected"])
        for mode, expected in content["expected"].items():
            for name, values in expected.items():
                want = np.array(values, float)
                assert np.allclose(found[mode][name], want, rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_equals_the_published_function(reference_metrics: Path, mode):
    expected = json.loads((reference_metrics / "expected_tapvid.json").read_text())["tapvid2d"]
    arrays = np.load(reference_metrics / "tapvid_inputs.npz")
    scores = tapvid_counts(
        Tracks(arrays["pred_tracks2d"].astype(float), arrays["pred_occluded"]),
        Tracks(arrays["gt_tracks2d"].astype(float), arrays["gt_occluded"]),
        arrays["query_points2d"],
        mode,
    ).per_video()
    found = {name: float(score) for name, score in scores.under_published_names().items()}
    assert found == pytest.approx(expected[mode], rel=1e-9)
