"""A program of its own that sends an encoded stream over the network: ``python -m allaprima.sinks.sender``.

FFmpeg waits for the network where nothing in the same process can interrupt it; this one can be ended from outside.
On standard input come one line of JSON (``url``, ``muxer``, ``flags``, and ``parent``: the process to end with) and a
NUT stream; a byte goes to standard output once the other side takes it, and one line to standard error when it doesn't,
or no more.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
from av.container import OutputContainer
from av.video.stream import VideoStream

_AT_ONCE = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def place(url: str) -> str:
    """Scheme, host and port of a URL; what follows may be a secret key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"


def reason(error: Exception) -> str:
    """Why FFmpeg or the system gave up, in one line."""
    return " ".join((getattr(error, "strerror", None) or str(error)).split())


def send(stdin: Any, url: str, muxer: str, flags: dict[str, str]) -> str | None:
    """Send what comes on ``stdin`` until it ends; why it couldn't, in one line, or None."""
    connected = False
    try:
        with av.open(stdin, "r", format="nut", options=_AT_ONCE) as source:
            stream = source.streams.video[0]
            with av.open(url, "w", format=muxer, container_options=flags) as out:
                copied = _copied(out, stream)
                out.start_encoding()
                connected = True
                os.write(1, b".")
                for packet in source.demux(stream):
                    if packet.size:
                        packet.dts = packet.pts  # no frame waits for a later one, so they are the same
                        packet.stream = copied
                        out.mux_one(packet)
    except av.error.ProtocolNotFoundError:
        return f"this build of FFmpeg can't send to {urlsplit(url).scheme}://; use rtmp://, rtsp://, udp:// or tcp://"
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if connected:
            return f"{place(url)} takes nothing any more: {reason(error)}"
        why = reason(error)
        return f"{place(url)} doesn't take the stream: {why}; check the address, and that somebody listens there"
    return None


def _copied(out: OutputContainer, stream: VideoStream) -> VideoStream:
    copied = out.add_stream_from_template(stream)
    copied.time_base = stream.time_base
    return copied


def _end_with(parent: int) -> None:
    """Have Linux end this process with the thread that started it: FFmpeg would wait for a viewer for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed before
            sys.exit(1)


def main() -> int:
    """Run as a program; 0 when everything was sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that paints, which then ends this one
    with os.fdopen(0, "rb", buffering=0) as stdin:
        order = json.loads(stdin.readline())
        _end_with(order["parent"])
        why = send(stdin, order["url"], order["muxer"], order["flags"])
    if why is None:
        return 0
    sys.stderr.write(why + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
