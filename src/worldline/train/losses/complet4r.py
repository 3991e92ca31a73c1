"""Complet4R's losses (section 3.3 and supplement 7, 8).

L = lambda L_point + L_cam + L_depth                                           eq. 2
L_point = ||S w (P^ - P)|| + ||S (grad P^ - grad P)|| - alpha log S            eq. 3
w = |beta e|^gamma, e = ||P^ - P||                                             focal weight

The paper's text leaves alpha, beta, gamma and lambda open: VGGT's alpha; beta 1 and gamma 0.5 are
our choice, under which the term is the error to the power 1.5. The weight is a constant to the
gradient, as focal weights of regressions are (our choice). The ablation's variant multiplies the
errors of dynamic points by a factor instead (eq. 7-10).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import huber_loss

from worldline.train.losses.aleatoric import (
    ALPHA,
    aleatoric_of_gradients,
    difference,
    length,
    mean_where,
)


def focal_weight(
    error: Float[Tensor, "*shape"], beta: float = 1.0, gamma: float = 0.5
) -> Float[Tensor, "*shape"]:
    """w = |beta e|^gamma, without a gradient."""
    return (beta * error.detach()).abs() ** gamma


def dynamic_weight(
    points: Float[Tensor, "B S H W 3"],
    home: Float[Tensor, "B S H W 3"],
    threshold: float,
    factor: float = 10.0,
) -> Float[Tensor, "B S H W"]:
    """`factor` for points farther than `threshold` from where they are at home (eq. 8-10), else 1.

    The paper says "a large factor"; 10 is our choice.
    """
    return torch.where(length(points - home) > threshold, factor, 1.0)


def point_loss(
    predicted: Float[Tensor, "B S H W 3"],
    truth: Float[Tensor, "B S H W 3"],
    confidence: Float[Tensor, "B S H W"],
    valid: Bool[Tensor, "B S H W"],
    weight: Float[Tensor, "B S H W"] | None = None,
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """Eq. 3; with offsets in place of end points it is eq. 12. `weight`: None is the focal one."""
    residual = difference(predicted, truth, valid)
    error = length(residual)
    weight = focal_weight(error) if weight is None else weight
    place = mean_where(confidence * weight * error - alpha * confidence.log(), valid)
    return place + aleatoric_of_gradients(residual, confidence, valid, alpha=0.0)


def camera_loss(
    predicted: Float[Tensor, "B S 9"],
    truth: Float[Tensor, "B S 9"],
    known: Bool[Tensor, "B S"],
    delta: float = 0.1,
) -> Float[Tensor, ""]:
    """Huber loss of the camera's nine numbers (eq. 5); the paper does not say delta."""
    gap = difference(predicted, truth, known)
    each = huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=delta)
    return mean_where(each.mean(dim=-1), known)
