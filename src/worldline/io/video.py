"""Video through PyAV: true time stamps, upright square pixels, one frame in memory at a time."""

import os
import struct
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from jaxtyping import Float64, UInt8

from worldline.errors import InputError
from worldline.io.decoder import Decoder, SeekMissedError
from worldline.io.lens import focal_of_metadata
from worldline.io.pixels import UPRIGHT, Turn, over_black, resized, stacked, turn_of_matrix
from worldline.io.selection import Progress, Reading, Selection

# libav takes any text for ANSI art, and playlists lead to other files
NOT_VIDEO_FORMATS = {"tty", "hls", "dash", "concat", "ffmetadata", "image2", "bin", "xbin"}
DECODER_PIXELS = 64_000_000  # pixels in flight over all decoder threads: 8K gets one thread
BT709, UNSPECIFIED = 1, 2  # AVColorSpace
# libswscale's quick paths are up to 2 levels too dark and repeat chroma in blocks
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
PQ = 16  # AVColorTransferCharacteristic: SMPTE 2084


def read_video(path: Path, selection: Selection, progress: Progress | None = None) -> Reading:
    """Read the selected frames of a video file.

    Raises InputError for anything that is no video, cannot be decoded, has no frame in the range,
    or changes its size on the way. A video that is cut short is read as far as it goes.
    """
    try:
        try:
            return _read(path, selection, progress, seek=True)
        except SeekMissedError:
            return _read(path, selection, progress, seek=False)
    except PermissionError as error:
        raise InputError(f"{path.name}: may not be read; change its permissions.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path.name}: cannot be read as a video ({_reason(error)}). If other players show it, "
            "convert it to MP4 (H.264) first."
        ) from error


def _read(path: Path, selection: Selection, progress: Progress | None, seek: bool) -> Reading:
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        _limit_threads(stream)
        decoder = Decoder(container, stream, selection)
        if seek:
            decoder.seek()
        kept = _Kept(path, stream, selection, progress)
        for time, frame in decoder.frames():
            if not selection.before(time):
                kept.offer(time, frame)
            if selection.full(len(kept.frames)):
                decoder.count_rest()
                break
        if not kept.frames:
            raise InputError(_nothing_read(path, decoder, selection))
        stopped_early = selection.full(len(kept.frames))
        total = max(kept.offered, decoder.packets_in_range) if stopped_early else kept.offered
        times, moved = strictly_increasing(kept.times, decoder.period * selection.stride)
        notes = [*kept.notes, *decoder.notes(), *selection.cut_notes(len(kept.frames), total)]
        if moved:
            notes.append(f"Time stamps that did not increase and were moved: {moved}.")
        original = kept.original_size
        focal = focal_of_metadata({**container.metadata, **stream.metadata}, original)
        return Reading(stacked(kept.frames), times, total, original, focal, notes)


def _opened(path: Path) -> InputContainer:
    # only this file: a crafted playlist must not fetch others
    options = {"protocol_whitelist": "file"}
    try:
        container = av.open(str(path), options=options, metadata_errors="replace")
    except av.error.InvalidDataError as error:
        if _lacks_index(path):
            raise InputError(
                f"{path.name}: the file is cut short: its index (the moov atom at its end) is "
                "missing. Copy or record it again."
            ) from error
        raise InputError(f"{path.name}: is not a video, or is damaged.") from error
    if container.format.name in NOT_VIDEO_FORMATS:
        container.close()
        raise InputError(f"{path.name}: is not a video; give a video, an image or a folder.")
    return container


