"""The whole program in a few lines of Python; the command line calls the same functions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .coherence.patches import Patches
from .coherence.upsampling import Every, Upsampler, checked_every
from .errors import SinkError, UsageError
from .frame import Frame, Pixels, SourceInfo
from .live.budget import Goal, Setting
from .live.controls import Folder
from .live.desk import Budget, Desk
from .live.notes import Notes
from .live.reporting import overlay_lines
from .live.session import LiveResult, Session, Standing
from .live.styles import Styles
from .live.switching import Look, Switcher
from .painter import Painter
from .picture import Picture, read_picture, write_picture
from .pipeline import PipelineResult, Way, raise_if_partial, run
from .sink import LIVE_SINKS, Sink, SinkOptions, open_live_sink, open_live_sinks, open_sink
from .source import open_live_source, open_source
from .style import Style, bundled_styles
from .stylizer import DEFAULT_COHERENCE, Stylizer, with_colors_of

_BAND = 256
"""Rows."""
_AT_ONCE = 2
"""Frames that are painted at a time: one thread's work fills the gaps of another's."""


def _painter(style: Style | str | os.PathLike[str] | Painter, options: dict[str, Any]) -> Painter:
    if isinstance(style, Painter):
        if options:
            raise UsageError(f"a Painter is made already; it can't take {', '.join(options)} any more")
        return style
    return Painter(_opened(style), **options)


def _opened(style: Style | str | os.PathLike[str]) -> Style:
    return style if isinstance(style, Style) else Style.open(style)


def stylize_image(
    picture: Pixels | str | os.PathLike[str],
    style: Style | str | os.PathLike[str] | Painter,
    *,
    keep_colors: bool = False,
    **options: Any,
) -> Pixels:
    """Paint one picture, a large one tile by tile (see :meth:`Painter.paint_still`).

    Args:
        picture: uint8 H×W×3 RGB, or the path of a picture file.
        style: a style, its name or its file; or a :class:`Painter`, to paint many pictures.
        keep_colors: keep the picture's colors.
        options: of :class:`Painter` (``strength``, ``engine``, ``precision``, ``device``, ``style_image``).

    Returns:
        uint8 H×W×3 RGB.
    """
    pixels = read_picture(Path(picture)).pixels if isinstance(picture, (str, os.PathLike)) else picture
    painting = _painter(style, options).paint_still(pixels)
    if keep_colors:
        # By bands, since the conversion takes several pictures' memory.
        for top in range(0, len(pixels), _BAND):
            band = slice(top, top + _BAND)
            painting[band] = with_colors_of(painting[band], pixels[band])
    return painting


def stylize_picture_file(path: Path, out: Path, painter: Painter, *, keep_colors: bool, overwrite: bool) -> Picture:
    """Paint a picture file into another, alpha kept; what was read.

    Raises:
        SinkError: ``out`` is the picture itself, exists already (without ``overwrite``), or can't be written.
    """
    if out.exists() and out.samefile(path):
        raise SinkError(f"{out} is the picture itself: choose another --out")
    picture = read_picture(path)
    write_picture(
        out, stylize_image(picture.pixels, painter, keep_colors=keep_colors), like=picture, overwrite=overwrite
    )
    return picture


def stylize_video(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    style: Style | str | os.PathLike[str] | Painter,
    *,
    size: tuple[int, int] | None = None,
    work_size: int | None = None,
    start: float | None = None,
    end: float | None = None,
    coherence: float = DEFAULT_COHERENCE,
    keep_colors: bool = False,
    paint_every: Every = 1,
    sink_options: SinkOptions | None = None,
    on_start: Callable[[int | None, str], None] = lambda frames, engine: None,
    on_frame: Callable[[Frame, Frame, int], None] = lambda before, after, count: None,
    stop: threading.Event | None = None,
    **options: Any,
) -> PipelineResult:
    """Paint a video with sound, subtitles, chapters and times kept.

    Args:
        source: a video file, a folder of pictures, ``-``, or ``scene[:NAME]``.
        out: a video file, or a folder for numbered pictures.
        style: a style, its name or its file; or a :class:`Painter`.
        size: (width, height) of the result; None keeps the source's.
        work_size: short side in pixels at which the style works, for the result to be brought to full size with the
            frame's edges; None works at full size.
        start, end: in seconds.
        coherence: how steady strokes are held on moving pictures, from 0, not at all, to 1.
        keep_colors: keep the video's colors.
        paint_every: let the style paint one frame in so many, 1 to 8, and carry the others along by motion; ``auto``
            for 1 to 4, as the motion allows. See :class:`~allaprima.coherence.upsampling.Upsampler`.
        sink_options: codec, quality and what may be overwritten or dropped.
        on_start: called with the expected number of frames (None where unknown) and what runs where.
        on_frame: called with each frame before and after, and how many came so far.
        stop: set it from another thread to end early and keep the part.
        options: of :class:`Painter`.

    Returns:
        Counts, seconds by stage, and the path; ``interrupted`` or ``error`` tell of a run cut short.

    Raises:
        UsageError: a ``paint_every`` that there isn't, or more than 1 for a style with a memory of its own.
        AllaprimaError: nothing was painted; the message says why and what to do.
    """
    painter = _painter(style, options)
    if checked_every(paint_every) == 1 and not painter.memory:
        painter = painter.several(_AT_ONCE)
    stylizer = Stylizer(painter, coherence=coherence, keep_colors=keep_colors, size=size, work_size=work_size)
    way, painting = _way(painter, stylizer, paint_every, work_size)
    with open_source(os.fspath(source), start=start, end=end) as opened:
        width, height = stylizer.output_size(opened.info)
        info = opened.info.resized(width, height)
        sink = open_sink(Path(out), opened, info, sink_options or SinkOptions())
        try:
            placement = stylizer.prepare(opened.info)
            on_start(opened.info.frames, placement)
        except BaseException:
            sink.abandon()
            raise
        result = run(opened, painting, sink, way=way, on_frame=on_frame, stop=stop)
    result.placement = placement
    result.notes = (*opened.info.notes, *result.sink.notes)
    return result


def _way(painter: Painter, stylizer: Stylizer, paint_every: Every, work_size: int | None) -> tuple[Way, Stylizer]:
    """How to go over the frames, and who paints them on that way."""
    if checked_every(paint_every) == 1:
        return (map if painter.memory else lambda paint, frames: stylizer.overlapped(frames, _AT_ONCE)), stylizer
    if painter.memory:
        raise UsageError(
            f"style '{painter.style.name}' remembers the frame before ({', '.join(painter.memory)}), so it must paint"
            " each: leave out --paint-every"
        )
    inner = stylizer.inner()
    patches = Patches(painter if work_size is None else painter.for_work_size()[0])
    upsampler = Upsampler(paint_every, patches, follow=inner.follow)
    return (lambda paint, frames: stylizer.around(partial(upsampler.paint, paint), frames)), inner


def stylize_live(
    source: str,
    sinks: str | Sequence[str],
    styles: Style | str | os.PathLike[str] | Sequence[Style | str | os.PathLike[str]],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    latency: float | None = None,
    adapt: bool = True,
    work_size: int | None = None,
    strength: float = 1.0,
    coherence: float = DEFAULT_COHERENCE,
    sink_options: SinkOptions | None = None,
    say: Callable[[str], None] = lambda line: None,
    on_open: Callable[[SourceInfo], None] = lambda info: None,
    on_standing: Callable[[Standing], None] = lambda standing: None,
    stop: threading.Event | None = None,
    **options: Any,
) -> LiveResult:
    """Paint while it happens, until the source ends, the window is closed, or ``stop`` is set. The newest frame wins.

    Args:
        source: what :func:`~allaprima.source.open_live_source` opens: ``camera``, ``screen``, ``game``, a URL, a file.
        sinks: what :func:`~allaprima.sink.open_live_sink` opens, one or several. A window needs the main thread.
        styles: the first is painted first; a window's keys go through these and the bundled ones.
        size: (width, height), asked of a camera, and that of the result; None takes what comes.
        fps: a goal, in frames shown a second; cameras and screens are asked for it. None is the source's own rate, and
            30 where that is higher.
        latency: a goal, in seconds from captured to shown.
        adapt: choose settings that keep the goals; else frames are left out where painting is too slow.
        work_size: as for :func:`stylize_video`, in place of one that is chosen: nothing is adapted then.
        strength: from the photograph, 0, to the full style, 1.
        coherence: as for :func:`stylize_video`; at most so much where settings are adapted.
        sink_options: of files and streams; None takes the encoder's fastest preset.
        say: takes one-line notes, from any thread: a camera was lost, another setting was chosen.
        on_open: called when the source is there, before anything else is opened.
        on_standing: called once a second and at the end: frame rate, latency by stage, drops, what is painted with.
        stop: set it from another thread to end.
        options: of :class:`~allaprima.live.styles.Styles` (``engine``, ``precision``, ``device``, ``threads``,
            ``style_image``).

    Returns:
        Figures at the end, what sinks wrote, and which of them were lost on the way.

    Raises:
        UsageError: options that don't go together.
        AllaprimaError: source, style, window or the last sink failed, or couldn't be opened.
    """
    names = [sinks] if isinstance(sinks, str) else list(sinks)
    _check_sinks(names, source)
    goal = _goal(fps, latency, adapt=adapt, work_size=work_size)
    given = [_opened(style) for style in ([styles] if isinstance(styles, (Style, str, os.PathLike)) else styles)]
    if not given:
        raise UsageError("no style: name one or several")
    choice = Styles(_with_bundled(given), **options)
    look = Look(given[0].name, strength, Setting(work_size, coherence, 1, choice.precision))
    encoding = sink_options or SinkOptions(preset="ultrafast")
    notes = Notes(say)
    with open_live_source(source, size=size, rate=fps, say=notes.say) as opened:
        on_open(opened.info)
        for note in opened.info.notes:
            notes.say(note)
        info = opened.info.resized(*size) if size else opened.info
        switcher = Switcher(choice.open, look, info, preload=[each.name for each in given[1:]], say=notes.say)
        if goal is not None and fps is None:
            goal = replace(goal, fps=min(goal.fps, float(info.frame_rate)))
        rungs = partial(choice.rungs, short_side=min(info.width, info.height), precise=bool(fps or latency))

        def open_recording(path: Path) -> Sink:
            return open_live_sink(str(path), info, replace(encoding, overwrite=False), say=notes.say)

        session = Session(
            opened,
            open_live_sinks(names, info, encoding, say=notes.say),
            switcher,
            Desk(switcher, choice.names, notes, Budget(goal, rungs) if goal else None),
            notes=notes,
            folder=Folder(open_recording),
            on_standing=on_standing,
            overlay=overlay_lines,
        )
        return session.run(stop)


def _goal(fps: float | None, latency: float | None, *, adapt: bool, work_size: int | None) -> Goal | None:
    """What settings are chosen to keep; None where they are left as they are."""
    given = {name: value for name, value in (("fps", fps), ("latency", latency)) if value is not None}
    goal = Goal(**given)
    if not adapt and latency is not None:
        raise UsageError("--latency is kept by adapting settings: leave it out, or --no-adapt")
    if adapt and given and work_size is not None:
        raise UsageError("--fps and --latency choose the work size: leave out --work-size, or say --no-adapt")
    return goal if adapt and work_size is None else None


def _check_sinks(names: list[str], source: str) -> None:
    if not names:
        raise UsageError(f"no sink: use {LIVE_SINKS}")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--to {name} is given twice: leave one out")
        if name != "-" and Path(name).exists() and Path(source).exists() and Path(name).samefile(source):
            raise SinkError(f"{name} is the input itself; write to another name")


def _with_bundled(given: list[Style]) -> list[Style]:
    """The styles given, and behind them those bundled ones that weren't."""
    names = {style.name for style in given}
    others = (Style.open(path) for path in bundled_styles())
    return [*given, *(style for style in others if style.name not in names)]


__all__ = ["raise_if_partial", "stylize_image", "stylize_live", "stylize_picture_file", "stylize_video"]
