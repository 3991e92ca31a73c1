"""Following points of pictures with CoTracker3, as its authors do.

Frames of any size are brought to the network's, further points on a grid give it context, six
iterations are made, a point is visible where the network is sure enough of it, and in the frame
it was asked for in it is visible, where it was asked for.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, pad

from worldline.errors import InputError
from worldline.models.cotracker3 import FRAMES, CoTracker3, Tracks
from worldline.models.cotracker3_online import Stream
from worldline.nn.chunking import in_batches

VISIBLE_OFFLINE = 0.9  # visibility above which a point counts as visible
VISIBLE_ONLINE = 0.6  # the same for visibility times confidence


class PointTracks(NamedTuple):
    """M points in N frames; the centre of the top-left pixel is (0.5, 0.5)."""

    xy: Float[Tensor, "M N 2"]
    visible: Bool[Tensor, "M N"]
    visibility: Float[Tensor, "M N"]  # the network's probability
    confidence: Float[Tensor, "M N"]  # the same, that the position is right


@torch.no_grad()
def track(
    network: CoTracker3,
    frames: UInt8[Tensor, "N H W 3"],
    queries: Float[Tensor, "M 3"],
    *,
    backward: bool = False,
    context: int = 6,
    together: int = 6400,
    iterations: int = 6,
) -> PointTracks:
    """Follow points (frame, x, y); the centre of the top-left pixel is (0.5, 0.5).

    `backward` follows them once more in the reversed video, and takes from there what lies before
    their frames. Without it an online network says nothing about that: points are invisible there.
    `context` x `context` further points, on a grid in the first frame, are followed with them. No
    more than `together` points are followed at a time, each group spread over all queries, since
    points that see the whole picture help each other.

    An offline network holds the features of all frames, encoded once; an online one those of one
    window, encoded once for each group and direction. `frames` need not lie on the network's
    device; the result does. Raises InputError for queries that are not in the video.
    """
    _check(frames, queries)
    device = network.fnet.conv1.weight.device
    video = _Video(network, frames, iterations)
    scale = _scale(network, frames).to(device)
    queries = queries.to(device, torch.float32)
    asked = torch.cat([queries[:, :1].floor(), (queries[:, 1:] - 0.5) * scale], dim=1)
    backward = backward and bool(asked[:, 0].any())
    groups = -(-len(asked) // together)
    parts = [_follow(video, asked[i::groups], context, backward) for i in range(groups)]
    order = torch.cat([torch.arange(i, len(asked), groups) for i in range(groups)])
    xy, visibility, confidence = (
        torch.cat(part, dim=2)[0, :, order.argsort().to(device)].transpose(0, 1)
        for part in zip(*parts, strict=True)
    )
    visible = visibility > VISIBLE_OFFLINE
    if network.config.online:
        visible = visibility * confidence > VISIBLE_ONLINE
        if not backward:
            visible &= torch.arange(len(frames), device=device) >= asked[:, :1]
    xy = xy / scale + 0.5
    home = torch.arange(len(asked), device=device), asked[:, 0].long()
    xy[home] = queries[:, 1:]
    visible[home] = True
    return PointTracks(xy, visible, visibility, confidence)


def every_pixel(height: int, width: int, frame: int = 0, step: int = 1) -> Float[Tensor, "M 3"]:
    """Queries (frame, x, y) at the centres of every `step`-th pixel, row by row."""
    y, x = torch.meshgrid(
        torch.arange(0, height, step), torch.arange(0, width, step), indexing="ij"
    )
    return torch.stack([torch.full_like(x, frame), x + 0.5, y + 0.5], dim=-1).flatten(0, 1)


def context_grid(count: int, resolution: tuple[int, int]) -> Float[Tensor, "G 2"]:
    """`count` x `count` points spread over the network's frames; (0, 0) is a pixel's centre."""
    height, width = resolution
    margin = width / 64
    y, x = (
        torch.tensor([side / 2]) if count == 1 else torch.linspace(margin, side - margin, count)
        for side in (height, width)
    )
    return torch.cartesian_prod(y, x).flip(1)


class _Video:
    """Frames, at the network's size where it needs them, and what is encoded of them."""

    def __init__(
        self, network: CoTracker3, frames: UInt8[Tensor, "N H W 3"], iterations: int
    ) -> None:
        self.network = network
        self.frames = frames
        self.iterations = iterations
        self.device = network.fnet.conv1.weight.device
        self.maps = [] if network.config.online else self._encoded()

    def _resized(self, index: Int[Tensor, "f"]) -> Float[Tensor, "f 3 h w"]:
        frames = self.frames[index.to(self.frames.device)].to(self.device).permute(0, 3, 1, 2)
        size = self.network.config.resolution
        return interpolate(frames.float(), size, mode="bilinear", align_corners=True)

    def _encoded(self) -> list[Float[Tensor, "N _ _ C"]]:
        maps: list[Tensor] = []
        every = torch.arange(len(self.frames))

        def encode(part: slice) -> list[Tensor]:
            return self.network.encode(self._resized(every[part]))

        for part, some in in_batches(encode, len(every), FRAMES, "frames"):
            maps = maps or [each.new_empty(len(every), *each.shape[1:]) for each in some]
            for whole, each in zip(maps, some, strict=True):
                whole[part] = each
        return maps

    def follow(self, queries: Float[Tensor, "M 3"], reverse: bool) -> Tracks:
        """Points (frame, x, y at the network's size) in all frames; batch of one."""
        index = torch.arange(len(self.frames), device=self.device)
        if reverse:
            index = index.flip(0)
            queries = torch.cat([len(index) - 1 - queries[:, :1], queries[:, 1:]], dim=1)
        if self.network.config.online:
            stream = Stream(self.network, queries[None], self.iterations)
            for part in index.split(stream.step):
                stream.push(self._resized(part)[None])
            estimate = stream.finish()
        else:
            estimate = self.network.follow(self.maps, index[None], queries[None], self.iterations)
        tracks = estimate.tracks(self.network.config.stride)
        return Tracks(*(each.flip(1) for each in tracks)) if reverse else tracks


