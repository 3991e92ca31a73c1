"""What heads' raw outputs mean: positive depths, confidences above one, points in log scale."""

import torch
from jaxtyping import Float
from torch import Tensor


def inverse_log(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """sign(x) (exp|x| - 1): coordinates that were predicted on a logarithmic scale."""
    return x.sign() * torch.expm1(x.abs())


def confidence(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """1 + exp(x): the weight of an aleatoric loss."""
    return 1 + x.exp()


def metric_direction(x: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
    """x / |x| (exp|x| - 1): points whose distance was predicted on a logarithmic scale."""
    distance = x.norm(dim=-1, keepdim=True)
    return x / distance.clamp_min(1e-8) * torch.expm1(distance)
