"""``allaprima live``: what it refuses, what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import av
import nets
import pytest
from fakes import ListSink
from live_fakes import FakeWindow, until
from test_cli import count_frames, one_line, write_clip

from allaprima.cli import run
from allaprima.cli.live import parse_latency
from allaprima.errors import SinkError, UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.live.commands import Command
from allaprima.sink import Sink, SinkOptions
from allaprima.style import Card, write_style

FRAMES = 12


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clip of half a second and two styles, to work in."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", FRAMES)
    write_style(tmp_path / "one.onnx", nets.negative(), Card(title="One"))
    write_style(tmp_path / "two.onnx", nets.negative(), Card(title="Two"))
    return tmp_path


PLAIN = ["--style", "one.onnx,two.onnx", "--engine", "onnxruntime", "--precision", "f32", "--device", "cpu"]
CLIP = ["live", "--from", "clip.mp4", *PLAIN]


def patch_sinks(monkeypatch: pytest.MonkeyPatch, sinks: dict[str, Sink]) -> None:
    """Open these in place of real ones."""

    def opened(name: str, info: SourceInfo, options: SinkOptions, *, say: object) -> Sink:
        return sinks[name]

    monkeypatch.setattr("allaprima.sink.open_live_sink", opened)


def test_a_file_is_painted_at_its_pace_and_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 at its end; each line of JSON has the figures and the setting; no frame is unaccounted for."""
    assert run([*CLIP, "--to", "null", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    last = json.loads(printed.out.splitlines()[-1])
    assert last["frames"] + sum(last["dropped"].values()) == FRAMES
    assert last["frames"] > 0 and set(last["latency_ms"]) == {"p50", "p95"}
    assert (last["style"], last["strength"], last["setting"]["precision"]) == ("one", 1.0, "f32")


def test_notes_are_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """What a person would read stands in the lines, each note once; else a lost stream would go unseen."""
    assert run([*CLIP, "--to", "out.mp4", "--json"]) == 0
    printed = capsys.readouterr()
    notes = [note for line in printed.out.splitlines() for note in json.loads(line)["notes"]]
    frames = count_frames(Path("out.mp4"))
    assert printed.err == "" and notes == ["one: onnxruntime f32 on cpu", f"out.mp4: {frames} frames"]


def test_several_sinks_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A file beside another sink; a person is told in words, on stderr."""
    assert run([*CLIP, "--to", "null", "--to", "out.mp4", "--size", "96x64"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    frames = count_frames(Path("out.mp4"))
    assert frames > 0 and f"out.mp4: {frames} frames" in printed.err
    assert "frames shown in" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--to", "null", "--to", "null"], 2, "given twice"),
        (["--to", "null", "--latency", "80"], 2, "80ms"),
        (["--to", "null", "--latency", "0ms"], 2, "above 0"),
        (["--to", "null", "--fps", "0"], 2, "above 0"),
        (["--to", "null", "--fps", "nan"], 2, "finite"),
        (["--to", "null", "--fps", "inf"], 2, "finite"),
        (["--to", "null", "--fps", "30", "--work-size", "32"], 2, "leave out --work-size"),
        (["--to", "null", "--latency", "80ms", "--no-adapt"], 2, "or --no-adapt"),
        (["--to", "null", "--work-size", "400"], 2, "larger than the frame"),
        (["--to", "null", "--style", ","], 2, "--style takes"),
        (["--to", "null", "--style", "one.onnx,there-is-none"], 5, "there-is-none"),
        (["--to", "null", "--from", "missing.mp4"], 3, "missing.mp4"),
        (["--to", "nowhere"], 4, "nowhere"),
        (["--to", "null", "--to", "clip.mp4"], 4, "clip.mp4"),
        (["--to", "./clip.mp4", "--overwrite"], 4, "is the input itself"),
        (["--to", "null", "--from", "rtsp://[there"], 3, "isn't a URL"),
        (["--to", "null", "--from", "camera:97"], 3, "there is no camera"),
        (["--to", "null", "--from", "game:there-is-none"], 3, "start the game first"),
        (["--to", "rtmp://[there"], 4, "isn't a URL"),
        (["--to", "null", "--prometheus", "here"], 2, "--prometheus"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each names what is wrong, before anything is painted where that is possible."""
    before = Path("clip.mp4").read_bytes()
    assert run([*CLIP, *arguments, "--json"]) == code
    assert words in one_line(capsys)
    assert Path("clip.mp4").read_bytes() == before


def test_what_was_changed_on_the_way_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """By the source, which gives 8 bits, and by a sink: H.264 takes even sizes only."""
    with av.open("deep.mkv", "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for _ in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p10le")))
        container.mux(stream.encode(None))
    assert run(["live", "--from", "deep.mkv", *PLAIN, "--to", "out.mp4", "--size", "33x25"]) == 0
    said = capsys.readouterr().err
    assert "dithered" in said
    assert "out.mp4: one column and one row was added (33x25 to 34x26)" in said


def test_a_closed_window_ends_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The window is the default sink; what it shows over the frames comes from the report."""
    window = FakeWindow({2: [Command.HELP], 4: [Command.QUIT]})
    patch_sinks(monkeypatch, {"window": window})
    assert run(CLIP) == 0
    assert window.ended == "finished" and 4 <= len(window.written) < FRAMES
    assert any("quit" in line for lines in window.shown for line in lines)


def test_a_sink_that_was_lost_shows_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run went on without it, but not all was done that was asked for."""

    class Broken(ListSink):
        def write(self, frame: Frame) -> None:
            raise SinkError("the server is gone")

    whole = ListSink()
    patch_sinks(monkeypatch, {"rtmp://there/live/secret": Broken(), "null": whole})
    assert run([*CLIP, "--to", "rtmp://there/live/secret", "--to", "null", "--json"]) == SinkError.exit_code
    printed = capsys.readouterr()
    assert printed.err == "allaprima: rtmp://there: the server is gone\n"
    assert "secret" not in printed.out and '"rtmp://there": ' in printed.out, "keys of streams are nobody's business"
    assert whole.ended == "finished" and len(whole.written) > 3


