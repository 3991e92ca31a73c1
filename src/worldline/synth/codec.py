"""What a real encoder does to frames: H.264, written to memory and read back."""

import io
from fractions import Fraction

import av
import numpy as np
from jaxtyping import UInt8

CONTAINER = "mp4"


def compressed(
    frames: UInt8[np.ndarray, "N H W 3"], crf: float, rate: float
) -> UInt8[np.ndarray, "N H W 3"]:
    """The frames as x264 leaves them at a rate factor (0 to 51; 18 is fine, 35 poor).

    ``rate`` in frames per second. The same frames are the same again with the same x264.
    """
    file = io.BytesIO()
    _encode(file, _even(frames), crf, rate)
    file.seek(0)
    with av.open(file, "r", format=CONTAINER) as container:
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(read)[:, : frames.shape[1], : frames.shape[2]]


def _encode(
    file: io.BytesIO, frames: UInt8[np.ndarray, "N H W 3"], crf: float, rate: float
) -> None:
    with av.open(file, "w", format=CONTAINER) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # one thread: x264 cuts its work, and so its pictures, by their number
        stream.options = {"crf": f"{crf:.2f}", "preset": "veryfast", "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _even(frames: UInt8[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N H2 W2 3"]:
    """Frames with even sides, which yuv420p asks for: the last row or column doubled."""
    height, width = frames.shape[1:3]
    pad = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    return np.ascontiguousarray(np.pad(frames, pad, mode="edge"))
