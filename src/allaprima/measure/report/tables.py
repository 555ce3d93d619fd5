"""Tables of a report: what stands in every cell, as text and as it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .drawing import Result, find, level_name, level_of, placement_of, style_of

_Texts = Callable[[Result], list[str]]
_PLAIN = 10_000
"""From here on numbers have no decimals."""
_PANS = ("1", "2", "2.6", "stride")
_SIGMAS = ("1", "2", "4")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers."""

    title: str
    path: tuple[str, ...]
    decimals: int = 2
    better: str = ""
    """``low``, ``high``, or empty where neither is."""
    group: str = ""
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table."""

    text: str
    exact: str = ""
    """The number as it was given; empty where the cell is text."""
    best: bool = False
    missing: bool = False
    marks: tuple[int, ...] = ()
    """Numbers of the notes that belong to it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table."""

    head: Cell
    cells: list[Cell]
    against: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be written."""

    head: str
    columns: list[Column]
    bodies: list[tuple[str, list[Line]]]
    """Title (may be empty) and rows."""
    texts: tuple[str, ...] = ()
    """Titles of the columns of text before the numbers."""
    tail: tuple[str, ...] = ()
    """Titles of those after the numbers."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Titles over neighboring columns, and how many each spans; empty where there are none."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and column.group and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(title for title, _ in spans) else []


def style_table(rows: Sequence[Result], notes: Sequence[str]) -> Table | None:
    """The main table of an evaluation; None without rows.

    Args:
        rows: of ``evaluate``.
        notes: why something wasn't measured; rows refer to them by number, from 1.
    """
    pans = keys_of(row.get("shift") for row in rows) or _PANS
    sigmas = keys_of(row.get("noise") for row in rows) or _SIGMAS
    columns = [
        Column("score", ("style_score",), 3, "low", "Style"),
        Column("distance", ("style",), 3, "low", "Style"),
        Column("distance", ("content",), 3, "low", "Content"),
        Column("spread", ("content_spread",), 3, "", "Content"),
        Column("SSIM", ("ssim",), 3, "high", "Content"),
        Column("spread", ("ssim_spread",), 3, "", "Content"),
        *(Column(_pan(one), ("shift", one), 1, "low", "Shift error, of 255") for one in pans),
        *(Column(f"floor {_pan(one)}", ("shift_floor", one), 1, "", "Shift error, of 255") for one in _floors(rows)),
        *(Column(f"σ {one}", ("noise", one), 2, "low", "Noise gain") for one in sigmas),
        Column("short", ("warp",), 2, "low", "Warp error, of 255"),
        Column("untouched", ("warp_untouched",), 2, "", "Warp error, of 255"),
        Column("long", ("warp_long",), 2, "low", "Warp error, of 255"),
        Column("untouched", ("warp_long_untouched",), 2, "", "Warp error, of 255"),
        Column("valid", ("valid_fraction",), 0, "", "Warp error, of 255", percent=True),
        Column("styled", ("e_stab",), 4, "low", "e_stab"),
        Column("untouched", ("e_stab_untouched",), 4, "", "e_stab"),
        Column("styled", ("sharpness",), 2, "", "Sharpness"),
        Column("untouched", ("sharpness_untouched",), 2, "", "Sharpness"),
        Column("grid", ("grid",), 3, "low", "Faults"),
        Column("blobs", ("blobs",), 1, "low", "Faults"),
        Column("ms", ("milliseconds",), 1, "low", "A frame"),
    ]
    lines = _lines(rows, columns, tail=lambda row: [_ran_as(row)], notes=notes)
    return Table("style", columns, [("", lines)], tail=("ran as",)) if rows else None


def _floors(rows: Sequence[Result]) -> list[str]:
    """The pans whose floor isn't nothing."""
    pans = keys_of(row.get("shift_floor") for row in rows)
    return [pan for pan in pans if any(find(row, "shift_floor", pan) for row in rows)]


