"""Decoding one video stream in order, with book-keeping on what was there and what was readable."""

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from worldline.io.selection import Selection

SEEK_MARGIN = 1.0  # seconds: indices are in decoding order, which runs ahead of the time stamps


class SeekMissedError(Exception):
    """Seeking landed behind the start; the video has to be read from its beginning."""


class Decoder:
    """Frames of one stream with their times in seconds.

    `packets_in_range` counts the frames of the selection's range without decoding them. `period`
    is the mean time from frame to frame. After use, `notes()` says what could not be read.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, selection: Selection
    ) -> None:
        self.container, self.stream, self.selection = container, stream, selection
        rate = stream.average_rate or stream.guessed_rate
        self.period = float(1 / rate) if rate else 1 / 30
        # AVI has a constant rate and no time stamps: with B-frames, libav's guesses are shuffled
        self.by_number = container.format.name == "avi" and stream.codec_context.has_b_frames
        self.packets = self._packets()
        self.packets_in_range = self.packets_read = 0
        self.decoded = self.timed = self.damaged = self.guessed_times = 0
        self.first_time: float | None = None
        self.last_time = 0.0
        self.seeked = False
        self.finished = False  # left on purpose, before the end of the file

    def seek(self) -> None:
        """Go to a key frame before the start, where that saves reading."""
        target = (self.selection.start or 0.0) - SEEK_MARGIN
        time_base = self.stream.time_base
        begin = self._seconds(self.stream.start_time or 0)
        if time_base is None or self.by_number or target <= begin:
            return
        self.seeked = True
        try:
            self.container.seek(int(target / time_base), stream=self.stream)
        except av.error.FFmpegError as error:
            raise SeekMissedError from error

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Every frame with its time, up to the end of the range."""
        for packet in self.packets:
            for frame in self._decode(packet):
                time = self._time(frame)
                if self.first_time is None:
                    self.first_time = time
                    if self.seeked and self.selection.start and time > self.selection.start:
                        raise SeekMissedError
                if self.selection.after(time):
                    self.finished = True
                    return
                yield time, frame

    def count_rest(self) -> None:
        """Count the range's other frames in `packets_in_range`, without decoding them."""
        self.finished = True
        for packet in self.packets:
            if (
                packet
                and packet.dts is not None
                and self.selection.after(self._seconds(packet.dts))
            ):
                break

    def notes(self) -> list[str]:
        """What could not be read, in plain words."""
        missing = None if self.finished else self._missing()
        notes = [missing] if missing else []
        if self.damaged and not missing:
            notes.append(f"Damaged frames, left out: {self.damaged}.")
        if self.guessed_times:
            notes.append(f"Frames without a time stamp, spaced evenly: {self.guessed_times}.")
        return notes

    def _packets(self) -> Iterator[av.Packet | None]:
        """Packets in the file's order; at the end None, which asks the decoder for the rest."""
        source = self.container.demux(self.stream)
        while True:
            try:
                packet = next(source, None)
            except av.error.FFmpegError:  # the file ends in the middle of something
                packet = None
            if packet is None or (packet.size == 0 and packet.dts is None):
                break
            if packet.size and not packet.is_discard:
                self._count(packet)
            if packet.size:  # an empty one is AVI's way to say "as before"
                yield packet
        yield None

    def _count(self, packet: av.Packet) -> None:
        self.packets_read += not packet.is_corrupt
        stamp = packet.dts if packet.pts is None else packet.pts
        time = None if stamp is None else self._seconds(stamp)
        if time is None or not (self.selection.before(time) or self.selection.after(time)):
            self.packets_in_range += 1

    def _decode(self, packet: av.Packet | None) -> list[VideoFrame]:
        if packet is not None and packet.is_corrupt:
            self.damaged += 1  # cut off: libav would make up the missing part
            return []
        try:
            frames = self.stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.InvalidDataError:
            self.damaged += 1
            return []
        self.decoded += len(frames)
        return frames

    def _time(self, frame: VideoFrame) -> float:
        stamp = frame.dts if frame.pts is None else frame.pts
        if self.by_number:
            time = self.timed * self.period
        elif stamp is not None:
            time = self._seconds(stamp)
        else:
            self.guessed_times += 1
            time = self.last_time + self.period if self.timed else 0.0
        self.timed += 1
        self.last_time = time
        return time

    def _seconds(self, stamp: int) -> float:
        # the product is exact before it is rounded: 9 * 1/30 is the same number as a user's 0.3
        return float(stamp * (self.stream.time_base or 1))

    def _missing(self) -> str | None:
        """Say it when the file ends before its own table of contents does."""
        expected = self._expected()
        if expected and not self.seeked:
            cut = self.packets_read < expected
            words = f"The file is cut short: {self.decoded} of {expected} frames could be read."
            return words if cut else None
        length = self._duration()
        end = self.last_time + 3 * self.period  # the last frame is shown for a while
        if length and end + 0.05 < length:
            return (
                f"The file seems cut short: its frames end at {self.last_time:.2f} s "
                f"of {length:.2f} s."
            )
        return None

    def _expected(self) -> int:
        """How many frames the file's index lists; 0 where it lists none."""
        if "mp4" in self.container.format.name:
            # the index knows of edit lists, the header's count does not
            return sum(not entry.is_discard for entry in self.stream.index_entries or ())
        return self.stream.frames if self.container.format.name == "avi" else 0

    def _duration(self) -> float | None:
        if self.stream.duration:
            return self._seconds((self.stream.start_time or 0) + self.stream.duration)
        # with sound, the container's length may be the sound's
        if self.container.duration and len(self.container.streams) == 1:
            return ((self.container.start_time or 0) + self.container.duration) / av.time_base
        return None
