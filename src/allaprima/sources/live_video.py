"""The pictures of an open container, decoded as they come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain

import av.error
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import SourceError
from ..frame import Pixels, SourceInfo
from ..video.color import RgbReader
from ..video.geometry import Deinterlacer, Turn
from ..video.opening import choose_video
from .live_source import MICROSECOND, Clock, LiveSource
from .paced import pause_before

USUAL_RATE = Fraction(30)
CATCHING_UP = 1.01
"""The pace of what may be sent live: if the sender's clock runs a little faster than ours, delay must not grow."""
_JUMP = 10.0
"""Seconds from a picture to the next from which on the sender's clock was set anew, as FFmpeg's own players have it."""
_STALE = 0.5
"""Seconds after which the picture that was decoded at opening is no longer shown by an endless source."""


class LiveVideo(LiveSource):
    """What a camera, a stream or a pipe shows, decoded with as little delay as the codec allows.

    Packets that can't be decoded are passed over.

    Args:
        container: an open one; closed by this source.
        label: what messages call it.
        endless: it has no end of its own: where pictures stop coming, it was lost.
        speed: of its own clock, at most; faster it doesn't go, though the container would. None goes as fast as it can.
        captured: from a decoded frame and the time now to when it was captured, in seconds of ``clock``.
        clock: what frames are stamped by.

    Raises:
        SourceError: no picture in it that can be decoded, or HDR.
    """

    def __init__(
        self,
        container: InputContainer,
        label: str,
        *,
        endless: bool,
        speed: float | None = None,
        captured: Callable[[VideoFrame, float], float] = lambda frame, now: now,
        clock: Clock = time.monotonic,
    ) -> None:
        self._container, self._label = container, label
        self.endless = endless
        """Whether it has no end of its own."""
        self._speed, self._captured_at = speed, captured
        self.read_to = 0
        """Where the last packet that could be decoded ends in the container, in bytes, where the container says."""
        try:
            self._stream: VideoStream = choose_video(container, label)
            # Threads that decode several frames at once would hold back as many.
            self._stream.thread_type = "SLICE"
            self._stream.thread_count = min(4, os.cpu_count() or 1)
            self._stream.codec_context.flags |= Flags.low_delay
            self._packets = container.demux(self._stream)
            decoded = self._decode()
            first = next(decoded, None)
            if first is None:
                raise SourceError(f"{label} sent no picture that can be decoded; check what sends it")
            self._first_at = clock()
            self._decoded = chain([first], decoded)
            self._rgb = RgbReader(first, label)
            self._turn = Turn(first)
            self._deinterlacer = Deinterlacer(self._stream) if first.interlaced_frame else None
            super().__init__(self._describe(first), clock)
        except BaseException:
            container.close()
            raise

    def _describe(self, first: VideoFrame) -> SourceInfo:
        stream = self._stream
        rate = stream.average_rate or stream.codec_context.framerate or stream.guessed_rate
        aspect = stream.sample_aspect_ratio or Fraction(1)
        across, down = (first.height, first.width) if self._turn.transpose else (first.width, first.height)
        return SourceInfo(
            across,
            down,
            Fraction(rate) if rate and 1 <= rate <= 1000 else USUAL_RATE,
            MICROSECOND,
            sample_aspect=aspect if aspect > 0 else Fraction(1),
            color=self._rgb.color,
            notes=self._rgb.notes,
        )

    def _decode(self) -> Iterator[VideoFrame]:
        while True:
            try:
                packet = next(self._packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                raise SourceError(f"{self._label} gives no more pictures ({reason(error)})") from None
            try:
                frames = self._stream.decode(packet if packet.size else None)
            except EOFError:
                return
            except av.error.FFmpegError:
                continue
            if packet.pos is not None and packet.size:
                self.read_to = packet.pos + packet.size
            yield from frames

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        started: float | None = None
        first = last = 0.0
        for frame in self._whole():
            now = self._clock()
            if started is None:
                started, first = now, frame.time or 0.0
                last = first
                if self.endless and now - self._first_at > _STALE:
                    continue
            if self._speed is not None and frame.time is not None:
                if self.endless and not 0 <= frame.time - last < _JUMP:
                    started, first = now, frame.time
                last = frame.time
                pause = pause_before(frame.time, first, started, now, self._speed)
                if pause > 0 and self._over.wait(pause):
                    return
                now = self._clock()
            yield self._turn.apply(self._rgb.read(frame)), self._captured_at(frame, now)
        if not self._over.is_set():
            self._end()

    def _end(self) -> None:
        """Nothing more comes; raises SourceError where that is no proper end."""
        if self.endless:
            raise SourceError(f"{self._label} has ended")

    def _whole(self) -> Iterator[VideoFrame]:
        if self._deinterlacer is None:
            yield from self._decoded
            return
        for frame in self._decoded:
            yield from self._deinterlacer.filter(frame)

    def _let_go(self) -> None:
        self._container.close()


def reason(error: Exception) -> str:
    """Why FFmpeg gave up, in few words."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "nothing came in time"
    return (getattr(error, "strerror", None) or str(error)).lower()