def layer_table(rows: Sequence[Result]) -> Table | None:
    """Style distance by layer of the loss network; None where it wasn't measured."""
    layers = keys_of(row.get("style_layers") for row in rows)
    columns = [
        Column(kind, ("style_layers", layer, kind), 3, "low" if kind == "median" else "", layer)
        for layer in layers
        for kind in ("median", "spread")
    ]
    return Table("style", columns, [("", _lines(rows, columns))]) if layers else None


CLIP_COLUMNS = (
    Column("short", ("warp",), 2, "low", "Warp error, of 255"),
    Column("untouched", ("untouched",), 2, "", "Warp error, of 255"),
    Column("long", ("long",), 2, "low", "Warp error, of 255"),
    Column("untouched", ("long_untouched",), 2, "", "Warp error, of 255"),
    Column("valid", ("valid_fraction",), 0, percent=True),
    Column("pairs", ("pairs",), 0),
)
SEQUENCE_COLUMNS = (
    Column("styled", ("e_stab",), 4, "low", "e_stab"),
    Column("untouched", ("untouched",), 4, "", "e_stab"),
    Column("by valid pixel", ("per_valid_pixel",), 4, "low", "e_stab"),
    Column("valid", ("valid_fraction",), 0, percent=True),
    Column("pairs", ("pairs",), 0),
)


def part_table(rows: Sequence[Result], key: str, names: Sequence[str], columns: Sequence[Column]) -> Table | None:
    """A body for every clip or sequence, a row for every row that has it."""
    bodies = []
    for name in names:
        told = [(row, part) for row in rows if (part := (row.get(key) or {}).get(name))]
        # A part measured for one row may be another's failure: each says its own.
        parts = [
            {**part, **{one: row.get(one) for one in ("name", "coherence", "against", "placement")}}
            for row, part in told
        ]
        masks = list(dict.fromkeys(str(part["mask"]) for part in parts if part.get("mask")))
        title = f"{name} (mask: {', '.join(masks)})" if masks else name
        bodies.append((title, _lines(parts, columns)))
    return Table("style", list(columns), bodies) if bodies else None


def speed_table(rows: Sequence[Result]) -> Table | None:
    """The main table of a bench, a body a size; None without rows."""
    columns = [
        Column("median", ("frame", "median_ms"), 1, "", "A frame, ms"),
        Column("p95", ("frame", "p95_ms"), 1, "", "A frame, ms"),
        Column("spread", ("frame", "spread_ms"), 1, "", "A frame, ms"),
        Column("fps", ("fps",), 1),
        Column("memory, MiB", ("memory_mib",), 0),
        Column("GMAC", ("gmac",), 2),
        Column("MiB moved", ("mib",), 0),
        Column("of peak", ("peak_share",), 1, percent=True),
    ]
    bodies = _by_size(rows, columns, tail=lambda row: [str(row.get("bound") or "not measured")])
    return Table("style", columns, bodies, ("ran as",), ("bound by",)) if rows else None


def stage_table(rows: Sequence[Result]) -> Table | None:
    """Every stage of a bench, a body a size; None where no row has stages."""
    told = [row for row in rows if row.get("stages")]
    kinds = (("median", "median_ms"), ("p95", "p95_ms"), ("spread", "spread_ms"), ("CPU", "cpu_ms"))
    columns = [
        Column(title, ("stages", stage, kind), 2, "", f"{stage}, ms")
        for stage in keys_of(row["stages"] for row in told)
        for title, kind in kinds
    ]
    return Table("style", columns, _by_size(told, columns), ("ran as",)) if told else None


def _by_size(
    rows: Sequence[Result], columns: Sequence[Column], tail: _Texts = lambda row: []
) -> list[tuple[str, list[Line]]]:
    sizes = dict.fromkeys(str(row.get("size") or "unknown size") for row in rows)
    groups = {size: [row for row in rows if str(row.get("size") or "unknown size") == size] for size in sizes}
    return [
        (size, _lines(group, columns, texts=lambda row: [_ran_as(row)], tail=tail)) for size, group in groups.items()
    ]


