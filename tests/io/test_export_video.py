"""The film of a scene shows its picture sheet, frame by frame, at the clip's times."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from moving_scene import H, W, make_scene
from PIL import Image

from worldline.io.exports.clouds import frame_rate
from worldline.io.sheet import depth_colours, frame_row, write_sheet
from worldline.scene import Scene


def read(path: Path) -> tuple[list[float], list[np.ndarray], av.VideoStream]:
    """Seconds, RGB pictures and the stream of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        return [float(frame.time or 0.0) for frame in frames], pictures, stream


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b.astype(float)).mean()))


# dB that are reached on this hard, tiny film, less 1; lines of one pixel suffer most from 4:2:0.
FLOORS = {"rgb": 36, "depth": 24, "moving": 28, "tracks": 23}


def test_film_is_the_sheet_at_the_clip_s_times(tmp_path: Path) -> None:
    """Protects times (uneven ones too), colours, and what players need: even sides, yuv420p."""
    scene = make_scene()
    times, pictures, stream = read(scene.export(tmp_path / "a.mp4"))
    assert times == pytest.approx((scene.times - scene.times[0]).tolist(), abs=1e-4)
    assert stream.codec_context.pix_fmt == "yuv420p" and stream.codec_context.name == "h264"
    assert stream.codec_context.colorspace == 1 and stream.codec_context.color_primaries == 1
    colours = depth_colours(scene)
    for i, picture in enumerate(pictures):
        row = frame_row(scene, i, colours, W)
        assert picture.shape == row.shape == (H, 4 * W + 12, 3)
        for k, (panel, least) in enumerate(FLOORS.items()):
            where = slice(k * (W + 4), k * (W + 4) + W)
            assert decibels(picture[:, where], row[:, where]) > least, panel
        # Colours are kept on average, which a wrong matrix between RGB and YUV would not do.
        shift = picture.astype(float).mean((0, 1)) - row.mean((0, 1))
        assert np.abs(shift).max() < 2


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (np.arange(4) * 1001 / 30000, Fraction(30000, 1001)),
        (np.array([0.0, 0.04, 0.08, 1.0]), Fraction(25)),
        (np.arange(4) * 86400.0, Fraction(1, 1001)),  # one a day: slow, but not standing still
    ],
)
def test_frame_rate_is_the_clip_s(times: np.ndarray, rate: Fraction) -> None:
    assert frame_rate(times) == rate


def crop(scene: Scene, height: int, width: int) -> Scene:
    parts = {
        name: getattr(scene, name)[:, :height, :width]
        for name in ("frames", "depth", "confidence", "dynamic")
    }
    return replace(scene, **parts)


@pytest.mark.parametrize("case", ["one frame", "nothing moves", "no depth", "odd sides", "guess"])
def test_poor_scenes_are_filmed_too(tmp_path: Path, case: str) -> None:
    scene = make_scene(1 if case == "one frame" else 3, moves=case == "one frame")
    if case == "no depth":
        scene = replace(scene, depth=np.full_like(scene.depth, np.nan))
    if case == "odd sides":
        scene = crop(scene, H - 1, W - 3)
    if case == "guess":
        scene = replace(scene, confidence=np.zeros_like(scene.confidence))
    _, pictures, stream = read(scene.export(tmp_path / "a.mp4"))
    assert len(pictures) == len(scene)
    lasts = float(stream.duration * stream.time_base)  # the last frame is shown for a while too
    assert lasts == pytest.approx({1: 1 / 25, 3: 0.3}[len(scene)])
    assert all(side % 2 == 0 for side in pictures[0].shape[:2])


def test_sheet_has_a_row_for_each_picked_frame(tmp_path: Path) -> None:
    scene = make_scene()
    write_sheet(scene, tmp_path / "a.png", rows=2, width=W)
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    colours = depth_colours(scene)
    assert np.array_equal(sheet[:H], frame_row(scene, 0, colours, W))
    assert np.array_equal(sheet[-H:], frame_row(scene, len(scene) - 1, colours, W))
