"""CoTracker3: follows points through a video, many together.

"CoTracker3: Simpler and Better Point Tracking by Pseudo-Labelling Real Videos" (arXiv
2410.11831). A small convolutional network turns each frame into features. For each point and
frame, the 7 x 7 features around the current position are multiplied with the 7 x 7 around the
query, at four scales; a transformer over time and tracks turns that into an update of position,
visibility and confidence, a few times. Here are the network and its offline use, in which all
frames see each other; `cotracker3_online` goes through a video window by window, and
`cotracker3_tracking` is for users. Published: scaled_offline, scaled_online, baseline_offline,
baseline_online (code and weights CC BY-NC 4.0).

Positions (x, y) are in pixels, (0, 0) the centre of the first pixel.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad

from worldline.errors import InputError
from worldline.nn.residual import InstanceNorm, ResidualBlock
from worldline.nn.sampling import blend, by_parts, pyramid, sample, windows
from worldline.nn.transformer import Mlp
from worldline.nn.update_former import UpdateFormer

FRAMES = 8  # encoded at a time
OCTAVES = 10  # of the embedding of motion


@dataclass(frozen=True)
class CoTracker3Config:
    """The sizes; those of the published offline network by default."""

    window: int = 60  # frames that it was trained on
    online: bool = False
    resolution: tuple[int, int] = (384, 512)  # height, width of the frames that it wants
    stride: int = 4
    latent: int = 128  # channels of the features
    levels: int = 4
    radius: int = 3
    correlation_hidden: int = 384
    correlation_width: int = 256
    width: int = 384
    heads: int = 8
    mlp_ratio: float = 4.0
    time_depth: int = 3
    space_depth: int = 3
    virtual_tracks: int = 64

    @property
    def token_width(self) -> int:
        """Channels that go into the transformer: correlation, two logits, motion."""
        return self.correlation_width * self.levels + 2 + 4 * (1 + 2 * OCTAVES)


PUBLISHED = {
    "cotracker3-offline": CoTracker3Config(),
    "cotracker3-online": CoTracker3Config(window=16, online=True),
}


def renamed(name: str) -> str | None:
    """The published name is ours."""
    return name


class Tracks(NamedTuple):
    """N points in T frames: positions in pixels, and two probabilities."""

    xy: Float[Tensor, "B T N 2"]
    visibility: Float[Tensor, "B T N"]
    confidence: Float[Tensor, "B T N"]  # that the position is right (within 12 pixels)


class Estimate(NamedTuple):
    """N points in T frames as the network refines them: pixels of features, and two logits."""

    xy: Float[Tensor, "B N T 2"]
    visibility: Float[Tensor, "B N T"]
    confidence: Float[Tensor, "B N T"]

    def tracks(self, stride: int) -> Tracks:
        """The same in pixels of frames and as probabilities, frames first."""
        logits = (each.transpose(1, 2).sigmoid() for each in (self.visibility, self.confidence))
        return Tracks(self.xy.transpose(1, 2) * stride, *logits)


class CoTracker3(nn.Module):
    """The network, and the tracking of points through all frames at once."""

    Config = CoTracker3Config
    time_emb: Tensor

    def __init__(self, config: CoTracker3Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("time_emb", time_embedding(config.window, config.token_width))
        self.fnet = Encoder(config.latent, config.stride)
        self.updateformer = Former(config)
        taps = (2 * config.radius + 1) ** 2
        self.corr_mlp = Mlp(taps**2, config.correlation_hidden, config.correlation_width)

    def forward(
        self,
        video: Float[Tensor, "B T 3 H W"],
        queries: Float[Tensor, "B N 3"],
        iterations: int = 6,
    ) -> Tracks:
        """Follow points (frame, x, y) to all frames of a video of values 0 to 255.

        Raises InputError if the height or width is no multiple of the stride.
        """
        batch, frames = video.shape[:2]
        parts = [self.encode(part) for part in video.flatten(0, 1).split(FRAMES)]
        maps = [torch.cat(level) for level in zip(*parts, strict=True)]
        index = torch.arange(batch * frames, device=queries.device).view(batch, frames)
        return self.follow(maps, index, queries, iterations).tracks(self.config.stride)

    def encode(self, video: Float[Tensor, "F 3 H W"]) -> list[Float[Tensor, "F _ _ C"]]:
        """Features of frames at `levels` scales, of unit length at the first.

        Raises InputError if the height or width is no multiple of the stride.
        """
        stride = self.config.stride
        if video.shape[-2] % stride or video.shape[-1] % stride:
            raise InputError(
                f"CoTracker3 takes frames whose height and width are multiples of {stride}; "
                f"these are {video.shape[-1]} x {video.shape[-2]}."
            )
        dtype = self.fnet.conv1.weight.dtype
        video = (2 * (video / 255) - 1).to(dtype, memory_format=torch.channels_last)
        features = normalize(self.fnet(video).permute(0, 2, 3, 1), dim=-1, eps=1e-6)
        return pyramid(features, self.config.levels)

    def follow(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B T"],
        queries: Float[Tensor, "B N 3"],
        iterations: int,
    ) -> Estimate:
        """As `forward`, in encoded frames: the T of clip b are `frames[b]` of the maps."""
        asked = frames.gather(1, queries[..., 0].long())
        estimate = self.start(queries, frames.shape[1])
        supports = self.supports(maps, asked, estimate.xy[:, :, 0])
        return self.refine(maps, frames, supports, estimate, iterations)

    def start(self, queries: Float[Tensor, "B N 3"], frames: int) -> Estimate:
        """All points where they were asked for, in all frames."""
        xy = queries[:, :, None, 1:].float() / self.config.stride
        zero = xy.new_zeros(*queries.shape[:2], frames)
        return Estimate(xy.expand(-1, -1, frames, -1), zero, zero)

    def supports(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B N"],
        xy: Float[Tensor, "B N 2"],
    ) -> list[Float[Tensor, "B N S C"]]:
        """The features around queries, at each scale; x goes slower than y."""
        parts = by_parts(xy.shape[1], len(xy) * self._window_elements(), xy.device)

        def around(features: Tensor, xy: Tensor) -> Tensor:
            radius = self.config.radius
            found = [sample(features, frames[:, part], xy[:, part], radius) for part in parts]
            return torch.cat(found, dim=1).flatten(2, 3)

        return [around(features, xy / 2**i) for i, features in enumerate(maps)]

    def refine(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B T"],
        supports: list[Float[Tensor, "B N S C"]],
        estimate: Estimate,
        iterations: int,
    ) -> Estimate:
        """The estimate, updated `iterations` times."""
        for _ in range(iterations):
            estimate = self.update(maps, frames, supports, estimate)
        return estimate

    def update(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B T"],
        supports: list[Float[Tensor, "B N S C"]],
        estimate: Estimate,
    ) -> Estimate:
        """One iteration."""
        xy = estimate.xy.detach()
        correlation = self.correlation(maps, frames, supports, xy)
        logits = torch.stack([estimate.visibility, estimate.confidence], dim=-1)
        tokens = [logits.to(correlation.dtype), correlation]
        tokens.append(self.motion(xy).to(correlation.dtype))
        delta = self.updateformer(torch.cat(tokens, dim=-1) + self.time(xy.shape[2])).float()
        visibility, confidence = (logits + delta[..., 2:]).unbind(-1)
        return Estimate(xy + delta[..., :2], visibility, confidence)

    def correlation(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B T"],
        supports: list[Float[Tensor, "B N S C"]],
        xy: Float[Tensor, "B N T 2"],
    ) -> Float[Tensor, "B N T K"]:
        """What the features around positions and around queries have in common, a few at a time."""
        elements = frames.numel() * self._window_elements()
        parts = [
            self._correlation(maps, frames, [support[:, part] for support in supports], xy[:, part])
            for part in by_parts(xy.shape[1], elements, xy.device)
        ]
        return torch.cat(parts, dim=1)

    def _window_elements(self) -> int:
        return (2 * self.config.radius + 2) ** 2 * self.config.latent

    def _correlation(
        self,
        maps: list[Float[Tensor, "F _ _ C"]],
        frames: Int[Tensor, "B T"],
        supports: list[Float[Tensor, "B N S C"]],
        xy: Float[Tensor, "B N T 2"],
    ) -> Float[Tensor, "B N T K"]:
        levels = []
        frames = frames[:, None].expand(xy.shape[:-1])
        for i, (features, support) in enumerate(zip(maps, supports, strict=True)):
            around = windows(features, frames, xy / 2**i, self.config.radius)
            products = torch.einsum("bntxyc,bnsc->bntxys", around.features, support)
            levels.append(self.corr_mlp(blend(products, around.fraction).flatten(3)))
        return torch.cat(levels, dim=-1)

    def motion(self, xy: Float[Tensor, "B N T 2"]) -> Float[Tensor, "B N T K"]:
        """Steps from the next and the last frame, in parts of a picture, with sines and cosines."""
        height, width = self.config.resolution
        step = xy.diff(dim=2) / (xy.new_tensor([width, height]) / self.config.stride)
        steps = torch.cat([pad(-step, (0, 0, 0, 1)), pad(step, (0, 0, 1, 0))], dim=-1)
        octaves = 2 ** torch.arange(OCTAVES, device=xy.device)
        phase = (steps[..., None, :] * octaves[:, None]).flatten(-2)
        return torch.cat([steps, phase.sin(), phase.cos()], dim=-1)

    def time(self, frames: int) -> Float[Tensor, "1 T K"]:
        """The embedding of `frames` frames: that of the window, stretched."""
        if frames == self.config.window:
            return self.time_emb
        table = self.time_emb.float().transpose(1, 2)
        stretched = interpolate(table, size=frames, mode="linear").transpose(1, 2)
        return stretched.to(self.time_emb.dtype)


def time_embedding(frames: int, width: int) -> Float[Tensor, "1 T {width}"]:
    """Sines, then cosines, of the frame's number."""
    exponents = torch.arange(width // 2, dtype=torch.float64) / (width / 2)
    phase = torch.arange(frames, dtype=torch.float64)[:, None] / 10000**exponents
    return torch.cat([phase.sin(), phase.cos()], dim=-1).float()[None]


class Former(UpdateFormer):
    """The update transformer with linear layers at both ends."""

    def __init__(self, config: CoTracker3Config) -> None:
        width = config.width
        super().__init__(
            width,
            config.heads,
            int(width * config.mlp_ratio),
            config.time_depth,
            config.space_depth,
            config.virtual_tracks,
        )
        self.input_transform = nn.Linear(config.token_width, width)
        self.flow_head = nn.Linear(width, 2)
        self.vis_conf_head = nn.Linear(width, 2)

    def forward(self, tokens: Float[Tensor, "B N T K"]) -> Float[Tensor, "B N T 4"]:
        """By how much x, y and the logits of visibility and confidence move."""
        tokens = self.mix(self.input_transform(tokens))
        return torch.cat([self.flow_head(tokens), self.vis_conf_head(tokens)], dim=-1)


class Encoder(nn.Module):
    """Residual blocks at 1/2 to 1/16 of a frame's size, all brought to one and mixed."""

    def __init__(self, latent: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        widths = (latent // 2, latent // 2, latent // 4 * 3, latent, latent)
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3)
        self.norm1 = InstanceNorm()
        self.layer1 = _stage(widths[0], widths[1], 1)
        self.layer2 = _stage(widths[1], widths[2], 2)
        self.layer3 = _stage(widths[2], widths[3], 2)
        self.layer4 = _stage(widths[3], widths[4], 2)
        self.conv2 = nn.Conv2d(sum(widths[1:]), 2 * latent, 3, padding=1)
        self.norm2 = InstanceNorm()
        self.conv3 = nn.Conv2d(2 * latent, latent, 1)

    def forward(self, frames: Float[Tensor, "F 3 H W"]) -> Float[Tensor, "F C h w"]:
        """Features of frames whose values are from -1 to 1."""
        size = (frames.shape[-2] // self.stride, frames.shape[-1] // self.stride)
        x = self.norm1(self.conv1(frames)).relu_()
        scales = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            scales.append(interpolate(x, size, mode="bilinear", align_corners=True))
        return self.conv3(self.norm2(self.conv2(torch.cat(scales, dim=1))).relu_())


def _stage(width: int, out: int, stride: int) -> nn.Sequential:
    blocks = ResidualBlock(width, out, stride, "instance"), ResidualBlock(out, out, 1, "instance")
    return nn.Sequential(*blocks)
