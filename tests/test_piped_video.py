"""Raw video on a pipe: told by its header, whole frames only, at its own pace at most, and never hung on."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import clips
import numpy as np
import pytest
from live_fakes import until
from streams import recording

from allaprima.errors import SourceError
from allaprima.sources.raw_video import PipedVideo, StandardInput

SIZE = (64, 48)
RATE = 200


class Pipe:
    """What a program before us in a pipeline would be: writes in a thread, then leaves."""

    def __init__(self, payload: bytes, *, leaves: bool = True) -> None:
        read, self._write = os.pipe()
        self.file = io.FileIO(read)
        self.standard_input = StandardInput(self.file)
        self._payload, self._leaves = payload, leaves
        self._thread = threading.Thread(target=self._send, name="test-sender", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        left = memoryview(self._payload)
        try:
            while left:
                left = left[os.write(self._write, left) :]
        except OSError:
            return
        if self._leaves:
            os.close(self._write)

    def close(self) -> None:
        """Both ends."""
        self.file.close()
        if not self._leaves:
            os.close(self._write)


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    made: list[Pipe] = []
    yield made
    for pipe in made:
        pipe.close()


def bare(frames: int) -> bytes:
    """Pictures without any header."""
    return b"".join(clips.numbered(number).tobytes() for number in range(frames))


def y4m(frames: int, chroma: str = "C420jpeg", header: str = "") -> bytes:
    """Gray pictures in planes; the luma is full range where chroma says jpeg."""
    parts = [f"YUV4MPEG2 W64 H48 F{RATE}:1 Ip A1:1 {chroma}{header}\n".encode()]
    planes = {"C420jpeg": 2 * 32 * 24, "C444": 2 * 64 * 48, "C422": 2 * 32 * 48}[chroma]
    for number in range(frames):
        luma = 16 + round((8 + clips.STEP * number) * 219 / 255)
        parts.append(b"FRAME\n" + bytes([luma]) * (64 * 48) + b"\x80" * planes)
    return b"".join(parts)


def numbers(source: PipedVideo) -> list[int]:
    return [clips.number_of(frame.pixels) for frame in source.frames()]


def test_bare_pictures_come_out_as_they_went_in(pipes: list[Pipe]) -> None:
    """Bit for bit, with their rate."""
    pictures = [np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8) for i in range(4)]
    pipes.append(Pipe(b"".join(picture.tobytes() for picture in pictures)))
    with PipedVideo(size=SIZE, rate=RATE, pipe=pipes[0].standard_input) as source:
        frames = list(source.frames())
    assert source.info.frame_rate == RATE and frames[0].color == source.info.color
    for picture, frame in zip(pictures, frames, strict=True):
        assert np.array_equal(picture, frame.pixels)


@pytest.mark.parametrize("chroma", ["C420jpeg", "C422", "C444"])
def test_y4m_is_told_by_its_header(pipes: list[Pipe], chroma: str) -> None:
    """Whatever size and rate are asked of other sources."""
    pipes.append(Pipe(y4m(6, chroma)))
    with PipedVideo(size=(640, 480), rate=30, pipe=pipes[0].standard_input) as source:
        assert (source.info.width, source.info.height, source.info.frame_rate) == (64, 48, RATE)
        assert numbers(source) == list(range(6))


@pytest.mark.parametrize("size", [None, (320, 240)])
def test_a_container_is_told_from_bare_pictures(pipes: list[Pipe], size: tuple[int, int] | None) -> None:
    """A size doesn't turn Matroska into noise; it plays at its own pace."""
    pipes.append(Pipe(recording(6)))
    begun = time.monotonic()
    with PipedVideo(size=size, rate=30, pipe=pipes[0].standard_input) as source:
        assert (source.info.width, source.info.height) == SIZE
        assert numbers(source) == list(range(6))
    assert time.monotonic() - begun >= 5 / 30 / 1.01


def test_a_list_of_files_opens_none(pipes: list[Pipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes through a pipe can't make us read files that it names."""
    (tmp_path / "private.mkv").write_bytes(recording(3))
    monkeypatch.chdir(tmp_path)
    pipes.append(Pipe(b"ffconcat version 1.0\nfile private.mkv\n"))
    with pytest.raises(SourceError, match="standard input"):
        PipedVideo(pipe=pipes[0].standard_input)


@pytest.mark.parametrize("kind", ["bare", "y4m"])
def test_an_end_in_the_middle_of_a_frame_is_said_after_the_whole_ones(pipes: list[Pipe], kind: str) -> None:
    """The sender was killed: what was whole is shown, then an error says what is missing."""
    payload = bare(4) if kind == "bare" else y4m(4)
    pipes.append(Pipe(payload[:-100]))
    source = PipedVideo(size=SIZE, rate=RATE, pipe=pipes[0].standard_input)
    frames = source.frames()
    assert [clips.number_of(next(frames).pixels) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"ended in the middle of a frame \(\d+ bytes of it came\)"):
        next(frames)


@pytest.mark.parametrize(
    ("payload", "size", "rate", "message"),
    [
        (b"", SIZE, RATE, "standard input is empty"),
        (bare(2), SIZE, None, "need their rate beside their size: say --fps"),
        (b"no video at all " * 60, None, None, "isn't a video that can be read from a pipe"),
        (b"YUV4MPEG2 nonsense\n" * 40, None, None, "the Y4M on standard input can't be read"),
    ],
    ids=["empty", "no rate", "text", "broken header"],
)
def test_what_cant_be_read(
    pipes: list[Pipe], payload: bytes, size: tuple[int, int] | None, rate: float | None, message: str
) -> None:
    """One line that says what to send."""
    pipes.append(Pipe(payload))
    with pytest.raises(SourceError, match=message) as error:
        PipedVideo(size=size, rate=rate, pipe=pipes[0].standard_input)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="makes a terminal as POSIX does")
def test_a_terminal_is_refused() -> None:
    """Nobody types pictures; waiting for them would look like hanging."""
    ours, theirs = os.openpty()
    with io.FileIO(ours) as _, io.FileIO(theirs) as terminal, pytest.raises(SourceError, match="is a terminal"):
        PipedVideo(size=SIZE, rate=RATE, pipe=StandardInput(terminal))


def test_closing_ends_the_wait_for_a_sender_that_is_silent(pipes: list[Pipe]) -> None:
    """It neither sends nor leaves."""
    pipes.append(Pipe(bare(2), leaves=False))
    source = PipedVideo(size=SIZE, rate=RATE, pipe=pipes[0].standard_input)
    seen: list[int] = []
    viewer = threading.Thread(target=lambda: seen.extend(numbers(source)), name="test-viewer", daemon=True)
    viewer.start()
    time.sleep(0.15)
    source.close()
    viewer.join(5.0)
    assert not viewer.is_alive() and seen == [0, 1]


def test_pictures_that_come_late_arent_held_back(pipes: list[Pipe]) -> None:
    """A live sender that is slower than its rate: each frame is given before the next one is sent."""
    read, write = os.pipe()
    file = io.FileIO(read)
    given: list[int] = []

    def send() -> None:
        try:
            for number in range(5):
                until(lambda number=number: len(given) == number)  # type: ignore[misc]
                os.write(write, clips.numbered(number).tobytes())
        finally:
            os.close(write)

    sender = threading.Thread(target=send, name="test-sender", daemon=True)
    sender.start()
    with PipedVideo(size=SIZE, rate=100, pipe=StandardInput(file)) as source:
        for frame in source.frames():
            given.append(clips.number_of(frame.pixels))
    file.close()
    assert given == list(range(5))
