"""Video depth as CUT3R's and 4RC's evaluations compute it, for every alignment they offer."""

import re
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
_VARIANT = re.compile(
    rf"(?P<alignment>{'|'.join(_ALIGNMENTS)})(_clip(?P<clip>[\d.]+))?(?P<mask>_custom_mask)?"
)


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """Errors of ``pred`` against ``gt`` [T, H, W] for each variant among the expected ones.

    A variant is an alignment, followed by ``_clip<depth>`` or ``_custom_mask`` or both.
    """
    known = {variant: match for variant in expected if (match := _VARIANT.fullmatch(variant))}
    return {variant: _named(_errors(tensors, params, match)) for variant, match in known.items()}


def _errors(
    tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], variant: re.Match[str]
) -> PublishedDepthErrors:
    return depth_errors_as_published(
        tensors["pred"],
        tensors["gt"],
        mask=tensors["custom_mask"].astype(bool) if variant["mask"] else None,
        alignment=_ALIGNMENTS[variant["alignment"]],
        max_depth=_number(params.get("max_depth", 80)),  # the evaluation's own default
        clip=_number(variant["clip"]),
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
