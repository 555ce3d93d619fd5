"""``allaprima live``: paint what a camera, a screen, a stream or a program shows, while it happens."""

from __future__ import annotations

import math
import os
import re
import select
import sys
from collections import deque
from collections.abc import Container
from contextlib import ExitStack
from itertools import chain, count
from pathlib import Path
from typing import Annotated, TextIO

import typer

from ..errors import PartialRunError, SinkError, UsageError
from ..frame import SourceInfo
from ..live.budget import Goal, Setting
from ..live.controls import Folder
from ..live.desk import Budget, Desk
from ..live.latency import Report
from ..live.notes import Notes
from ..live.outlet import why_lost
from ..live.prometheus import MetricsServer
from ..live.reporting import json_line, overlay_lines
from ..live.session import LiveResult, Session, Standing
from ..live.styles import Styles
from ..live.switching import Look, Switcher
from ..picture import read_picture
from ..sink import Sink, SinkOptions, open_live_sink
from ..sinks.sender import place
from ..source import open_live_source
from ..style import Style, bundled_styles
from ..stylizer import DEFAULT_COHERENCE
from .options import (
    CoherenceOption,
    DeviceOption,
    EngineOption,
    OverwriteOption,
    PrecisionOption,
    RangeOption,
    StrideOption,
    ThreadsOption,
    WorkSizeOption,
    open_one_of,
    parse_size,
)
from .progress import Reporter, stop_on_signals

_STDOUT = "-"
_ANY_RATE = 1.0
"""Frames a second that are enough where only a latency is asked for."""
_MOST_UNTOLD = 100
"""Notes that are kept for a reader who doesn't take the lines of JSON; the newest."""


def live(
    style: Annotated[
        str,
        typer.Option(
            "--style", "-s", metavar="A[,B…]", help="Bundled styles' names, or style files; the first is painted first."
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="camera[:N], screen[:REGION or WINDOW], game[:NAME], a URL, a file, or - (raw video).",
        ),
    ] = "camera",
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="SINK",
            help="window (if left out), virtual-camera, a file, a URL, - (raw video) or null; may be repeated.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Ask for, or scale to, WIDTHxHEIGHT.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="A goal: frames a second; settings are chosen to keep it.", show_default=False)
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="A goal: from captured to shown, like 80ms or 0.1s; settings are chosen to keep it."
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option("--strength", min=0.0, max=1.0, help="From the photograph (0) to the full style (1).")
    ] = 1.0,
    coherence: CoherenceOption = DEFAULT_COHERENCE,
    work_size: WorkSizeOption = None,
    style_image: Annotated[
        Path | None, typer.Option("--style-image", help="The picture to paint like, for any-style nets.")
    ] = None,
    value_range: RangeOption = None,
    stride: StrideOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    codec: Annotated[str | None, typer.Option(help="Of files: h264, hevc, av1, vp9, ffv1 or prores.")] = None,
    crf: Annotated[int | None, typer.Option(min=0, max=63, help="Quality: lower is better and larger.")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the encoder.")] = "ultrafast",
    overwrite: OverwriteOption = False,
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="[ADDRESS:]PORT", help="Serve figures for Prometheus there.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a second.")] = False,
) -> None:
    """Paint what happens: the newest frame wins, so delay doesn't grow. In a window, h shows the keys."""
    names = _distinct(to or ["window"])
    _keep_input(source, names)
    goal = parse_goal(fps, latency)
    if goal is not None and work_size is not None:
        raise UsageError("--fps and --latency choose the work size: leave out --work-size, or both of them")
    given = [open_one_of(name, value_range, stride) for name in _split(style)]
    picture = read_picture(style_image).pixels if style_image else None
    styles = Styles(_with_bundled(given), picture, engine, precision, device, threads)
    look = Look(given[0].name, strength, Setting(work_size, coherence, 1, precision))
    teller = _Teller(as_json=as_json, aside=_STDOUT in names, prometheus=prometheus)
    notes = Notes(teller.say)
    with ExitStack() as opened:
        opened.callback(teller.close)
        wanted = parse_size(size)
        # This may wait for a sender, and nothing is there yet to be ended well: signals end the program.
        camera = opened.enter_context(open_live_source(source, size=wanted, rate=fps, say=notes.say))
        stop = opened.enter_context(stop_on_signals())
        for note in camera.info.notes:
            notes.say(note)
        info = camera.info.resized(*wanted) if wanted else camera.info
        short_side = min(info.width, info.height)
        switcher = Switcher(styles.open, look, info, preload=[each.name for each in given[1:]], say=notes.say)
        budget = Budget(goal, lambda name, best: styles.rungs(name, short_side, best)) if goal else None
        desk = Desk(switcher, styles.names, notes, budget)
        options = SinkOptions(codec, crf, preset, overwrite=overwrite)

        def open_recording(path: Path) -> Sink:
            return open_live_sink(str(path), info, SinkOptions(codec, crf, preset), say=notes.say)

        session = Session(
            camera,
            _open_sinks(names, info, options, notes),
            switcher,
            desk,
            notes=notes,
            folder=Folder(open_recording),
            on_standing=teller.tell,
            overlay=overlay_lines,
        )
        teller.reporter.start(None)
        result = session.run(stop)
    teller.sum_up(result)
    for name, error in result.lost.items():
        raise PartialRunError(why_lost(name, error), error.exit_code) from error
    if result.interrupted:
        raise PartialRunError("stopped", 128 + stop.signal_number)