def _lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without its moov atom."""
    names: list[bytes] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() + 8 <= size and len(names) < 100:
            start = file.tell()
            length, name = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            names.append(name)
            file.seek(start + max(length, 8))
            if length == 0:  # the atom goes on to the end of the file
                break
    return bool(names) and names[0] in (b"ftyp", b"mdat", b"wide") and b"moov" not in names


def _picture_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [
        stream
        for stream in container.streams.video
        # the cover of a song is a picture, not a video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        what = "only sound" if container.streams.audio else "no pictures"
        raise InputError(f"{path.name}: holds {what}; give a file with video.")
    if streams[0].codec_context is None:
        raise InputError(
            f"{path.name}: its video codec is not known here; convert it to MP4 (H.264) first."
        )
    return streams[0]


def _limit_threads(stream: VideoStream) -> None:
    # each thread holds frames of its own
    pixels = max(1, stream.codec_context.width * stream.codec_context.height)
    threads = min(DECODER_PIXELS // pixels, os.cpu_count() or 1, 8)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = max(1, threads)


class _Kept:
    """Takes the frames of the range one by one; converts, resizes and keeps every stride-th."""

    def __init__(
        self, path: Path, stream: VideoStream, selection: Selection, progress: Progress | None
    ) -> None:
        self.path, self.stream, self.selection, self.progress = path, stream, selection, progress
        self.frames: list[np.ndarray] = []
        self.times: list[float] = []
        self.offered = 0
        self.notes: list[str] = []
        self.original_size = self.working_size = self.stored_size = (0, 0)
        self.turn = UPRIGHT
        self.transparent = False

    def offer(self, time: float, frame: VideoFrame) -> None:
        """Look at the range's next frame."""
        if self.offered == 0:
            self._begin(frame)
        if (frame.width, frame.height) != self.stored_size:
            raise InputError(
                f"{self.path.name}: frame {self.offered} (at {time:.2f} s) is {frame.width}x"
                f"{frame.height} px, the frames before are {self.stored_size[0]}x"
                f"{self.stored_size[1]}. Give --end {time:.2f}, or convert it to one size first."
            )
        if self.selection.keeps(self.offered):
            self._keep(time, frame)
        self.offered += 1

    def _begin(self, frame: VideoFrame) -> None:
        self.stored_size = (frame.width, frame.height)
        self.turn, skewed = turn_of_frame(frame)
        aspect = _pixel_aspect(self.stream)
        square = (round(frame.width * aspect), frame.height)
        self.original_size = self.turn.size(square)
        self.working_size = self.selection.working_size(self.original_size)
        if aspect != 1:
            self.notes.append(
                f"Pixels are {aspect:.3f} times as wide as high; frames were made "
                f"{square[0]}x{square[1]} with square pixels."
            )
        if skewed:
            self.notes.append("The video asks for a tilted display; the nearest quarter was taken.")
        if frame.interlaced_frame:
            self.notes.append("The video is interlaced; moving things show combed edges.")
        if frame.color_trc == PQ:
            self.notes.append(
                "The video is HDR (PQ); its colours are read as stored, so look dull."
            )
        if self.stream.metadata.get("alpha_mode") == "1":
            self.notes.append("The video's alpha layer is not read.")

    def _keep(self, time: float, frame: VideoFrame) -> None:
        rgb, transparent = rgb_of(frame)
        if transparent and not self.transparent:
            self.transparent = True
            self.notes.append("Transparent pixels were composed over black.")
        frame_at_work = resized(rgb, self.turn.size(self.working_size))
        self.frames.append(self.turn.apply(frame_at_work))
        self.times.append(time)
        if self.progress:
            self.progress(len(self.frames), self._will_keep())

    def _will_keep(self) -> int | None:
        if self.selection.start is None and self.selection.end is None and self.stream.frames:
            return self.selection.will_keep(self.stream.frames)
        return None


def rgb_of(frame: VideoFrame) -> tuple[UInt8[np.ndarray, "h w 3"], bool]:
    """8-bit RGB of a decoded frame at its stored size, and whether any of it was transparent."""
    form = frame.format
    if form.has_palette or any(component.is_alpha for component in form.components):
        rgba = frame.to_ndarray(format="rgba")
        return over_black(rgba), bool(rgba[..., 3].min() < 255)
    # players take untagged HD for BT.709 where libswscale would take BT.601
    guess = not form.is_rgb and frame.colorspace == UNSPECIFIED and frame.height >= 720
    rgb = frame.reformat(
        format="rgb24", src_colorspace=BT709 if guess else None, interpolation=EXACT
    )
    return rgb.to_ndarray(), False


def turn_of_frame(frame: VideoFrame) -> tuple[Turn, bool]:
    """How to put a frame upright by its display matrix, and whether that is only nearly so."""
    # PyAV's stubs take this mapping for that of packets
    data = cast(SideDataContainer, frame.side_data).get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return UPRIGHT, False
    matrix = struct.unpack("=9i", bytes(data))
    a, b, c, d = (abs(matrix[i]) for i in (0, 1, 3, 4))
    return turn_of_matrix(matrix), min(a + d, b + c) > 0.01 * max(a + d, b + c)


def strictly_increasing(times: list[float], period: float) -> tuple[Float64[np.ndarray, "N"], int]:
    """Move time stamps that are not later than the one before, and count them.

    They are spread evenly up to the next good one, or `period` seconds apart if there is none.
    """
    fixed = np.array(times, np.float64)
    moved, index = 0, 1
    while index < len(fixed):
        last = fixed[index - 1]
        if fixed[index] > last:
            index += 1
            continue
        good = next((i for i in range(index + 1, len(fixed)) if fixed[i] > last), None)
        end = len(fixed) if good is None else good
        step = period if good is None else (fixed[good] - last) / (good - index + 1)
        fixed[index:end] = last + step * np.arange(1, end - index + 1)
        moved += end - index
        index = end
    return fixed, moved


def _pixel_aspect(stream: VideoStream) -> float:
    """Width of a pixel over its height; 1 where the file says nothing sensible."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(ratio) if ratio and 0.1 < ratio < 10 else 1.0


def _nothing_read(path: Path, decoder: Decoder, selection: Selection) -> str:
    if decoder.first_time is None and selection.start is None:
        return f"{path.name}: no frame could be decoded; the file is damaged or cut short."
    if decoder.first_time is None:
        return f"{path.name}: no frame could be decoded {selection.range_words()}."
    last = decoder.last_time
    return (
        f"{path.name}: no frame lies {selection.range_words()}; "
        f"the frames reach to {last:.2f} s. Give another --start or --end."
        if selection.start is not None and selection.start > last
        else f"{path.name}: no frame lies {selection.range_words()}; the next one is at "
        f"{last:.2f} s. Give another --start or --end."
    )


def _reason(error: Exception) -> str:
    # libav's own words, without its numbers and the file's full path
    return getattr(error, "strerror", None) or type(error).__name__
