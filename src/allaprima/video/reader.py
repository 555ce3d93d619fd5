"""Demuxes one container: its picture decoded in order, everything else put into the side channel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import SourceError
from .opening import choose_video, encrypted, label_of, open_container
from .side import SideChannel
from .truncation import ends_early

_AFTER_END = 5
"""Seconds to read past the last wanted picture for sound that is interleaved late."""


class VideoReader:
    """Decodes the picture of one file or pipe.

    A packet that the decoder refuses, and a frame that it marks as damaged, are counted in ``damaged``; what can be
    decoded after them is. When nothing can be decoded after damage, or the file's end is missing,
    ``ended_early`` is true.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.label = label_of(name)
        self.container: InputContainer = open_container(name)
        try:
            self.stream: VideoStream = choose_video(self.container, self.label)
        except SourceError:
            self.container.close()
            raise
        self.stream.thread_count = min(4, os.cpu_count() or 1)
        self.stream.thread_type = "AUTO"
        kept = (s for s in self.container.streams if s.type in ("audio", "subtitle"))
        self.covers: dict[int, bytes] = {}
        """Cover art met so far, as it is encoded, by index of its stream."""
        self.side = SideChannel(tuple(kept))
        self._side_indexes = {s.index for s in self.side.streams}
        self.damaged = 0
        self.ended_early = False
        self._reached: dict[int, Fraction] = {}
        self._late: int | None = None
        self._packets = self.container.demux()

    @property
    def seekable(self) -> bool:
        """False for a pipe."""
        return self.name != "-"

    def seek(self, seconds: Fraction) -> None:
        """Go to the keyframe at or before a time on the container's clock; side packets so far are forgotten.

        Raises:
            SourceError: the file can't be sought in.
        """
        self._jump(int(seconds / self.time_base), by_bytes=False)

    def rewind(self) -> None:
        """Go back to the first packet of all.

        Raises:
            SourceError: the file can't be sought in.
        """
        by_bytes = self.container.format.name.startswith("mpeg")
        self._jump(0 if by_bytes else self.stream.start_time or 0, by_bytes=by_bytes)

    def _jump(self, offset: int, *, by_bytes: bool) -> None:
        try:
            self.container.seek(offset, stream=self.stream, unsupported_byte_offset=by_bytes)
        except av.error.FFmpegError:
            raise SourceError(f"{self.label} can't be sought in; leave out --start") from None
        self.side.clear()
        self._reached.clear()
        self.damaged = 0
        self._packets = self.container.demux()

    @property
    def time_base(self) -> Fraction:
        """The unit of the picture's times, in seconds."""
        return self.stream.time_base or Fraction(1, 90000)

    def frames(self) -> Iterator[VideoFrame]:
        """The decoded frames from here to the end; goes on where an earlier call stopped."""
        broken = 0
        frame: VideoFrame | None = None
        for packet in self._demux():
            if packet.stream_index != self.stream.index:
                continue
            if packet.has_sidedata("encryption_info"):
                raise SourceError(encrypted(self.label))
            try:
                decoded = self.stream.decode(packet if packet.size else None)
            except EOFError:
                break
            except av.error.FFmpegError:
                broken += 1
                continue
            for frame in decoded:
                self._place(frame)
                self.damaged += broken + frame.is_corrupt
                broken = 0
                yield frame
        broken += frame is not None and frame.is_corrupt
        cut = self.seekable and Path(self.name).is_file() and ends_early(Path(self.name))
        self.ended_early = self.ended_early or bool(broken) or cut

    def _place(self, frame: VideoFrame) -> None:
        """AVI holds no times of presentation; FFmpeg guesses H.264's some frames late, by as much as the first."""
        if self._late is None:
            start = self.stream.start_time
            guessed = self.container.format.name == "avi"
            self._late = frame.pts - start if guessed and frame.pts is not None and start is not None else 0
        if frame.pts is not None:
            frame.pts -= self._late

    def _demux(self) -> Iterator[Packet[Stream]]:
        while True:
            try:
                packet = next(self._packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError):
                self.ended_early = True
                flush: Packet[Stream] = Packet()
                flush.stream = self.stream
                yield flush
                return
            index = packet.stream_index
            if index in self._side_indexes and packet.size:
                self.side.put(packet)
            elif packet.size and index != self.stream.index and is_cover(packet.stream):
                self.covers.setdefault(index, bytes(packet))
            if packet.dts is not None:
                self._reached[index] = packet.dts * packet.time_base
            yield packet

    def read_side(self, until: Fraction) -> None:
        """Read on without decoding until the sound has passed a time on the container's clock."""
        sound = {s.index for s in self.side.streams if s.type == "audio"}
        for _ in self._demux():
            here = self._reached
            if (
                all(here.get(i, until) >= until for i in sound)
                or max(here.values(), default=until) > until + _AFTER_END
            ):
                return

    def close(self) -> None:
        """Let go of the file."""
        self.container.close()


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a still picture that goes with the file, not its video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)
