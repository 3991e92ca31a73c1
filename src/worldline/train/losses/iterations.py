"""Losses of networks that refine an answer: later answers count more."""

import torch
from jaxtyping import Float
from torch import Tensor


def over_iterations(losses: Float[Tensor, " K"], gamma: float) -> Float[Tensor, ""]:
    """The sum of the K losses, each weighing `gamma` times the next; the last counts fully."""
    weights = gamma ** torch.arange(len(losses) - 1, -1, -1, device=losses.device)
    return (weights * losses).sum()
