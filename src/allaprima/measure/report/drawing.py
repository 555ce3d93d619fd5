"""What every plot shares: reading a result, one look, one mark a style, labels that don't overlap, whole files.

Matplotlib comes with the extra ``report`` and is imported when the first figure is drawn.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError, SinkError
from ...writing import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Result = Mapping[str, Any]
"""What ``evaluate --json`` or ``bench --json`` prints, or one of its rows."""

QUIET = "#666666"
# Okabe and Ito, "Color Universal Design" (2008), without yellow and black, which vanish on white and beside gray; two
# more that stay apart from them under the three kinds of color blindness.
OWN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d3a9b", "#7a5230")
_PEER_COLORS = ("#5f5f5f", "#8a8a8a", "#3b3b3b", "#a6a6a6")
_OWN_MARKERS = ("o", "^", "v", "P")
_PEER_MARKERS = ("s", "D", "X", "p", "<", "h", ">", "*")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)), (0, (9, 3)), (0, (3, 1.5, 1, 1.5)))
_LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "allaprima",
    # A dollar in a style's name isn't a formula.
    "text.parse_math": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How a style is drawn, the same in every figure."""

    color: str
    """``#rrggbb``."""
    marker: str
    """Matplotlib's name of a shape."""
    against: bool
    """A peer: gray, and of a shape that no style of ours has."""


