"""VGGT's camera loss, over all refinements of the camera head (as its training code has it)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.train.losses.aleatoric import difference, mean_where
from worldline.train.losses.iterations import over_iterations

GAMMA = 0.6  # a refinement counts so much less than the next one
FARTHEST = 100.0  # errors of translation beyond this are cut off
FIELD = 0.5  # weight of the fields of view


def camera_loss(
    predicted: Float[Tensor, "K B S 9"],
    truth: Float[Tensor, "B S 9"],
    known: Bool[Tensor, "B S"],
) -> Float[Tensor, ""]:
    """Mean absolute differences of translation, quaternion and half of the fields of view.

    predicted: after each of K refinements; the last counts fully.
    known: frames whose camera counts; VGGT takes those with more than 100 points of known depth.
    """
    gap = difference(predicted, truth, known).abs()
    each = gap[..., :3].clamp_max(FARTHEST).mean(dim=-1) + gap[..., 3:7].mean(dim=-1)
    each = each + FIELD * gap[..., 7:].mean(dim=-1)
    losses = torch.stack([mean_where(one, known) for one in each])
    return over_iterations(losses, GAMMA) / len(losses)
