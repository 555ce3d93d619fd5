"""Plots of what was measured: one dict in, one figure out, no window and no global state.

They need Matplotlib, from the extra ``report``. A value that wasn't measured (null) is left out of a figure, and the
figure says so. Every function raises MissingExtraError where Matplotlib isn't installed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .drawing import (
    OWN_COLORS,
    QUIET,
    Mark,
    Result,
    dashes,
    entry,
    find,
    foot,
    left_out,
    level_name,
    level_of,
    look,
    new_figure,
    place_labels,
    placement_of,
    plain_ticks,
    rows_of,
    save_figure,
    say,
    short,
    style_marks,
    style_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Mark",
    "flicker_series",
    "layers",
    "pareto",
    "roofline",
    "save_figure",
    "sizes_of",
    "stages",
    "style_marks",
    "time_against_size",
]

_STAGE_COLORS = ("#56b4e9", "#b5d8ec", "#d55e00", "#f2c79b", "#009e73", "#cc79a7", "#8a8a8a")
_PRECISION_MARKERS = ("o", "s", "^", "D", "v", "P")
_Fill = Literal["full", "none", "left", "right", "top", "bottom"]
# A placement measured at one size is a point, which has no dashes.
_FILLS: tuple[_Fill, ...] = ("full", "none", "left", "right", "top", "bottom")
_UNTOUCHED = "#9a9a9a"
_BIGGEST = 1100
"""Square points of the slowest row's disk."""


def pareto(evaluation: Result, marks: Mapping[str, Mark] | None = None) -> Figure:
    """Warp error against style score, a disk a row, its area proportional to the milliseconds of a frame.

    Hollow: coherence off; filled: on; an arrow leads from one to the next of the same style. Down and left is better.

    Args:
        evaluation: what ``evaluate`` returned.
        marks: see :func:`style_marks`; None: those of ``evaluation``.
    """
    marks = marks or style_marks(evaluation)
    spots = sorted(
        (
            (row, x, y, find(row, "milliseconds"))
            for row in rows_of(evaluation)
            if (x := find(row, "style_score")) is not None and (y := find(row, "warp")) is not None
        ),
        key=lambda spot: level_of(spot[0]),
    )
    slowest = max((time or 0 for *_, time in spots), default=0)
    disks = [(x, y, _BIGGEST * time / slowest if time else 30.0) for _, x, y, time in spots]
    untouched = next((y for row in rows_of(evaluation) if (y := find(row, "warp_untouched")) is not None), None)
    with look():
        figure = new_figure(5.8)
        axes = figure.add_subplot(title="Flicker against style", ylabel="warp error, of 255")
        axes.set_xlabel("style score (0: as the painting, 1: as the untouched picture)")
        for (row, _, _, time), (x, y, area) in zip(spots, disks, strict=True):
            _draw_disk(axes, x, y, area, marks[style_of(row)], filled=level_of(row) > 0, timed=bool(time))
        if spots:
            axes.margins(0.16)
            if untouched is not None:
                axes.axhline(untouched, color=_UNTOUCHED, linewidth=1.5, linestyle=(0, (4, 3)), zorder=1)
            axes.set_ylim(bottom=0)
        else:
            say(axes, "no row has both a style score and a warp error")
        drawn = [row for row, *_ in spots]
        untimed = [_row_name(row) for row, _, _, time in spots if not time]
        missing = left_out("without a style score or a warp error", _names(evaluation, drawn))
        small = [missing, "×, milliseconds not measured: " + ", ".join(untimed) if untimed else ""]
        foot(figure, _pareto_entries(slowest, untouched, {level_of(row) > 0 for row, *_ in spots}), small)
        _join_and_label(axes, [style_of(row) for row in drawn], disks, marks)
    return figure


