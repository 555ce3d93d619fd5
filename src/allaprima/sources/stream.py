"""Network streams."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import av
import av.error

from ..errors import SourceError
from ..source import Source
from .background import BackgroundSource
from .live_video import CATCHING_UP, LiveVideo, reason
from .reconnecting import ReconnectingSource

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "udp", "rtp", "tcp")
OPEN_SECONDS = 10.0
READ_SECONDS = 5.0
_SEGMENTED = ("hls", "dash")
_UNCOUNTED = ("udp", "rtp")
"""Schemes for which FFmpeg heeds no limit of its own to reading."""


def open_stream(url: str, *, say: Callable[[str], None], read_seconds: float = READ_SECONDS) -> Source:
    """A stream that is opened anew when it breaks off.

    A recording (its length is known) plays once, at its own pace, and :meth:`~allaprima.source.Source.frames` raises
    :class:`~allaprima.errors.SourceError` where it breaks off.

    Args:
        url: of a scheme in :data:`SCHEMES`.
        say: takes a line when the stream is lost, and when it is back.
        read_seconds: how long nothing may come before it counts as lost.

    Raises:
        SourceError: it isn't a URL, or can't be opened now; the message says why.
    """
    try:
        label = label_of(url)
    except ValueError as error:
        raise SourceError(f"{url.partition('://')[0]}://... isn't a URL: {error}") from None

    opened = [_connect(url, label, read_seconds)]
    if not opened[0].endless:
        return BackgroundSource(opened[0])  # opened anew, it would play from its beginning

    def connect() -> Source:
        return opened.pop() if opened else _connect(url, label, read_seconds)

    return BackgroundSource(ReconnectingSource(connect, label, say=say))


def label_of(url: str) -> str:
    """The address without name, password and query, where cameras take passwords, too: fit for messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def available_protocols() -> dict[str, bool]:
    """Which schemes this PyAV can open. Nothing is connected to: a list of allowed protocols without any refuses."""
    found = {}
    for scheme in SCHEMES:
        try:
            av.open(f"{scheme}://127.0.0.1:9/", options={"protocol_whitelist": "none"}, timeout=1.0).close()
        except av.error.ProtocolNotFoundError:
            found[scheme] = False
        except (av.error.FFmpegError, OSError):
            found[scheme] = True
    return found


def _connect(url: str, label: str, read_seconds: float) -> LiveVideo:
    scheme = urlsplit(url).scheme
    # FFmpeg counts the time of reading itself: PyAV's own would take Python's lock at every read. "nobuffer" is left
    # out on purpose: it throws away the key frame that was looked at, and the picture waits for the next.
    patience = str(round(read_seconds * 1e6))
    options = {"analyzeduration": "500000", "fpsprobesize": "4", "rw_timeout": patience}
    if scheme.startswith("rtsp"):
        options |= {"timeout": patience, "rtsp_flags": "prefer_tcp"}
    limits = OPEN_SECONDS, read_seconds if scheme in _UNCOUNTED else None
    try:
        container = av.open(url, options=options, timeout=limits, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_closed(label, scheme, error)) from None
    recorded = bool(container.duration)
    # Segments come all at once, seconds of them; what is sent frame by frame must not be held back.
    paced = recorded or container.format.name in _SEGMENTED
    return LiveVideo(container, label, endless=not recorded, speed=CATCHING_UP if paced else None)


def _why_closed(label: str, scheme: str, error: Exception) -> str:
    if isinstance(error, av.error.ProtocolNotFoundError):
        return (
            f"{label} can't be opened: this PyAV was built without {scheme}://; build it against an FFmpeg that has it"
            " (pip install --no-binary av av), or send the stream another way ('allaprima doctor' shows which)"
        )
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return f"{label} asks for a name and password: give them as {scheme}://NAME:PASSWORD@..."
    if isinstance(error, av.error.InvalidDataError):
        return f"{label} isn't a video stream; check the address"
    return f"{label} can't be opened ({reason(error)}); check the address and that the stream is being sent"
