"""Completion keeps what is known, spreads it within the picture's regions, and stays finite."""

import numpy as np
import pytest

from worldline.systems.classic.completion import complete

SHAPE = (48, 64)


def picture(value=120):
    return np.full((*SHAPE, 3), value, np.uint8)


def two_halves():
    """Dark left, bright right."""
    frame = picture(40)
    frame[:, 32:] = 210
    return frame


def zeros():
    return np.zeros(SHAPE, np.float32)


@pytest.mark.parametrize("known", [1e-3, 0.1, 100.0])
def test_a_constant_stays_what_it_is(known):
    weight = zeros()
    weight[::7, ::5] = known
    value = np.where(weight > 0, np.float32(3.5), np.float32(-99))
    noise = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    assert complete(value, weight, noise) == pytest.approx(3.5, abs=1e-3)


def test_values_known_for_sure_are_kept():
    value = np.tile(np.linspace(1, 4, SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
    found = complete(value, np.full(SHAPE, 50, np.float32), picture())
    assert np.abs(found - value)[2:-2, 2:-2].max() < 0.02


def test_values_spread_over_a_plain_region():
    value, weight = zeros(), zeros()
    value[24, 4:60:8], weight[24, 4:60:8] = 2.0, 20.0
    assert complete(value, weight, picture()) == pytest.approx(2.0, abs=1e-2)


def test_an_edge_in_the_picture_stops_the_spread():
    value, weight = zeros(), zeros()
    for x, known in ((4, 1.0), (12, 1.0), (20, 1.0), (44, 5.0), (52, 5.0), (60, 5.0)):
        value[4::8, x], weight[4::8, x] = known, 20.0
    parted = complete(value, weight, two_halves())
    assert np.abs(parted[:, :29] - 1).max() < 0.3 and np.abs(parted[:, 35:] - 5).max() < 0.3
    blended = complete(value, weight, picture())
    assert np.abs(blended[24, 30:34] - 3).max() < 1.0  # the same without the edge


def test_nothing_is_invented_beyond_the_known_values():
    generator = np.random.default_rng(1)
    value = generator.uniform(1, 2, SHAPE).astype(np.float32)
    weight = (generator.random(SHAPE) < 0.05).astype(np.float32)
    frame = generator.integers(0, 255, (*SHAPE, 3), np.uint8)
    found = complete(value, weight, frame)
    assert found.min() >= 1 - 1e-4 and found.max() <= 2 + 1e-4


def test_without_any_weight_the_middle_value_is_everywhere():
    value = np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    found = complete(value, zeros(), two_halves())
    assert np.isfinite(found).all()
    assert found == pytest.approx(np.median(value), rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (24, 24), (37, 61)])
def test_any_size_is_completed(shape):
    value = np.full(shape, 2.0, np.float32)
    weight = np.ones(shape, np.float32)
    frame = np.zeros((*shape, 3), np.uint8)
    found = complete(value, weight, frame)
    assert found.shape == shape and found == pytest.approx(2.0, abs=1e-4)
