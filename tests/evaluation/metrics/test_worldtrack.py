import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.evaluation.goldens import track_4rc
from worldline.evaluation.metrics.similarity import closed_similarity, ransac_similarity
from worldline.evaluation.metrics.worldtrack import (
    dense_tracks,
    mean_over_sequences,
    moves,
    tracks_at_queries,
    world_track_errors,
    world_track_scores,
)


def tracks(seed=0, frames=8, count=30):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(1, count, 3)) + np.array([0, 0, 4])
    return start + np.cumsum(0.05 * rng.normal(size=(frames, count, 3)), axis=0)


def similar(points, seed=0, scale=0.4):
    rng = np.random.default_rng(seed)
    return scale * points @ Rotation.random(rng=rng).as_matrix().T + rng.normal(size=3)


def test_errors_by_hand():
    truth = np.zeros((2, 2, 3))
    estimate = truth.copy()
    estimate[..., 0] = [[0.1, 0.3], [0.4, 2]]
    errors = world_track_errors(estimate, truth, "none")
    assert errors.within == pytest.approx([0.25, 0.5, 0.75, 0.75])  # thresholds belong to it
    assert errors.apd == pytest.approx(0.5625) and errors.epe == pytest.approx(0.7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_similarities_are_undone(seed, scale):
    truth = tracks(seed)
    moved = similar(truth, seed, scale)
    for alignment in ("sim3", "sim3_closed"):
        errors = world_track_errors(moved, truth, alignment)
        assert errors.epe < 1e-8 and errors.apd == 1
        assert errors.similarity.scale == pytest.approx(1 / scale)


def test_scales_are_undone():
    truth = tracks()
    assert world_track_errors(truth / 3, truth, "global").similarity.scale == pytest.approx(3)
    each = truth * np.random.default_rng(0).uniform(0.5, 2, size=(1, truth.shape[1], 1))
    assert world_track_errors(each, truth, "per_trajectory").epe < 1e-12
    assert world_track_errors(each, truth, "global").epe > 0.1


def test_ransac_ignores_outliers_and_repeats_itself():
    truth = tracks(count=80)
    estimate = similar(truth)
    lost = np.random.default_rng(1).random(truth.shape[:2]) < 0.4
    estimate[lost] += 3
    errors = world_track_errors(estimate, truth, "sim3", seed=3)
    assert errors.similarity.scale == pytest.approx(2.5)
    assert errors.within == pytest.approx(np.full(4, 1 - lost.mean()))
    again = world_track_errors(estimate, truth, "sim3", seed=3)
    assert again.epe == errors.epe


def test_ransac_of_many_points_is_that_of_all():
    truth = tracks(frames=20, count=1000)
    noise = np.random.default_rng(0).normal(size=truth.shape)
    errors = world_track_errors(similar(truth + 0.01 * noise), truth, "sim3")
    assert errors.epe == pytest.approx(0.01 * np.sqrt(8 / np.pi), rel=0.02)


def test_a_mirrored_estimate_gets_the_scale_of_its_rotation_but_for_the_published_name():
    # 4RC sums the singular values without the sign that avoiding the mirror image gave the last
    source = tracks().reshape(-1, 3)
    target = source * np.array([1, 1, -1])
    right, published = closed_similarity(source, target), closed_similarity(source, target, True)
    assert np.allclose(right.rotation, published.rotation)
    assert right.scale < 0.9 * published.scale

    def residual(scale):
        centred, wanted = source - source.mean(0), target - target.mean(0)
        return np.sum((scale * centred @ right.rotation.T - wanted) ** 2)

    assert residual(right.scale) < residual(published.scale)
    assert residual(right.scale) < min(residual(right.scale * f) for f in (0.99, 1.01))


def test_an_estimate_that_is_not_finite_is_missed_and_spoils_nothing_else():
    truth = tracks()
    estimate = truth / 2
    estimate[0, 0], estimate[1, 1] = np.nan, np.inf
    missed = 1 - 2 / truth[..., 0].size
    for alignment in ("global", "per_trajectory", "sim3", "sim3_closed"):
        errors = world_track_errors(estimate, truth, alignment)
        assert errors.within == pytest.approx(np.full(4, missed)) and errors.epe < 1e-9
    # one NaN makes 4RC's median NaN, and with it every point missed
    published = world_track_errors(estimate, truth, "global", published=True)
    assert published.apd == 0 and np.isinf(published.epe)


def test_points_without_truth_do_not_count():
    truth = tracks()
    estimate, unknown = truth / 2, truth.copy()
    unknown[3, 4] = np.nan
    assert world_track_errors(estimate, unknown, "sim3_closed").apd == 1
    expected = 1 - 1 / truth[..., 0].size
    truth_median = world_track_errors(2 * unknown, unknown, "none", published=True)
    assert truth_median.apd < expected
    assert np.isnan(world_track_errors(estimate, np.full(truth.shape, np.nan), "none").apd)


def test_what_cannot_be_measured():
    truth = tracks()
    nothing = np.zeros((3, 0, 3))
    with pytest.raises(InputError, match="non-empty"):
        world_track_errors(nothing, nothing)
    published = world_track_errors(nothing, nothing, "global", published=True)
    assert np.isnan(published.apd) and np.isinf(published.epe)
    with pytest.raises(InputError, match="same"):
        world_track_errors(truth, truth[1:])
    for alignment in ("sim3", "sim3_closed"):
        with pytest.raises(InputError, match="at least 3"):
            world_track_errors(truth[:1, :2], truth[:1, :2], alignment)
        for point in (0.0, 0.1, 1.0):
            same = np.full_like(truth, point)
            with pytest.raises(InputError, match="coincide"):
                world_track_errors(same, truth, alignment)
        # 4RC shrinks such points to one
        published = world_track_errors(same, truth, alignment, published=True)
        assert published.similarity.scale == 0 and np.isfinite(published.epe)
    with np.errstate(all="raise"):
        lost = world_track_errors(np.full(truth.shape, np.nan), truth, "global")
    assert lost.apd == 0 and np.isinf(lost.epe)
    still = world_track_errors(np.zeros_like(truth), truth, "global")  # no scale fits: NaN
    assert np.isnan(still.similarity.scale) and np.isinf(still.epe)


def test_ransac_without_inliers_gives_the_best_sample():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 3)), 100 * rng.normal(size=(5, 3))
    assert ransac_similarity(source, target).scale > 0


