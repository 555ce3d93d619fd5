"""``allaprima compare``: the same frames in several styles, side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ..comparison import SHEETS, Column, Comparison, Zoom, compare_clip, compare_sheet
from ..errors import SinkError, UsageError
from ..painter import Painter
from ..pipeline import PipelineResult, raise_if_partial
from ..sink import SinkOptions
from ..stylizer import DEFAULT_COHERENCE, Stylizer
from ..video.containers import LAYOUTS
from .options import (
    DeviceOption,
    EngineOption,
    JsonOption,
    OverwriteOption,
    PrecisionOption,
    RangeOption,
    StrideOption,
    ThreadsOption,
    WorkSizeOption,
    open_one_of,
    parse_size,
    parse_time,
)
from .progress import Reporter, Stop, stop_on_signals
from .video import show_result

_ROWS = 3
_GIF_WIDTH = 800


def compare(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A video, a picture, a folder of pictures, -, or scene[:NAME].")
    ],
    styles: Annotated[list[str], typer.Argument(metavar="STYLE…", help="Names of bundled styles, or files (.onnx).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A still sheet (.png, .jpg, …), a video (.mp4, …) or a .gif.")
    ],
    columns: Annotated[int, typer.Option(min=0, help="Begin a new row after so many; 0: one row.")] = 0,
    original: Annotated[bool, typer.Option(help="Show the untouched input first.")] = True,
    labels: Annotated[bool, typer.Option(help="Write over each column what it is, and what ran.")] = True,
    coherence: Annotated[
        str,
        typer.Option(
            metavar="0..1[,0..1]…",
            help="Hold strokes steady on moving pictures; 0 is off. One for all styles, or one for each.",
        ),
    ] = f"{DEFAULT_COHERENCE:g}",
    size: Annotated[str | None, typer.Option(help="Paint at WIDTHxHEIGHT.")] = None,
    work_size: WorkSizeOption = None,
    width: Annotated[
        int | None, typer.Option(min=32, help=f"Width of the result at most, in pixels; GIF: {_GIF_WIDTH} unless told.")
    ] = None,
    zoom: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H[@K]",
            help="Show this part below too, each pixel K times as wide and high; as wide as the picture without @K.",
        ),
    ] = None,
    difference: Annotated[
        bool, typer.Option("--difference", help="Show below what changes from frame to frame: flicker.")
    ] = False,
    gain: Annotated[float, typer.Option(min=0.1, help="Multiply the difference by this.")] = 4.0,
    at: Annotated[
        str | None, typer.Option(metavar="TIMES", help="Sheet: these moments, like 0.5,1:20 (seconds or MM:SS).")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, max=100, help=f"Sheet: so many moments, evenly spaced; {_ROWS} unless told.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds, MM:SS or HH:MM:SS.")] = None,
    end: Annotated[str | None, typer.Option(help="End here.")] = None,
    slow: Annotated[float, typer.Option(min=1.0, help="Clip: play so many times slower, without sound.")] = 1.0,
    fps: Annotated[float | None, typer.Option(help="GIF: frames a second at most; 12.5 unless told.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264, hevc, av1, vp9, ffv1 or prores.")] = None,
    crf: Annotated[int | None, typer.Option(min=0, max=63, help="Quality: lower is better and larger.")] = None,
    drop_unsupported: Annotated[
        bool, typer.Option("--drop-unsupported", help="Leave out streams that OUT can't hold.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    value_range: RangeOption = None,
    stride: StrideOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Show the same frames in several styles, side by side: a still sheet, a video or an animated GIF.

    A sheet has a row for each moment. A clip keeps its times, and its sound unless slowed.
    """
    sheet = _is_sheet(out)
    _check_fitting(
        sheet,
        {"--slow": slow != 1, "--codec": codec, "--crf": crf, "--fps": fps},
        {"--at": at, "--frames": frames},
    )
    painting = parse_size(size)
    dials = parse_coherence(coherence, len(styles))
    chosen = [Column("input", None)] if original else []
    for name, dial in zip(styles, dials, strict=True):
        style = open_one_of(name, value_range, stride)
        painter = Painter(style, engine=engine, precision=precision, device=device, threads=threads)
        note = f"coherence {dial:g}" if len(set(dials)) > 1 else ""
        chosen.append(Column(style.name, Stylizer(painter, coherence=dial, size=painting, work_size=work_size), note))
    comparison = Comparison(
        chosen,
        per_row=columns,
        size=painting,
        width=width or (_GIF_WIDTH if out.suffix.lower() == ".gif" else None),
        labels=labels,
        difference=difference,
        gain=gain,
        zoom=parse_zoom(zoom),
        caption="" if slow == 1 else f"{slow:g} times slower",
    )
    reporter = Reporter(quiet=as_json, unit="moments" if sheet else "frames")

    def started(count: int | None, placement: str) -> None:
        reporter.say(f"{', '.join(column.title for column in chosen)}: {placement}")
        reporter.start(count)

    with stop_on_signals() as stop:
        try:
            if sheet:
                result = compare_sheet(
                    source,
                    out,
                    comparison,
                    at=parse_times(at),
                    rows=frames or _ROWS,
                    start=parse_time(start),
                    end=parse_time(end),
                    overwrite=overwrite,
                    on_start=started,
                    on_frame=reporter.count,
                    stop=stop,
                )
            else:
                result = compare_clip(
                    source,
                    out,
                    comparison,
                    start=parse_time(start),
                    end=parse_time(end),
                    slow=slow,
                    fps=fps,
                    sink_options=SinkOptions(codec, crf, drop_unsupported=drop_unsupported, overwrite=overwrite),
                    on_start=started,
                    on_frame=reporter.count,
                    stop=stop,
                )
        finally:
            reporter.stop()
    _show(result, comparison, reporter, stop, as_json=as_json)


