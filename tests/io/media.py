"""Small videos made on the spot."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def numbered_frame(index: int, width: int, height: int) -> np.ndarray:
    """Red, green, blue and black quarters, and the frame's number as a grey level inside."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 20, 20)
    image[: height // 2, width // 2 :] = (20, 220, 20)
    image[height // 2 :, : width // 2] = (20, 20, 220)
    image[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 40 + 4 * (index % 48)
    return image


def number_of(frame: np.ndarray) -> int:
    """The number that `numbered_frame` wrote."""
    height, width = frame.shape[:2]
    return round((float(frame[height // 2, width // 2].mean()) - 40) / 4)


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 30,
    pts: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    prepare: Callable[[av.VideoStream], None] | None = None,
    source_format: str = "rgb24",
) -> Path:
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if prepare:
            prepare(stream)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, source_format)
            if pts is not None:
                frame.pts, frame.time_base = pts[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbered_video(path: Path, count: int = 48, size: tuple[int, int] = (96, 64), **kw) -> Path:
    return write_video(path, [numbered_frame(i, *size) for i in range(count)], **kw)