def flicker_series(evaluation: Result, clip: str, marks: Mapping[str, Mark] | None = None) -> Figure:
    """Warp error frame by frame, a line a row, the untouched clip in gray; below, against the shot's first frame.

    Frames that couldn't be compared (a cut) leave a gap. The lower panel is there where it was measured.

    Args:
        evaluation: what ``evaluate`` returned.
        clip: a name in the rows' ``clips``.
        marks: see :func:`style_marks`; None: those of ``evaluation``.
    """
    marks = marks or style_marks(evaluation)
    told = [(row, series) for row in rows_of(evaluation) if (series := _series(row, clip))]
    levels = sorted({level_of(row) for row, _ in told})
    panels: list[tuple[int, int | None, str]] = [(1, 2, "against the frame before")]
    if any(not math.isnan(y) for _, series in told for y in _with_gaps(series, 3)[1]):
        panels.append((3, None, "against the shot's first frame"))
    with look():
        figure = new_figure(3.1 + 2.2 * len(panels) - 1)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (column, zero, title) in zip(grid, panels, strict=True):
            axes.set(ylabel="warp error, of 255", title=f"{short(clip, 40)}, {title}")
            if told and zero is not None:
                axes.plot(*_with_gaps(told[0][1], zero), color=_UNTOUCHED, linewidth=3.5, alpha=0.6, zorder=2)
            for row, series in told:
                _draw_series(axes, _with_gaps(series, column), marks[style_of(row)], levels, level_of(row))
            axes.set_ylim(bottom=0)
        grid[-1].set_xlabel("frame")
        grid[-1].xaxis.get_major_locator().set_params(integer=True)
        names = dict.fromkeys(style_of(row) for row, _ in told)
        entries = [entry(marks[one].color, short(one), marker=_peer_marker(marks[one])) for one in names]
        entries += [entry(QUIET, level_name(level), dash=dashes(levels, level)) for level in levels]
        if told:
            entries.append(entry(_UNTOUCHED, "untouched clip", width=3.5))
        else:
            say(grid[0], "no series of this clip")
        foot(figure, entries, [left_out("without a series", _names(evaluation, [row for row, _ in told]))])
    return figure


def time_against_size(bench: Result, marks: Mapping[str, Mark] | None = None) -> Figure:
    """Inference time and frames per second against input size; all axes logarithmic.

    Color and marker: the style; dashes and filling: engine, precision and device.

    Args:
        bench: what ``bench`` returned.
        marks: see :func:`style_marks`; None: those of ``bench``.
    """
    marks = marks or style_marks(bench)
    rows = [row for row in rows_of(bench) if _area(row)]
    placements = list(dict.fromkeys(placement_of(row) for row in rows))
    with look():
        figure = new_figure(7.8)
        above, below = figure.subplots(2, 1, sharex=True)
        above.set(title="Inference", ylabel="milliseconds, median")
        below.set(title="Frame rate", ylabel="frames per second", xlabel="input size, pixels")
        for axes, path in ((above, ("frame", "median_ms")), (below, ("fps",))):
            axes.set(xscale="log", yscale="log")
            for name, placement, points in _curves(rows, placements, path):
                dash, mark = dashes(placements[::-1], placement), marks[name]
                axes.plot(*zip(*points, strict=True), color=mark.color, linestyle=dash, marker=mark.marker)
                axes.lines[-1].set_fillstyle(_FILLS[placements.index(placement) % len(_FILLS)])
            for line in axes.lines:
                line.set(markersize=5, linewidth=1.4)
            if axes.lines:
                plain_ticks(axes, "y")
            else:
                say(axes, "not measured")
        _name_sizes(below, rows)
        names = dict.fromkeys(style_of(row) for row in rows)
        entries = [entry(marks[one].color, short(one), marker=marks[one].marker) for one in names]
        for one, fill in zip(placements, itertools.cycle(_FILLS), strict=False):
            entries.append(entry(QUIET, short(one, 36), dash=dashes(placements[::-1], one), marker="o"))
            entries[-1].set_fillstyle(fill)
        missing = [row for row in rows_of(bench) if not _area(row) or not find(row, "frame", "median_ms")]
        foot(figure, entries, [left_out("without a size or an inference time", [_bench_name(row) for row in missing])])
    return figure


def sizes_of(bench: Result) -> list[str]:
    """The sizes of a bench, most rows first; of several with as many, the one nearest to 720×540 first."""
    sizes = [str(row["size"]) for row in rows_of(bench) if _area(row)]
    areas = {str(row["size"]): _area(row) for row in rows_of(bench) if _area(row)}
    return sorted(areas, key=lambda size: (-sizes.count(size), abs(math.log(areas[size] / (720 * 540))), size))