def _follow(video: _Video, queries: Float[Tensor, "M 3"], context: int, backward: bool) -> Tracks:
    """One group of points (frame, x, y at the network's size)."""
    config = video.network.config
    grid = context_grid(context, config.resolution).to(queries.device)

    def followed(reverse: bool) -> Tracks:
        # a stream must see its context at once, wherever it begins
        frame = len(video.frames) - 1 if reverse and config.online else 0
        together = torch.cat([queries, pad(grid, (1, 0), value=frame)])
        return Tracks(*(each[:, :, : len(queries)] for each in video.follow(together, reverse)))

    tracks = followed(reverse=False)
    if not backward:
        return tracks
    earlier = torch.arange(len(video.frames), device=queries.device)[:, None] < queries[:, 0]
    reversed_ = followed(reverse=True)
    return Tracks(
        torch.where(earlier[..., None], reversed_.xy, tracks.xy),
        torch.where(earlier, reversed_.visibility, tracks.visibility),
        torch.where(earlier, reversed_.confidence, tracks.confidence),
    )


def _scale(network: CoTracker3, frames: UInt8[Tensor, "N H W 3"]) -> Float[Tensor, "2"]:
    """From pixels (x, y) of frames to the network's; corners' centres lie on each other."""
    height, width = network.config.resolution
    return torch.tensor([(width - 1) / (frames.shape[2] - 1), (height - 1) / (frames.shape[1] - 1)])


def _check(frames: UInt8[Tensor, "N H W 3"], queries: Float[Tensor, "M 3"]) -> None:
    if min(frames.shape[1:3]) < 2 or not len(frames):
        raise InputError("Points are followed in frames of 2 x 2 pixels or more.")
    if not len(queries):
        raise InputError("There are no points to follow.")
    if not queries.isfinite().all():
        raise InputError("Queries (frame, x, y) must be finite.")
    first, last = float(queries[:, 0].min()), float(queries[:, 0].max())
    if first < 0 or last >= len(frames):
        raise InputError(
            f"Queries are for frames {first:g} to {last:g}; the video has 0 to {len(frames) - 1}."
        )
