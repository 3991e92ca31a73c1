"""Video out: H.264 that every player shows, and whose colours it gets right."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8

from worldline.errors import InputError

_BT709 = 1  # H.264's number of its primaries and transfer


def write_video(
    target: Path | BytesIO,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    size: tuple[int, int],
    rate: Fraction,
    quality: float = 12.0,
    options: Mapping[str, str] | None = None,
) -> None:
    """Encode frames of one size (width, height) as an mp4 of constant rate.

    ``quality`` is x264's rate factor: 0 is without loss, 18 hard to tell from it, 28 visibly coded;
    ``options`` are more of its settings. The same frames give the same bytes on one machine.
    Raises InputError for a size that is not even.
    """
    check_even(size)
    where = str(target) if isinstance(target, Path) else target
    with av.open(where, "w", format="mp4") as container:
        # with several threads, the encoder's choices would depend on how many cores there are
        settings = {"crf": f"{quality:g}", "threads": "1", **(options or {})}
        stream = add_stream(container, rate, size, settings)
        for frame in frames:
            container.mux(stream.encode(picture(frame)))
        container.mux(stream.encode(None))


def check_even(size: tuple[int, int]) -> None:
    """Raises InputError unless both sides are even, which yuv420p asks for."""
    if size[0] % 2 or size[1] % 2:
        raise InputError(f"a video's sides must be even; {size[0]}x{size[1]} is not")


def add_stream(
    container: av.container.OutputContainer,
    rate: Fraction,
    size: tuple[int, int],
    options: dict[str, str],
) -> av.VideoStream:
    """A stream of BT.709 yuv420p, which is told in the file: players guess by the size else."""
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries = context.color_trc = _BT709
    return stream


def picture(rgb: UInt8[np.ndarray, "H W 3"]) -> av.VideoFrame:
    """A frame as such a stream takes it."""
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
