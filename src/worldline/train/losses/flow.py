"""Losses of optical flow over a sequence of estimates: RAFT's, and SEA-RAFT's mixture."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.train.losses.aleatoric import difference, length, mean_where
from worldline.train.losses.iterations import over_iterations

FASTEST = 400.0  # pixels; faster flow is not learnt from


def raft_loss(
    estimates: Float[Tensor, "K N 2 H W"],
    truth: Float[Tensor, "N 2 H W"],
    valid: Bool[Tensor, "N H W"],
    gamma: float = 0.8,
) -> Float[Tensor, ""]:
    """Mean absolute difference after each of K iterations (RAFT, eq. 7)."""
    used, gaps = _gaps(estimates, truth, valid)
    gaps = gaps.mean(dim=-1)
    return over_iterations(torch.stack([mean_where(gap, used) for gap in gaps]), gamma)


def searaft_loss(
    estimates: Float[Tensor, "K N 2 H W"],
    mixtures: Float[Tensor, "K N 4 H W"],
    truth: Float[Tensor, "N 2 H W"],
    valid: Bool[Tensor, "N H W"],
    gamma: float = 0.85,
    widest: float = 10.0,
) -> Float[Tensor, ""]:
    """Negative log likelihood of a mixture of two Laplace distributions (SEA-RAFT, eq. 3-5).

    mixtures: logits of the wide and of the narrow one, log scale of the wide one (clamped to 0 and
        `widest`), and one unused; the narrow one's scale is a pixel. x and y share the weights.
    """
    used, gaps = _gaps(estimates, truth, valid)
    logits = mixtures[:, :, :2]
    wide = mixtures[:, :, 2].clamp(0, widest)
    scale = torch.stack([wide, torch.zeros_like(wide)], dim=2)  # [K,N,2 components,H,W]
    gap = gaps.movedim(-1, 2)[:, :, :, None]  # [K,N,2 axes,1,H,W]
    density = -scale[:, :, None] - gap * (-scale[:, :, None]).exp() - torch.log(gap.new_tensor(2.0))
    likely = torch.logsumexp(logits[:, :, None] + density, dim=3)
    unlikely = logits.logsumexp(dim=2)[:, :, None] - likely
    losses = torch.stack([mean_where(one.mean(dim=1), used) for one in unlikely])
    return over_iterations(losses, gamma)


def _gaps(
    estimates: Float[Tensor, "K N 2 H W"],
    truth: Float[Tensor, "N 2 H W"],
    valid: Bool[Tensor, "N H W"],
) -> tuple[Bool[Tensor, "N H W"], Float[Tensor, "K N H W 2"]]:
    """What is learnt from, and the absolute differences there."""
    flow = truth.movedim(1, -1)
    used = valid & (length(flow) < FASTEST)
    return used, difference(estimates.movedim(2, -1), flow, used).abs()
