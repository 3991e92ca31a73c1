"""DAVIS's F: known answers, invariants, empty masks, and the values of its own evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worldline.errors import InputError
from worldline.evaluation.metrics.masks import boundary_f_per_frame, mean_boundary_f


def square(left=20, top=10, size=20, shape=(60, 80)):
    mask = np.zeros((1, *shape), bool)
    mask[0, top : top + size, left : left + size] = True
    return mask


def test_contours_match_within_the_tolerance():
    """The diagonal is 100 pixels, so 0.008 of it is one pixel, rounded up."""
    assert boundary_f_per_frame(square(), square()) == 1
    assert boundary_f_per_frame(square(21), square()) == 1
    far = boundary_f_per_frame(square(24), square())[0]
    assert 0 < far < 1
    assert boundary_f_per_frame(square(24), square(), tolerance=4.0) == 1
    assert boundary_f_per_frame(square(50, 30), square()) == 0


def test_f_by_hand():
    """Two of the truth's contours are found exactly, out of the two found and four true."""
    truth, estimate = np.zeros((1, 20, 20), bool), np.zeros((1, 20, 20), bool)
    truth[0, :, 5:15] = True  # vertical contours after columns 4 and 14
    estimate[0, :, 5:] = True
    assert boundary_f_per_frame(estimate, truth) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert boundary_f_per_frame(truth, estimate) == pytest.approx(2 * 1 * 0.5 / 1.5)


def test_masks_without_a_contour():
    nothing = np.zeros((1, 60, 80), bool)
    assert boundary_f_per_frame(nothing, nothing) == 1
    assert boundary_f_per_frame(~nothing, ~nothing) == 1
    assert boundary_f_per_frame(nothing, square()) == 0
    assert boundary_f_per_frame(square(), nothing) == 0
    with pytest.raises(InputError, match="same"):
        mean_boundary_f(nothing, nothing[:, 1:])


def test_equals_davis_contour_accuracy(reference_metrics: Path, davis_camel: Path):
    expected = json.loads((reference_metrics / "expected_davis_jf.json").read_text())
    expected = expected["values"]["osvos/camel"]

    def read(folder: Path) -> np.ndarray:
        return np.stack([np.array(Image.open(p)) > 0 for p in sorted(folder.glob("*.png"))])

    estimate, truth = read(reference_metrics / "osvos_camel"), read(davis_camel / "masks")
    found = boundary_f_per_frame(estimate, truth)
    assert found == pytest.approx(np.array(expected["F"]), abs=1e-12)
    assert found.mean() == pytest.approx(expected["F_mean_all_frames"])
    assert found[1:-1].mean() == pytest.approx(expected["F_mean_excl_first_last"])
