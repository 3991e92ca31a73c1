"""Losses of point trackers: CoTracker3's, and the mobility that C4D's DynPT learns beside them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from worldline.train.losses.aleatoric import difference, length, mean_where
from worldline.train.losses.iterations import over_iterations

GAMMA = 0.8
DELTA = 6.0  # pixels, where Huber's loss becomes linear
SEEN, HIDDEN = 0.05, 0.01  # weights of positions of points that can be seen, and that cannot
SURE_WITHIN = 12.0  # pixels: nearer to the truth than this, confidence should be high


def position_loss(
    estimates: Float[Tensor, "K B N T 2"],
    truth: Float[Tensor, "B N T 2"],
    visible: Bool[Tensor, "B N T"],
    known: Bool[Tensor, "B N T"],
) -> Float[Tensor, ""]:
    """Huber loss of positions in pixels after each of K iterations, later ones weighing more.

    known: where there is a true position; hidden points have one, and count less.
    """
    gap = difference(estimates, truth, known)
    each = huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=DELTA).mean(dim=-1)
    weight = torch.where(visible, SEEN, HIDDEN)
    losses = torch.stack([mean_where(weight * one, known) for one in each])
    return over_iterations(losses, GAMMA) / len(losses)


def visibility_loss(
    logits: Float[Tensor, "K B N T"], visible: Bool[Tensor, "B N T"], known: Bool[Tensor, "B N T"]
) -> Float[Tensor, ""]:
    """Binary cross entropy of whether a point is seen."""
    return _entropies(logits, visible.expand_as(logits), known)


def confidence_loss(
    logits: Float[Tensor, "K B N T"],
    estimates: Float[Tensor, "K B N T 2"],
    truth: Float[Tensor, "B N T 2"],
    visible: Bool[Tensor, "B N T"],
) -> Float[Tensor, ""]:
    """Binary cross entropy of whether the position is within 12 pixels of the true one."""
    near = length(estimates.detach() - truth) < SURE_WITHIN
    return _entropies(logits, near, visible)


def mobility_loss(
    logits: Float[Tensor, "K B N T"], moving: Bool[Tensor, "B N"], known: Bool[Tensor, "B N T"]
) -> Float[Tensor, ""]:
    """Binary cross entropy of whether the point moves in the world (C4D; the form is our choice).

    moving: of the object that the point is on, at any time of the clip.
    """
    return _entropies(logits, moving[..., None].expand_as(logits), known)


def _entropies(
    logits: Float[Tensor, "K *shape"],
    labels: Bool[Tensor, "K *shape"],
    valid: Bool[Tensor, "*shape"],
) -> Float[Tensor, ""]:
    each = binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    losses = torch.stack([mean_where(one, valid) for one in each])
    return over_iterations(losses, GAMMA) / len(losses)
