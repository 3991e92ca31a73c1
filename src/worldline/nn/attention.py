"""The one way to attention."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    query: Float[Tensor, "B heads L d"],
    key: Float[Tensor, "B heads M d"],
    value: Float[Tensor, "B heads M d"],
) -> Float[Tensor, "B heads L d"]:
    """softmax(query key^T / sqrt(d)) value."""
    return scaled_dot_product_attention(query, key, value)
