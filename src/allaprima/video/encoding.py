"""The picture's way into a container, for every sink that encodes."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Protocol

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import SinkError
from ..frame import Frame, SourceInfo
from .codecs import Codec, add_picture, check_size
from .color import RgbWriter
from .containers import Layout
from .timing import Clock

FAILURES = (av.error.FFmpegError, OSError, ValueError, MemoryError)
"""What opening, encoding, muxing and closing raise."""


class ByteWriter(Protocol):
    """What a container's bytes can go to, other than a URL."""

    def write(self, data: bytes) -> int:
        """Take all of the bytes, and say how many they were."""


class PictureTrack:
    """RGB frames to YCbCr, encoded, with their times, into a container of its own.

    Args:
        first: the first frame that will be written; it sets size and color.
        info: of the frames that will be written.
        codec: what to encode as.
        layout: what to mux into.

    Raises:
        SinkError: a size that the codec can't take.
    """

    def __init__(self, first: Frame, info: SourceInfo, codec: Codec, layout: Layout) -> None:
        height, width = first.pixels.shape[:2]
        check_size(codec, width, height)
        self._info, self._codec, self._layout = info, codec, layout
        self.size = (width, height)
        """Width and height of every frame, in pixels."""
        self._rgb = RgbWriter(codec.pixel_format, first.color)
        self._padding = self._rgb.padding(width, height)
        self.clock = Clock(first, info.frame_rate, layout)
        self.frames = 0
        """Frames taken so far."""
        self._opened: tuple[OutputContainer, VideoStream] | None = None

    @property
    def notes(self) -> list[str]:
        """What was changed so that the encoder takes the picture."""
        (width, height), (columns, rows) = self.size, self._padding
        added = [f"one {name}" for name, count in (("column", columns), ("row", rows)) if count]
        if not added:
            return []
        return [f"{' and '.join(added)} was added ({width}x{height} to {width + columns}x{height + rows})"]

    def open(
        self, file: str | ByteWriter, settings: dict[str, str], flags: Mapping[str, str]
    ) -> tuple[OutputContainer, VideoStream]:
        """Open the container, with the picture as its one stream so far; encoding hasn't started yet.

        Args:
            file: a URL of FFmpeg's, or what takes the bytes.
            settings: the encoder's options.
            flags: the muxer's options.

        Raises:
            av.error.FFmpegError: it can't be opened.
        """
        container = av.open(file, "w", format=self._layout.muxer, container_options=dict(flags))
        stream = add_picture(container, self._codec, settings, self._info.frame_rate, self.clock.time_base)
        (width, height), (columns, rows) = self.size, self._padding
        stream.width, stream.height = width + columns, height + rows
        stream.codec_context.sample_aspect_ratio = self._info.sample_aspect
        self._rgb.tag(stream.codec_context, height)
        self._opened = container, stream
        return self._opened

    def write(self, frame: Frame) -> None:
        """Encode one frame and mux what comes of it.

        Raises:
            SinkError: its size differs from the first one's.
            av.error.FFmpegError, OSError: the encoder or the place refuses.
        """
        height, width = frame.pixels.shape[:2]
        if (width, height) != self.size:
            raise SinkError(
                f"frame {self.frames} is {width}x{height}, not {self.size[0]}x{self.size[1]}; scale all alike"
            )
        picture = self._rgb.write(frame.pixels)
        picture.time_base = self.clock.time_base
        picture.pts, picture.duration = self.clock.place(frame)
        if self._opened is not None:
            self._mux(*self._opened, self._opened[1].encode(picture))
        self.frames += 1

    @property
    def unit(self) -> Fraction | None:
        """The unit of time that the container chose, in seconds; None while it isn't open."""
        return self._opened[1].time_base if self._opened is not None else None

    def drain(self) -> None:
        """Mux what the encoder still holds.

        Raises:
            av.error.FFmpegError, OSError: the encoder or the place refuses.
        """
        if self._opened is not None:
            packets = self._opened[1].encode(None)
            self._mux(*self._opened, packets, last=self._layout.negative_times)

    def close(self) -> None:
        """Write the container's end and let go of it.

        Raises:
            av.error.FFmpegError, OSError: the place refuses.
        """
        if self._opened is not None:
            (container, _), self._opened = self._opened, None
            container.close()

    def _mux(
        self, container: OutputContainer, stream: VideoStream, packets: list[Packet[VideoStream]], *, last: bool = False
    ) -> None:
        for packet in packets:
            self.clock.time(packet)
        if last and packets:
            self.clock.close(packets[-1])
        for packet in packets:
            container.mux_one(packet)
