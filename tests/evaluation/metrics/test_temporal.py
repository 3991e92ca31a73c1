import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation.metrics.temporal import depth_flicker, point_flicker


def depths():
    return np.random.default_rng(0).uniform(1, 9, size=(6, 10))


def test_a_constant_scale_of_the_video_or_of_a_point_does_not_flicker():
    truth = depths()
    assert depth_flicker(3 * truth, truth).mean < 1e-12
    assert depth_flicker(truth * np.linspace(0.5, 2, 10), truth).worst < 1e-12


def test_depth_that_alternates_flickers_by_what_it_alternates():
    truth = depths()
    estimate = truth * np.where(np.arange(6) % 2, 1.02, 1.0)[:, None]
    flicker = depth_flicker(estimate, truth)
    assert (flicker.mean, flicker.median) == pytest.approx(2 * (np.log(1.02),))
    assert flicker.pairs == 50


def test_only_pairs_seen_in_both_frames_count():
    truth = depths()
    visible = np.ones(truth.shape, bool)
    visible[2] = False
    estimate = truth.copy()
    estimate[2] = 100
    estimate[5, 0], estimate[5, 1] = np.nan, -1
    flicker = depth_flicker(estimate, truth, visible)
    assert flicker.mean < 1e-12 and flicker.pairs == 30 - 2


def test_points_flicker_in_metres_and_true_motion_costs_nothing():
    truth = np.cumsum(np.ones((5, 3, 3)), axis=0)
    assert point_flicker(truth + np.array([1, 2, 3]), truth).mean == 0
    estimate = truth.copy()
    estimate[::2, :, 0] += 0.03
    estimate[4, 0] = np.inf
    flicker = point_flicker(estimate, truth)
    assert flicker.mean == pytest.approx(0.03) and flicker.pairs == 11


def test_nothing_seen_twice_is_nan():
    truth = depths()
    flicker = depth_flicker(truth, truth, np.zeros(truth.shape, bool))
    assert np.isnan(flicker.mean) and flicker.pairs == 0


def test_what_does_not_fit_is_refused():
    truth = depths()
    with pytest.raises(InputError, match="two frames"):
        depth_flicker(truth[:1], truth[:1])
    with pytest.raises(InputError, match="same"):
        depth_flicker(truth[1:], truth)
    with pytest.raises(InputError, match="Visibility"):
        depth_flicker(truth, truth, np.ones((1, 1), bool))
