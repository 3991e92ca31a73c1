"""Transformers in half precision: matrix products are halved, what they are added to is not."""

import torch
from torch import nn

from worldline.nn.attention import Attention, CrossAttention
from worldline.nn.transformer import Mlp, SwiGLU


def halve(network: nn.Module, dtype: torch.dtype) -> None:
    """Put attention and feed-forward layers into `dtype`, in place.

    Norms, tokens and the sum of all branches keep their precision: in bfloat16 that sum loses a
    digit that forty blocks do not give back, and its additions cost next to nothing.
    """
    for module in network.modules():
        if isinstance(module, Attention | CrossAttention | Mlp | SwiGLU):
            module.to(dtype)
