"""Network streams whose sender is killed and started again: said once, and frames go on."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Protocol

import pytest
from live_fakes import until
from streams import RtspServer, Server, Viewer, encoded, free_port

from allaprima.errors import SourceError
from allaprima.source import Source
from allaprima.sources.stream import open_stream

OK = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"
CHILD = [sys.executable, "-c", "import streams, sys; streams.send(*sys.argv[1:])"]
PICTURES = "-loglevel error -re -f lavfi -i testsrc=size=64x48:rate=30 -c:v libx264 -tune zerolatency -f flv"


class Sender(Protocol):
    """What sends a stream."""

    def kill(self) -> None:
        """End it in the middle."""


class Program:
    """A process of its own that sends a stream."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, cwd=Path(__file__).parent, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it in the middle."""
        self._process.kill()
        self._process.wait()


SENDERS: dict[str, Callable[[int, str], Sender]] = {
    "tcp": lambda port, url: Server(encoded(), port=port, seconds=0.02),
    "http": lambda port, url: Server(encoded(), port=port, seconds=0.02, http=OK),
    "rtsp": lambda port, url: RtspServer(encoded(90), port=port),
    "udp": lambda port, url: Program(*CHILD, url, "mpegts"),
    "rtp": lambda port, url: Program(*CHILD, url, "rtp_mpegts"),
    "rtmp": lambda port, url: Program("ffmpeg", *shlex.split(PICTURES), "-listen", "1", url),
}


NEEDS_FFMPEG = pytest.mark.skipif(which("ffmpeg") is None, reason="needs ffmpeg (Debian: apt install ffmpeg)")


@pytest.mark.parametrize("scheme", ["tcp", "http", "rtsp", "udp", "rtp", pytest.param("rtmp", marks=NEEDS_FFMPEG)])
def test_a_stream_that_is_gone_and_back(scheme: str) -> None:
    """Two lines for the user, and frames on the same time line; also where only silence tells (UDP, RTP)."""
    port, said = free_port(), list[str]()
    url = f"{scheme}://127.0.0.1:{port}/live/key"
    sender = SENDERS[scheme](port, url)
    try:
        with opened(url, said) as source:
            viewer = Viewer(source)
            until(lambda: len(viewer.frames) > 3)
            sender.kill()
            until(lambda: said)
            before = len(viewer.frames)
            sender = SENDERS[scheme](port, url)
            until(lambda: len(viewer.frames) > before + 3, 20)
            lost, back = said
    finally:
        sender.kill()
    until(lambda: viewer.ended)
    assert lost.startswith(url) and lost.endswith("; waiting until it is back") and back == f"{url} is back"
    times = [frame.pts for frame in viewer.frames]
    assert times == sorted(set(times)) and times[-1] - times[0] > 200_000
    assert {frame.pixels.shape for frame in viewer.frames} == {(48, 64, 3)}


def opened(url: str, said: list[str]) -> Source:
    """The stream, as soon as it is being sent."""
    end = time.monotonic() + 20
    while True:
        try:
            return open_stream(url, say=said.append, read_seconds=1.0)
        except SourceError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