def stages(bench: Result, size: str | None = None) -> Figure:
    """Median milliseconds of every stage, stacked, a bar for each style and placement at one size.

    Args:
        bench: what ``bench`` returned.
        size: as in the rows, ``720x540``; None: the first of :func:`sizes_of`.
    """
    size = size or next(iter(sizes_of(bench)), None)
    here = [row for row in rows_of(bench) if row.get("size") == size]
    rows = [row for row in here if any(find(row, "stages", one, "median_ms") for one in row.get("stages") or ())]
    names = list(dict.fromkeys(one for row in rows for one in row["stages"] if find(row, "stages", one, "median_ms")))
    with look():
        figure = new_figure(1.9 + 0.27 * max(len(rows), 2))
        axes = figure.add_subplot(title=f"Latency by stage, {size or 'no size'}", xlabel="milliseconds, median")
        lefts = [0.0] * len(rows)
        for i, name in enumerate(names):
            widths = [find(row, "stages", name, "median_ms") or 0.0 for row in rows]
            axes.barh(range(len(rows)), widths, left=lefts, color=_STAGE_COLORS[i % len(_STAGE_COLORS)], height=0.72)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        _name_bars(axes, [f"{short(style_of(row))} · {short(placement_of(row), 36)}" for row in rows])
        if not rows:
            say(axes, "no stages were measured at this size")
        entries = [entry(_STAGE_COLORS[i % len(_STAGE_COLORS)], name, width=7) for i, name in enumerate(names)]
        foot(figure, entries, [left_out("without stages", [_bench_name(row) for row in here if row not in rows])])
    return figure


def roofline(bench: Result, marks: Mapping[str, Mark] | None = None) -> Figure:
    """Speed against arithmetic intensity, below what the machine can do.

    The roofline of Williams, Waterman and Patterson (CACM 2009, figure 1) with multiply-accumulates for operations:
    min(peak, copying speed × intensity), one roof a precision.

    Args:
        bench: what ``bench`` returned. A row's bytes are its ``mib``, its time the median of ``frame``.
        marks: see :func:`style_marks`; None: those of ``bench``.
    """
    marks = marks or style_marks(bench)
    points = [(row, *spot) for row in rows_of(bench) if (spot := _spot(row))]
    precisions = dict.fromkeys(str(row.get("precision")) for row, *_ in points)
    shapes = {one: _PRECISION_MARKERS[i % len(_PRECISION_MARKERS)] for i, one in enumerate(precisions)}
    peaks = bench.get("peaks") or {}
    roofs = {str(name): peak for name in peaks if (peak := find(peaks, name, "gmac_s"))}
    copy = find(peaks, "copy_gib_s")
    with look():
        figure = new_figure(5.8)
        axes = figure.add_subplot(title="Roofline", xlabel="MAC per byte", xscale="log", yscale="log")
        axes.set_ylabel("GMAC per second")
        for row, x, y in points:
            color = marks[style_of(row)].color
            axes.scatter([x], [y], s=34, marker=shapes[str(row.get("precision"))], facecolors=color + "90", zorder=3)
            axes.collections[-1].set(edgecolors=color, linewidths=0.8)
        if points:
            _draw_roofs(axes, roofs, copy, [x for _, x, _ in points])
            plain_ticks(axes, "x", "y")
        else:
            say(axes, "no row has multiply-accumulates, bytes and a time")
        names = dict.fromkeys(style_of(row) for row, *_ in points)
        entries = [entry(marks[one].color, short(one), dash="none", marker="o") for one in names]
        entries += [entry(QUIET, one, dash="none", marker=shape) for one, shape in shapes.items()]
        unknown = [str(name) for name, peak in peaks.items() if peak is None] + ([] if copy else ["copy"])
        drawn = [row for row, *_ in points]
        missing = [_bench_name(row) for row in rows_of(bench) if row not in drawn]
        peakless = f"Peak not measured: {', '.join(unknown)}" if unknown else ""
        foot(figure, entries, [peakless, left_out("without multiply-accumulates, bytes or a time", missing)])
    return figure


