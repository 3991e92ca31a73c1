"""What reading a source gives: frames at their working size, and all that was done to get there."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8


@dataclass(frozen=True)
class Clip:
    """Frames of one camera with their times, ready for a system.

    N frames of H rows and W columns. `intrinsics` are in pixels of `frames`; the centre of the
    top-left pixel is (0.5, 0.5).
    """

    frames: UInt8[np.ndarray, "N H W 3"]  # RGB at the working size
    times: Float64[np.ndarray, "N"]  # seconds in the source, strictly increasing
    source: str  # the file's or folder's own name, without where it lies
    fingerprint: str  # sha256 of the content (for many images: of names and contents)
    original_size: tuple[int, int]  # (width, height), upright and with square pixels
    total: int  # frames that the source has between start and end
    intrinsics: Float64[np.ndarray, "3 3"] | None  # None: unknown
    intrinsics_source: Literal["given", "metadata", "unknown"]
    distortion: tuple[float, ...] | None  # k1 k2 p1 p2 k3 (OpenCV) that was undone; None: nothing
    is_video: bool  # True: consecutive frames; False: stills, whose times are only their order
    notes: tuple[str, ...] = ()  # what a user should know, one sentence each
    stride: int = 1  # every stride-th frame was kept
    # What is known beforehand; NaN in them, or None for all: unknown.
    known_poses: Float64[np.ndarray, "N 4 4"] | None = None  # world_from_camera, in any world
    known_intrinsics: Float64[np.ndarray, "N 3 3"] | None = None  # where they are not all alike
    known_depth: Float32[np.ndarray, "N H W"] | None = None  # in the units of known_poses
    known_dynamic: Float32[np.ndarray, "N H W"] | None = None  # 1: moving, 0: static

    def kept_line(self) -> str:
        """Say what was kept, e.g. "kept 48 of 96 frames (stride 2), 480x270 of 1920x1080"."""
        kept, height, width = self.frames.shape[:3]
        what = "frame" if self.total == 1 else "frames"
        how = f" (stride {self.stride})" if self.stride > 1 else ""
        size = f"{width}x{height}"
        if (width, height) != self.original_size:
            size += f" of {self.original_size[0]}x{self.original_size[1]}"
        return f"kept {kept} of {self.total} {what}{how}, {size}"
