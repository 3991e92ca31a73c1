"""The flows of a clip, computed when first asked for and kept while there is room."""

from collections import OrderedDict

import numpy as np
from jaxtyping import Float32, UInt8

from worldline.systems.classic.flow import DisFlow, FlowModel, grey, round_trip_error


class FlowBank:
    """Flows between any two frames of a clip.

    Several stages read the same flows (tracks, masks, depth). They are kept in half precision,
    oldest use first out, so that memory stays bounded however long the clip is.
    """

    def __init__(
        self,
        frames: UInt8[np.ndarray, "N H W 3"],
        model: FlowModel | None = None,
        budget_bytes: int = 700_000_000,
    ) -> None:
        self.frames = frames
        self.model = model or DisFlow()
        self.grey = np.stack([grey(frame) for frame in frames])
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._room = max(4, budget_bytes // (4 * frames.shape[1] * frames.shape[2]))

    def flow(self, source: int, target: int) -> Float32[np.ndarray, "H W 2"]:
        """Displacement in pixels of the pixels of frame `source` to frame `target`."""
        key = (source, target)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key].astype(np.float32)
        if isinstance(self.model, DisFlow):
            flow = self.model.between(self.grey[source], self.grey[target])
        else:
            flow = self.model(self.frames[source], self.frames[target])
        # Rounded the first time too: what a stage is told must not depend on who asked before it.
        kept = flow.astype(np.float16)
        self._kept[key] = kept
        if len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return kept.astype(np.float32)

    def round_trip(self, source: int, target: int) -> Float32[np.ndarray, "H W"]:
        """Forward-backward inconsistency of the pixels of `source`, in pixels."""
        return round_trip_error(self.flow(source, target), self.flow(target, source))