def _show(result: PipelineResult, comparison: Comparison, reporter: Reporter, stop: Stop, *, as_json: bool) -> None:
    if as_json:
        path = result.sink.path
        figures = {"panels": comparison.to_dict(), "bytes": path.stat().st_size if path else 0}
        typer.echo(json.dumps({**result.to_dict(), **figures}, ensure_ascii=False))
    else:
        show_result(result, reporter, as_json=False)
    raise_if_partial(result, stop.signal_number)


def _is_sheet(out: Path) -> bool:
    suffix = out.suffix.lower()
    if suffix in SHEETS:
        return True
    if suffix == ".gif" or suffix in LAYOUTS:
        return False
    raise SinkError(
        f"can't write '{out.name}': a sheet ends in {', '.join(sorted(SHEETS))}, a clip in .gif, {', '.join(LAYOUTS)}"
    )


def _check_fitting(sheet: bool, of_clips: dict[str, object], of_sheets: dict[str, object]) -> None:
    given = next(
        (name for name, value in (of_clips if sheet else of_sheets).items() if value not in (None, False)), None
    )
    if given is not None:
        kind, others = ("clips", "a still sheet") if sheet else ("still sheets", "a clip")
        raise UsageError(f"{given} is for {kind}, and --out names {others}: leave it out, or choose another --out")


def parse_zoom(text: str | None) -> Zoom | None:
    """``X,Y,W,H`` in pixels, with ``@K`` for the factor.

    Raises:
        UsageError: anything else, or nothing in it.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})(?:@(\d{1,2}))?", text.replace(" ", ""))
    numbers = [int(value) for value in match.groups() if value is not None] if match else []
    if not numbers or 0 in numbers[2:]:
        raise UsageError(
            f"--zoom takes X,Y,WIDTH,HEIGHT in pixels, and @FACTOR if wanted, like 80,40,64,48@4, not '{text}'"
        )
    return Zoom(*numbers)


def parse_times(text: str | None) -> list[float]:
    """Times with commas between, each as :func:`~allaprima.cli.options.parse_time` takes it, in seconds.

    Raises:
        UsageError: one of them is no time.
    """
    parts = text.split(",") if text is not None else []
    return [seconds for part in parts if (seconds := parse_time(part)) is not None]


def parse_coherence(text: str, count: int) -> list[float]:
    """One value for all of ``count`` styles, or as many with commas between; a value for each.

    Raises:
        UsageError: another number of values, or one that is none from 0 to 1.
    """
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not values or not all(0 <= value <= 1 for value in values):
        raise UsageError(f"--coherence takes values from 0 to 1, with commas between, like 0,1, not '{text}'")
    if len(values) not in (1, count):
        raise UsageError(f"--coherence has {len(values)} values for {count} styles: give one for all, or one for each")
    return values * count if len(values) == 1 else values
