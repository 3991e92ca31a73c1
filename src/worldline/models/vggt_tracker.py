"""VGGT's point tracker: follows points of the first frame through feature maps of all frames.

"VGGT: Visual Geometry Grounded Transformer" (arXiv 2503.11651), section 3.3; it goes back to
CoTracker (arXiv 2307.07635) and VGGSfM (arXiv 2312.04563). A part of `models.vggt`, whose
published weights hold it under ``track_head.tracker.``; names here are the published ones.

Positions (x, y) are in pixels of the pictures, (0, 0) the centre of their first pixel.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from worldline.errors import InputError
from worldline.nn.attention import attend, merge_heads, split_heads
from worldline.nn.sampling import blend, by_parts, pyramid, sample, windows
from worldline.nn.transformer import Mlp
from worldline.nn.update_former import UpdateFormer


@dataclass(frozen=True)
class VggtTrackerConfig:
    """The sizes; as published by default."""

    latent: int = 128  # channels of the feature maps
    hidden: int = 384
    heads: int = 8
    depth: int = 6
    virtual_tracks: int = 64
    levels: int = 7
    radius: int = 4
    stride: int = 2  # pixels of a picture to a pixel of its feature map
    motion_scale: float = 518.0


class VggtTracker(nn.Module):
    """Refines positions and features of all points in all frames together, a few times."""

    Config = VggtTrackerConfig

    def __init__(self, config: VggtTrackerConfig) -> None:
        super().__init__()
        self.config = config
        taps = (2 * config.radius + 1) ** 2
        width = 3 * config.latent + 4
        self.query_ref_token = nn.Parameter(torch.randn(1, 2, width))
        self.corr_mlp = Mlp(config.levels * taps, config.hidden, config.latent)
        self.updateformer = Former(config, width)
        self.fmap_norm = nn.LayerNorm(config.latent)
        self.ffeat_norm = nn.GroupNorm(1, config.latent)
        self.ffeat_updater = nn.Sequential(nn.Linear(config.latent, config.latent), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(config.latent, 1))
        self.conf_predictor = nn.Sequential(nn.Linear(config.latent, 1))

    def forward(
        self,
        features: Float[Tensor, "B T C h w"],
        points: Float[Tensor, "B N 2"],
        iterations: int = 4,
    ) -> tuple[list[Float[Tensor, "B T N 2"]], Float[Tensor, "B T N"], Float[Tensor, "B T N"]]:
        """Follow `points` of frame 0; `h` and `w` are the pictures' size divided by the stride.

        Returns positions after each iteration, and the last one's visibility and confidence in
        (0, 1). Raises InputError for maps too small to be halved `levels` - 1 times.
        """
        height, width = features.shape[-2:]
        frames = features.shape[1]
        least = 2 ** (self.config.levels - 1)
        if min(height, width) < least:
            raise InputError(
                f"VGGT's tracker takes pictures of {least * self.config.stride} pixels or more "
                f"a side; these are about {width * self.config.stride} x "
                f"{height * self.config.stride}."
            )
        maps = pyramid(
            self.fmap_norm(features.permute(0, 1, 3, 4, 2).flatten(0, 1)), self.config.levels
        )
        start = points.float()[:, :, None] / self.config.stride
        first = torch.arange(len(points), device=points.device)[:, None, None] * frames
        xy = start.expand(-1, -1, frames, -1)
        tracked = sample(maps[0], first.expand(start.shape[:-1]), start).flatten(3)
        tracked = tracked.expand(-1, -1, frames, -1)
        position = grid_embedding(start, width, height, self.query_ref_token.shape[-1])
        asked, others = self.query_ref_token.split(1, dim=1)
        reference = torch.cat([asked, others.expand(-1, frames - 1, -1)], dim=1)
        constant = position.to(reference.dtype) + reference[:, None]
        tracks = []
        for _ in range(iterations):
            xy, tracked = self.update(maps, constant, xy, tracked)
            tracks.append(xy.transpose(1, 2) * self.config.stride)
        seen, sure = (head(tracked) for head in (self.vis_predictor, self.conf_predictor))
        seen, sure = (each[..., 0].transpose(1, 2).sigmoid() for each in (seen, sure))
        return tracks, seen, sure

    def update(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        constant: Float[Tensor, "B N T K"],
        xy: Float[Tensor, "B N T 2"],
        tracked: Float[Tensor, "B N T C"],
    ) -> tuple[Float[Tensor, "B N T 2"], Float[Tensor, "B N T C"]]:
        """One iteration: positions (in pixels of the first map) and features of the points.

        `constant` is the part of the tokens that no iteration changes.
        """
        xy = xy.detach()
        latent = self.config.latent
        moved = xy - xy[:, :, :1]
        scaled = moved / self.config.motion_scale
        motion = torch.cat([motion_embedding(moved, latent), scaled, scaled], dim=-1)
        correlation = self.corr_mlp(self.correlation(maps, xy, tracked))
        tokens = torch.cat([motion.to(tracked.dtype), correlation, tracked], dim=-1)
        delta = self.updateformer(tokens + constant)
        delta_xy, delta_tracked = delta.split([2, latent], dim=-1)
        normed = self.ffeat_norm(delta_tracked.reshape(-1, latent)).view_as(tracked)
        xy = torch.cat([xy[:, :, :1], (xy + delta_xy)[:, :, 1:]], dim=2)
        return xy, tracked + self.ffeat_updater(normed)

    def correlation(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        xy: Float[Tensor, "B N T 2"],
        tracked: Float[Tensor, "B N T C"],
    ) -> Float[Tensor, "B N T K"]:
        """Of each point's feature, the products with the (2r+1)^2 features around it, each level.

        Outside of a map they are zero.
        """
        batch, tracks, frames, channels = tracked.shape
        frame = torch.arange(batch * frames, device=xy.device).view(batch, 1, frames)
        frame = frame.expand(xy.shape[:-1])
        elements = batch * frames * (2 * self.config.radius + 2) ** 2 * channels
        parts = [
            self._correlation(maps, frame[:, part], xy[:, part], tracked[:, part])
            for part in by_parts(tracks, elements, xy.device)
        ]
        return torch.cat(parts, dim=1)

    def _correlation(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frame: Tensor,
        xy: Float[Tensor, "B N T 2"],
        tracked: Float[Tensor, "B N T C"],
    ) -> Float[Tensor, "B N T K"]:
        scale = 1 / math.sqrt(tracked.shape[-1])
        levels = []
        for level, features in enumerate(maps):
            around = windows(features, frame, xy / 2**level, self.config.radius)
            products = torch.einsum("bntxyc,bntc->bntxy", around.features, tracked)
            products = products * around.inside * scale
            levels.append(blend(products[..., None], around.fraction).flatten(3))
        return torch.cat(levels, dim=-1)


def motion_embedding(xy: Float[Tensor, "*P 2"], channels: int) -> Float[Tensor, "*P {channels}"]:
    """Sine and cosine in turn of `channels` / 4 multiples of x, then of y."""
    count = channels // 2
    multiples = torch.arange(0, count, 2, device=xy.device, dtype=xy.dtype) * (1000.0 / count)
    phase = xy[..., None] * multiples
    return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-3)


def grid_embedding(
    xy: Float[Tensor, "*P 2"], width: int, height: int, channels: int
) -> Float[Tensor, "*P {channels}"]:
    """Sines and cosines of x, then of y, as sampled from a map of them (bilinear)."""
    count = channels // 4
    exponents = torch.arange(count, device=xy.device, dtype=torch.float64) / count
    last = torch.tensor([width - 1, height - 1], device=xy.device)
    below = torch.minimum(xy.floor().clamp(min=0), last)
    above = torch.minimum((xy.floor() + 1).clamp(min=0), last)
    phases = (each[..., None] / 10000**exponents for each in (below, above))
    below, above = (torch.cat([phase.sin(), phase.cos()], dim=-1) for phase in phases)
    return torch.lerp(below, above, (xy - xy.floor()).double()[..., None]).flatten(-2).float()


class Attention(nn.Module):
    """Attention whose three projections lie in one tensor, as `nn.MultiheadAttention` has them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(
        self, x: Float[Tensor, "B L C"], context: Float[Tensor, "B M C"]
    ) -> Float[Tensor, "B L C"]:
        """What each of L tokens takes from M others."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        projected = map(linear, (x, context, context), weights, biases)
        query, key, value = (split_heads(each, self.heads) for each in projected)
        return self.out_proj(merge_heads(attend(query, key, value)))


class SelfBlock(nn.Module):
    """Self-attention and an MLP; what goes on past the attention is the normed tokens."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        """The tokens, updated."""
        x = self.norm1(x)
        x = x + self.attn(x, x)
        return x + self.mlp(self.norm2(x))


class CrossBlock(nn.Module):
    """As `SelfBlock`, but the tokens attend to others."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.cross_attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden)

    def forward(
        self, x: Float[Tensor, "B L C"], context: Float[Tensor, "B M C"]
    ) -> Float[Tensor, "B L C"]:
        """The L tokens, updated by the M others."""
        x = self.norm1(x)
        x = x + self.cross_attn(x, self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class Former(UpdateFormer):
    """The update transformer with norms at both ends and a shortcut around all blocks."""

    SelfBlock = SelfBlock
    CrossBlock = CrossBlock

    def __init__(self, config: VggtTrackerConfig, width: int) -> None:
        hidden, depth = config.hidden, config.depth
        super().__init__(hidden, config.heads, 4 * hidden, depth, depth, config.virtual_tracks)
        self.input_norm = nn.LayerNorm(width)
        self.input_transform = nn.Linear(width, hidden)
        self.output_norm = nn.LayerNorm(hidden)
        self.flow_head = nn.Linear(hidden, config.latent + 2)

    def forward(self, tokens: Float[Tensor, "B N T K"]) -> Float[Tensor, "B N T _"]:
        """By how much (x, y) and the features of each point move."""
        tokens = self.input_transform(self.input_norm(tokens))
        return self.flow_head(self.output_norm(self.mix(tokens) + tokens))
