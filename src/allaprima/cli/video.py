"""``allaprima video``: paint a video file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ..api import stylize_video
from ..coherence.upsampling import MOST, Every, checked_every
from ..painter import Painter
from ..pipeline import PipelineResult, raise_if_partial
from ..sink import SinkOptions
from ..stylizer import DEFAULT_COHERENCE
from .options import (
    CoherenceOption,
    JsonOption,
    KeepColorsOption,
    OverwriteOption,
    WorkSizeOption,
    parse_size,
    parse_time,
    takes_painter,
)
from .progress import Reporter, stop_on_signals


@takes_painter
def video(
    painter: Painter,
    source: Annotated[str, typer.Argument(metavar="IN", help="A video, a folder of pictures, -, or scene[:NAME].")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A video file, or a folder for numbered pictures.")],
    size: Annotated[str | None, typer.Option(help="Scale to WIDTHxHEIGHT.")] = None,
    work_size: WorkSizeOption = None,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds, MM:SS or HH:MM:SS.")] = None,
    end: Annotated[str | None, typer.Option(help="End here.")] = None,
    coherence: CoherenceOption = DEFAULT_COHERENCE,
    keep_colors: KeepColorsOption = False,
    paint_every: Annotated[
        str,
        typer.Option(
            metavar="K",
            help=f"Let the style paint one frame in K (1 to {MOST}, or auto), and carry the others along by motion.",
        ),
    ] = "1",
    codec: Annotated[str | None, typer.Option(help="h264, hevc, av1, vp9, ffv1 or prores.")] = None,
    crf: Annotated[int | None, typer.Option(min=0, max=63, help="Quality: lower is better and larger.")] = None,
    preset: Annotated[str, typer.Option(help="Speed of the encoder.")] = "veryfast",
    drop_unsupported: Annotated[
        bool, typer.Option("--drop-unsupported", help="Leave out streams that OUT can't hold.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Paint a video; sound, subtitles, chapters and times are kept."""
    reporter = Reporter(quiet=as_json)

    def started(frames: int | None, placement: str) -> None:
        reporter.say(f"{painter.style.name}: {placement}")
        reporter.start(frames)

    with stop_on_signals() as stop:
        try:
            result = stylize_video(
                source,
                out,
                painter,
                size=parse_size(size),
                work_size=work_size,
                start=parse_time(start),
                end=parse_time(end),
                coherence=coherence,
                keep_colors=keep_colors,
                paint_every=parse_every(paint_every),
                sink_options=SinkOptions(codec, crf, preset, drop_unsupported, overwrite),
                on_start=started,
                on_frame=lambda before, after, count: reporter.count(count),
                stop=stop,
            )
        finally:
            reporter.stop()
    show_result(result, reporter, as_json=as_json)
    raise_if_partial(result, stop.signal_number)


def show_result(result: PipelineResult, reporter: Reporter, *, as_json: bool) -> None:
    """The end of a run: JSON on stdout, or a few lines for a person."""
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
        return
    for note in result.notes:
        reporter.say(f"note: {note}")
    if result.error is None and not result.interrupted:
        fps = result.frames / max(result.seconds, 1e-9)
        painted = f", {result.painted} of them painted" if result.painted not in (None, result.frames) else ""
        reporter.say(f"{result.sink.path}: {result.frames} frames{painted} in {result.seconds:.1f} s ({fps:.1f} fps)")


def parse_every(text: str) -> Every:
    """One frame in how many is painted: a whole number, or ``auto``.

    Raises:
        UsageError: anything else, or a number out of range.
    """
    text = text.strip()
    return checked_every(int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else text)
