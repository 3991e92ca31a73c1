"""Motion as end points: asked for a time, the network gathers all frames' points there."""

import json
from collections import OrderedDict
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt16

from worldline.models.complet4r import Complet4r, Encoded, own_points
from worldline.scene.motion import Motion, look_up, register
from worldline.systems.arc.field import floats
from worldline.systems.networks import same_weights

_CACHE = 1 << 30  # bytes of passes that are kept

Gathered = tuple[np.ndarray, np.ndarray]  # of one target: points [N,H,W,3], confidence [N,H,W]


class EndPointField:
    """Complet4R's end points P_i^{t_a} of a clip; one pass of the network a target frame.

    What is stored is what all targets share, a megabyte or two a frame, and not their answers,
    which grow with the square of the frames; passes are computed when they are asked for.

    patches: bfloat16 as its bits. poses, depth: of the network, in its own world.
    to_world: [R|t] from the network's world to the scene's.
    weights: what the network's weights are and where they are (`networks.located`).
    network: None loads it when it is first needed.
    """

    kind: ClassVar[str] = "complet4r"

    def __init__(
        self,
        patches: UInt16[np.ndarray, "N P C"],
        poses: Float32[np.ndarray, "N 9"],
        depth: Float32[np.ndarray, "N H W"],
        to_world: Float[np.ndarray, "3 4"],
        weights: dict[str, Any],
        network: Complet4r | None = None,
    ) -> None:
        self.patches, self.poses, self.depth = patches, poses, depth
        self.to_world, self.weights, self._network = to_world, weights, network
        self._kept: OrderedDict[int, Gathered] = OrderedDict()

    @cached_property
    def network(self) -> Complet4r:
        """The network, with the very weights that made the scene."""
        if self._network is None:
            self._network = same_weights(self.weights, Complet4r)
        return self._network

    @cached_property
    def encoded(self) -> Encoded:
        """What all targets share, where the network is."""
        like = self.network.aggregator.camera_token
        patches = floats(self.patches).to(like.device, like.dtype)[None]
        return Encoded(patches, (self.depth.shape[1], self.depth.shape[2]))

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query: the end point at `at` less that at the source's own time."""
        points, sure = self.end_points(source, at, pixels)
        home, _ = self.end_points(source, np.array([source], np.float64), pixels)
        confidence = 1 - 1 / sure
        confidence[at == source] = 1
        return Motion(points - home, confidence)

    def end_points(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> tuple[Float32[np.ndarray, "T *shape 3"], Float32[np.ndarray, "T *shape"]]:
        """See EndPoints; confidences are above 1. Between frames both are interpolated."""
        low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
        ends = sorted({*low.tolist(), *high.tolist()})
        known = {j: self._picked(source, j, pixels) for j in ends}
        share = (at - low).astype(np.float32)

        def between(part: int) -> np.ndarray:
            first, last = (np.stack([known[j][part] for j in end.tolist()]) for end in (low, high))
            return first + share.reshape(-1, *(1,) * (first.ndim - 1)) * (last - first)

        return between(0), between(1)

    def gathered(self, target: int) -> Gathered:
        """All frames' points at the time of one frame, in the scene's world; kept for later."""
        if target not in self._kept:
            self._kept[target] = answer = self._passed(target)
            each = sum(part.nbytes for part in answer)
            while len(self._kept) > max(1, _CACHE // each):
                self._kept.popitem(last=False)
        self._kept.move_to_end(target)
        return self._kept[target]

    def arrays(self) -> dict[str, np.ndarray]:
        """What all targets share, and which network it belongs to."""
        return {
            "patches": self.patches,
            "poses": self.poses,
            "depth": self.depth,
            "to_world": self.to_world,
            "weights": np.frombuffer(json.dumps(self.weights).encode(), np.uint8),
        }

    def _picked(
        self, source: int, target: int, pixels: Float[np.ndarray, "M 2"] | None
    ) -> Gathered:
        points, sure = (part[source] for part in self.gathered(target))
        return (
            (points, sure) if pixels is None else (look_up(points, pixels), look_up(sure, pixels))
        )

    @torch.inference_mode()
    def _passed(self, target: int) -> Gathered:
        device = self.encoded.patches.device
        own = None
        if self.network.config.representation == "offset":
            stored = (torch.from_numpy(np.array(part))[None] for part in (self.poses, self.depth))
            own = own_points(*(part.to(device) for part in stored))
        targets = torch.tensor([[target]], device=device)
        points, sure = self.network.aggregate(self.encoded, targets, own)
        turn, shift = self.to_world[:, :3].astype(np.float32), self.to_world[:, 3]
        world = points[0, 0].float().cpu().numpy() @ turn.T + shift.astype(np.float32)
        return world, sure[0, 0].float().cpu().numpy()


@register("complet4r")
def _load(arrays: dict[str, np.ndarray]) -> EndPointField:
    return EndPointField(
        arrays["patches"],
        arrays["poses"],
        arrays["depth"],
        np.array(arrays["to_world"]),
        json.loads(arrays["weights"].tobytes()),
    )
