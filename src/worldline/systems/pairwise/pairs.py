"""What a pairwise network says of a clip, frame by frame, kept as small as the rest allows."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from worldline.geometry.alignment import robust_similarity
from worldline.geometry.projection import transform
from worldline.models.dust3r import Dust3r, Pointmaps
from worldline.nn.chunking import in_batches
from worldline.systems.listener import Report
from worldline.systems.stages import Arrays

SAMPLES = (32, 32)  # rows and columns of a frame's pixels that its place in the world is found by
_FRAMES_AT_ONCE = 8
_MEMORY = 2 * 2**30  # bytes of activations

# (first, seconds) -> points of the first frame and of each second one, a pair after another, in
# the first one's camera and any unit.
Pairs: TypeAlias = Callable[[int, Sequence[int]], tuple[Pointmaps, Pointmaps]]
PairModel: TypeAlias = Callable[[UInt8[np.ndarray, "N H W 3"]], Pairs]


class Pairing(NamedTuple):
    """Which frames meet: those 1, 1 + stride, ... frames apart, `window` of them on either side.

    moves: whether the network says where the first frame's points are at the second one's time;
        each frame then meets itself, too.
    """

    window: int = 5
    stride: int = 2
    moves: bool = False

    def partners(self, i: int, count: int) -> list[int]:
        """The frames that frame i meets as the first of a pair."""
        steps = [1 + self.stride * k for k in range(self.window)]
        others = [i + sign * step for step in steps for sign in (-1, 1)]
        inside = [j for j in others if 0 <= j < count]
        return [i, *inside] if self.moves or count == 1 else inside


def network_pairs(network: Dust3r) -> PairModel:
    """A network as a pair model: frames are encoded once, pairs decoded as memory allows."""

    @torch.inference_mode()
    def encoded(frames: UInt8[np.ndarray, "N H W 3"]) -> Pairs:
        def encode(part: slice) -> Tensor:
            return network.encode(network.preprocess(torch.tensor(frames[part])))

        batches = in_batches(encode, len(frames), _FRAMES_AT_ONCE, "frames")
        features = torch.cat([batch for _, batch in batches])
        size = (frames.shape[1], frames.shape[2])
        at_once = network.pairs_at_once(size, _MEMORY)

        @torch.inference_mode()
        def decoded(first: int, seconds: Sequence[int]) -> tuple[Pointmaps, Pointmaps]:
            pairs = torch.tensor([(first, second) for second in seconds], device=features.device)

            def decode(part: slice) -> tuple[Pointmaps, Pointmaps]:
                return network.decode(features, pairs[part], size)

            said = [both for _, both in in_batches(decode, len(pairs), at_once, "pairs")]
            return _joined([one for one, _ in said]), _joined([other for _, other in said])

        return decoded

    return encoded


def sampled(height: int, width: int) -> Int[Tensor, " M"]:
    """The flat indices of pixels on a regular grid over a map, centred."""
    rows, columns = (
        ((torch.arange(min(count, side)) + 0.5) * side / min(count, side)).long()
        for count, side in zip(SAMPLES, (height, width), strict=True)
    )
    return (rows[:, None] * width + columns).flatten()


def collect(
    frames: UInt8[np.ndarray, "N H W 3"], model: PairModel, pairing: Pairing, report: Report
) -> Arrays:
    """The pairs of a clip: each frame's own points, and samples of what each pair says.

    Returns, for N frames, K pairs and M samples of a frame: `pairs` [K,2]; `own` [N,H,W,3] and
    `confidence` [N,H,W] in each frame's camera and unit; `first`, `second` [K,M,3] and
    `first_weight`, `second_weight` [K,M] in each pair's; and where points move, `moved`
    [K,H,W,3], how far the first frame's points have come in its own camera and unit.
    """
    ask = model(frames)
    parts: list[dict[str, Tensor]] = []
    for i in range(len(frames)):
        seconds = pairing.partners(i, len(frames))
        parts.append(_of_frame(i, seconds, *ask(i, seconds), pairing.moves))
        report(i + 1, len(frames))
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def _of_frame(
    i: int, seconds: Sequence[int], first: Pointmaps, second: Pointmaps, moves: bool
) -> dict[str, Tensor]:
    """What all pairs of one first frame say, on the CPU."""
    device = first.points.device
    samples = sampled(*first.points.shape[1:3]).to(device)
    seen = first.points.flatten(1, 2)[:, samples]
    weight = first.confidence.flatten(1)[:, samples].log()
    if moves:
        own, sure = first.points[:1], first.confidence[:1]
    else:
        own, sure = _mean(first, seen)
    told = {
        "pairs": torch.tensor([(i, j) for j in seconds]),
        "own": own,
        "confidence": sure,
        "first": seen,
        "second": second.points.flatten(1, 2)[:, samples],
        "first_weight": weight,
        "second_weight": second.confidence.flatten(1)[:, samples].log(),
    }
    if moves:
        told["moved"] = _moved(own, first, seen, weight, samples).half()
    return {name: tensor.cpu() for name, tensor in told.items()}


def _mean(
    maps: Pointmaps, seen: Float[Tensor, "K M 3"]
) -> tuple[Float[Tensor, "1 H W 3"], Float[Tensor, "1 H W"]]:
    """The points of one frame by all its pairs, in the unit of the first of them."""
    size = seen.norm(dim=-1)
    unit = (size / size[:1]).median(dim=1).values[:, None, None]
    share = maps.confidence / unit
    points = (maps.points * share[..., None]).sum(dim=0) / maps.confidence.sum(dim=0)[..., None]
    return points[None], maps.confidence.mean(dim=0)[None]


def _moved(
    own: Float[Tensor, "1 H W 3"],
    first: Pointmaps,
    seen: Float[Tensor, "K M 3"],
    weight: Float[Tensor, "K M"],
    samples: Int[Tensor, " M"],
) -> Float[Tensor, "K H W 3"]:
    """How far the frame's points have come in each pair, where most of them stand."""
    still = own.flatten(1, 2)[:, samples].expand_as(seen)
    pair_from_own, _ = robust_similarity(still, seen, weight / seen.square().sum(dim=-1))
    own_from_pair = torch.linalg.inv(pair_from_own)
    return transform(own_from_pair, first.points.flatten(1, 2)).view_as(first.points) - own


def _joined(parts: list[Pointmaps]) -> Pointmaps:
    points, confidences = zip(*parts, strict=True)
    return Pointmaps(torch.cat(points), torch.cat(confidences))
