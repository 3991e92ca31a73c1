"""Flow, its look-up by position, its consistency, and the bank that keeps it."""

import numpy as np
import pytest
from small_worlds import sliding

from worldline.systems.classic.flow import DisFlow, FlowModel, inside, round_trip_error, sample
from worldline.systems.classic.flowbank import FlowBank


@pytest.mark.parametrize("velocity", [(0.5, 0.0), (-1.3, 0.7), (3.25, -2.6)])
def test_a_known_subpixel_shift_is_found(velocity):
    one, other = sliding(2, velocity)
    flow = DisFlow()(one, other)
    error = np.linalg.norm(flow[8:-8, 8:-8] - velocity, axis=-1)
    assert np.median(error) < 0.1 and np.percentile(error, 95) < 0.15


def test_dis_is_a_flow_model():
    assert isinstance(DisFlow(), FlowModel)


def ramp(height, width):
    """A field whose value at any position is twice that position, in our pixel convention."""
    y, x = np.mgrid[:height, :width] + 0.5
    return 2 * np.stack([x, y], axis=-1).astype(np.float32)


def test_sampling_counts_from_the_corner_of_the_first_pixel():
    uv = np.array([[0.5, 0.5], [3.5, 2.5], [4.0, 2.75], [6.9, 1.1]], np.float32)
    assert sample(ramp(8, 12), uv) == pytest.approx(2 * uv, abs=0.07)  # OpenCV's 1/32 px steps
    assert sample(ramp(8, 12), uv[:3]) == pytest.approx(2 * uv[:3], abs=1e-5)


def test_sampling_outside_gives_the_border():
    outside = np.array([[-5, -5], [100, 3.5]], np.float32)
    assert sample(ramp(8, 12), outside).tolist() == [[1, 1], [23, 7]]


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 5000])
def test_any_number_of_points_can_be_sampled(count):
    generator = np.random.default_rng(0)
    uv = (generator.integers(0, 8, (count, 2)) + 0.5).astype(np.float32)
    found = sample(ramp(8, 8), uv)
    assert found.shape == (count, 2) and np.array_equal(found, 2 * uv)


def test_consistent_flows_return_and_pixels_that_leave_never_do():
    forward = np.full((20, 30, 2), (4.0, 0.0), np.float32)
    error = round_trip_error(forward, -forward)
    assert (error[:, :25] == 0).all()
    assert np.isinf(error[:, 27:]).all()


def test_inconsistent_flows_are_told_by_how_far_the_way_back_misses():
    forward = np.full((20, 30, 2), (2.0, 0.0), np.float32)
    backward = np.full((20, 30, 2), (1.0, 4.0), np.float32)
    assert round_trip_error(forward, backward)[:, :20] == pytest.approx(5.0)


def test_inside_counts_the_picture_s_edges_and_its_margin():
    uv = np.array([[0, 0], [12, 8], [12.1, 4], [1.9, 4], [2, 2]], np.float32)
    assert inside(uv, 8, 12).tolist() == [True, True, False, True, True]
    assert inside(uv, 8, 12, margin=2.0).tolist() == [False, False, False, False, True]


class Counting:
    """A flow model that says which frames it was given and how often it was asked."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, source, target):
        self.asked += 1
        value = source[0, 0, 0] + 100.0 * target[0, 0, 0] + 1 / 3
        return np.full((*source.shape[:2], 2), value, np.float32)


def numbered(count):
    return np.stack([np.full((10, 20, 3), i, np.uint8) for i in range(count)])


def test_a_flow_is_computed_once_and_is_the_same_when_asked_again():
    model = Counting()
    bank = FlowBank(numbered(3), model)
    first = bank.flow(0, 2)
    assert first == pytest.approx(200 + 1 / 3, rel=1e-3)
    assert np.array_equal(bank.flow(0, 2), first) and model.asked == 1
    assert bank.flow(2, 0)[0, 0, 0] != first[0, 0, 0]


def test_a_flow_that_was_dropped_comes_back_the_same():
    budget = 5 * 4 * 10 * 20
    bank = FlowBank(numbered(8), Counting(), budget_bytes=budget)
    first = bank.flow(0, 1)
    for target in range(2, 8):
        bank.flow(0, target)
    assert np.array_equal(bank.flow(0, 1), first)


def test_the_bank_never_keeps_more_than_its_budget():
    budget = 5 * 4 * 10 * 20
    model = Counting()
    bank = FlowBank(numbered(8), model, budget_bytes=budget)
    for source in range(8):
        for target in range(8):
            bank.flow(source, target)
            assert sum(flow.nbytes for flow in bank._kept.values()) <= budget
    asked = model.asked
    bank.flow(7, 7)  # the newest is still there
    assert model.asked == asked


def test_what_was_used_last_is_kept_longest():
    model = Counting()
    bank = FlowBank(numbered(8), model, budget_bytes=4 * 4 * 10 * 20)
    for target in range(1, 5):
        bank.flow(0, target)
    bank.flow(0, 1)
    bank.flow(0, 5)  # drops (0, 2), the longest unused
    asked = model.asked
    bank.flow(0, 1)
    assert model.asked == asked
    bank.flow(0, 2)
    assert model.asked == asked + 1


def test_round_trip_of_the_bank_is_small_where_content_stays():
    bank = FlowBank(sliding(2, (2.0, 1.0)))
    error = bank.round_trip(0, 1)
    assert np.median(error[8:-8, 8:-8]) < 0.1
    assert np.isinf(error[:, -1]).all()