def layers(bench: Result, style: str, *, top: int = 15) -> Figure:
    """The slowest layers of a style, a bar each, and all the others in one.

    Args:
        bench: what ``bench`` returned.
        style: a name in ``bench["layers"]``.
        top: how many bars.
    """
    whole = list((bench.get("layers") or {}).get(style) or ())
    timed = sorted(((time, one) for one in whole if (time := find(one, "ms")) is not None), key=lambda pair: -pair[0])
    bars = [(time, _layer_name(one), str(one.get("op") or "other")) for time, one in timed[:top]]
    kinds = list(dict.fromkeys(kind for *_, kind in bars))
    colors = [OWN_COLORS[kinds.index(kind) % len(OWN_COLORS)] for *_, kind in bars]
    if timed[top:]:
        bars.append((sum(time for time, _ in timed[top:]), f"{len(timed) - top} others", ""))
        colors.append("#c4c4c4")
    with look():
        figure = new_figure(1.7 + 0.27 * max(len(bars), 2))
        axes = figure.add_subplot(title=f"Slowest layers of {short(style, 40)}", xlabel="milliseconds")
        drawn = axes.barh(range(len(bars)), [time for time, *_ in bars], color=colors, height=0.72)
        axes.bar_label(drawn, [f"{time:.3g}" for time, *_ in bars], padding=3, fontsize=8, color=QUIET)
        _name_bars(axes, [name for _, name, _ in bars])
        axes.margins(x=0.1)
        if not timed:
            say(axes, "no layer was timed")
        entries = [entry(OWN_COLORS[i % len(OWN_COLORS)], kind, width=7) for i, kind in enumerate(kinds)]
        foot(
            figure,
            entries,
            [left_out("without a time", [_layer_name(one) for one in whole if find(one, "ms") is None])],
        )
    return figure


def _row_name(row: Result) -> str:
    return f"{style_of(row)} ({level_name(level_of(row))})"


def _bench_name(row: Result) -> str:
    return f"{style_of(row)} {row.get('size') or 'without size'} {placement_of(row)}"


def _names(evaluation: Result, drawn: Sequence[Result]) -> list[str]:
    return [_row_name(row) for row in rows_of(evaluation) if row not in drawn]


def _draw_disk(axes: Axes, x: float, y: float, area: float, mark: Mark, *, filled: bool, timed: bool) -> None:
    if timed:
        # Disks for all: other shapes of one size have other areas.
        inside = mark.color + "b0" if filled else "#ffffffc0"
        axes.scatter([x], [y], s=area, facecolors=inside, edgecolors=mark.color, zorder=3)
        axes.collections[-1].set_linewidth(1.5)
    else:
        axes.scatter([x], [y], s=area, marker="x", color=mark.color, zorder=3)


def _pareto_entries(slowest: float, untouched: float | None, kinds: set[bool]) -> list[Any]:
    if not kinds:
        return []
    entries = []
    for filled in sorted(kinds):
        one = entry(QUIET, "coherence on" if filled else "coherence off", dash="none", marker="o")
        one.set_markerfacecolor(QUIET if filled else "white")
        entries.append(one)
    if untouched is not None:
        entries.append(entry(_UNTOUCHED, "untouched clip", dash=(0, (4, 3)), width=1.5))
    if slowest:
        power = 10.0 ** math.floor(math.log10(slowest))
        full = max(step * power for step in (0.2, 0.5, 1, 2) if 3 * step * power <= slowest)
        for time in (full / 5, full):
            disk = entry("#bbbbbb", f"{time:g} ms", dash="none", marker="o")
            # A marker is given by its diameter, a disk of the plot by its diameter squared.
            disk.set_markersize(math.sqrt(_BIGGEST * time / slowest))
            entries.append(disk)
    return entries


def _join_and_label(
    axes: Axes, names: Sequence[str], disks: Sequence[tuple[float, float, float]], marks: Mapping[str, Mark]
) -> None:
    """Arrows from coherence to coherence of a style, and its name beside the last one."""
    ways = {name: [i for i, one in enumerate(names) if one == name] for name in dict.fromkeys(names)}
    arrows = [pair for way in ways.values() for pair in itertools.pairwise(way)]
    for start, end in arrows:
        axes.annotate(
            "",
            disks[end][:2],
            disks[start][:2],
            zorder=2.5,
            arrowprops={
                "arrowstyle": "-|>",
                "color": marks[names[start]].color,
                "linewidth": 1.1,
                "shrinkA": math.sqrt(disks[start][2]) / 2,
                "shrinkB": math.sqrt(disks[end][2]) / 2,
            },
        )
    place_labels(axes, disks, {way[-1]: short(name) for name, way in ways.items()}, arrows)


