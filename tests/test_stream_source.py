"""Network streams: read without delay, refused with a reason, and never hung on."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import clips
import numpy as np
import pytest
from live_fakes import until
from streams import Files, Server, Viewer, encoded, free_port, recording, write_numbered

from allaprima.errors import SourceError
from allaprima.frame import Frame
from allaprima.source import open_live_source
from allaprima.sources.live_video import CATCHING_UP, LiveVideo
from allaprima.sources.stream import SCHEMES, available_protocols, label_of, open_stream


def test_a_stream_begins_with_its_first_picture() -> None:
    """What FFmpeg looked at to know the stream isn't thrown away; else one waits for the next key frame."""
    with Server(encoded(keys=30), stalls=True, seconds=0.02) as server:
        with open_live_source(f"tcp://127.0.0.1:{server.port}", say=print) as source:
            first = next(source.frames())
        assert (source.info.width, source.info.height, source.info.frame_rate) == (64, 48, 30)
        assert clips.number_of(first.pixels) < 15
        assert first.captured is not None and abs(time.monotonic() - first.captured) < 1


def test_silence_counts_as_lost() -> None:
    """A sender that keeps the connection and sends nothing."""
    said: list[str] = []
    with Server(encoded(), stalls=True) as server:
        url = f"tcp://127.0.0.1:{server.port}"
        with open_stream(url, say=said.append, read_seconds=0.3) as source:
            viewer = Viewer(source)
            until(lambda: said)
    until(lambda: viewer.ended)
    assert said == [f"{url} gives no more pictures (nothing came in time); waiting until it is back"]


def test_closing_doesnt_wait_for_a_silent_stream() -> None:
    """Who closes is free at once; the read that is under way ends by its own limit."""
    with Server(encoded(), stalls=True) as server:
        with open_stream(f"tcp://127.0.0.1:{server.port}", say=print, read_seconds=0.8) as source:
            viewer = Viewer(source)
            until(lambda: viewer.frames)
            time.sleep(0.2)
            closed = time.monotonic()
        until(lambda: viewer.ended)
        assert viewer.ended is not None and viewer.ended - closed < 0.5


def test_a_recording_on_a_server_plays_once_at_its_own_pace() -> None:
    """It has a length, so its end is the end."""
    said: list[str] = []
    film = recording(12)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: %d\r\n\r\n" % len(film)
    with (
        Server([film], http=head) as server,
        open_stream(f"http://127.0.0.1:{server.port}/a", say=said.append) as source,
    ):
        begun = time.monotonic()
        viewer = Viewer(source)
        until(lambda: viewer.ended)
        assert viewer.ended is not None and viewer.ended - begun >= 11 / 30 / CATCHING_UP
    assert viewer.numbers == list(range(12)) and not said


def test_a_recording_that_breaks_off_doesnt_begin_anew() -> None:
    """It ends with the reason, and what came of it was shown once."""
    said: list[str] = []
    film = recording(12)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: %d\r\n\r\n" % len(film)
    shown: list[int] = []
    with Server([film[: len(film) * 2 // 3]], http=head, stalls=True) as server:
        source = open_stream(f"http://127.0.0.1:{server.port}/a", say=said.append, read_seconds=0.5)
        with pytest.raises(SourceError, match="gives no more pictures"):
            shown.extend(clips.number_of(frame.pixels) for frame in islice(source.frames(), 40))
    assert 1 < len(shown) < 12 and shown == list(range(len(shown))) and not said


def test_segments_are_shown_frame_by_frame(tmp_path: Path) -> None:
    """HLS sends seconds of frames at once; only the last of each segment would be seen if they weren't spread."""
    playlist = {"hls_time": "0.2", "hls_list_size": "0", "hls_flags": "omit_endlist"}
    with av.open(str(tmp_path / "live.m3u8"), "w", format="hls", options=playlist) as out:
        deque(write_numbered(out, 18), maxlen=0)
    with Files(tmp_path) as server, open_stream(f"http://127.0.0.1:{server.port}/live.m3u8", say=print) as source:
        viewer = Viewer(source)
        until(lambda: viewer.numbers[-1:] == [17])
    times = [frame.captured for frame in viewer.frames]
    assert len(times) > 12 and np.median(np.diff(times)) > 0.02


def test_a_sender_that_sets_its_clock_anew_is_followed() -> None:
    """Protects from waiting an hour for a picture stamped so much later, and from haste after an earlier one."""
    file = io.BytesIO()
    for hours in (0, 1, 0):
        with av.open(part := io.BytesIO(), "w", format="mpegts") as out:
            stream = out.add_stream("libx264", 30, {"preset": "ultrafast", "tune": "zerolatency", "crf": "10"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(6):
                picture = av.VideoFrame.from_ndarray(clips.numbered(number), format="rgb24")
                picture.pts, picture.time_base = number + hours * 3600 * 30, Fraction(1, 30)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
        file.write(part.getvalue())
    file.seek(0)
    source = LiveVideo(av.open(file), "the stream", endless=True, speed=CATCHING_UP)
    hangs = threading.Timer(20, source.close)
    hangs.start()
    viewer: list[Frame] = []
    with pytest.raises(SourceError, match="has ended"):
        viewer.extend(source.frames())
    hangs.cancel()
    steps = np.diff([frame.captured for frame in viewer])
    assert len(viewer) == 18 and steps.max() < 1
    assert np.median(steps[:5]) > 0.02 and np.median(steps[-5:]) > 0.02


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "connection refused"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 not found.*check the address"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "asks for a name and password"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "isn't a video stream"),
    ],
    ids=["nobody", "404", "401", "page"],
)
def test_streams_that_cant_be_opened(answer: bytes | None, message: str) -> None:
    """Each with its reason and without the password."""
    server = Server([], http=answer) if answer else None
    port = server.port if server else free_port()
    with pytest.raises(SourceError, match=message) as error:
        open_stream(f"http://me:secret@127.0.0.1:{port}/live", say=print)
    if server:
        server.kill()
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_protocol_that_pyav_lacks_is_named() -> None:
    """SRT isn't in every PyAV; doctor says so too, without connecting to anything."""
    here = available_protocols()
    assert set(here) == set(SCHEMES) and here["tcp"] and here["http"]
    lacking = [scheme for scheme, found in here.items() if not found]
    if not lacking:
        pytest.skip("this machine's PyAV has all of them")
    with pytest.raises(SourceError, match=f"built without {lacking[0]}://"):
        open_live_source(f"{lacking[0]}://127.0.0.1:9", say=print)


def test_labels_hold_no_password() -> None:
    """Lines for the user end up in recordings and reports."""
    assert label_of("rtsp://me:secret@cam.local:554/a?password=secret") == "rtsp://cam.local:554/a"
    assert label_of("udp://0.0.0.0:5000") == "udp://0.0.0.0:5000"
