"""What a dataset knows of a clip, in Worldline's conventions: ``Clip``, and how datasets give it.

OpenCV camera axes, z-depth, pixels ``(x, y)`` with the top-left centre at (0.5, 0.5), NaN for what
is unknown. A reader adapts all of this at its border; nothing after it knows another convention.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, UInt8

from worldline.datasets.frames import Frames
from worldline.scene.motion import MotionField


@dataclass(frozen=True)
class PointTracks:
    """M surface points over N frames; what a dataset does not know is None, single values NaN.

    ``xyz`` are world positions, ``uv`` pixels, ``visible`` whether the frame sees the point,
    ``dynamic`` whether it ever moves in the world, ``query`` the frame in which it is asked for,
    ``known`` the frames in which the points were looked for (None: all).
    """

    visible: Bool[np.ndarray, "M N"]
    uv: Float[np.ndarray, "M N 2"] | None = None
    xyz: Float[np.ndarray, "M N 3"] | None = None
    dynamic: Bool[np.ndarray, " M"] | None = None
    query: np.ndarray | None = None
    known: Bool[np.ndarray, " N"] | None = None


@dataclass(frozen=True)
class HeldOut:
    """V pictures from cameras, or of times, that a system is not shown; in the clip's world.

    ``times`` are on the clip's clock, in seconds; only the pixels that are ``judged`` count (None:
    all).
    """

    frames: UInt8[np.ndarray, "V h w 3"]
    world_from_camera: Float[np.ndarray, "V 4 4"]
    intrinsics: Float[np.ndarray, "V 3 3"]
    times: Float[np.ndarray, " V"]
    judged: Bool[np.ndarray, "V h w"] | None = None


@dataclass(frozen=True)
class Clip:
    """The frames and the truth of a clip; what a dataset does not have is None.

    ``depth`` is z-depth (NaN: unknown), ``dynamic`` the pixels that move, ``judged`` those of which
    that is known (None: all), ``flow`` that from each frame to the next (NaN: unknown; in pixels of
    its own size, the frames' as read),
    ``instance`` the object of each pixel (-1: none), ``motion`` where each pixel's point is at
    other frames (in the first camera's axes, at pixels of pictures of ``motion_size``), ``views``
    what other cameras saw. Lengths are metres if ``metric``. ``frame_names`` say which of the
    dataset's frames these are; ``source`` is the video or the folder of pictures that holds just
    these frames, where there is one.
    """

    name: str
    frames: UInt8[np.ndarray, "N H W 3"]
    frame_names: tuple[str, ...]
    metric: bool
    times: Float[np.ndarray, " N"] | None = None
    world_from_camera: Float[np.ndarray, "N 4 4"] | None = None
    intrinsics: Float[np.ndarray, "N 3 3"] | None = None
    depth: Float[np.ndarray, "N H W"] | None = None
    dynamic: Bool[np.ndarray, "N H W"] | None = None
    flow: Float[np.ndarray, "N-1 h w 2"] | None = None
    instance: np.ndarray | None = None
    tracks: PointTracks | None = None
    judged: Bool[np.ndarray, "N H W"] | None = None
    motion: MotionField | None = None
    motion_size: tuple[int, int] | None = None
    views: HeldOut | None = None
    source: Path | None = None

    def __len__(self) -> int:
        return len(self.frames)


class Dataset(Protocol):
    """What every file of this folder offers, as functions of the module."""

    def names(self, root: Path) -> list[str]:
        """The clips under ``root``; InputError where none is, with what was looked for."""

    def read(self, root: Path, name: str, frames: Frames = None) -> Clip:
        """A clip, or some of its frames; InputError names a file that is missing or broken."""

    def problems(self, root: Path) -> list[str]:
        """What is missing or broken under ``root``, a line each; nothing is decoded for it."""
