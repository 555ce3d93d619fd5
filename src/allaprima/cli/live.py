"""``allaprima live``: paint what a camera, a screen, a stream or a program shows, while it happens."""

from __future__ import annotations

import os
import re
import select
import sys
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TextIO

import typer

from ..api import stylize_live
from ..errors import PartialRunError, SinkError, UsageError
from ..frame import SourceInfo
from ..live.latency import Report
from ..live.outlet import why_lost
from ..live.prometheus import MetricsServer
from ..live.reporting import json_line
from ..live.session import LiveResult, Standing
from ..picture import read_picture
from ..sink import SinkOptions
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
from .progress import Reporter, Stop, stop_on_signals

_STDOUT = "-"
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
        float | None,
        typer.Option(
            help="A goal: frames a second; the source's own, and at most 30, if left out.", show_default=False
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="A goal: from captured to shown, like 80ms or 0.1s."),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt/--no-adapt",
            help="Choose work size, coherence and precision to keep the goals; else frames are left out.",
        ),
    ] = True,
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
    given = [open_one_of(name, value_range, stride) for name in _split(style)]
    picture = read_picture(style_image).pixels if style_image else None
    teller = _Teller(as_json=as_json, aside=_STDOUT in (to or ()), prometheus=prometheus)
    stop = Stop()
    with ExitStack() as opened:
        opened.callback(teller.close)

        def begin(info: SourceInfo) -> None:
            # Until here it may wait for a sender, with nothing there yet to be ended well: signals end the program.
            opened.enter_context(stop_on_signals(stop))
            teller.reporter.start(None)

        result = stylize_live(
            source,
            to or "window",
            given,
            size=parse_size(size),
            fps=fps,
            latency=parse_latency(latency),
            adapt=adapt,
            work_size=work_size,
            strength=strength,
            coherence=coherence,
            sink_options=SinkOptions(codec, crf, preset, overwrite=overwrite),
            say=teller.say,
            on_open=begin,
            on_standing=teller.tell,
            stop=stop,
            style_image=picture,
            engine=engine,
            precision=precision,
            device=device,
            threads=threads,
        )
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


def _split(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--style takes a bundled style's name or a style file, or several with commas between")
    return names


def parse_latency(text: str | None) -> float | None:
    """A time with its unit, like ``80ms`` or ``0.1s``, to seconds.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+) ?(ms|s)", text.strip())
    if not match:
        raise UsageError(f"--latency takes a time with its unit, like 80ms or 0.1s, not '{text}'")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)
