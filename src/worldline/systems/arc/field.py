"""Motion as a latent: asked for a frame and a time, the network decodes where its points are."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt16
from torch import Tensor

from worldline.models.fourrc import FourRC, Latent
from worldline.scene.motion import Motion, look_up, register
from worldline.systems.networks import same_weights

_CACHE = 512 << 20  # bytes of dense answers that are kept
_DENSE = 0.25  # share of a frame's pixels from which on the whole frame is decoded, and kept

Answer = tuple[np.ndarray, np.ndarray]  # displacements [...,3] and confidences [...]


class LatentField:
    """4RC's latent of a clip; dP(t_i -> tau) by its motion decoder (eq. 5).

    patches, times: bfloat16 as its bits: [L,N,P,C] and [L,N,C] for L levels of N frames.
    size: height and width of the frames.
    to_world: rotation of the network's world into the scene's.
    weights: what the network's weights are and where they are (`networks.located`).
    network: None loads it when it is first needed.
    """

    kind: ClassVar[str] = "4rc"

    def __init__(
        self,
        patches: UInt16[np.ndarray, "L N P C"],
        times: UInt16[np.ndarray, "L N C"],
        size: tuple[int, int],
        to_world: Float[np.ndarray, "3 3"],
        weights: dict[str, Any],
        network: FourRC | None = None,
    ) -> None:
        self.patches, self.times, self.size = patches, times, size
        self.to_world, self.weights, self._network = to_world, weights, network
        self._kept: OrderedDict[tuple[int, int], Answer] = OrderedDict()

    @cached_property
    def network(self) -> FourRC:
        """The network, with the very weights that made the latent."""
        if self._network is None:
            self._network = same_weights(self.weights, FourRC)
        return self._network

    @cached_property
    def latent(self) -> Latent:
        """The latent where the network is."""
        device = next(self.network.parameters()).device
        patches, times = (
            tuple(floats(level).to(device)[None] for level in stored)
            for stored in (self.patches, self.times)
        )
        return Latent(patches, times, self.size)

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query. Between frames displacements are interpolated."""
        low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
        answers = self._answers(source, sorted({*low.tolist(), *high.tolist()}), pixels)
        share = (at - low).astype(np.float32)
        return Motion(*(_between(answers, part, low, high, share) for part in (0, 1)))

    def arrays(self) -> dict[str, np.ndarray]:
        """The latent, and which network it belongs to."""
        return {
            "patches": self.patches,
            "times": self.times,
            "size": np.array(self.size, np.int64),
            "to_world": self.to_world,
            "weights": np.frombuffer(json.dumps(self.weights).encode(), np.uint8),
        }

    def _answers(
        self, source: int, targets: Sequence[int], pixels: Float[np.ndarray, "M 2"] | None
    ) -> dict[int, Answer]:
        """By target frame; of the pixels asked for, or dense."""
        dense = pixels is None or len(pixels) > _DENSE * self.size[0] * self.size[1]
        known = {j: self._kept[source, j] for j in targets if (source, j) in self._kept}
        missing = [j for j in targets if j != source and j not in known]
        if dense:
            known |= self._decoded(source, missing, None)
            for j in missing:
                self._keep((source, j), known[j])
        if source in targets:
            known[source] = self._at_home()
        if pixels is None:
            return known
        picked = {j: (look_up(a, pixels), look_up(b, pixels)) for j, (a, b) in known.items()}
        return picked if dense else picked | self._decoded(source, missing, pixels)

    def _decoded(
        self, source: int, targets: Sequence[int], pixels: Float[np.ndarray, "M 2"] | None
    ) -> dict[int, Answer]:
        if not targets:
            return {}
        device = self.latent.patches[0].device
        chosen = None
        if pixels is not None:
            last = np.array([self.size[1], self.size[0]]) - 1
            inside = np.clip(np.floor(pixels), 0, last)
            chosen = torch.from_numpy(inside).float().to(device)
        answers: list[Answer] = []
        with torch.inference_mode():
            for part in self.network.displacements(self.latent, [source], targets, chosen):
                moved = part.points[0, 0].float().cpu().numpy() @ self.to_world.T
                sure = 1 - 1 / part.confidence[0, 0].float().cpu().numpy()
                answers.extend(zip(moved, sure, strict=True))
        return dict(zip(targets, answers, strict=True))

    def _at_home(self) -> Answer:
        return np.zeros((*self.size, 3), np.float32), np.ones(self.size, np.float32)

    def _keep(self, pair: tuple[int, int], answer: Answer) -> None:
        self._kept[pair] = answer
        each = sum(part.nbytes for part in answer)
        while len(self._kept) * each > _CACHE:
            self._kept.popitem(last=False)


def _between(
    answers: dict[int, Answer], part: int, low: np.ndarray, high: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """One part of the answers, linear between the frames `low` and `high`."""
    first = np.stack([answers[j][part] for j in low.tolist()])
    last = np.stack([answers[j][part] for j in high.tolist()])
    return first + share.reshape(-1, *(1,) * (first.ndim - 1)) * (last - first)


def bits(x: Tensor) -> UInt16[np.ndarray, "..."]:
    """A tensor as bfloat16, which numpy does not know: its bits."""
    return x.bfloat16().cpu().view(torch.int16).numpy().view(np.uint16)


def floats(stored: UInt16[np.ndarray, "..."]) -> Tensor:
    """What `bits` made, as bfloat16 again."""
    return torch.from_numpy(np.array(stored).view(np.int16)).view(torch.bfloat16)


@register("4rc")
def _load(arrays: dict[str, np.ndarray]) -> LatentField:
    height, width = (int(side) for side in arrays["size"])
    return LatentField(
        arrays["patches"],
        arrays["times"],
        (height, width),
        np.array(arrays["to_world"]),
        json.loads(arrays["weights"].tobytes()),
    )
