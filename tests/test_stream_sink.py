"""Network streams: they arrive, and a viewer that goes away or stops taking is one clear line."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from live_fakes import until
from live_sinks import GRAY, frame, noise, one_line, open_sink

from allaprima.errors import SinkError
from allaprima.frame import Frame, SourceInfo
from allaprima.sink import Sink, SinkOptions
from allaprima.sinks.stream import StreamSink


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def paint_in_time(sink: Sink, frames: int) -> None:
    """Write frames as fast as a camera at 100 a second would."""
    for number in range(frames):
        sink.write(frame(number / 100))
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("tcp://127.0.0.1:{port}", {"format": "mpegts", "options": {"listen": "1"}}),
        ("rtmp://127.0.0.1:{port}/live/key", {"format": "flv", "options": {"listen": "1"}}),
        ("http://127.0.0.1:{port}/live", {"format": "mpegts", "options": {"listen": "1"}}),
        ("rtsp://127.0.0.1:{port}/live", {"options": {"rtsp_flags": "listen", "listen_timeout": "20"}}),
        ("udp://127.0.0.1:{port}", {"format": "mpegts", "options": {"timeout": "700000"}}),
    ],
)
def test_a_stream_arrives(url: str, options: dict[str, Any]) -> None:
    """Each scheme's container, with every frame from the first keyframe on."""
    url = url.format(port=free_port())
    shown: list[np.ndarray] = []

    def receive() -> None:
        try:
            with av.open(url, **options) as container:
                shown.extend(f.to_ndarray(format="rgb24") for f in container.decode(video=0))
        except (OSError, av.error.FFmpegError):
            return  # how RTMP and UDP say that nothing comes any more

    receiver = threading.Thread(target=receive)
    receiver.start()
    time.sleep(0.5)
    sink = open_sink(url)
    paint_in_time(sink, 60)
    result = sink.finish()
    receiver.join(20)
    assert not receiver.is_alive()
    assert result.frames == 60 and not result.notes
    assert 30 <= len(shown) <= 60 if url.startswith(("udp", "rtsp")) else len(shown) == 60
    assert np.abs(shown[-1][30, 40].astype(int) - GRAY).max() <= 6


def test_a_viewer_may_come_when_it_likes() -> None:
    """Until then the sink waits, and says so; if nobody comes it ends all the same."""
    said: list[str] = []
    url = f"tcp://127.0.0.1:{free_port()}?listen=1"
    sink = open_sink(url, said=said)
    assert said == [f"waiting for a viewer at {url.partition('?')[0]}"]
    sink.write(frame(0))
    begun = time.monotonic()
    assert "nobody" in sink.abandon().notes[0]
    assert time.monotonic() - begun < 5


def test_where_no_viewer_can_be_waited_for() -> None:
    """Refused with what to do, rather than said to wait and then failing."""
    with pytest.raises(SinkError, match=r"rtmp:// can't wait for a viewer: use tcp://ADDRESS:PORT\?listen=1"):
        open_sink(f"rtmp://127.0.0.1:{free_port()}/live/key?listen=1")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("tcp://127.0.0.1:{port}", "127.0.0.1:[0-9]+ doesn't take the stream: Connection refused"),
        ("rtmp://127.0.0.1:{port}/live/secret", "127.0.0.1:[0-9]+ doesn't take the stream: Connection refused"),
        ("srt://127.0.0.1:{port}", "can't send to srt://|doesn't take the stream"),
    ],
)
def test_nobody_listens(url: str, match: str) -> None:
    """One line, without what may be a secret key."""
    sink = open_sink(url.format(port=free_port()))
    with pytest.raises(SinkError, match=match) as error:
        paint_in_time(sink, 500)
    assert "secret" not in one_line(error)
    sink.write(frame(99))
    sink.abandon()


def test_an_end_that_nobody_takes_comes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects from a run that hangs at its end: nobody came, and the pipe has no room for the stream's last bytes."""
    monkeypatch.setattr("allaprima.sinks.stream._STALL_SECONDS", 0.3)
    sink = open_sink(f"tcp://127.0.0.1:{free_port()}?listen=1")
    assert isinstance(sink, StreamSink)
    sink.write(frame(0))
    poll = select.poll()
    poll.register(sink._pipe.descriptor, select.POLLOUT)
    while poll.poll(1000):
        os.write(sink._pipe.descriptor, bytes(select.PIPE_BUF))
    ended: list[SinkError] = []

    def finish() -> None:
        try:
            sink.finish()
        except SinkError as error:
            ended.append(error)

    thread = threading.Thread(target=finish, daemon=True)
    thread.start()
    thread.join(10)
    hangs = thread.is_alive()
    sink.abandon()
    assert not hangs and "took nothing" in str(ended[0])


LISTENS = """
import sys, time
from live_sinks import frame, open_sink
sink = open_sink(sys.argv[1])
sink.write(frame(0))
print("open", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the process that sends")
def test_a_kill_leaves_no_sender_behind() -> None:
    """It would wait for a viewer, and hold the port, for ever."""
    port = free_port()
    command = [sys.executable, "-c", LISTENS, f"tcp://127.0.0.1:{port}?listen=1"]
    place = {"cwd": Path(__file__).parent, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **place) as program:  # type: ignore[call-overload]
        assert program.stdout is not None
        assert program.stdout.readline() == b"open\n"
        until(lambda: not is_free(port), 20)
        program.kill()
    until(lambda: is_free(port), 20)


def is_free(port: int) -> bool:
    """Whether one may listen there."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def viewer() -> Iterator[tuple[str, socket.socket]]:
    """Somebody who takes a stream over TCP, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}", server


def test_a_viewer_that_goes_away_is_one_clear_line() -> None:
    """Rather than a stream that nobody gets."""
    with viewer() as (url, server):
        sink = open_sink(url)
        sink.write(frame(0))
        taker, _ = server.accept()
        taker.recv(188)
        taker.close()
        with pytest.raises(SinkError, match="takes nothing any more") as error:
            paint_in_time(sink, 500)
        one_line(error)
        assert sink.abandon().frames > 0


def test_a_viewer_that_stops_taking_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds; and until then the sink can be ended at any moment."""
    large = SourceInfo(1280, 720, Fraction(25), Fraction(1, 1000))
    for patience in (0.3, 60.0):
        monkeypatch.setattr("allaprima.sinks.stream._STALL_SECONDS", patience)
        monkeypatch.setattr("allaprima.sinks.stream._BITS_PER_PIXEL", 8.0)
        failed: list[SinkError] = []
        with viewer() as (url, server):
            sink = StreamSink(url, large, SinkOptions(preset="ultrafast"), say=lambda line: None)
            picture = noise(0, (1280, 720))

            def paint(sink: Sink = sink, picture: Frame = picture, failed: list[SinkError] = failed) -> None:
                try:
                    for _ in range(300):
                        sink.write(picture)
                except SinkError as error:
                    failed.append(error)

            thread = threading.Thread(target=paint)
            thread.start()
            taker, _ = server.accept()
            if patience < 1:
                thread.join(60)
                assert "took nothing for 0.3 s" in str(failed[0])
            else:
                time.sleep(1.0)
                assert thread.is_alive()
            begun = time.monotonic()
            sink.finish() if patience > 1 else sink.abandon()
            assert time.monotonic() - begun < 6
            thread.join(5)
            assert not thread.is_alive()
            taker.close()
