"""Video depth as CUT3R's and 4RC's evaluations compute it, for every alignment they offer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.depth_published import (
    PublishedAlignment,
    PublishedDepthErrors,
    depth_errors_as_published,
)

TOLERANCE = 1e-5

_ALIGNMENTS: dict[str, PublishedAlignment] = {
    "scale&shift_lad2": "scale&shift",
    "scale&shift": "scale&shift",
    "scale": "scale",
    "lstsq": "lstsq",
    "metric": "metric",
    "median": "median",
}


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """Errors of ``pred`` against ``gt`` [T, H, W] for each variant among the expected ones.

    A variant is an alignment, followed by ``_clip<depth>`` or ``_custom_mask`` or both.
    """
    return {variant: _named(_errors(tensors, params, variant)) for variant in expected}


def _errors(
    tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], variant: str
) -> PublishedDepthErrors:
    base, _, masked = variant.partition("_custom_mask")
    name, _, clip = base.partition("_clip")
    clip = clip or masked.removeprefix("_clip")
    return depth_errors_as_published(
        tensors["pred"],
        tensors["gt"],
        mask=tensors["custom_mask"].astype(bool) if "_custom_mask" in variant else None,
        alignment=_ALIGNMENTS[name],
        max_depth=_number(params.get("max_depth", 80)),
        clip=_number(clip or None),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _named(errors: PublishedDepthErrors) -> dict[str, float]:
    return {
        "Abs Rel": errors.abs_rel,
        "Sq Rel": errors.sq_rel,
        "RMSE": errors.rmse,
        "Log RMSE": errors.log_rmse,
        "δ < 1.": errors.deltas[0],
        "δ < 1.25": errors.deltas[1],
        "δ < 1.25^2": errors.deltas[2],
        "δ < 1.25^3": errors.deltas[3],
        "valid_pixels": errors.pixels,
    }