def style_marks(*results: Result | None) -> dict[str, Mark]:
    """A mark for every style of some results, by order of appearance.

    Args:
        results: what ``evaluate`` and ``bench`` returned; None is skipped. Pass the marks of all of them to every
            figure of a report, so that a style has one color throughout.
    """
    against: dict[str, bool] = {}
    for row in (row for result in results if result for row in rows_of(result)):
        name = style_of(row)
        against[name] = against.get(name, False) or bool(row.get("against"))
    marks = {}
    counts = {False: 0, True: 0}
    for name, peer in against.items():
        colors, markers = (_PEER_COLORS, _PEER_MARKERS) if peer else (OWN_COLORS, _OWN_MARKERS)
        i = counts[peer]
        counts[peer] += 1
        # Peers differ by shape first, for grays are hard to tell apart.
        shape = markers[(i if peer else i // len(colors)) % len(markers)]
        marks[name] = Mark(colors[i % len(colors)], shape, peer)
    return marks


def rows_of(result: Result) -> list[Result]:
    """The rows of a result; none where it has failures only."""
    return list(result.get("rows") or ())


def style_of(row: Result) -> str:
    """The name of a row's style, whichever command measured it."""
    return str(row.get("name") or row.get("style") or "unnamed")


def placement_of(row: Result) -> str:
    """Where a row ran, as in ``onnxruntime f32 on cpu``."""
    if row.get("placement"):
        return str(row["placement"])
    where = f" on {row['device']}" if row.get("device") else ""
    return f"{row.get('engine') or 'unknown engine'} {row.get('precision') or ''}".rstrip() + where


def find(row: Any, *path: str) -> float | None:
    """The finite number at a path of keys; None where a key is missing or holds something else."""
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    if isinstance(row, (int, float)) and not isinstance(row, bool) and math.isfinite(row):
        return float(row)
    return None


def level_of(row: Result) -> float:
    """The coherence a row was measured with."""
    return find(row, "coherence") or 0.0


def level_name(level: float) -> str:
    """A coherence in words."""
    return f"coherence {level:g}" if level else "coherence off"


def short(name: str, length: int = 26) -> str:
    """A name that fits into a figure: the middle of a long one is left out, for numbers stand at the ends."""
    if len(name) <= length:
        return name
    head = (length - 1) * 2 // 3
    return f"{name[:head]}…{name[head + 1 - length :]}"


@contextmanager
def look() -> Iterator[None]:
    """The look of all figures, while they are made and while they are written.

    Raises:
        MissingExtraError: Matplotlib isn't installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MissingExtraError("drawing plots", "report") from error
    with rc_context(_LOOK), warnings.catch_warnings():
        # The reader of an SVG has more fonts than the machine that wrote it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def new_figure(height: float) -> Figure:
    """An empty figure, 7.6 inches wide so that text has one size from figure to figure.

    Args:
        height: inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(7.6, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    FigureCanvasAgg(figure)
    return figure


def say(axes: Axes, text: str) -> None:
    """Write into axes that have nothing else to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=QUIET)


def left_out(why: str, names: Sequence[str]) -> str:
    """A sentence on rows that a figure doesn't show; empty where there are none."""
    names = list(dict.fromkeys(short(name, 60) for name in names))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Left out, {why}: {', '.join(names[:3])}{more}" if names else ""


def dashes(kinds: Sequence[Any], kind: Any) -> Any:
    """The dashes of the kind's lines; the last kind, the one to look at, is solid."""
    return _DASHES[(len(kinds) - 1 - kinds.index(kind)) % len(_DASHES)]


def entry(color: str, label: str, *, dash: Any = "-", marker: str | None = None, width: float = 1.8) -> Any:
    """A line of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linestyle=dash, marker=marker, linewidth=width, markersize=5, label=label)


def foot(figure: Figure, entries: Sequence[Any], sentences: Iterable[str]) -> None:
    """Below the axes, as wide as the figure: small print, then the legend.

    Args:
        figure: from :func:`new_figure`.
        entries: from :func:`entry`.
        sentences: small print; empty ones are skipped.
    """
    from matplotlib.lines import Line2D

    text = "\n".join(textwrap.fill(one, 112) for one in sentences if one)
    entries = list(entries)
    if not entries and not text:
        return
    columns = max(1, min(len(entries), 100 // (max((len(one.get_label()) for one in entries), default=0) + 7)))
    below = figure.legend(
        entries or [Line2D([], [], linestyle="none")],
        [one.get_label() for one in entries] or [" "],
        loc="outside lower left",
        ncols=columns,
        handlelength=2.6,
        columnspacing=1.6,
        title=text or None,
        alignment="left",
    )
    below.get_title().set(fontsize=8, color=QUIET)


def plain_ticks(axes: Axes, *names: str) -> None:
    """Numbers as people write them on logarithmic axes, at 1, 2 and 5 times powers of ten.

    Args:
        axes: the axes.
        names: ``x`` and ``y``.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for name in names:
        axis = {"x": axes.xaxis, "y": axes.yaxis}[name]
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=40))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def place_labels(
    axes: Axes,
    disks: Sequence[tuple[float, float, float]],
    labels: Mapping[int, str],
    arrows: Sequence[tuple[int, int]] = (),
) -> None:
    """Write beside disks, each label where it covers least of disks, arrows and labels; a line where it stands off.

    Call it last: it needs the figure's final layout.

    Args:
        axes: the axes.
        disks: x and y in data, area in square points.
        labels: index of a disk to its text.
        arrows: pairs of disks that are joined.
    """
    from matplotlib.transforms import Bbox

    figure: Any = axes.get_figure()
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    spots = [(*axes.transData.transform((x, y)), math.sqrt(area) / 2 * scale) for x, y, area in disks]
    taken = [Bbox.from_extents(x - r, y - r, x + r, y + r) for x, y, r in spots]
    for start, end in arrows:
        for share in (k / 12 for k in range(1, 12)):
            x, y = (a + (b - a) * share for a, b in zip(spots[start][:2], spots[end][:2], strict=True))
            taken.append(Bbox.from_extents(x - 4 * scale, y - 4 * scale, x + 4 * scale, y + 4 * scale))
    frame = axes.get_window_extent()
    for i, label in labels.items():
        x, y, radius = spots[i]
        text = axes.annotate(label, disks[i][:2], (0, 0), textcoords="offset points", ha="center", va="center")
        text.set(fontsize=8.5, zorder=5, color="#222222", in_layout=False)
        box = text.get_window_extent()
        text.set_bbox({"facecolor": "#ffffffb8", "edgecolor": "none", "pad": 0.6})
        best = (math.inf, 0.0, 0.0)
        for gap in (3, 12, 24, 38, 54, 72, 95):
            for turn in range(16):
                across, up = math.cos(turn * math.pi / 8), math.sin(turn * math.pi / 8)
                dx = across * (radius + gap * scale) + across * box.width / 2
                dy = up * (radius + gap * scale + box.height / 2)
                moved = Bbox.from_bounds(x + dx - box.width / 2, y + dy - box.height / 2, box.width, box.height)
                covered = sum(_overlap(moved, other) for other in taken)
                outside = box.width * box.height - _overlap(moved, frame)
                best = min(best, (covered + 3 * outside + 4 * gap * scale + 10 * (1 - across), dx, dy))
        _, dx, dy = best
        text.set_position((dx / scale, dy / scale))
        taken.append(Bbox.from_bounds(x + dx - box.width / 2, y + dy - box.height / 2, box.width, box.height))
        if math.hypot(dx, dy) > radius + box.width / 2 + 14 * scale:
            axes.annotate(
                "",
                disks[i][:2],
                (dx / scale, dy / scale),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.7, "shrinkA": 5, "shrinkB": 0},
            ).set_in_layout(False)


def _overlap(one: Any, other: Any) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as a file's content, the same bytes every time.

    Args:
        figure: any figure.
        kind: ``svg`` or ``png`` (at 144 dpi).
    """
    file = io.BytesIO()
    with look():
        figure.savefig(file, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure beside its final name, then give it that name.

    Args:
        figure: any figure.
        path: ends in ``.svg`` or ``.png``; a file that is there is replaced.

    Raises:
        SinkError: another suffix, or the file can't be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise SinkError(f"can't write '{path.name}' as a plot: use .svg or .png")
    write_whole(path, figure_bytes(figure, kind))
