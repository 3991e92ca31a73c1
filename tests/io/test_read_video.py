"""Videos keep their frames, times, colours and upright shape, whatever the container."""

import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
from media import number_of, numbered_frame, numbered_video, write_video

from worldline.errors import InputError
from worldline.io import decoder as decoder_module
from worldline.io import read_clip
from worldline.io import video as video_module
from worldline.io.pixels import TURN_BY_ORIENTATION, turn_of_matrix
from worldline.io.video import strictly_increasing

CONTAINERS = {
    "h264.mp4": {},
    "h264.mov": {},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "h264.avi": {},  # B-frames in a container that has no time stamps
    "hevc10.mp4": {
        "codec": "libx265",
        "pix_fmt": "yuv420p10le",
        "options": {"x265-params": "log-level=none", "crf": "8"},
    },
    "ffv1.mkv": {"codec": "ffv1", "pix_fmt": "yuv444p10le"},
    "animated.gif": {"codec": "gif", "pix_fmt": "rgb8", "rate": 20},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_all_frames_in_order_with_true_times(tmp_path: Path, name: str):
    options = CONTAINERS[name]
    if options.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no encoder {options['codec']}")
    clip = read_clip(numbered_video(tmp_path / name, 12, **options))
    assert clip.frames.shape == (12, 64, 96, 3)
    assert clip.is_video
    assert clip.total == 12
    assert clip.notes == ()
    np.testing.assert_allclose(clip.times, np.arange(12) / options.get("rate", 30), atol=0.006)
    if "gif" not in name:  # eight bits of palette cannot tell the numbers apart
        assert [number_of(frame) for frame in clip.frames] == list(range(12))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv444p10le"])
def test_colours_survive_limited_range_full_range_and_ten_bits(tmp_path: Path, pix_fmt: str):
    clip = read_clip(numbered_video(tmp_path / "v.mp4", 2, pix_fmt=pix_fmt, options={"qp": "4"}))
    for (y, x), colour in {(8, 12): (220, 20, 20), (8, 84): (20, 220, 20)}.items():
        np.testing.assert_allclose(clip.frames[0, y, x].astype(int), colour, atol=5)


def test_untagged_hd_is_bt709_as_in_players(tmp_path: Path):
    image = np.full((720, 1280, 3), (200, 30, 60), np.uint8)
    with av.open(str(tmp_path / "hd.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=1)
        frame.colorspace = 2  # as many cameras write it: BT.709 without saying so
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = read_clip(tmp_path / "hd.mkv", size=64)
    np.testing.assert_allclose(clip.frames[0, 10, 10].astype(int), (200, 30, 60), atol=6)


def test_variable_frame_rate_keeps_the_true_time_stamps(tmp_path: Path):
    pts = [0, 33, 50, 200, 210, 900, 1500, 1533]
    frames = [numbered_frame(i, 96, 64) for i in range(len(pts))]
    clip = read_clip(write_video(tmp_path / "vfr.mkv", frames, pts=pts))
    np.testing.assert_allclose(clip.times, np.array(pts) / 1000, atol=1e-9)


def test_a_first_time_stamp_above_zero_is_kept(tmp_path: Path):
    frames = [numbered_frame(i, 96, 64) for i in range(4)]
    path = write_video(tmp_path / "late.mkv", frames, pts=[5000, 5040, 5080, 5120])
    np.testing.assert_allclose(read_clip(path).times, [5.0, 5.04, 5.08, 5.12])
    assert read_clip(path, start=5.05).total == 2


def test_a_repeated_time_stamp_is_moved_and_said(tmp_path: Path):
    frames = [numbered_frame(i, 96, 64) for i in range(5)]
    pts = [0, 100, 100, 300, 400]
    path = write_video(tmp_path / "twice.mkv", frames, codec="ffv1", pts=pts)
    clip = read_clip(path)
    np.testing.assert_allclose(clip.times, [0, 0.1, 0.2, 0.3, 0.4])
    assert clip.notes == ("Time stamps that did not increase and were moved: 1.",)


def test_time_stamps_that_stand_still_are_spread_and_counted():
    times, moved = strictly_increasing([0.0, 1.0, 1.0, 1.0, 4.0, 3.0], 0.5)
    np.testing.assert_allclose(times, [0, 1, 2, 3, 4, 4.5])
    assert moved == 3
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    ("degrees", "red_corner"), [(0, (8, 8)), (90, (-8, 8)), (180, (-8, -8)), (270, (8, -8))]
)
def test_rotated_video_comes_upright(tmp_path: Path, degrees: int, red_corner: tuple[int, int]):
    """The display matrix turns counter-clockwise by `degrees`: red starts at the top left."""
    path = numbered_video(
        tmp_path / "phone.mp4", 3, prepare=lambda stream: stream.set_display_rotation(degrees)
    )
    clip = read_clip(path)
    sideways = degrees % 180 == 90
    assert clip.original_size == ((64, 96) if sideways else (96, 64))
    assert clip.frames.shape[1:3] == ((96, 64) if sideways else (64, 96))
    red = clip.frames[0][red_corner]
    assert red[0] > 180
    assert max(red[1:]) < 70


def test_display_matrix_agrees_with_exif_for_quarter_turns_and_mirrors():
    one = 1 << 16
    matrices = {  # x' = a x + c y, y' = b x + d y
        1: (one, 0, 0, 0, one, 0, 0, 0, 1 << 30),
        2: (-one, 0, 0, 0, one, 0, 0, 0, 1 << 30),
        6: (0, one, 0, -one, 0, 0, 0, 0, 1 << 30),
        8: (0, -one, 0, one, 0, 0, 0, 0, 1 << 30),
    }
    for orientation, matrix in matrices.items():
        assert turn_of_matrix(matrix) == TURN_BY_ORIENTATION[orientation]


def test_odd_sizes_are_read_as_they_are(tmp_path: Path):
    clip = read_clip(numbered_video(tmp_path / "odd.mp4", 3, (97, 61), pix_fmt="yuv444p"))
    assert clip.frames.shape == (3, 61, 97, 3)


def test_wide_pixels_become_square(tmp_path: Path):
    def wide(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = 2

    clip = read_clip(numbered_video(tmp_path / "wide.mp4", 2, (64, 64), prepare=wide))
    assert clip.original_size == (128, 64)
    assert clip.frames.shape == (2, 64, 128, 3)
    assert "square pixels" in clip.notes[0]


def test_alpha_is_composed_over_black_and_said(tmp_path: Path):
    image = np.zeros((64, 96, 4), np.uint8)
    image[..., 0] = 240
    image[..., 3] = 255
    image[:, 48:, 3] = 128
    path = write_video(
        tmp_path / "alpha.mov", [image, image], codec="qtrle", pix_fmt="argb", source_format="rgba"
    )
    clip = read_clip(path)
    np.testing.assert_allclose(clip.frames[0, 5, [5, 90], 0].astype(int), [240, 120], atol=1)
    assert clip.notes == ("Transparent pixels were composed over black.",)


def test_stride_start_end_and_max_frames_add_up(tmp_path: Path):
    path = numbered_video(tmp_path / "v.mp4", 48)  # 30 per second

    def numbers(**choice) -> list[int]:
        return [number_of(frame) for frame in read_clip(path, **choice).frames]

    assert numbers(start=0.5, end=1.0) == list(range(15, 30))  # the end itself is left out
    assert numbers(start=0.5, stride=4) == [15, 19, 23, 27, 31, 35, 39, 43, 47]
    assert numbers(stride=5, max_frames=3) == [0, 5, 10]
    clip = read_clip(path, start=0.5, stride=4, max_frames=3)
    assert clip.total == 33
    assert clip.notes == ("--max-frames kept the first 3 of 9 frames.",)
    assert clip.kept_line() == "kept 3 of 33 frames (stride 4), 96x64"
    assert read_clip(path, end=1.0, max_frames=2).total == 30
    assert read_clip(path, max_frames=48).notes == ()


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts", "long.avi", "pieces.mp4"])
def test_seeking_far_into_a_video_changes_nothing(tmp_path: Path, name: str):
    """Many key frames and B-frames: the frames after a seek are those of the whole reading."""
    pieces = {"movflags": "frag_keyframe+empty_moov"} if name.startswith("pieces") else {}
    path = tmp_path / name
    numbered_video(path, 240, options={"g": "12", "bf": "3"}, container_options=pieces)
    whole = read_clip(path)
    part = read_clip(path, start=4.0, end=6.0, stride=3)
    expected = (whole.times >= 4.0) & (whole.times < 6.0)
    assert part.total == expected.sum()
    np.testing.assert_array_equal(part.times, whole.times[expected][::3])
    np.testing.assert_array_equal(part.frames, whole.frames[expected][::3])
    first = read_clip(path, start=4.0, end=6.0, max_frames=2)  # the others are only counted
    assert first.total == expected.sum()


def test_a_seek_that_lands_too_late_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Broken indices exist: the reader starts over from the beginning."""
    path = numbered_video(tmp_path / "long.mp4", 120, options={"g": "12"})
    monkeypatch.setattr(decoder_module, "SEEK_MARGIN", -1.0)
    clip = read_clip(path, start=2.0)
    assert clip.total == 60
    assert clip.times[0] == 2.0


def test_only_kept_frames_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = numbered_video(tmp_path / "v.mp4", 48)
    converted = []
    convert = video_module.rgb_of
    monkeypatch.setattr(
        video_module, "rgb_of", lambda frame: converted.append(frame.pts) or convert(frame)
    )
    read_clip(path, stride=12)
    assert len(converted) == 4


def test_memory_grows_with_the_frames_kept_at_their_working_size(tmp_path: Path):
    path = numbered_video(tmp_path / "v.mp4", 60, (640, 480), options={"preset": "ultrafast"})
    tracemalloc.start()
    clip = read_clip(path, size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one_original = 640 * 480 * 3
    assert len(clip.frames) == 60
    assert peak < 2 * clip.frames.nbytes + 4 * one_original  # all 60 would be 60 * one_original


def test_a_video_cut_in_the_middle_gives_the_frames_that_are_there(tmp_path: Path):
    path = numbered_video(tmp_path / "whole.mp4", container_options={"movflags": "faststart"})
    content = path.read_bytes()
    data = content.index(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: data + (len(content) - data) * 8 // 10])
    clip = read_clip(cut)
    assert 1 <= len(clip.frames) < 48
    assert f"cut short: {len(clip.frames)} of 48 frames" in clip.notes[0]
    assert [number_of(frame) for frame in clip.frames] == list(range(len(clip.frames)))


def test_a_frame_of_which_a_part_is_missing_is_not_made_up(tmp_path: Path):
    """libav would fill the lower half of the last picture by guessing."""
    path = numbered_video(
        tmp_path / "v.mov",
        6,
        codec="mpeg4",
        options={"g": "1"},
        container_options={"movflags": "faststart"},
    )
    path.write_bytes(path.read_bytes()[:-70])  # of 147 bytes a frame
    clip = read_clip(path)
    assert clip.notes == ("The file is cut short: 5 of 6 frames could be read.",)
    assert len(clip.frames) == clip.total == 5


def test_a_webm_cut_in_the_middle_says_where_its_frames_end(tmp_path: Path):
    path = numbered_video(tmp_path / "whole.webm", codec="libvpx-vp9")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    clip = read_clip(path)
    assert 1 <= len(clip.frames) < 48
    assert "seems cut short" in clip.notes[0]


def test_a_video_without_its_index_is_refused_with_the_reason(tmp_path: Path):
    path = numbered_video(tmp_path / "v.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"v\.mp4: the file is cut short: its index"):
        read_clip(path)


def test_damage_in_the_middle_never_escapes_as_a_traceback(tmp_path: Path):
    path = numbered_video(tmp_path / "v.mp4", 24, container_options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    start = content.index(b"mdat") + 8
    for _ in range(12):
        spoilt = content.copy()
        at = noise.integers(start, len(content) - 64)
        spoilt[at : at + 64] = noise.bytes(64)
        path.write_bytes(spoilt)
        try:
            clip = read_clip(path)
        except InputError:
            continue
        assert (np.diff(clip.times) > 0).all()


def test_a_change_of_size_on_the_way_is_refused_with_its_time(tmp_path: Path):
    """MPEG-TS lets two streams be joined end to end."""
    small = numbered_video(tmp_path / "a.ts", 6, (96, 64), codec="mpeg2video")
    large = numbered_video(tmp_path / "b.ts", 6, (128, 64), codec="mpeg2video")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(InputError, match=r"joined\.ts: frame \d+ \(at .* s\) is 128x64"):
        read_clip(joined)


def test_sound_alone_is_refused(tmp_path: Path):
    with av.open(str(tmp_path / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds only sound"):
        read_clip(tmp_path / "song.m4a")


def test_what_is_no_video_is_refused(tmp_path: Path):
    (tmp_path / "text.txt").write_text("libav would read this as ANSI art\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "empty.mp4").touch()
    for name, words in {
        "text.txt": "is not a video",
        "noise.mp4": "is not a video, or is damaged",
        "empty.mp4": "the file is empty",
        "absent.mp4": "no such file",
    }.items():
        with pytest.raises(InputError, match=words):
            read_clip(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args, **kw) -> None:
        raise av.error.PermissionError(13, "Permission denied", str(tmp_path))

    path = numbered_video(tmp_path / "v.mp4", 2)
    monkeypatch.setattr(av, "open", refuse)  # root, who runs many CI machines, may read all
    with pytest.raises(InputError, match="may not be read"):
        read_clip(path)


def test_tiny_frames_are_refused(tmp_path: Path):
    path = numbered_video(tmp_path / "v.avi", 2, (8, 8), codec="mjpeg", pix_fmt="yuvj420p")
    with pytest.raises(InputError, match="frames are 8x8 px; at least 32x32 needed"):
        read_clip(path)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"stride": 0}, "--stride is 0"),
        ({"start": 1.0, "end": 1.0}, "--start 1 is not before --end 1"),
        ({"start": float("nan")}, "--start is nan"),
        ({"max_frames": 0}, "--max-frames is 0"),
        ({"size": 15}, "--size is 15"),
        ({"start": 30.0}, "no frame lies at or after 30 s; the frames reach to 0.37 s"),
        ({"end": 0.0}, "no frame lies before 0 s"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(tmp_path: Path, choice: dict, words: str):
    path = numbered_video(tmp_path / "v.mp4", 12)
    with pytest.raises(InputError, match=words):
        read_clip(path, **choice)


def test_working_size_keeps_the_shape_and_never_enlarges(tmp_path: Path):
    path = numbered_video(tmp_path / "v.mp4", 1, (192, 108))
    assert read_clip(path, size=100).frames.shape[1:3] == (56, 100)
    assert read_clip(path, size=1000).frames.shape[1:3] == (108, 192)
    assert read_clip(path, size=None).kept_line() == "kept 1 of 1 frame, 192x108"
    assert read_clip(path, size=100).kept_line().endswith("100x56 of 192x108")


def test_source_is_a_name_and_the_fingerprint_follows_the_content(tmp_path: Path):
    first = read_clip(numbered_video(tmp_path / "a.mp4", 3))
    (tmp_path / "copy.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    assert first.source == "a.mp4"
    assert read_clip(tmp_path / "copy.mp4").fingerprint == first.fingerprint
    assert read_clip(numbered_video(tmp_path / "b.mp4", 4)).fingerprint != first.fingerprint


def test_progress_counts_every_kept_frame(tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    path = numbered_video(tmp_path / "v.mp4", 12)
    read_clip(path, stride=4, progress=lambda done, expected: seen.append((done, expected)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_real_videos_are_read_whole(real_data: Path):
    for name, frames, size in [
        ("davis_lady-running", 65, (854, 480)),
        ("any4d_mobile_robot", 50, (480, 852)),
    ]:
        clip = read_clip(real_data / name / "video.mp4", size=160)
        assert len(clip.frames) == clip.total == frames
        assert clip.original_size == size
        assert clip.notes == ()
        np.testing.assert_allclose(np.diff(clip.times), 1 / 30, atol=1e-6)
