"""Video depth as the evaluations of CUT3R and 4RC compute it, their approximations included.

For numbers that stand beside published ones. All is in float32, as theirs; prefer ``depth``, whose
alignments are optimal and do not depend on the unit.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.evaluation.metrics.checks import same_shape

PublishedAlignment = Literal["metric", "median", "scale", "scale&shift", "lstsq"]

WEISZFELD_STEPS = 10
ADAM_STEPS, ADAM_RATE = 1000, 1e-4
LEAST_DEPTH = 1e-5  # below, depth counts as this in logarithms and ratios


@dataclass(frozen=True)
class PublishedDepthErrors:
    """Errors over the valid pixels; see ``depth_errors_as_published``. All 0 without any pixel."""

    abs_rel: float
    sq_rel: float
    rmse: float
    log_rmse: float
    deltas: tuple[float, float, float, float]  # shares below 1, 1.25, 1.25², 1.25³
    pixels: int


def depth_errors_as_published(
    estimate: Float[np.ndarray, "*shape"],
    truth: Float[np.ndarray, "*same"],
    mask: Bool[np.ndarray, "*mask"] | None = None,
    alignment: PublishedAlignment = "scale",
    max_depth: float | None = 70.0,
    clip: float | None = None,
) -> PublishedDepthErrors:
    """Errors where 0 < truth < ``max_depth``; aligned on all of these, scored where ``mask``.

    ``alignment``: "metric" (none), "median" (the lower of two middle values), "scale" (ten steps
    of Weiszfeld towards least absolute deviations), "scale&shift" (a thousand Adam steps of 1e-4,
    which move each by 0.1 at most: far from the optimum unless the depth is nearly right), "lstsq".
    Aligned depth above ``clip`` counts as ``clip``. Estimates that are not finite are not left out:
    errors are then not finite either, and shares miss them. Raises ``InputError`` for differing
    shapes.
    """
    same_shape("Depth", estimate, truth)
    valid = truth > 0 if max_depth is None else (truth > 0) & (truth < max_depth)
    predicted, true = (torch.from_numpy(a[valid].astype(np.float32)) for a in (estimate, truth))
    aligned = _aligned(predicted, true, alignment) if len(true) else predicted
    aligned = aligned if clip is None else aligned.clamp(max=clip)
    if mask is not None:
        same_shape("Depth mask", mask, truth)
        scored = torch.from_numpy(mask[valid])
        aligned, true = aligned[scored], true[scored]
    return _errors(aligned, true)


def _errors(aligned: Tensor, true: Tensor) -> PublishedDepthErrors:
    if len(true) == 0:
        return PublishedDepthErrors(0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0, 0.0), 0)
    error = aligned - true
    positive = aligned.clamp(min=LEAST_DEPTH)
    ratio = torch.maximum(positive / true, true / positive)
    logs = positive.log() - true.log()
    first, *others = ((ratio < 1.25**k).float().mean().item() for k in range(4))
    return PublishedDepthErrors(
        abs_rel=(error.abs() / true).mean().item(),
        sq_rel=(error.square() / true).mean().item(),
        rmse=error.square().mean().sqrt().item(),
        log_rmse=logs.square().mean().sqrt().item(),
        deltas=(first, others[0], others[1], others[2]),
        pixels=len(true),
    )


def _aligned(estimate: Tensor, truth: Tensor, alignment: PublishedAlignment) -> Tensor:
    if alignment == "metric":
        return estimate
    if alignment == "median":
        return truth.median() / estimate.median() * estimate
    if alignment == "scale":
        return _weiszfeld(estimate, truth) * estimate
    fit = _adam if alignment == "scale&shift" else _least_squares
    scale, shift = fit(estimate, truth)
    return scale * estimate + shift


def _weiszfeld(estimate: Tensor, truth: Tensor) -> Tensor:
    scale = truth.nanmean() / estimate.nanmean()
    for _ in range(WEISZFELD_STEPS):
        weights = 1 / ((scale * estimate - truth).abs() + 1e-8)
        scale = (weights * estimate * truth).sum() / (weights * estimate.square()).sum()
    return scale.clamp(min=1e-3)


def _adam(estimate: Tensor, truth: Tensor) -> tuple[float, float]:
    start = (truth.median() / estimate.median()).item()
    scale = torch.tensor([start], dtype=torch.float32, requires_grad=True)
    shift = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([scale, shift], lr=ADAM_RATE)
    before = None
    for _ in range(ADAM_STEPS):
        optimizer.zero_grad()
        loss = (scale * estimate + shift - truth).abs().sum()
        loss.backward()
        optimizer.step()
        if before is not None and abs(before - loss.item()) < 1e-6:
            break
        before = loss.item()
    return scale.item(), shift.item()


def _least_squares(estimate: Tensor, truth: Tensor) -> tuple[float, float]:
    if not torch.isfinite(estimate).all():
        return float("nan"), float("nan")
    columns = np.stack([estimate.numpy(), np.ones(len(estimate), np.float32)], axis=1)
    scale, shift = np.linalg.lstsq(columns, truth.numpy(), rcond=None)[0]
    return float(scale), float(shift)
