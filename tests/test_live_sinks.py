"""Live sinks: files that survive a kill, and pipes whose readers go away."""

from __future__ import annotations

import os
import resource
import signal
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
from live_sinks import INFO, RED, frame, noise, one_line, open_sink, played

from allaprima.errors import SinkError
from allaprima.frame import SourceInfo
from allaprima.sink import SinkOptions
from allaprima.sinks.growing_file import GrowingFileSink
from allaprima.sinks.raw_video import RawVideoSink
from allaprima.video.encoding import PictureTrack
from allaprima.video.letterbox import letterboxed, placed


def test_a_picture_is_placed_whole_and_undistorted() -> None:
    """Bars at the sides or above and below, never both; a picture of the same shape has none."""
    assert placed(200, 100, 100, 100) == (0, 25, 100, 50)
    assert placed(100, 200, 100, 100) == (25, 0, 50, 100)
    assert placed(64, 36, 1920, 1080) == (0, 0, 1920, 1080)
    assert placed(1000, 1, 10, 10)[2:] == (10, 1)
    picture = letterboxed(np.full((20, 40, 3), 200, np.uint8), 96, 64)
    assert picture.shape == (64, 96, 3)
    assert (picture[8:56] == 200).all() and not picture[:8].any() and not picture[56:].any()


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("windw", "unknown sink 'windw'"),
        ("out.xyz", r"can't write '\.xyz'"),
        ("out.avi", "can't hold a live recording"),
        ("gopher://host/x", "can't send to gopher"),
        ("nowhere/out.mp4", "doesn't exist"),
    ],
)
def test_what_no_sink_can_be_made_of_is_refused(
    name: str, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, in one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SinkError, match=match) as error:
        open_sink(name)
    one_line(error)


def test_null_counts() -> None:
    """It is a sink like any other."""
    sink = open_sink("null")
    for number in range(3):
        sink.write(frame(number))
    assert sink.finish().frames == 3 and sink.abandon().frames == 3


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "ts", "nut"])
def test_a_growing_file_has_its_name_and_the_times_of_capture(suffix: str, tmp_path: Path) -> None:
    """From the first frame; a pause is as long as it was, and nothing else is left beside the file."""
    path = tmp_path / f"out.{suffix}"
    sink = open_sink(str(path))
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 3.0, 3.033]
    for seconds in times:
        sink.write(frame(seconds))
        assert list(tmp_path.iterdir()) == [path]
    assert sink.finish().path == path
    begin, *_ = shown = [time for time, _ in played(path)]
    assert [time - begin for time in shown] == pytest.approx(times, abs=0.0011)
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_may_be_ended_at_any_moment(tmp_path: Path) -> None:
    """Ctrl-C is its usual end: what is there keeps the name. Without a frame, nothing is left."""
    sink = open_sink(str(tmp_path / "out.mp4"))
    for number in range(5):
        sink.write(frame(number / 25))
    assert sink.abandon().path == tmp_path / "out.mp4"
    sink.write(frame(9))  # a frame that comes late is let go
    assert len(played(tmp_path / "out.mp4")) == 5
    assert open_sink(str(tmp_path / "empty.mp4")).finish().path is None
    assert not (tmp_path / "empty.mp4").exists()


def test_a_recording_takes_over_a_file_only_when_told_and_with_its_first_frame(tmp_path: Path) -> None:
    """A recording that never began destroys nothing."""
    path = tmp_path / "out.mkv"
    path.write_bytes(b"old")
    with pytest.raises(SinkError, match="--overwrite"):
        open_sink(str(path))
    open_sink(str(path), overwrite=True).abandon()
    assert path.read_bytes() == b"old"
    sink = open_sink(str(path), overwrite=True)
    sink.write(frame(0))
    sink.finish()
    assert len(played(path)) == 1


def test_a_recording_keeps_its_size_when_the_source_changes(tmp_path: Path) -> None:
    """The new picture stands whole between bars."""
    path = tmp_path / "out.mp4"
    sink = GrowingFileSink(path, INFO, SinkOptions(crf=0))
    sink.write(frame(0, size=(95, 64)))
    sink.write(frame(0.1, size=(32, 64), color=RED))
    assert any("column" in note for note in sink.finish().notes)
    (_, first), (_, second) = played(path)
    assert first.shape == second.shape == (64, 96, 3)
    assert np.abs(second[32, 48].astype(int) - RED).max() < 12 and second[32, 5].max() < 12


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_a_recording_survives_a_kill(suffix: str, tmp_path: Path) -> None:
    """SIGKILL in the middle: all but the last second or so can be played, and nothing else is left."""
    path = tmp_path / f"out.{suffix}"
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_live_sinks import noise, open_sink
sink = open_sink({str(path)!r})
for number in range(150):
    sink.write(noise(number / 25))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    shown = [time for time, _ in played(path)]
    assert len(shown) >= 150 - 25 - 12
    assert shown == pytest.approx([number / 25 for number in range(len(shown))], abs=0.001)
    assert list(tmp_path.iterdir()) == [path]


