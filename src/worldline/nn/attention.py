"""Scaled dot-product attention: the one function that every network attends through."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from worldline.nn.rope import Rotation


def attend(
    queries: Float[Tensor, "B heads Q D"],
    keys: Float[Tensor, "B heads K D"],
    values: Float[Tensor, "B heads K E"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "B heads Q E"]:
    """softmax(queries keysᵀ / √D) values, by the fastest kernel of the device.

    mask: broadcast to [B,heads,Q,K]; True where a query may look.
    """
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def split_heads(x: Float[Tensor, "B N C"], heads: int) -> Float[Tensor, "B heads N D"]:
    """The channels as `heads` groups, in front of the tokens; a view."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "B heads N D"]) -> Float[Tensor, "B N C"]:
    """What `split_heads` took apart."""
    return x.transpose(1, 2).flatten(-2)


class Attention(nn.Module):
    """Self-attention; `qk_norm` normalises queries and keys before they meet."""

    def __init__(self, dim: int, heads: int, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def forward(
        self,
        x: Float[Tensor, "B N C"],
        rotation: Rotation | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "B N C"]:
        """Every token looks at every token of its sequence."""
        x = x.to(self.qkv.weight.dtype)  # the trunk may be more precise; see nn.precision
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        return self.proj(merge_heads(attend(q, k, v, mask)))


class CrossAttention(nn.Module):
    """Queries of one sequence look at another, whose keys and values can be made once."""

    def __init__(self, dim: int, heads: int, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.q_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def memory(
        self, y: Float[Tensor, "B K C"], rotation: Rotation | None = None
    ) -> tuple[Float[Tensor, "B heads K D"], Float[Tensor, "B heads K D"]]:
        """Keys and values of the sequence that is looked at."""
        y = y.to(self.k.weight.dtype)
        k = self.k_norm(split_heads(self.k(y), self.heads))
        k = k if rotation is None else rotation(k)
        return k, split_heads(self.v(y), self.heads)

    def queries(
        self, x: Float[Tensor, "B Q C"], rotation: Rotation | None = None
    ) -> Float[Tensor, "B heads Q D"]:
        """What the tokens ask."""
        q = self.q_norm(split_heads(self.q(x.to(self.q.weight.dtype)), self.heads))
        return q if rotation is None else rotation(q)

    def answer(
        self,
        queries: Float[Tensor, "B heads Q D"],
        memory: tuple[Float[Tensor, "B heads K D"], Float[Tensor, "B heads K D"]],
    ) -> Float[Tensor, "B Q C"]:
        """What they find in the memory."""
        return self.proj(merge_heads(attend(queries, *memory)))

    def forward(
        self,
        x: Float[Tensor, "B Q C"],
        memory: tuple[Float[Tensor, "B heads K D"], Float[Tensor, "B heads K D"]],
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "B Q C"]:
        """Every token of `x` looks at every token of the memory."""
        return self.answer(self.queries(x, rotation), memory)