def test_sinks_on_one_host_are_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Though the rest of their address, which may be a secret, isn't shown."""
    patch_sinks(monkeypatch, {"rtmp://there/one": ListSink(), "rtmp://there/two": ListSink()})
    assert run([*CLIP, "--to", "rtmp://there/one", "--to", "rtmp://there/two", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"rtmp://there", "rtmp://there (2)"} <= set(last["dropped"])


def test_all_sinks_are_opened_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first isn't left open where the second can't be had."""
    first = ListSink()

    def opened(name: str, info: SourceInfo, options: SinkOptions, *, say: object) -> Sink:
        if name == "null":
            return first
        raise SinkError("no such device")

    monkeypatch.setattr("allaprima.sink.open_live_sink", opened)
    assert run([*CLIP, "--to", "null", "--to", "virtual-camera"]) == 4
    assert first.ended == "abandoned"


def test_a_real_window_shows_a_file_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it together, on SDL's driver that shows nothing."""
    pytest.importorskip("pygame", reason="needs the extra 'live'")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert run([*CLIP, "--fps", "25", "--latency", "200ms"]) == 0


def live(*arguments: str, source: str = "clip.mp4", **options: object) -> subprocess.Popen[bytes]:
    """The verb in a process of its own."""
    command = [sys.executable, "-m", "allaprima", "live", "--from", source, *PLAIN, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_run_and_keep_what_was_written(folder: Path, number: signal.Signals, code: int) -> None:
    """A live run has no other end without a window: the file is whole."""
    write_clip(folder / "long.mp4", 1500)
    process = live("--to", "out.mp4", "--json", source="long.mp4")
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["frames"] < 3:
        pass
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.decode().strip()) == (code, "allaprima: stopped")
    assert count_frames(folder / "out.mp4") >= 3


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX's signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_waiting_for_a_sender_that_is_silent_can_be_ended(number: signal.Signals, code: int) -> None:
    """By the first signal: nothing is opened yet that would have to be finished."""
    # Started in the background of a shell, tests are told to ignore Ctrl-C, and would hand that on.
    heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = live("--to", "null", "--prometheus", "0", source="-", stdin=subprocess.PIPE, preexec_fn=heed)
    assert process.stderr is not None and b"figures are at" in process.stderr.readline()
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(timeout=20) == code
    process.communicate()


def test_a_closed_standard_input_is_one_line(folder: Path) -> None:
    """Python has no standard input at all then."""
    command = f"exec {sys.executable} -m allaprima live --from - {' '.join(PLAIN)} --to null <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "standard input is closed: pipe Y4M" in done.stderr


def test_raw_video_goes_to_stdout_alone() -> None:
    """JSON makes room for it, on stderr."""
    video, errors = live("--to", "-", "--json").communicate(timeout=60)
    assert video.startswith(b"YUV4MPEG2 W64 H48 ") and video.count(b"FRAME\n") > 3
    assert [json.loads(line)["style"] for line in errors.splitlines()]


@pytest.mark.parametrize("arguments", [["--to", "-"], ["--to", "null", "--json"]])
def test_a_reader_that_goes_away_ends_the_run(folder: Path, arguments: list[str]) -> None:
    """Be it of video or of JSON: one line and the code of sinks; nothing hangs."""
    write_clip(folder / "long.mp4", 1500)
    process = live(*arguments, source="long.mp4")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(50)
    process.stdout.close()
    assert process.wait(timeout=20) == SinkError.exit_code
    *_, last = process.stderr.read().decode().splitlines()
    assert last.startswith("allaprima: whatever read") and "stopped reading" in last
    process.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="a write to a pipe can't be ended there")
def test_a_reader_that_stops_reading_is_waited_for_and_holds_up_no_end(folder: Path) -> None:
    """Its frames are dropped, the run goes on, and ends when it is told to."""
    write_clip(folder / "long.mp4", 1500)
    process = live("--to", "-", "--json", "--size", "640x480", source="long.mp4")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(50)
    while json.loads(process.stderr.readline())["dropped"].get("-", 0) < 3:
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="whether a pipe has room can't be known there")
def test_lines_of_json_that_nobody_reads_hold_up_nothing(folder: Path) -> None:
    """Protects the thread that writes them, which has the window and the signals to attend to."""
    write_clip(folder / "long.mp4", 1500)
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"\n")
    os.set_blocking(write, True)
    command = [sys.executable, "-m", "allaprima", "live", "--from", "long.mp4", *PLAIN, "--to", "out.mp4", "--json"]
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.DEVNULL)
    until(lambda: (folder / "out.mp4").exists() and (folder / "out.mp4").stat().st_size, 20)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        os.close(read)
        os.close(write)


def test_a_latency_as_people_write_it() -> None:
    """Milliseconds or seconds, never a bare number that could be either."""
    assert parse_latency(None) is None
    assert parse_latency("80ms") == 0.08
    assert parse_latency("0.1 s") == 0.1
    for wrong in ("80", "fast", "-5ms", "1m"):
        with pytest.raises(UsageError):
            parse_latency(wrong)
