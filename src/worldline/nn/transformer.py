"""Pre-norm transformer blocks: self-attention, cross-attention, and conditioned by AdaLN."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from worldline.nn.attention import Attention, CrossAttention
from worldline.nn.rope import Rotation


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out or dim)

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape out"]:
        """Token by token."""
        return self.fc2(F.gelu(self.fc1(x.to(self.fc1.weight.dtype))))


class SwiGLU(nn.Module):
    """The gated feed-forward layer of DINOv2's giant; `hidden` is that of the Mlp it replaces."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        width = (int(hidden * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(dim, 2 * width)
        self.w3 = nn.Linear(width, dim)

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """Token by token."""
        gate, value = self.w12(x.to(self.w12.weight.dtype)).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    """Adds a branch to its trunk, each channel by its own factor."""

    def __init__(self, dim: int, init: float = 0.01) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(
        self, trunk: Float[Tensor, "*shape C"], branch: Float[Tensor, "*shape C"]
    ) -> Float[Tensor, "*shape C"]:
        """trunk + gamma * branch."""
        return torch.addcmul(trunk, branch, self.gamma)


class Add(nn.Module):
    """Adds a branch to its trunk as it is, where a network has no LayerScale."""

    def forward(
        self, trunk: Float[Tensor, "*shape C"], branch: Float[Tensor, "*shape C"]
    ) -> Float[Tensor, "*shape C"]:
        """trunk + branch."""
        return trunk + branch


class Block(nn.Module):
    """x + attention, then x + feed-forward.

    layer_scale: the factor's initial value; None for a network without one.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        hidden: int | None = None,
        swiglu: bool = False,
        qk_norm: bool = False,
        layer_scale: float | None = 0.01,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        hidden = hidden or 4 * dim
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads, qk_norm=qk_norm)
        self.ls1 = Add() if layer_scale is None else LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = SwiGLU(dim, hidden) if swiglu else Mlp(dim, hidden)
        self.ls2 = Add() if layer_scale is None else LayerScale(dim, layer_scale)

    def forward(
        self,
        x: Float[Tensor, "B N C"],
        rotation: Rotation | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "B N C"]:
        """The tokens after both steps."""
        x = self.ls1(x, self.attn(self.norm1(x), rotation, mask))
        return self.ls2(x, self.mlp(self.norm2(x)))


class CrossBlock(nn.Module):
    """x + cross-attention to a memory, then x + feed-forward."""

    def __init__(
        self, dim: int, heads: int, *, qk_norm: bool = True, layer_scale: float = 0.01
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.normy = nn.LayerNorm(dim)
        self.attn = CrossAttention(dim, heads, qk_norm=qk_norm)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, layer_scale)

    def memory(
        self, y: Float[Tensor, "B K C"], rotation: Rotation | None = None
    ) -> tuple[Float[Tensor, "B heads K D"], Float[Tensor, "B heads K D"]]:
        """Keys and values of the tokens that are looked at."""
        return self.attn.memory(self.normy(y), rotation)

    def queries(
        self, x: Float[Tensor, "B Q C"], rotation: Rotation | None = None
    ) -> Float[Tensor, "B heads Q D"]:
        """What the tokens ask."""
        return self.attn.queries(self.norm1(x), rotation)

    def forward(
        self,
        x: Float[Tensor, "B Q C"],
        memory: tuple[Float[Tensor, "B heads K D"], Float[Tensor, "B heads K D"]],
        rotation: Rotation | None = None,
        queries: Float[Tensor, "B heads Q D"] | None = None,
    ) -> Float[Tensor, "B Q C"]:
        """The tokens after both steps. `queries`: what they ask, where that is known already."""
        asked = self.queries(x, rotation) if queries is None else queries
        x = self.ls1(x, self.attn.answer(asked, memory))
        return self.ls2(x, self.mlp(self.norm2(x)))


class AdaLNBlock(nn.Module):
    """A block whose norms are shifted, scaled and gated by a condition (DiT's AdaLN)."""

    def __init__(self, dim: int, heads: int, *, qk_norm: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, qk_norm=qk_norm)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        modulation = nn.Linear(dim, 6 * dim)
        nn.init.zeros_(modulation.weight)  # starts as the identity
        nn.init.zeros_(modulation.bias)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), modulation)

    def forward(
        self,
        x: Float[Tensor, "B N C"],
        condition: Float[Tensor, "B C"],
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "B N C"]:
        """The tokens after both steps."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition)[
            :, None
        ].chunk(6, dim=-1)
        x = torch.addcmul(x, gate1, self.attn(modulate(self.norm1(x), shift1, scale1), rotation))
        return torch.addcmul(x, gate2, self.mlp(modulate(self.norm2(x), shift2, scale2)))


def modulate(
    x: Float[Tensor, "*#shape C"],
    shift: Float[Tensor, "*#shape C"],
    scale: Float[Tensor, "*#shape C"],
) -> Float[Tensor, "*#shape C"]:
    """shift + x (1 + scale)."""
    return torch.addcmul(shift, x, 1 + scale)
