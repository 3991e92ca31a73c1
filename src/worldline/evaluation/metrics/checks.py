"""The one check that every metric starts with."""

import numpy as np

from worldline.errors import InputError


def same_shape(what: str, estimate: np.ndarray, truth: np.ndarray) -> None:
    """Raises ``InputError`` unless both arrays have the same shape and are not empty."""
    if estimate.shape != truth.shape or truth.size == 0:
        raise InputError(
            f"{what}: the estimate is {estimate.shape} and the truth {truth.shape}; "
            "both must have the same, non-empty shape."
        )