class _Teller:
    """Says how a run does: JSON for programs, a bar or a line now and then for a person, and figures for Prometheus."""

    def __init__(self, *, as_json: bool, aside: bool, prometheus: str | None) -> None:
        self.reporter = Reporter(quiet=as_json)
        self._as_json, self._aside = as_json, aside
        self._untold: deque[str] = deque(maxlen=_MOST_UNTOLD)
        self._metrics = MetricsServer(prometheus) if prometheus else None
        if self._metrics:
            self.say(f"figures are at {self._metrics.url}")

    def say(self, line: str) -> None:
        """A note, from any thread: for a person at once, for a program with the next line of JSON."""
        self._untold.append(line)
        self.reporter.say(line)

    def tell(self, standing: Standing) -> None:
        if self._metrics:
            self._metrics.update(standing)
        if self._as_json and _has_room(sys.stderr if self._aside else sys.stdout):
            notes = [self._untold.popleft() for _ in range(len(self._untold))]
            try:
                typer.echo(json_line(standing, notes), err=self._aside)
            except BrokenPipeError as error:
                # Python would try once more to write what is left, at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if self._aside else sys.stdout).fileno())
                raise SinkError("whatever read the lines of JSON has stopped reading") from error
        self.reporter.count(standing.report.frames, _detail(standing.report))

    def sum_up(self, result: LiveResult) -> None:
        report = result.report
        dropped = sum(report.dropped.values())
        self.reporter.say(f"{report.frames} frames shown in {report.seconds:.1f} s, {dropped} left out for newer ones")

    def close(self) -> None:
        self.reporter.stop()
        if self._metrics:
            self._metrics.close()


def _has_room(file: TextIO) -> bool:
    """Whether a line can be written without waiting for a reader who has stopped: one more will come in a second."""
    try:
        return os.name != "posix" or bool(select.select([], [file], [], 0)[1])
    except (OSError, ValueError):  # no descriptor: nobody reads at its other end
        return True


def _detail(report: Report) -> str:
    latency = f", {report.latency.p50:.0f} ms late" if report.latency else ""
    return f"{report.fps:.1f} fps{latency}"


def _open_sinks(names: list[str], info: SourceInfo, options: SinkOptions, notes: Notes) -> list[tuple[str, Sink]]:
    """All of them or none."""
    sinks: dict[str, Sink] = {}
    try:
        for name in names:
            sink = open_live_sink(name, info, options, say=notes.say)
            sinks[_label(name, sinks)] = sink
    except BaseException:
        for sink in sinks.values():
            sink.abandon()
        raise
    return list(sinks.items())


def _label(name: str, taken: Container[str]) -> str:
    """What a sink is called: a URL without what follows the host, which may be a secret key."""
    label = place(name) if "://" in name else name
    labels = chain([label], (f"{label} ({number})" for number in count(2)))
    return next(each for each in labels if each not in taken)


def _split(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--style takes a bundled style's name or a style file, or several with commas between")
    return names


def _with_bundled(given: list[Style]) -> list[Style]:
    """The styles given, and behind them those bundled ones that weren't: the keys go through all of them."""
    names = {style.name for style in given}
    others = (Style.open(path) for path in bundled_styles())
    return [*given, *(style for style in others if style.name not in names)]


def _distinct(names: list[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--to {name} is given twice: leave one out")
    return names


def _keep_input(source: str, names: list[str]) -> None:
    for name in names:
        if name != _STDOUT and Path(name).exists() and Path(source).exists() and Path(name).samefile(source):
            raise SinkError(f"{name} is the input itself; write to another name")


def parse_goal(fps: float | None, latency: str | None) -> Goal | None:
    """What is to be kept, of ``--fps`` and ``--latency``: seconds or milliseconds with their unit.

    Raises:
        UsageError: not a time, or not above 0.
    """
    if fps is None and latency is None:
        return None
    seconds = math.inf
    if latency is not None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) ?(ms|s)", latency.strip())
        if not match:
            raise UsageError(f"--latency takes a time with its unit, like 80ms or 0.1s, not '{latency}'")
        seconds = float(match[1]) / (1000 if match[2] == "ms" else 1)
    return Goal(_ANY_RATE if fps is None else fps, seconds)
