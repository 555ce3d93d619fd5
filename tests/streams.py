"""Encoded video in memory, servers that send it and can be killed, and who looks at it."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import clips

from allaprima.frame import Frame
from allaprima.source import Source


def write_numbered(out: Any, frames: int, codec: str = "libx264", keys: int = 5) -> Iterator[None]:
    """Put numbered frames, 30 a second, into an open container; a pause after each, for who looks at what came."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(keys), "crf": "10"}
    stream = out.add_stream(codec, 30, options if codec == "libx264" else {})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(clips.numbered(number), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 30)
        out.mux(stream.encode(frame))
        yield
    out.mux(stream.encode(None))


def encoded(frames: int = 30, *, form: str = "mpegts", codec: str = "libx264", keys: int = 5) -> list[bytes]:
    """The bytes of a container, frame by frame; a frame's gray is its number (see ``clips``)."""
    file, chunks, done = io.BytesIO(), [], 0
    with av.open(file, "w", format=form, options={"flush_packets": "1"}) as out:
        for _ in write_numbered(out, frames, codec, keys):
            chunks.append(file.getvalue()[done:])
            done += len(chunks[-1])
    chunks.append(file.getvalue()[done:])
    return [chunk for chunk in chunks if chunk]


def recording(frames: int) -> bytes:
    """A whole Matroska file, which says how long it is."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        deque(write_numbered(out, frames, "ffv1"), maxlen=0)
    return file.getvalue()


def send(url: str, form: str) -> None:
    """Send numbered frames in real time, for a minute: what a process of its own does that can be killed."""
    with av.open(url, "w", format=form, container_options={"flush_packets": "1"}) as out:
        for _ in write_numbered(out, 1800):
            time.sleep(1 / 30)


class Server:
    """Sends chunks to whoever connects, one every ``seconds``, until it is killed.

    Args:
        chunks: what to send.
        port: where; a free one by default.
        http: begin with an answer to a request.
        stalls: keep the connection when everything is sent, instead of ending it.
        seconds: between two chunks.
    """

    def __init__(
        self,
        chunks: list[bytes],
        *,
        port: int = 0,
        http: bytes | None = None,
        stalls: bool = False,
        seconds: float = 0.005,
    ) -> None:
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self._chunks, self._http, self._stalls, self._seconds = chunks, http, stalls, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="test-server", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._greet(connection)
                for chunk in self._chunks:
                    connection.sendall(chunk)
                    if self._over.wait(self._seconds):
                        break
                if self._stalls:
                    self._over.wait()

    def _greet(self, connection: socket.socket) -> None:
        if self._http is not None:
            connection.recv(65536)
            connection.sendall(self._http)

    def kill(self) -> None:
        """Take the port away and break what is being sent."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(2)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


class RtspServer(Server):
    """Sends MPEG-TS as a camera does: asked for by RTSP, in packets of RTP within the same connection (RFC 2326).

    Args:
        chunks: MPEG-TS.
        port: where; a free one by default.
    """

    def __init__(self, chunks: list[bytes], *, port: int = 0) -> None:
        data = b"".join(chunks)
        packets = []
        for number, at in enumerate(range(0, len(data), 7 * 188)):
            payload = data[at : at + 7 * 188]
            rtp = struct.pack(">BBHII", 0x80, 33, number, 3000 * number, 1) + payload
            packets.append(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
        super().__init__(packets, port=port, seconds=0.02)

    def _greet(self, connection: socket.socket) -> None:
        sdp = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
        answers = {
            b"DESCRIBE": b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s" % (len(sdp), sdp),
            b"SETUP": b"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
        }
        verb = b""
        while verb != b"PLAY":
            request = connection.recv(65536)
            verb = request.split(maxsplit=1)[0]
            number = re.search(rb"CSeq: *(\d+)", request)
            head = b"RTSP/1.0 200 OK\r\nCSeq: %s\r\n" % (number[1] if number else b"0")
            connection.sendall(head + answers.get(verb, b"\r\n"))


class Files(ThreadingHTTPServer):
    """Serves a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self.port = self.server_port
        self._thread = threading.Thread(target=self.serve_forever, name="test-files", daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join(2)
        self.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """Writes no lines about requests."""

    def log_message(self, *words: object) -> None:
        return


class Viewer:
    """Keeps what a source gives, in a thread."""

    def __init__(self, source: Source) -> None:
        self.frames: list[Frame] = []
        self.ended: float | None = None
        self._source = source
        self._thread = threading.Thread(target=self._view, name="test-viewer", daemon=True)
        self._thread.start()

    def _view(self) -> None:
        for frame in self._source.frames():
            self.frames.append(frame)
        self.ended = time.monotonic()

    @property
    def numbers(self) -> list[int]:
        """What the frames show."""
        return [clips.number_of(frame.pixels) for frame in list(self.frames)]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
