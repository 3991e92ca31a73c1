"""What optical flow networks have in common: frames of any size in, flow in pixels out.

`FlowNetwork.flow` is for single pairs. For a video, `encode` looks at every frame once and `match`
compares any pairs of them: forward, backward and over longer steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from worldline.errors import InputError
from worldline.nn.chunking import in_batches
from worldline.nn.residual import ResidualEncoder

STRIDE = 8  # of the features, in pixels
BUDGET = 4 << 30  # bytes


class Estimate(NamedTuple):
    """What a network says of image pairs, in its own terms; (x, y) are right and down.

    `flow` is in pixels; `coarse` is the same in pixels of the features, with which a further run
    can start; `mixture` is what SEA-RAFT adds.
    """

    flow: Float[Tensor, "N 2 H W"]
    coarse: Float[Tensor, "N 2 h w"]
    mixture: Float[Tensor, "N 4 H W"] | None = None


@dataclass(frozen=True)
class Flow:
    """Optical flow of P pairs: where every pixel of the first frame goes, (x, y) in pixels.

    `confidence` is in [0, 1], or None of a network that does not say how sure it is.
    """

    flow: Float[Tensor, "P H W 2"]
    confidence: Float[Tensor, "P H W"] | None


@dataclass(frozen=True)
class FrameFeatures:
    """What a network keeps of each of T frames: `maps` to compare, and of what context is made."""

    maps: Float[Tensor, "T D h w"]
    context: Float[Tensor, "T C _ _"]
    size: tuple[int, int]  # height and width of the frames in pixels


@dataclass(frozen=True)
class FlowConfig:
    """Sizes that every flow network has: of the correlation pyramid, and how often it is read."""

    levels: int = 4
    radius: int = 4
    iterations: int = 12

    @property
    def correlations(self) -> int:
        """Channels of what is looked up at once."""
        return self.levels * (2 * self.radius + 1) ** 2


class FlowNetwork(nn.Module, ABC):
    """A network that compares features of two images at an eighth of their size, again and again.

    `fnet` makes the features. In training mode, batches change what batch normalisation does: call
    `eval()` first.
    """

    pairwise: ClassVar[bool]  # whether the context is that of a pair, not of its first image
    config: FlowConfig
    fnet: ResidualEncoder

    @abstractmethod
    def context(
        self, first: Float[Tensor, "N 3 H W"], second: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, "N C h w"]:
        """What the estimate of a pair knows of its images besides features, in [-1, 1]."""

    @abstractmethod
    def estimate(
        self,
        first: Float[Tensor, "N D h w"],
        second: Float[Tensor, "N D h w"],
        context: Float[Tensor, "N C h w"],
        iterations: int,
        start: Float[Tensor, "N 2 h w"] | None = None,
    ) -> Estimate:
        """Flow between features of padded images, beginning with `start` instead of zero."""

    def confidence(self, mixture: Float[Tensor, "N 4 H W"]) -> Float[Tensor, "N H W"]:
        """How sure the estimate is, in [0, 1]; only of a network that gives a `mixture`."""
        raise NotImplementedError

    def forward(
        self,
        first: Float[Tensor, "N 3 H W"],
        second: Float[Tensor, "N 3 H W"],
        iterations: int | None = None,
        start: Float[Tensor, "N 2 h w"] | None = None,
    ) -> Estimate:
        """Flow from first to second images, RGB in 0..255.

        Images of any size are padded by repeating their borders (h and w are the padded sides over
        8); `flow` and `mixture` have the size of the images. `start` is flow in pixels of the
        features; without `iterations` there are as many as published.
        """
        size = (first.shape[2], first.shape[3])
        first, second = self._prepared(first), self._prepared(second)
        maps, others = self.fnet(torch.cat([first, second])).chunk(2)
        context = self.context(first, second)
        return self._refined(maps, others, context, size, iterations, start)

    @torch.no_grad()
    def flow(
        self,
        first: UInt8[Tensor, "P H W 3"],
        second: UInt8[Tensor, "_ _ _ 3"],
        iterations: int | None = None,
        budget: int = BUDGET,
    ) -> Flow:
        """Flow of pairs of RGB frames, on the frames' device.

        As many pairs at a time as fit into `budget` bytes, by a rough reckoning, at least one.
        Raises InputError if the two are not of one shape.
        """
        if first.shape != second.shape:
            raise InputError(
                f"flow needs two frames of one size, not {list(first.shape)}, {list(second.shape)}."
            )

        def work(part: slice) -> Estimate:
            return self(self._images(first[part]), self._images(second[part]), iterations)

        size = (first.shape[1], first.shape[2])
        return self._collected(work, len(first), size, first.device, budget)

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "T H W 3"], budget: int = BUDGET) -> FrameFeatures:
        """What there is to keep of RGB frames, on the network's device, for `match`."""

        def work(part: slice) -> tuple[Tensor, Tensor]:
            images = self._prepared(self._images(frames[part]))
            kept = images if self.pairwise else self.context(images, images)
            return self.fnet(images), kept

        size = (frames.shape[1], frames.shape[2])
        if not len(frames):
            raise InputError("there is no frame to encode.")
        at_once = max(1, budget // self._bytes(size, pairs=False))
        parts = [result for _, result in in_batches(work, len(frames), at_once, "frames")]
        maps, context = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return FrameFeatures(maps, context, size)

    @torch.no_grad()
    def match(
        self,
        features: FrameFeatures,
        pairs: Int[Tensor, "P 2"],
        iterations: int | None = None,
        budget: int = BUDGET,
    ) -> Flow:
        """Flow of pairs (from, to) of encoded frames; otherwise as `flow`, on the features' device.

        Raises InputError if a pair names a frame that there is not.
        """
        count = len(features.maps)
        if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < count:
            raise InputError(f"pairs must name frames 0 to {count - 1}.")
        pairs = pairs.to(features.maps.device)

        def work(part: slice) -> Estimate:
            first, second = pairs[part].unbind(1)
            context = features.context[first]
            if self.pairwise:
                context = self.context(context, features.context[second])
            maps = features.maps[first], features.maps[second]
            return self._refined(*maps, context, features.size, iterations, None)

        return self._collected(work, len(pairs), features.size, features.maps.device, budget)

    def _refined(
        self,
        first: Tensor,
        second: Tensor,
        context: Tensor,
        size: tuple[int, int],
        iterations: int | None,
        start: Tensor | None,
    ) -> Estimate:
        """The estimate, cut to the images without their padding."""
        count = self.config.iterations if iterations is None else iterations
        flow, coarse, mixture = self.estimate(first, second, context, count, start)
        left, right, top, bottom = self._padding(size)
        rows, columns = slice(top, flow.shape[2] - bottom), slice(left, flow.shape[3] - right)
        if mixture is not None:
            mixture = mixture[..., rows, columns]
        return Estimate(flow[..., rows, columns], coarse, mixture)

    def _collected(
        self,
        work: Callable[[slice], Estimate],
        count: int,
        size: tuple[int, int],
        device: torch.device,
        budget: int,
    ) -> Flow:
        """Flow of `count` pairs, from estimates of as many at a time as fit into the budget."""
        flow = torch.empty(count, *size, 2, device=device)
        confidence = torch.empty(count, *size, device=device) if self.pairwise else None
        at_once = max(1, budget // self._bytes(size, pairs=True))
        for part, estimate in in_batches(work, count, at_once, "pairs"):
            flow[part] = estimate.flow.permute(0, 2, 3, 1)
            if confidence is not None and estimate.mixture is not None:
                confidence[part] = self.confidence(estimate.mixture)
        return Flow(flow, confidence)

    def _bytes(self, size: Sequence[int], pairs: bool) -> int:
        """What a pair, or the encoding of a frame, needs at most, roughly: measured once."""
        left, right, top, bottom = self._padding(size)
        cells = (size[0] + top + bottom) * (size[1] + left + right) // STRIDE**2
        numbers = 12_000 * cells + cells**2 * 4 // 3 if pairs else 6_000 * cells
        return numbers * self.fnet.conv1.weight.element_size()

    def _images(self, frames: UInt8[Tensor, "N H W 3"]) -> Float[Tensor, "N 3 H W"]:
        """Frames as `forward` takes them, on the network's device."""
        return frames.to(self.fnet.conv1.weight.device).permute(0, 3, 1, 2).float()

    def _prepared(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 _ _"]:
        """Padded images in [-1, 1], as the encoders take them, in the weights' type."""
        scaled = F.pad(images, self._padding(images.shape[2:]), mode="replicate") * (2 / 255) - 1
        return scaled.to(self.fnet.conv1.weight.dtype, memory_format=torch.channels_last)

    def _padding(self, size: Sequence[int]) -> tuple[int, int, int, int]:
        """Left, right, top and bottom, so that all levels of the pyramid have pixels."""
        least = STRIDE * 2 ** (self.config.levels - 1)
        height, width = (max(-(-side // STRIDE) * STRIDE, least) - side for side in size)
        return width // 2, width - width // 2, height // 2, height - height // 2