def peak_table(peaks: Mapping[str, Any]) -> Table | None:
    """What the machine can do; None where nothing is known of it."""
    products = [
        {"name": name, "value": find(peaks, name, "gmac_s"), "by": (peaks[name] or {}).get("winner")}
        for name in peaks
        if name != "copy_gib_s"
    ]
    rows = [(f"matrix product, {one['name']}, GMAC/s", one) for one in products]
    rows.append(("copy, GiB/s", {"value": find(peaks, "copy_gib_s"), "by": None}))
    column = Column("peak", ("value",), 1)
    lines = [Line(Cell(title), [Cell(str(one["by"] or "")), _cell(one, column)]) for title, one in rows]
    return Table("what", [column], [("", lines)], ("by",)) if peaks else None


def ratio_table(ratios: Sequence[Result]) -> Table | None:
    """Ratios of interleaved runs; None where nothing was compared."""
    columns = [
        Column("median", ("median",), 3, "", "Ratio of times"),
        Column("spread", ("spread",), 3, "", "Ratio of times"),
    ]
    lines = [
        Line(Cell(str(one.get("of"))), [Cell(str(one.get("to"))), Cell(str(one.get("size"))), *_cells(one, columns)])
        for one in ratios
    ]
    return Table("of", columns, [("", lines)], ("to", "size")) if lines else None


def node_table(layers: Sequence[Result]) -> Table:
    """The layers of one style."""
    columns = [Column("GMAC", ("gmac",), 4), Column("MiB", ("mib",), 2), Column("ms", ("ms",), 3)]
    lines = [
        Line(
            Cell(str(one.get("name") or "unnamed")),
            [
                Cell(str(one.get("op") or "")),
                Cell("×".join(str(side) for side in one.get("output") or ())),
                *_cells(one, columns),
            ],
        )
        for one in layers
    ]
    return Table("layer", columns, [("", lines)], ("operator", "output"))


def _lines(
    rows: Sequence[Result],
    columns: Sequence[Column],
    *,
    texts: _Texts = lambda row: [],
    tail: _Texts = lambda row: [],
    notes: Sequence[str] = (),
) -> list[Line]:
    bests = [_best(rows, column) for column in columns]
    lines = []
    for row in rows:
        ours = not row.get("against")
        cells = [
            _cell(row, column, best=ours and best is not None and find(row, *column.path) == best)
            for column, best in zip(columns, bests, strict=True)
        ]
        name = style_of(row) if row.get("coherence") is None else f"{style_of(row)}, {level_name(level_of(row))}"
        own = tuple(notes.index(str(note)) + 1 for note in row.get("notes") or () if str(note) in notes)
        lines.append(
            Line(Cell(name, marks=own), [*map(Cell, texts(row)), *cells, *map(Cell, tail(row))], against=not ours)
        )
    return lines


def _best(rows: Sequence[Result], column: Column) -> float | None:
    """The best of our own figures in a column; None where there is nothing to choose from."""
    values = [value for row in rows if not row.get("against") and (value := find(row, *column.path)) is not None]
    if not column.better or len(values) < 2:
        return None
    return min(values) if column.better == "low" else max(values)


def _cells(row: Result, columns: Sequence[Column]) -> list[Cell]:
    return [_cell(row, column) for column in columns]


def _cell(row: Result, column: Column, *, best: bool = False) -> Cell:
    value = find(row, *column.path)
    if value is None:
        return Cell("not measured", missing=True)
    text = f"{value * 100:.{column.decimals}f} %" if column.percent else f"{value:.{column.decimals}f}"
    if value and not column.percent and float(text) == 0:
        text = f"{value:.2g}"
    if abs(value) >= _PLAIN:
        text = f"{value:,.0f}"
    return Cell(text, exact=repr(value).removesuffix(".0"), best=best)


def keys_of(mappings: Iterable[Mapping[str, Any] | None]) -> list[str]:
    """The keys of several dicts, by order of appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping or ()))


def _pan(pan: str) -> str:
    return "stride" if pan == "stride" else f"{pan} px"


def _ran_as(row: Result) -> str:
    count, placement = row.get("threads"), placement_of(row)
    return placement if count is None else f"{placement}, {f'{count} threads' if count else 'all cores'}"
