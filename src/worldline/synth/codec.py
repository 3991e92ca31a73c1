"""What a real encoder does to frames: H.264, written to memory and read back."""

import io
from fractions import Fraction

import av
import numpy as np
from jaxtyping import UInt8

from worldline.io.encoder import write_video

CONTAINER = "mp4"
# As a phone's encoder, which knows no frame to come. x264's look ahead (for B-frames, and for where
# to spend its bits) was not the same from run to run on some CPUs.
SETTINGS = {
    "preset": "veryfast",
    "bf": "0",
    "rc-lookahead": "0",
    "mbtree": "0",
    "weightp": "none",
    "sc_threshold": "0",
}


def compressed(
    frames: UInt8[np.ndarray, "N H W 3"], crf: float, rate: float
) -> UInt8[np.ndarray, "N H W 3"]:
    """The frames as x264 leaves them at a rate factor (0 to 51; 18 is fine, 35 poor).

    ``rate`` in frames per second. The same frames are the same again with the same x264.
    """
    file, even = io.BytesIO(), _even(frames)
    size = even.shape[2], even.shape[1]
    write_video(file, even, size, Fraction(rate).limit_denominator(1001), round(crf, 2), SETTINGS)
    file.seek(0)
    with av.open(file, "r", format=CONTAINER) as container:
        container.streams.video[0].codec_context.thread_count = 1  # clips are read side by side
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(read)[:, : frames.shape[1], : frames.shape[2]]


def _even(frames: UInt8[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N H2 W2 3"]:
    """Frames with even sides, which yuv420p asks for: the last row or column doubled."""
    height, width = frames.shape[1:3]
    pad = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    return np.ascontiguousarray(np.pad(frames, pad, mode="edge"))
