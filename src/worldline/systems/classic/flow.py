"""Dense optical flow between two frames: the short-term half of C4D's two correspondences."""

from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8


@runtime_checkable
class FlowModel(Protocol):
    """Anything that tells where the pixels of one frame are in another."""

    name: str

    def __call__(
        self, source: UInt8[np.ndarray, "H W 3"], target: UInt8[np.ndarray, "H W 3"]
    ) -> Float32[np.ndarray, "H W 2"]:
        """Displacement `(u right, v down)` in pixels of every pixel of `source` to `target`."""
        ...


class DisFlow:
    """OpenCV's dense inverse search (Kroeger et al., ECCV 2016), at its medium preset."""

    name = "dis"

    def __init__(self, preset: int = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) -> None:
        self._dis = cv2.DISOpticalFlow.create(preset)

    def __call__(
        self, source: UInt8[np.ndarray, "H W 3"], target: UInt8[np.ndarray, "H W 3"]
    ) -> Float32[np.ndarray, "H W 2"]:
        """See `FlowModel`."""
        return self.between(grey(source), grey(target))

    def between(
        self, source: UInt8[np.ndarray, "H W"], target: UInt8[np.ndarray, "H W"]
    ) -> Float32[np.ndarray, "H W 2"]:
        """The same for pictures that are grey already."""
        return self._dis.calc(source, target, None)


def grey(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W"]:
    """Luminance of an RGB picture."""
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def sample(
    field: Float32[np.ndarray, "H W C"], uv: Float32[np.ndarray, "M 2"]
) -> Float32[np.ndarray, "M C"]:
    """Bilinear values of a dense field at pixel positions; the border value outside."""
    if len(uv) == 0:
        return np.zeros((0, field.shape[-1]), np.float32)
    # remap counts from the centre of the first pixel, and takes at most 32767 rows at once.
    position = (uv - 0.5).astype(np.float32)
    columns = 1024
    padded = np.zeros((-(-len(uv) // columns) * columns, 2), np.float32)
    padded[: len(uv)] = position
    grid = padded.reshape(-1, columns, 2)
    value = cv2.remap(field, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return value.reshape(-1, field.shape[-1])[: len(uv)]


def round_trip_error(
    forward: Float32[np.ndarray, "H W 2"], backward: Float32[np.ndarray, "H W 2"]
) -> Float32[np.ndarray, "H W"]:
    """Forward-backward inconsistency of every pixel, in pixels; infinite where it leaves."""
    height, width = forward.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    target = np.stack([x, y], axis=-1) + forward
    back = cv2.remap(backward, target, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = np.linalg.norm(forward + back, axis=-1)
    return np.where(inside(target + 0.5, height, width), error, np.float32(np.inf))


def inside(
    uv: Float[np.ndarray, "*b 2"], height: int, width: int, margin: float = 0.0
) -> Bool[np.ndarray, "*b"]:
    """Which positions lie in the picture, at least `margin` pixels from its edge."""
    low, high = margin, np.array([width - margin, height - margin], np.float32)
    return np.asarray(((uv >= low) & (uv <= high)).all(axis=-1))