def test_dynamic_tracks_are_aligned_on_their_own():
    truth = np.repeat(tracks(frames=1, count=20), 6, axis=0)
    truth[:, :8] += np.linspace(0, 1, 6)[:, None, None] * np.array([1, 0, 0])
    estimate = truth.copy()
    estimate[:, :8] += 5
    scores = world_track_scores(estimate, truth, "sim3_closed")
    assert moves(truth).sum() == 8 and scores.dynamic_share == 0.4
    assert scores.dynamic.epe < 1e-9 and scores.all.epe > 0.5


def test_paths_of_up_to_a_centimetre_do_not_move():
    truth = np.zeros((3, 2, 3))
    truth[1:, 0, 0], truth[1:, 1, 0] = 0.01, 0.011
    assert moves(truth).tolist() == [False, True]
    truth[1] = np.nan
    assert moves(truth).tolist() == [False, False]


def test_sequences_where_nothing_moves_have_no_dynamic_error():
    still = np.repeat(tracks(frames=1), 4, axis=0)
    moving = tracks(frames=4)
    scores = [
        world_track_scores(still, still, "none"),
        world_track_scores(moving + np.array([0.2, 0, 0]), moving, "none"),
    ]
    assert np.isnan(scores[0].dynamic.epe) and scores[0].dynamic_share == 0
    means = mean_over_sequences(scores)
    assert means.epe == pytest.approx(0.1) and means.apd_dynamic == pytest.approx(0.75)
    assert means.epe_dynamic == pytest.approx(0.2)
    # 4RC divides by the number of all sequences
    assert means.epe_dynamic_as_published == pytest.approx(0.1)
    assert np.isnan(mean_over_sequences([]).epe)


def test_tracks_are_read_where_the_queries_are():
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 3))
    queries = np.array([[0, 0], [11.9, 7.9], [12, 1], [5, -0.1], [3.9, 2.1]])
    found, inside = tracks_at_queries(maps, queries, (12, 8))
    assert inside.tolist() == [True, True, False, False, True]
    assert np.array_equal(found, maps[:, [0, 3, 1], [0, 5, 1]])
    with pytest.raises(InputError, match="positive"):
        tracks_at_queries(maps, queries, (0, 8))


def test_dense_tracks_are_those_of_the_visible_pixels():
    truth = np.random.default_rng(0).normal(size=(3, 4, 6, 3))
    visible = np.zeros((4, 6), bool)
    visible[1, 2] = visible[3, 5] = True
    small = truth[:, ::2, ::3]
    estimate, true = dense_tracks(small, truth, visible)
    assert np.array_equal(true, truth[:, [1, 3], [2, 5]])
    assert np.array_equal(estimate, small[:, [0, 1], [0, 1]])
    assert dense_tracks(truth, truth, np.zeros_like(visible))[0].shape == (3, 0, 3)
    with pytest.raises(InputError, match="mask"):
        dense_tracks(truth, truth, visible[1:])


def test_equals_the_golden_numbers_of_4rc(golden: Path):
    arrays = load_file(golden / "metrics_track_4rc.safetensors")
    cases = json.loads((golden / "metrics_track_4rc.json").read_text())["cases"]
    for case, content in cases.items():
        inputs = {name: arrays[f"{case}.{name}"] for name in ("gt", "pred")}
        found = track_4rc.numbers(inputs, content["params"], content["expected"])
        for name, expected in content["expected"].items():
            rel = track_4rc.tolerance((name, "APD"))
            for key in ("APD", "EPE", "scale"):
                assert found[name][key] == pytest.approx(expected[key], rel=rel, abs=1e-9)
            assert found[name]["fractions"] == pytest.approx(expected["fractions"])
            assert np.allclose(found[name]["R"], expected["R"], rtol=rel, atol=1e-6)
            assert np.allclose(found[name]["t"], expected["t"], rtol=rel, atol=1e-6)
