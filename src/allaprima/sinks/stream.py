"""Painted frames over the network, encoded for low delay."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from ..errors import SinkError
from ..frame import Frame, SourceInfo
from ..sink import Sink, SinkOptions, SinkResult
from ..video.codecs import check_size, choose_codec, live_options
from ..video.containers import LAYOUTS, Layout
from ..video.encoding import FAILURES, PictureTrack
from ..video.letterbox import letterboxed
from .pipe import OverError, PipeWriter
from .sender import place, reason
from .times import LiveTimes

_STALL_SECONDS = 5.0
"""How long the other side may take nothing, once it took something."""
_END_SECONDS = 3.0
"""How long the last bytes may take."""
_ABANDON_SECONDS = 0.5
"""The same where nobody waits for them."""
_LOCK_SECONDS = 1.0
"""How long a write of another thread may wait before it is told to end."""
_BITS_PER_PIXEL = 0.12
"""At most: 3.3 Mbit/s at 1280×720 and 30 frames a second, where peaks would otherwise be queued on the way."""
_PIPED = LAYOUTS[".nut"]
_FLV = Layout("FLV", "flv", ("h264",), frozenset(), frozenset(), options={"flvflags": "no_duration_filesize"})
_RTSP = Layout("RTSP", "rtsp", ("h264", "hevc"), frozenset(), frozenset(), options={"rtsp_transport": "tcp"})
_TS = LAYOUTS[".ts"]
SCHEMES: dict[str, Layout] = {
    "rtmp": _FLV,
    "rtmps": _FLV,
    "rtsp": _RTSP,
    "srt": _TS,
    "udp": _TS,
    "tcp": _TS,
    "http": _TS,
    "https": _TS,
}
"""What is sent to the URLs of each scheme."""


class StreamSink(Sink):
    """Encodes frames here, and has them sent by a process of its own (:mod:`~allaprima.sinks.sender`).

    On Linux that ends with the thread that opened the sink, even if the program is killed.
    Frames of another size than the first one's are scaled to that, between black bars.

    Args:
        url: RTMP takes FLV, RTSP its own, all others MPEG-TS; ``tcp://…?listen=1`` waits for a viewer.
        info: of the frames that will be written.
        options: codec, quality and speed.
        say: takes a line for the user.

    Raises:
        SinkError: a scheme, codec or setting that can't be had. Whether somebody listens is known at the first frames.
    """

    def __init__(self, url: str, info: SourceInfo, options: SinkOptions, *, say: Callable[[str], None]) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SinkError(f"{url.partition('://')[0]}://... isn't a URL: {error}") from None
        scheme = parts.scheme
        if scheme not in SCHEMES:
            raise SinkError(f"can't send to {scheme}://; use one of {', '.join(f'{name}://' for name in SCHEMES)}")
        layout = SCHEMES[scheme]
        self._codec = choose_codec(options, layout)
        check_size(self._codec, info.width, info.height)
        self._info, self._options = info, options
        self._place = place(url)
        self._times = LiveTimes()
        self._picture: PictureTrack | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._connected: float | None = None
        self._ending: float | None = None
        self._notes: tuple[str, ...] = ()
        if "listen" in parse_qs(parts.query):
            if scheme != "tcp":  # PyAV hands no options to FFmpeg's other protocols
                raise SinkError(f"{scheme}:// can't wait for a viewer: use tcp://ADDRESS:PORT?listen=1")
            say(f"waiting for a viewer at {self._place}")
        if scheme == "udp" and "pkt_size=" not in url:
            url += ("&" if parts.query else "?") + "pkt_size=1316"  # seven packets of MPEG-TS to one of UDP
        self._sender = subprocess.Popen(
            [sys.executable, "-m", "allaprima.sinks.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        if self._sender.stdin is None or self._sender.stdout is None or self._sender.stderr is None:
            raise SinkError("the process that sends couldn't be started")
        self._stdin, self._stdout, self._stderr = self._sender.stdin, self._sender.stdout, self._sender.stderr
        self._pipe = PipeWriter(self._stdin.fileno(), self._over, self._waiting)
        # Through the pipe, not as an argument, which every user of the machine could read.
        flags = layout.options | {"flush_packets": "1"}
        order = {"url": url, "muxer": layout.muxer, "flags": flags, "parent": os.getpid()}
        try:
            self._pipe.write(json.dumps(order).encode() + b"\n")
        except OSError as error:
            raise SinkError(self._failed(error)) from error

    def write(self, frame: Frame) -> None:
        """Encode one frame and hand it over; blocks while the other side takes nothing. After the end it is let go.

        Raises:
            SinkError: nobody listens, the other side is gone, or it took nothing for 5 seconds.
        """
        with self._lock:
            if self._over.is_set():
                return
            try:
                frame = self._times.placed(frame)
                picture = self._picture or self._start(frame)
                picture.write(frame.with_pixels(letterboxed(frame.pixels, *picture.size)))
            except OverError:
                return
            except FAILURES as error:
                raise SinkError(self._failed(error)) from error

    def _start(self, first: Frame) -> PictureTrack:
        self._picture = picture = PictureTrack(first, self._info, self._codec, _PIPED)
        (width, height), rate = picture.size, self._info.frame_rate
        most = str(max(100_000, round(width * height * rate * _BITS_PER_PIXEL)))
        settings = live_options(self._codec, self._options, _PIPED, rate)
        settings |= {"tune": "zerolatency", "maxrate": most, "bufsize": most}
        container, _ = picture.open(self._pipe, settings, {"flush_packets": "1"})
        container.start_encoding()
        return picture

    def _waiting(self) -> None:
        """The pipe is full: until the other side takes the stream it may stay so; then and at the end not for long."""
        now = time.monotonic()
        if self._connected is None and select.select([self._stdout], [], [], 0)[0]:
            self._connected = now
        since = self._ending if self._connected is None else self._connected
        if since is not None and now - max(since, self._pipe.progressed) > _STALL_SECONDS:
            raise TimeoutError

    def _failed(self, error: Exception) -> str:
        """End the sender; why the stream broke off, in one line."""
        self._over.set()
        if isinstance(error, TimeoutError):
            self._sender.kill()
        said = self._stop()
        if isinstance(error, TimeoutError):
            return f"{self._place} took nothing for {_STALL_SECONDS:g} s; look whether it still runs"
        if isinstance(error, BrokenPipeError):
            return said or f"{self._place} takes nothing any more: the process that sends to it was ended"
        return f"{self._place}: the picture couldn't be encoded as {self._codec.name}: {reason(error)}"

    def _stop(self, seconds: float = _END_SECONDS) -> str:
        """Let the sender end, or end it after so long; what it said."""
        self._stdin.close()
        try:
            self._sender.wait(seconds)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()
        with self._stdout, self._stderr:
            if self._connected is None and not self._stdout.read():
                self._notes = (f"nobody at {self._place} took the stream",)
            return self._stderr.read().decode(errors="replace").strip()

    def finish(self) -> SinkResult:
        """Hand over what the encoder still holds and let the sender end, within seconds.

        Where another thread's :meth:`write` waits for the other side, it ends as :meth:`abandon` does.

        Raises:
            SinkError: the other side is gone, or never was there.
        """
        if not self._lock.acquire(timeout=_LOCK_SECONDS):
            return self.abandon()
        try:
            if not self._over.is_set():
                self._ending = time.monotonic()
                try:
                    if self._picture is not None:
                        self._picture.drain()
                        self._picture.close()
                except OverError:
                    return self._result()
                except FAILURES as error:
                    raise SinkError(self._failed(error)) from error
                self._over.set()
                said = self._stop()
                if said and self._picture is not None:
                    raise SinkError(said)
            return self._result()
        finally:
            self._lock.release()

    def abandon(self) -> SinkResult:
        """End at once: what the other side hasn't taken is lost."""
        self._over.set()
        if not self._lock.acquire(timeout=_LOCK_SECONDS):
            self._sender.kill()  # where a write can't be told to end, as on Windows, this ends it
            self._lock.acquire()
        try:
            if self._sender.returncode is None:
                if self._picture is not None:
                    with suppress(OverError, *FAILURES):  # the stream's end isn't taken any more
                        self._picture.close()
                self._stop(_ABANDON_SECONDS)
            return self._result()
        finally:
            self._lock.release()

    def _result(self) -> SinkResult:
        return SinkResult(None, self._picture.frames if self._picture is not None else 0, self._notes)
