"""The demo clip as a file: where it lies and how it is made."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from worldline.synth.demo.stage import FRAME_RATE, FRAMES, SIZE, demo_cameras, demo_world
from worldline.synth.render import render

NOISE = 1.2  # standard deviation of the sensor noise in grey levels
SUNS = 3  # points of the sun's disc that each of a pixel's four rays looks at
QUALITY = "16"  # an x264 rate factor that stays well below 500 KB


def demo_clip_path() -> Path:
    """The clip that comes with the package: 48 frames, 480 x 270, 24 frames a second, H.264."""
    return Path(__file__).with_name("clip.mp4")


def demo_frames(frame_indices: list[int] | None = None) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Renders the clip's frames one after the other, sensor noise included (seconds each).

    The noise of a frame depends on its index alone, so any choice of frames looks the same.
    """
    world, cameras = demo_world(), demo_cameras()
    for i in range(FRAMES) if frame_indices is None else frame_indices:
        rgb = render(world, cameras.frames([i]), samples=2, suns=SUNS).rgb
        assert rgb is not None  # colour is on by default
        yield as_sensed(rgb[0, 0].numpy(), seed=i)


def as_sensed(rgb: Float[np.ndarray, "H W 3"], seed: int) -> UInt8[np.ndarray, "H W 3"]:
    """Colour in [0, 1] as a sensor's grey levels, with its noise."""
    levels = 255 * rgb
    noisy = levels + np.random.default_rng(seed).normal(0, NOISE, levels.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def write_demo_clip(path: Path) -> None:
    """Renders and encodes the demo clip, which takes minutes.

    The pictures are the same everywhere up to rounding; the bytes depend on the encoder's version.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "veryslow"}
        for picture in demo_frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