def _series(row: Result, clip: str) -> list[Sequence[Any]]:
    measured = (row.get("clips") or {}).get(clip) or {}
    return [point for point in measured.get("series") or () if find({"frame": point[0]}, "frame") is not None]


def _with_gaps(series: Sequence[Sequence[Any]], column: int) -> tuple[list[float], list[float]]:
    """Frames and values, with nothing (nan) where frames are missing between them or a value wasn't measured."""
    xs: list[float] = []
    ys: list[float] = []
    for point in series:
        if xs and point[0] > xs[-1] + 1:
            xs.append(xs[-1] + 1)
            ys.append(math.nan)
        value = find({"value": point[column]}, "value") if column < len(point) else None
        xs.append(point[0])
        ys.append(math.nan if value is None else value)
    return xs, ys


def _draw_series(
    axes: Axes, line: tuple[list[float], list[float]], mark: Mark, levels: Sequence[float], level: float
) -> None:
    axes.plot(*line, color=mark.color, linestyle=dashes(levels, level), linewidth=1.8 if level else 1.2)
    axes.lines[-1].set(marker=_peer_marker(mark) or "none", markersize=4, markevery=4, zorder=2.6 if level else 2.4)


def _peer_marker(mark: Mark) -> str | None:
    return mark.marker if mark.against else None


def _area(row: Result) -> float:
    """Pixels of a row's size; 0 where it isn't written as ``WIDTHxHEIGHT``."""
    width, _, height = str(row.get("size")).partition("x")
    return float(int(width) * int(height)) if width.isdecimal() and height.isdecimal() else 0.0


def _curves(
    rows: Sequence[Result], placements: Sequence[str], path: Sequence[str]
) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    for name in dict.fromkeys(style_of(row) for row in rows):
        for placement in placements:
            here = [row for row in rows if style_of(row) == name and placement_of(row) == placement]
            points = sorted((_area(row), value) for row in here if (value := find(row, *path)))
            if points:
                yield name, placement, points


def _name_sizes(axes: Axes, rows: Sequence[Result]) -> None:
    sizes = {_area(row): str(row["size"]).replace("x", "×") for row in rows}
    if sizes:
        axes.set_xticks(list(sizes), list(sizes.values()), rotation=30, ha="right", rotation_mode="anchor")
        axes.set_xticks([], minor=True)


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)


def _spot(row: Result) -> tuple[float, float] | None:
    """Multiply-accumulates per byte, and 10⁹ of them a second."""
    gmac, mib, time = find(row, "gmac"), find(row, "mib"), find(row, "frame", "median_ms")
    return (gmac * 1e9 / (mib * 2**20), gmac / (time / 1000)) if gmac and mib and time else None


def _draw_roofs(axes: Axes, roofs: Mapping[str, float], copy: float | None, xs: Sequence[float]) -> None:
    speed = copy * 2**30 / 1e9 if copy else math.inf
    ridges = [peak / speed for peak in roofs.values()] if copy else []
    left, right = min([*xs, *ridges]) / 2, max([*xs, *ridges]) * 3
    for i, (name, peak) in enumerate(roofs.items()):
        corner = [peak / speed] if copy else []
        line = [left, *corner, right]
        dash = dashes(list(roofs)[::-1], name)
        axes.plot(
            line, [min(peak, speed * x) for x in line], color="#444444", linewidth=1.4, linestyle=dash, zorder=1.5
        )
        text = axes.annotate(f"{name} {peak:.3g}", (right, peak), (0, 3 - 13 * (i % 2)), textcoords="offset points")
        text.set(ha="right", fontsize=8, color="#444444")


def _layer_name(layer: Result) -> str:
    shape = "×".join(str(one) for one in layer.get("output") or ())
    return f"{short(str(layer.get('name') or 'unnamed'), 30)} {shape}".rstrip()
