"""A comparison from a source to a file: a clip, frame by frame, or a sheet of chosen moments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..errors import SinkError, SourceError, UsageError
from ..frame import Frame, Pixels, SourceInfo
from ..picture import PICTURE_SUFFIXES, WRITABLE, check_picture_destination, read_picture, write_picture
from ..pipeline import PipelineResult, run
from ..sink import Sink, SinkOptions, SinkResult, open_sink
from ..sinks.gif_file import GifSink
from ..source import Source, open_source
from ..video.containers import layout_for
from .columns import Comparison
from .mosaic import COLORS

SHEETS = frozenset(WRITABLE)
"""Suffixes of results that are one picture."""
LEAD_IN = 4
"""Frames painted before each moment of a sheet, for styles that remember, and for the difference."""

OnStart = Callable[[int | None, str], None]
OnFrame = Callable[[int], None]


class SlowedSource(Source):
    """Another source's frames, each shown ``factor`` times as long; sound isn't offered to the sink.

    Args:
        source: stays open, and is the caller's to close.
        factor: 1 or more.

    Raises:
        UsageError: it's less than 1.
    """

    def __init__(self, source: Source, factor: float) -> None:
        if not 1 <= factor <= 1000:
            raise UsageError(f"slow motion takes a factor from 1 to 1000, not {factor:g}")
        self._source, self._factor = source, Fraction(str(factor))
        info = source.info
        self.info = replace(
            info,
            frame_rate=info.frame_rate / self._factor,
            time_base=info.time_base * self._factor,
            notes=(*info.notes, f"{factor:g} times slower, without sound and subtitles"),
        )

    def frames(self) -> Iterator[Frame]:
        for frame in self._source.frames():
            yield replace(frame, time_base=frame.time_base * self._factor)


def compare_clip(
    source: str,
    out: Path,
    comparison: Comparison,
    *,
    start: float | None = None,
    end: float | None = None,
    slow: float = 1.0,
    fps: float | None = None,
    sink_options: SinkOptions | None = None,
    on_start: OnStart = lambda frames, engines: None,
    on_frame: OnFrame = lambda count: None,
    stop: threading.Event | None = None,
) -> PipelineResult:
    """Show every frame of a clip in all styles, side by side, at its own time.

    Args:
        source: a video file, a folder of pictures, ``-``, or ``scene[:NAME]``.
        out: a video file, with the source's sound unless slowed; or ``.gif``.
        comparison: what is shown.
        start, end: in seconds.
        slow: how many times longer everything takes.
        fps: of a GIF, frames a second at most.
        sink_options: codec, quality, and what may be overwritten or dropped.
        on_start: called with the expected number of frames (None where unknown) and what runs where.
        on_frame: called with how many frames came so far.
        stop: set it from another thread to end early and keep the part.

    Returns:
        As :func:`~allaprima.api.stylize_video`.

    Raises:
        AllaprimaError: nothing was painted; the message says why and what to do.
    """
    options = sink_options or SinkOptions()
    gif = out.suffix.lower() == ".gif"
    if not gif:
        layout_for(out)
        if fps is not None:
            raise UsageError("--fps is for GIFs; a video keeps every frame")
    if _is_picture(source):
        raise UsageError(f"'{source}' is a picture: compare it on a sheet, --out NAME.png")
    with open_source(source, start=start, end=end) as opened:
        timed = opened if slow == 1 else SlowedSource(opened, slow)
        made = comparison.output_info(timed.info)
        _refuse_input(out, source)
        sink: Sink
        if gif:
            sink = GifSink(out, source, made, rate=fps, overwrite=options.overwrite, exact=COLORS)
        else:
            sink = open_sink(out, timed, made, options)
        try:
            placement = comparison.prepare(timed.info)
            on_start(timed.info.frames, placement)
        except BaseException:
            sink.abandon()
            raise
        result = run(timed, comparison, sink, on_frame=lambda before, after, count: on_frame(count), stop=stop)
    result.placement = placement
    result.notes = (*timed.info.notes, *result.sink.notes)
    return result


def compare_sheet(
    source: str,
    out: Path,
    comparison: Comparison,
    *,
    at: Sequence[float] = (),
    rows: int = 3,
    start: float | None = None,
    end: float | None = None,
    overwrite: bool = False,
    on_start: OnStart = lambda frames, engines: None,
    on_frame: OnFrame = lambda count: None,
    stop: threading.Event | None = None,
) -> PipelineResult:
    """Show moments of a clip, or a picture, in all styles: one picture, moments from top to bottom.

    Before each moment, :data:`LEAD_IN` frames are painted and not shown.

    Args:
        source: a picture, a video file, a folder of pictures, or ``scene[:NAME]``.
        out: a picture file.
        comparison: what is shown.
        at: the moments, in seconds.
        rows: how many moments are taken, evenly spaced, where ``at`` is empty; of a clip of fewer frames, each one.
        start, end: where they are taken from, in seconds.
        overwrite: whether an existing file may be replaced.
        on_start, on_frame, stop: as for :func:`compare_clip`; moments are counted. Nothing is kept of a stopped sheet.

    Returns:
        Moments and seconds, and the path; ``interrupted`` tells of a sheet that was stopped.

    Raises:
        AllaprimaError: nothing was painted; the message says why and what to do.
    """
    check_picture_destination(out, overwrite=overwrite)
    _refuse_input(out, source)
    begun = time.perf_counter()
    if _is_picture(source):
        if at or start is not None or end is not None or comparison.differs:
            raise UsageError(f"'{source}' is a picture: times and --difference are for clips")
        picture = read_picture(Path(source))
        height, width = picture.pixels.shape[:2]
        info = SourceInfo(width, height, Fraction(25), Fraction(1, 25), 1, notes=picture.notes)
        moments = iter([("", [Frame(picture.pixels)])])
        count = 1
    else:
        info, times = _choose(source, at, rows, start, end)
        moments = ((f"at {seconds:.2f} s", _lead_to(source, seconds, info.frame_rate)) for seconds in times)
        count = len(times)
    comparison.output_info(info)
    placement = comparison.prepare(info)
    on_start(count, placement)
    shown: list[Pixels] = []
    for caption, frames in moments:
        comparison.reset()
        for frame in frames:
            if stop is not None and stop.is_set():
                return PipelineResult(SinkResult(None, 0), placement=placement, interrupted=True)
            panels = comparison.panels(frame)
        shown.append(comparison.moment(panels, caption, titled=not shown or comparison.wrapped))
        on_frame(len(shown))
    notes = write_picture(out, np.asarray(cv2.vconcat(shown), np.uint8), overwrite=overwrite)
    seconds = time.perf_counter() - begun
    return PipelineResult(
        SinkResult(out, count, notes), count, seconds, placement=placement, notes=(*info.notes, *notes)
    )


def _choose(
    source: str, at: Sequence[float], rows: int, start: float | None, end: float | None
) -> tuple[SourceInfo, list[float]]:
    """What the clip is, and the moments to show, in seconds."""
    if source == "-":
        raise UsageError("a sheet takes moments out of order: save the stream to a file first")
    if at and (start is not None or end is not None):
        raise UsageError("--at names the moments: leave out --start and --end")
    with open_source(source, start=start, end=end) as opened:
        info = opened.info
    length = None if info.frames is None else float(info.frames / info.frame_rate)
    if at:
        late = next((seconds for seconds in at if length is not None and seconds >= length), None)
        if late is not None:
            raise SourceError(f"nothing shows at {late:g} s in {source}, which lasts {length:.2f} s")
        return info, list(at)
    if length is None:
        raise UsageError(f"{source} doesn't say how long it is: name the moments with --at")
    rows = min(rows, info.frames or rows)
    return info, [(start or 0) + length * (row + 0.5) / rows for row in range(rows)]


def _lead_to(source: str, seconds: float, rate: Fraction) -> list[Frame]:
    """The frame that shows at a moment, after up to :data:`LEAD_IN` frames before it."""
    # A thousandth of a second more, so that a frame which begins at the moment itself is the last one read.
    end = seconds + 0.001
    with open_source(source, start=max(0.0, seconds - float((LEAD_IN + 1) / rate)), end=end) as opened:
        return list(opened.frames())[-LEAD_IN - 1 :]


def _is_picture(source: str) -> bool:
    path = Path(source)
    return path.suffix.lower() in PICTURE_SUFFIXES - {".gif"} and not path.is_dir()


def _refuse_input(out: Path, source: str) -> None:
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise SinkError(f"{out} is the input itself; write to another name")
