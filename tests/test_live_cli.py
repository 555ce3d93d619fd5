"""``allaprima live``: what it refuses, what it prints, and how it ends."""

from __future__ import annotations

import importlib
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import nets
import pytest
from fakes import ListSink
from live_fakes import FakeWindow
from test_cli import count_frames, one_line, write_clip

from allaprima.cli import run
from allaprima.cli.live import parse_goal
from allaprima.errors import SinkError, UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.live.budget import Goal
from allaprima.live.commands import Command
from allaprima.sink import Sink, SinkOptions
from allaprima.style import Card, write_style

VERB = importlib.import_module("allaprima.cli.live")  # the package has the function under that name
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

    monkeypatch.setattr(VERB, "open_live_sink", opened)


def test_a_file_is_painted_at_its_pace_and_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 at its end; each line of JSON has the figures and the setting; no frame is unaccounted for."""
    assert run([*CLIP, "--to", "null", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    last = json.loads(printed.out.splitlines()[-1])
    assert last["frames"] + sum(last["dropped"].values()) == FRAMES
    assert last["frames"] > 0 and set(last["latency_ms"]) == {"p50", "p95"}
    assert (last["style"], last["strength"], last["setting"]["precision"]) == ("one", 1.0, "f32")


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
        (["--to", "null", "--fps", "0"], 2, "above 0"),
        (["--to", "null", "--fps", "30", "--work-size", "32"], 2, "leave out --work-size"),
        (["--to", "null", "--work-size", "400"], 2, "larger than the frame"),
        (["--to", "null", "--style", ","], 2, "--style takes"),
        (["--to", "null", "--style", "one.onnx,there-is-none"], 5, "there-is-none"),
        (["--to", "null", "--from", "missing.mp4"], 3, "missing.mp4"),
        (["--to", "nowhere"], 4, "nowhere"),
        (["--to", "null", "--to", "clip.mp4"], 4, "clip.mp4"),
        (["--to", "null", "--prometheus", "here"], 2, "--prometheus"),
    ],
)
def test_bad_input_is_one_line_and_a_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each names what is wrong, before anything is painted where that is possible."""
    assert run([*CLIP, *arguments, "--json"]) == code
    assert words in one_line(capsys)


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
    patch_sinks(monkeypatch, {"rtmp://there": Broken(), "null": whole})
    assert run([*CLIP, "--to", "rtmp://there", "--to", "null", "--json"]) == SinkError.exit_code
    assert "rtmp://there: the server is gone" in one_line(capsys)
    assert whole.ended == "finished" and len(whole.written) > 3


def test_all_sinks_are_opened_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first isn't left open where the second can't be had."""
    first = ListSink()

    def opened(name: str, info: SourceInfo, options: SinkOptions, *, say: object) -> Sink:
        if name == "null":
            return first
        raise SinkError("no such device")

    monkeypatch.setattr(VERB, "open_live_sink", opened)
    assert run([*CLIP, "--to", "null", "--to", "virtual-camera"]) == 4
    assert first.ended == "abandoned"


def test_a_real_window_shows_a_file_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it together, on SDL's driver that shows nothing."""
    pytest.importorskip("pygame", reason="needs the 'live' extra")
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


def test_goals_as_people_write_them() -> None:
    """One of them alone is a goal, too; without any there is none."""
    assert parse_goal(None, None) is None
    assert parse_goal(30, "80ms") == Goal(30, 0.08)
    assert parse_goal(None, "0.1 s") == Goal(1.0, 0.1)
    assert parse_goal(24.5, None) == Goal(24.5, math.inf)
    for wrong in ("80", "fast", "-5ms", "0ms", "1m"):
        with pytest.raises(UsageError):
            parse_goal(None, wrong)
