import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from worldline.errors import InputError
from worldline.evaluation.goldens import tapvid3d
from worldline.evaluation.metrics.tapvid import Tracks
from worldline.evaluation.metrics.tapvid3d import tapvid3d_counts

INTRINSICS = np.array([200.0, 200.0, 128.0, 128.0])
SCALINGS = ["median", "mean", "per_trajectory", "reproduce_2d", "median_on_queries"]


def video(seed=0, tracks=7, frames=6):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(tracks, frames, 3)) + np.array([0, 0, 5])
    truth = Tracks(points, rng.random((tracks, frames)) < 0.3)
    noise = 0.05 * rng.normal(size=points.shape)
    estimate = Tracks(points + noise, rng.random((tracks, frames)) < 0.3)
    queries = np.zeros((tracks, 3))
    queries[:, 0] = rng.integers(0, frames, tracks)
    return estimate, truth, queries


def scores(estimate, truth, *arguments, **named):
    return tapvid3d_counts(estimate, truth, INTRINSICS, *arguments, **named).per_video()


def same(a, b):
    return all(
        np.allclose(x, y, rtol=1e-12, equal_nan=True)
        for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


def test_thresholds_grow_with_depth():
    truth = Tracks(np.array([[[0, 0, 2.0], [0, 0, 20.0]]]), np.zeros((1, 2), bool))
    estimate = Tracks(truth.points + np.array([0.05, 0, 0]), truth.occluded)
    # a pixel is 0.01 m at 2 m, and 0.1 m at 20 m
    assert scores(estimate, truth, "none").within == pytest.approx([0.5, 0.5, 0.5, 1, 1])
    fixed = scores(estimate, truth, "none", fixed_thresholds=True)
    assert fixed.within == pytest.approx([0, 0, 1, 1, 1])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_scale_is_undone(scaling):
    _, truth, queries = video()
    estimate = Tracks(truth.points * 0.3, truth.occluded)
    assert scores(estimate, truth, "none").average_within == 0
    found = scores(estimate, truth, scaling, queries)
    assert found.average_jaccard == found.average_within == found.occlusion_accuracy == 1


@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_order_of_the_axes_gives_the_same(scaling):
    estimate, truth, queries = video()
    other, other_truth, other_queries = video(1)
    turned = [Tracks(t.points.swapaxes(0, 1), t.occluded.T) for t in (estimate, truth)]
    alone = scores(estimate, truth, scaling, queries)
    assert same(scores(*turned, scaling, queries, order="t n"), alone)
    both = [
        Tracks(np.stack([a.points, b.points]), np.stack([a.occluded, b.occluded]))
        for a, b in ((estimate, other), (truth, other_truth))
    ]
    all_queries = np.stack([queries, other_queries])
    # the published medians and means of more than one video do not fit its tracks
    batch = scores(*both, scaling, all_queries, order="b n t")
    assert np.allclose(batch.jaccard[0], alone.jaccard)
    assert np.allclose(batch.jaccard[1], scores(other, other_truth, scaling, other_queries).jaccard)
    turned = [Tracks(t.points.swapaxes(1, 2), t.occluded.swapaxes(1, 2)) for t in both]
    assert same(scores(*turned, scaling, all_queries, order="b t n"), batch)


def test_every_video_may_have_its_own_intrinsics():
    estimate, truth, _ = video()
    both = [Tracks(np.stack([t.points] * 2), np.stack([t.occluded] * 2)) for t in (estimate, truth)]
    intrinsics = np.stack([INTRINSICS, 4 * INTRINSICS])
    found = tapvid3d_counts(*both, intrinsics, "none", order="b n t").per_video()
    assert np.allclose(found.within[0], scores(estimate, truth, "none").within)
    assert np.allclose(found.within[1, 2:], found.within[0, :3])


def test_small_neighbourhoods_are_the_tracks_themselves():
    estimate, truth, queries = video()
    arguments = (estimate, truth, INTRINSICS)
    local = tapvid3d_counts(*arguments, "local_neighborhood", queries, neighborhood=1e-6)
    own = tapvid3d_counts(*arguments, "per_trajectory", queries)
    assert same(local.per_track(), own.per_track()) and same(local.per_video(), own.per_video())


def test_neighbours_are_scored_with_the_tracks_scale():
    truth = Tracks(np.array([[[0, 0, 1.0]], [[0, 0, 1.01]], [[5, 5, 5.0]]]), np.zeros((3, 1), bool))
    factor = np.array([2, 1, 1.0])[:, None, None]
    estimate = Tracks(truth.points * factor, truth.occluded)
    local = tapvid3d_counts(
        estimate, truth, INTRINSICS, "local_neighborhood", np.zeros((3, 3)), neighborhood=0.1
    ).per_track()
    # tracks 0 and 1 are each other's neighbours, and half of what they see is at the wrong scale
    assert local.average_within == pytest.approx([0.5, 0.5, 1])


def test_a_scale_that_nothing_fixes_makes_all_points_missed():
    estimate, truth, _ = video()
    hidden = Tracks(estimate.points, np.ones_like(estimate.occluded))
    for scaling in ("median", "mean"):
        found = scores(hidden, truth, scaling)
        assert found.average_within == found.average_jaccard == 0
    lost = Tracks(np.full(truth.points.shape, np.nan), truth.occluded)
    assert scores(lost, truth).average_within == 0


def test_nothing_to_score_is_nan():
    estimate, truth, _ = video()
    hidden = Tracks(truth.points, np.ones_like(truth.occluded))
    assert np.isnan(scores(hidden, hidden).average_jaccard)
    assert np.isnan(scores(estimate, hidden).average_within)
    for shape in ((0, 6), (7, 0)):
        empty = Tracks(np.zeros((*shape, 3)), np.zeros(shape, bool))
        found = scores(empty, empty)
        assert np.isnan([found.average_jaccard, found.occlusion_accuracy]).all()
    empty = Tracks(np.zeros((0, 6, 3)), np.zeros((0, 6), bool))
    assert np.isnan(scores(empty, empty, "local_neighborhood", np.zeros((0, 3))).average_within)


def test_what_does_not_fit_is_refused():
    estimate, truth, queries = video()
    for scaling in ("per_trajectory", "local_neighborhood", "median_on_queries"):
        with pytest.raises(InputError, match="needs the queries"):
            scores(estimate, truth, scaling)
    with pytest.raises(InputError, match="axes"):
        scores(estimate, truth, order="b n t")
    with pytest.raises(InputError, match="alike"):
        scores(Tracks(estimate.points[1:], estimate.occluded[1:]), truth)
    with pytest.raises(InputError, match="among the 6 frames"):
        scores(estimate, truth, "per_trajectory", queries + 6)
    with pytest.raises(InputError, match="focal lengths"):
        tapvid3d_counts(estimate, truth, 0 * INTRINSICS)
    with pytest.raises(InputError, match="Intrinsics"):
        tapvid3d_counts(estimate, truth, np.ones((2, 4)))
    batch = [Tracks(t.points[None], t.occluded[None]) for t in (estimate, truth)]
    with pytest.raises(InputError, match="one video"):
        scores(*batch, "local_neighborhood", queries[None], order="b n t")


def test_equals_the_golden_numbers(golden: Path):
    arrays = load_file(golden / "metrics_tapvid3d.safetensors")
    cases = json.loads((golden / "metrics_tapvid3d.json").read_text())["cases"]
    for case, content in cases.items():
        inputs = {k.removeprefix(f"{case}."): v for k, v in arrays.items() if k.startswith(case)}
        expected = content["expected"]
        found = tapvid3d.numbers(inputs, content["params"], expected)
        if "average_jaccard" in expected:
            found, expected = {"": found}, {"": expected}
        for variant, numbers in expected.items():
            if isinstance(numbers, str):
                continue  # the published function fails there
            for name, values in numbers.items():
                assert np.allclose(found[variant][name], values, rtol=1e-9, equal_nan=True)
        for name, tensor in inputs.items():
            if name.startswith("out."):
                assert np.allclose(found[name], tensor, rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("scaling", ["none", "median", "mean", "per_trajectory", "reproduce_2d"])
def test_equals_the_published_function(reference_metrics: Path, scaling, fixed):
    expected = json.loads((reference_metrics / "expected_tapvid.json").read_text())["tapvid3d"]
    arrays = np.load(reference_metrics / "tapvid_inputs.npz")
    found = tapvid3d_counts(
        Tracks(arrays["pred_tracks3d"].astype(float), arrays["pred_occluded"]),
        Tracks(arrays["gt_tracks3d"].astype(float), arrays["gt_occluded"]),
        arrays["intrinsics"],
        scaling,
        arrays["query_points3d"],
        fixed,
    ).per_video()
    named = {name: float(score) for name, score in found.under_published_names().items()}
    assert named == pytest.approx(expected[f"{scaling}|fixed={fixed}"], rel=1e-9)