def test_an_encoder_that_refuses_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear line, and nothing that looks like a recording."""

    def refuse(*asked: object) -> None:
        raise ValueError("no such preset")

    monkeypatch.setattr(PictureTrack, "open", refuse)
    sink = open_sink(str(tmp_path / "out.mp4"))
    with pytest.raises(SinkError, match="no such preset") as error:
        sink.write(frame(0))
    one_line(error)
    assert sink.abandon().path is None and not list(tmp_path.iterdir())


def test_a_recording_on_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """The error says so."""
    path = tmp_path / "out.mp4"
    sink = open_sink(str(path))
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
        with pytest.raises(SinkError, match=r"no space left .*\(what came before was kept\)") as error:
            for number in range(600):
                sink.write(noise(number / 25))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    one_line(error)
    result = sink.abandon()
    assert result.path == path and result.frames > 25
    with av.open(path) as container:
        assert next(container.decode(video=0)).width == 96


@contextmanager
def pipe(info: SourceInfo = INFO) -> Iterator[tuple[RawVideoSink, Any]]:
    """Raw video into a pipe, and the end that is read."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        yield RawVideoSink(info, descriptor=writer.fileno()), reader


def test_raw_video_says_size_and_rate_and_keeps_time_and_color() -> None:
    """As FFmpeg reads it: frames that are missing are repeated, those too many left out, a long gap is cut."""
    info = SourceInfo(95, 63, Fraction(30000, 1001), Fraction(1, 1000), sample_aspect=Fraction(4, 3))
    times = [0.0, 0.01, 1 / 30, 0.2, 100.0, 100.034]
    shown: list[tuple[float, np.ndarray]] = []
    stated: list[Any] = []
    reading, writing = os.pipe()

    def read() -> None:
        with os.fdopen(reading, "rb", buffering=0) as reader, av.open(reader) as container:
            stream = container.streams.video[0]
            stated.extend([container.format.name, stream.width, stream.height, stream.average_rate])
            stated.append(stream.sample_aspect_ratio)
            shown.extend((float(f.time or 0), f.to_ndarray(format="rgb24")) for f in container.decode(stream))

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writing, "wb") as writer:
        sink = RawVideoSink(info, descriptor=writer.fileno())
        for seconds in times:
            sink.write(frame(seconds, size=(95, 63), color=RED))
        result = sink.finish()
    thread.join()
    assert stated == ["yuv4mpegpipe", 96, 64, Fraction(30000, 1001), Fraction(4, 3)]
    # 0, (0.01 left out), 1, 2-6 for 0.2 s, then one second at most, then the last.
    assert len(shown) == 1 + 1 + 5 + 29 + 1 and result.frames == 5
    assert np.abs(shown[-1][1][30, 40].astype(int) - RED).max() <= 3


def test_a_reader_that_stops_reading_holds_up_neither_end() -> None:
    """The write waits in its thread, and ends with the sink."""
    with pipe() as (sink, reader):
        numbers: list[int] = []

        def paint() -> None:
            for number in range(1000):
                sink.write(noise(number / 25))
                numbers.append(number)

        thread = threading.Thread(target=paint)
        thread.start()
        deadline = time.monotonic() + 5
        while not numbers and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert thread.is_alive() and len(numbers) < 20
        begun = time.monotonic()
        result = sink.finish()
        assert time.monotonic() - begun < 5
        thread.join(5)
        assert not thread.is_alive() and result.frames == sink.abandon().frames < 20
        assert os.get_blocking(reader.fileno())


def test_a_reader_that_goes_away_is_one_clear_line() -> None:
    """As for ``head``; what comes then is let go."""
    with pipe() as (sink, reader):
        sink.write(frame(0))
        reader.read(10)
        reader.close()
        with pytest.raises(SinkError, match="stopped reading") as error:
            sink.write(frame(1))
        one_line(error)
        sink.write(frame(2))
        assert sink.abandon().frames == 1


def test_raw_video_is_not_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor for a standard output that isn't there."""
    master, terminal = os.openpty()
    try:
        with pytest.raises(SinkError, match="terminal"):
            RawVideoSink(INFO, descriptor=terminal)
    finally:
        os.close(master)
        os.close(terminal)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="closed"):
        open_sink("-")
