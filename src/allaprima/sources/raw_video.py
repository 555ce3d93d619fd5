"""Video on standard input: Y4M, bare RGB pixels, or a container."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import Any, BinaryIO

import av
import av.error

from ..errors import SourceError
from .live_source import Clock
from .live_video import CATCHING_UP, LiveVideo, reason

Y4M = b"YUV4MPEG2"
_CONTAINERS = {b"\x1aE\xdf\xa3": 0, b"ftyp": 4, b"RIFF": 0, b"FLV": 0, b"OggS": 0, b"nut/": 0, b"\x00\x00\x01\xba": 0}
"""How containers begin, and at which byte."""
_TRANSPORT_SYNC, _TRANSPORT_PACKET = 0x47, 188
_HEAD = 2 * _TRANSPORT_PACKET
_AT_ONCE = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
"""All is known of bare pictures; FFmpeg would hold back dozens of them to guess their rate."""
_PIPE_IN = "pipe Y4M, a container, or bare rgb24 pictures into it"
_TURN = 0.05
"""Seconds between two looks at whether reading is to end."""


class StandardInput:
    """A pipe that is read as bytes come, and whose reading another thread can end.

    Args:
        file: what to read; standard input by default.

    Raises:
        SourceError: standard input is closed.
    """

    name = "standard input"

    def __init__(self, file: BinaryIO | None = None) -> None:
        try:
            self._descriptor = (sys.stdin.buffer if file is None else file).fileno()
        except (AttributeError, OSError, ValueError):  # Python has no sys.stdin then
            raise SourceError(f"{self.name} is closed: {_PIPE_IN}") from None
        self._ready = b""
        self._over = threading.Event()
        self.count = 0
        """Bytes that were read."""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody would have to type the pictures."""
        return os.isatty(self._descriptor)

    def peek(self, size: int) -> bytes:
        """The first bytes, as many as there are up to ``size``; they will be read again."""
        while len(self._ready) < size and (more := self._more(size)):
            self._ready += more
        return self._ready[:size]

    def read(self, size: int) -> bytes:
        """The next bytes, at least one; none at the end, or when it is to end."""
        if self._ready:
            found, self._ready = self._ready[:size], self._ready[size:]
        else:
            found = self._more(size)
        self.count += len(found)
        return found

    def _more(self, size: int) -> bytes:
        # Windows can't wait for a pipe with a limit: there, reading ends with the sender's next bytes.
        while os.name == "posix" and not select.select([self._descriptor], [], [], _TURN)[0]:
            if self._over.is_set():
                return b""
        return b"" if self._over.is_set() else os.read(self._descriptor, size)

    def end(self) -> None:
        """Let :meth:`read` return, from any thread."""
        self._over.set()


class PipedVideo(LiveVideo):
    """What comes through a pipe, no faster than its own rate (but for 1 %), and at once where it comes later.

    Y4M is told by its header. Pixels without a header (rgb24) need ``size`` and ``rate``; what begins like a container,
    or comes without a size, is read as a container.

    Args:
        size: width and height of bare pictures in pixels.
        rate: frames a second of bare pictures.
        pipe: what to read; standard input by default.
        clock: what frames are stamped by.

    Raises:
        SourceError: nothing came, or nothing that can be read; while it runs, it ended in the middle of a frame.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] | None = None,
        rate: float | None = None,
        pipe: StandardInput | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._pipe = pipe = pipe or StandardInput()
        if pipe.is_terminal:
            raise SourceError(f"{pipe.name} is a terminal: {_PIPE_IN}")
        head = pipe.peek(_HEAD)
        if not head:
            raise SourceError(f"{pipe.name} is empty: {_PIPE_IN}")
        options, form = _read_as(head, size, rate)
        self._bare = form is not None
        place: Any = pipe
        try:
            container = av.open(place, format=form, options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(_why_closed(head, error)) from None
        super().__init__(container, pipe.name, endless=False, speed=CATCHING_UP, clock=clock)

    def _end(self) -> None:
        left = self._pipe.count - self.read_to
        if self._bare and left > 0:
            raise SourceError(
                f"{self._pipe.name} ended in the middle of a frame ({left} bytes of it came); the sender was cut short,"
                " or --size isn't the size that it sends"
            )

    def close(self) -> None:
        super().close()
        self._pipe.end()


def _read_as(head: bytes, size: tuple[int, int] | None, rate: float | None) -> tuple[dict[str, str], str | None]:
    """FFmpeg's options and format for what begins so; None lets it find out.

    Raises:
        SourceError: bare pictures without a rate.
    """
    if head.startswith(Y4M):
        return _AT_ONCE, "yuv4mpegpipe"
    if size is None or _is_container(head):
        # A playlist on standard input must not open files or addresses.
        return {"analyzeduration": "500000", "fpsprobesize": "4", "protocol_whitelist": "none"}, None
    if rate is None:
        raise SourceError("bare pictures on standard input need their rate beside their size: say --fps")
    shape = {**_AT_ONCE, "pixel_format": "rgb24", "video_size": f"{size[0]}x{size[1]}", "framerate": f"{rate:g}"}
    return shape, "rawvideo"


def _is_container(head: bytes) -> bool:
    if any(head[at:].startswith(magic) for magic, at in _CONTAINERS.items()):
        return True
    return head[0] == _TRANSPORT_SYNC and head[_TRANSPORT_PACKET : _TRANSPORT_PACKET + 1] == bytes([_TRANSPORT_SYNC])


def _why_closed(head: bytes, error: Exception) -> str:
    if head.startswith(Y4M):
        return f"the Y4M on standard input can't be read ({reason(error)}); send 8-bit 4:2:0, 4:2:2 or 4:4:4"
    return (
        f"standard input isn't a video that can be read from a pipe ({reason(error)}): send Y4M, Matroska or MPEG-TS,"
        " or say --size and --fps of bare rgb24 pictures"
    )
