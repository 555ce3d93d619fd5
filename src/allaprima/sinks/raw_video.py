"""Painted frames as YUV4MPEG2 on standard output, for ffmpeg, mpv and other programs to follow."""

from __future__ import annotations

import os
import sys
import threading
from fractions import Fraction

from ..errors import SinkError
from ..frame import Color, Frame, SourceInfo
from ..sink import Sink, SinkResult
from ..video.color import RgbWriter, matrix_for_size
from ..video.letterbox import letterboxed
from .pipe import OverError, PipeWriter
from .times import LiveTimes

_LONGEST_GAP = Fraction(1)
"""Seconds that are filled by repeating a frame; a longer gap is cut to this."""


class RawVideoSink(Sink):
    """Writes YUV 4:2:0 in a YUV4MPEG2 stream, which states size and rate in front: ``ffmpeg -i -``, ``mpv -``.

    The rate is constant there, so frames are repeated or left out to keep to the time at which they were captured. The
    color matrix isn't stated; it is what readers take it to be by the size: BT.709 for HD and BT.601 below, limited
    range. Frames of another size than the first one's are scaled to that, between black bars.

    A reader that stops reading stops :meth:`write`, but neither :meth:`finish` nor :meth:`abandon`.

    Args:
        info: of the frames that will be written; its rate is the stream's.
        descriptor: where to write; None for standard output.

    Raises:
        SinkError: standard output is closed, or a terminal.
    """

    def __init__(self, info: SourceInfo, *, descriptor: int | None = None) -> None:
        if descriptor is None:
            try:
                sys.stdout.flush()
                descriptor = sys.stdout.fileno()
            except (OSError, ValueError, AttributeError) as error:
                raise SinkError("standard output is closed; write to a file, or to another sink") from error
        if os.isatty(descriptor):
            raise SinkError("standard output is a terminal, and raw video isn't text; pipe it: ... --to - | mpv -")
        self._over = threading.Event()
        self._pipe = PipeWriter(descriptor, self._over)
        self._lock = threading.Lock()
        self._info = info
        self._rate = info.frame_rate.limit_denominator(1 << 16)
        self._times = LiveTimes()
        self._rgb: RgbWriter | None = None
        self._size = (0, 0)
        self._slot = -1
        self._shift = 0
        self._last = b""
        self._frames = 0

    def write(self, frame: Frame) -> None:
        """Write one frame as often as its time asks; blocks while the reader takes nothing. After the end it is let go.

        Raises:
            SinkError: the reader is gone.
        """
        with self._lock:
            if self._over.is_set():
                return
            try:
                if self._rgb is None:
                    self._rgb = self._start(frame)
                slot = round(self._times.seconds(frame) * self._rate) - self._shift
                gap = int(_LONGEST_GAP * self._rate)
                if slot - self._slot > gap and self._last:
                    self._shift += slot - self._slot - gap
                    slot = self._slot + gap
                if slot <= self._slot:
                    return
                for _ in range(slot - self._slot - 1):
                    self._pipe.write(self._last)
                self._slot = slot
                self._last = b"FRAME\n" + self._planes(self._rgb, frame)
                self._pipe.write(self._last)
                self._frames += 1
            except OverError:
                return
            except BrokenPipeError as error:
                self._over.set()
                raise SinkError("whatever read standard output has stopped reading; nothing more is written") from error
            except OSError as error:
                self._over.set()
                raise SinkError(f"standard output can't be written to: {error.strerror}; write elsewhere") from error

    def _start(self, frame: Frame) -> RgbWriter:
        height, width = frame.pixels.shape[:2]
        self._size = (width, height)
        rgb = RgbWriter("yuv420p", Color(matrix_for_size(width, height)))
        columns, rows = rgb.padding(width, height)
        aspect = self._info.sample_aspect.limit_denominator(1 << 16)
        # C420mpeg2: chroma lies to the left, as in MPEG-2 and H.264.
        self._pipe.write(
            f"YUV4MPEG2 W{width + columns} H{height + rows} F{self._rate.numerator}:{self._rate.denominator} Ip"
            f" A{aspect.numerator}:{aspect.denominator} C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED\n".encode()
        )
        return rgb

    def _planes(self, rgb: RgbWriter, frame: Frame) -> bytes:
        return rgb.write(letterboxed(frame.pixels, *self._size)).to_ndarray().tobytes()

    def finish(self) -> SinkResult:
        """Nothing more comes; a write that waits for the reader ends."""
        self._over.set()
        if self._lock.acquire(timeout=1.0):  # a write that can't be told to end, as on Windows, is left to itself
            self._lock.release()
        return SinkResult(None, self._frames)

    def abandon(self) -> SinkResult:
        """As :meth:`finish`."""
        return self.finish()
