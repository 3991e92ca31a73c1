import numpy as np
import pytest

from worldline.errors import InputError
from worldline.evaluation.metrics.mobility import mobility_scores

MOVING = np.array([True, False, False, False])


def test_calling_all_static_is_right_for_one_class_only():
    scores = mobility_scores(np.zeros(4, bool), MOVING)
    assert (scores.d_acc, scores.dynamic, scores.static) == (0.75, 0, 1)
    assert scores.dynamic_share == 0.25 and scores.balanced == 0.5


def test_only_points_inside_the_mask_count():
    mask = np.array([True, True, False, False])
    scores = mobility_scores(np.array([True, True, True, True]), MOVING, mask)
    assert (scores.d_acc, scores.dynamic, scores.static) == (0.5, 1, 0)


def test_a_class_without_points_has_no_accuracy():
    scores = mobility_scores(np.ones(3, bool), np.ones(3, bool))
    assert scores.d_acc == 1 and np.isnan(scores.static) and np.isnan(scores.balanced)


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="same"):
        mobility_scores(MOVING[1:], MOVING)
    with pytest.raises(InputError, match="inside the mask"):
        mobility_scores(MOVING, MOVING, np.zeros(4, bool))
