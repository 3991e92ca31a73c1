"""The transformer with which point trackers update their tracks (CoTracker, arXiv 2307.07635).

Tokens [B,N,T,C], one for each of N tracks in each of T frames, attend over time, each track by
itself, and over tracks, each frame by itself. The latter goes through a few learned "virtual
tracks": they gather from the tracks, attend to each other and hand back, so that the cost grows
with N and not with its square. The blocks here are CoTracker3's; VGGT's tracker brings its own.
"""

from jaxtyping import Float
from torch import Tensor, cat, nn, randn
from torch.nn.functional import gelu

from worldline.errors import InputError
from worldline.nn.attention import attend, merge_heads, split_heads
from worldline.nn.transformer import Mlp


class TanhMlp(Mlp):
    """An MLP with the GELU that is made with tanh."""

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape out"]:
        """Token by token."""
        return self.fc2(gelu(self.fc1(x), approximate="tanh"))


class Attention(nn.Module):
    """Attention with one projection for queries and one for keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * width)
        self.to_out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B L C"], context: Float[Tensor, "B M C"]
    ) -> Float[Tensor, "B L C"]:
        """What each of L tokens takes from M others."""
        projected = (self.to_q(x), *self.to_kv(context).chunk(2, dim=-1))
        query, key, value = (split_heads(each, self.heads) for each in projected)
        return self.to_out(merge_heads(attend(query, key, value)))


class SelfBlock(nn.Module):
    """Self-attention and an MLP, each with a norm without parameters before it."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.mlp = TanhMlp(width, hidden)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """The tokens, updated."""
        normed = self.norm1(x)
        x = x + self.attn(normed, normed)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """As `SelfBlock`, but the tokens attend to others."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.norm_context = nn.LayerNorm(width)
        self.cross_attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.mlp = TanhMlp(width, hidden)

    def forward(
        self, x: Float[Tensor, "B L C"], context: Float[Tensor, "B M C"]
    ) -> Float[Tensor, "B L C"]:
        """The L tokens, updated by the M others."""
        x = x + self.cross_attn(self.norm1(x), self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class UpdateFormer(nn.Module):
    """Mixes tokens over time and over tracks.

    Each network adds its own way in and out of the tokens. A block over time stands first, and
    `space_depth` blocks over tracks are spread evenly between those over time.
    """

    SelfBlock: type[nn.Module] = SelfBlock
    CrossBlock: type[nn.Module] = CrossBlock

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        time_depth: int,
        space_depth: int,
        virtual_tracks: int,
    ) -> None:
        """`hidden` is the MLPs' width. Raises InputError for depths that do not go together."""
        super().__init__()
        if time_depth % space_depth:
            raise InputError(f"{time_depth} blocks over time for {space_depth} over tracks.")
        self.every = time_depth // space_depth

        def blocks(block: type[nn.Module], count: int) -> nn.ModuleList:
            return nn.ModuleList(block(width, heads, hidden) for _ in range(count))

        self.virual_tracks = nn.Parameter(randn(1, virtual_tracks, 1, width))  # published so
        self.time_blocks = blocks(self.SelfBlock, time_depth)
        self.space_virtual_blocks = blocks(self.SelfBlock, space_depth)
        self.space_point2virtual_blocks = blocks(self.CrossBlock, space_depth)
        self.space_virtual2point_blocks = blocks(self.CrossBlock, space_depth)

    def mix(self, tokens: Float[Tensor, "B N T C"]) -> Float[Tensor, "B N T C"]:
        """The tokens of N tracks in T frames, each having heard of the others."""
        batch, tracks, frames, _ = tokens.shape
        first, *later = self.time_blocks
        # virtual tracks are the same in all frames at first, so that one of them is enough
        virtual = first(self.virual_tracks[0]).expand(batch, -1, frames, -1)
        tokens = cat([first(tokens.flatten(0, 1)).unflatten(0, (batch, -1)), virtual], dim=1)
        tokens = self._over_tracks(0, tokens, tracks)
        for i, over_time in enumerate(later, start=1):
            tokens = over_time(tokens.flatten(0, 1)).unflatten(0, (batch, -1))
            if i % self.every == 0:
                tokens = self._over_tracks(i // self.every, tokens, tracks)
        return tokens[:, :tracks]

    def _over_tracks(
        self, i: int, tokens: Float[Tensor, "B NV T C"], tracks: int
    ) -> Float[Tensor, "B NV T C"]:
        """The first `tracks` are real ones, the others virtual."""
        batch, count, frames, _ = tokens.shape
        by_frame = tokens.transpose(1, 2).flatten(0, 1)
        real, virtual = by_frame.split([tracks, count - tracks], dim=1)
        virtual = self.space_virtual2point_blocks[i](virtual, real)
        virtual = self.space_virtual_blocks[i](virtual)
        real = self.space_point2virtual_blocks[i](real, virtual)
        both = (x.unflatten(0, (batch, frames)).transpose(1, 2) for x in (real, virtual))
        return cat(list(both), dim=1)
