"""A scene as a film of its picture sheet: RGB | depth | moving | tracks, side by side."""

from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from worldline.io.encoder import add_stream, picture
from worldline.io.exports.clouds import frame_rate
from worldline.io.exports.registry import Choices
from worldline.io.sheet import depth_colours, frame_row
from worldline.scene import Scene
from worldline.scene.store import atomic_file

_WIDTH = 480  # px of each of the four pictures, less if the frames are smaller
_TICK = Fraction(1, 90_000)  # of a second, in which a frame's time is given
_QUALITY = {"crf": "18", "preset": "medium"}


def export_video(scene: Scene, path: Path, _choices: Choices) -> None:
    """Write H.264 (yuv420p, BT.709) that every player shows; one frame is in memory at a time.

    Each frame is shown at its own time from the first one on. The four pictures are those of the
    picture sheet, at most 480 px wide each. Raises StorageError when the disk refuses.
    """
    colours, width = depth_colours(scene), min(scene.size[0], _WIDTH)
    lasts = _ticks(scene)
    rows = (_even(frame_row(scene, i, colours, width)) for i in range(len(scene)))
    first = next(rows)
    with atomic_file(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        size = first.shape[1], first.shape[0]
        stream = add_stream(container, frame_rate(scene.times), size, _QUALITY)
        stream.codec_context.time_base = _TICK
        for row, tick in zip(chain([first], rows), lasts, strict=True):
            shown = picture(row)
            shown.pts, shown.time_base = tick, _TICK
            _mux(container, stream.encode(shown), lasts)
        _mux(container, stream.encode(None), lasts)


def _ticks(scene: Scene) -> dict[int, int]:
    """When each frame starts, from the first one on, and how long it lasts."""
    ends = np.append(scene.times, scene.times[-1] + float(1 / frame_rate(scene.times)))
    ticks = np.rint((ends - scene.times[0]) / float(_TICK)).astype(int)
    return dict(zip(ticks[:-1].tolist(), np.diff(ticks).tolist(), strict=True))


def _mux(
    container: av.container.OutputContainer, packets: list[av.Packet], lasts: dict[int, int]
) -> None:
    for packet in packets:
        if packet.pts is not None:
            packet.duration = lasts[packet.pts]  # else the last frame would last no time at all
        container.mux(packet)


def _even(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture with even sides, which yuv420p asks for: its last row or column doubled."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
