"""Styles measured by the protocol, and what was found printed, stored and reported: for ``evaluate`` and ``train``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE
from rich.table import Column, Table

from ..painter import Painter
from ..picture import read_picture
from ..style import Style, write_style
from ..stylizer import DEFAULT_COHERENCE, Stylizer
from .progress import Reporter
from .tables import print_table

if TYPE_CHECKING:
    from ..measure.quality.evaluation import Subject
    from ..measure.quality.material import Material

_COLUMNS = (
    ("score ↓", "style_score"),
    ("content", "content"),
    ("shift 1 ↓", "shift.1"),
    ("2.6 ↓", "shift.2.6"),
    ("noise 2 ↓", "noise.2"),
    ("warp ↓", "warp"),
    ("input", "warp_untouched"),
    ("e_stab ↓", "e_stab"),
    ("sharp", "sharpness"),
    ("ms", "milliseconds"),
)
_ON_THE_CARD = (
    "coherence", "placement", "style", "style_score", "content", "ssim", "shift", "noise", "warp", "warp_untouched",
    "warp_long", "e_stab", "sharpness", "grid", "blobs", "milliseconds",
)  # fmt: skip


def make_subject(
    style: Style,
    painting_file: Path | None,
    *,
    why_no_painting: str = "no painting is known: name it with --style-image",
    rival: bool = False,
    work_size: int | None = None,
    engine: str = "onnxruntime",
    precision: str = "f32",
    device: str = "cpu",
    threads: int = 0,
) -> Subject:
    """A style to measure.

    Args:
        style: whose painting and steadiness are asked for.
        painting_file: what it paints like; None: style isn't measured, for the reason of ``why_no_painting``.
        rival: a peer, for comparison.
        work_size: short side in pixels at which it works; named after the style, so that its figures aren't taken for
            the style's own. None: full size.
        engine: where to paint, with the precision, device and threads.

    Raises:
        SourceError: the painting can't be read.
    """
    from ..measure.quality.evaluation import Subject

    painting = None if painting_file is None else read_picture(painting_file).pixels
    model = painting if "style" in style.card.inputs else None

    def stylizer(dial: float) -> Stylizer:
        # A painter for each row: rows paint at sizes of their own, and an engine is loaded for one.
        painter = Painter(style, style_image=model, engine=engine, precision=precision, device=device, threads=threads)
        return Stylizer(painter, coherence=dial, work_size=work_size)

    name = style.name if work_size is None else f"{style.name}, work size {work_size}"
    return Subject(name, stylizer, style.card.stride, painting, why_no_painting, rival, threads)


def measure_styles(
    subjects: Sequence[Subject],
    material: Material,
    *,
    vgg: str | None = None,
    coherences: Sequence[float] = (),
    cards: Sequence[Style] = (),
    report: Path | None = None,
    as_json: bool = False,
) -> None:
    """Measure, store the figures on cards, write the report, and print the table.

    Args:
        subjects: what to measure.
        material: what they paint.
        vgg: weights of the loss network.
        coherences: settings of the dial beside off and the default.
        cards: styles among the subjects whose files get the figures.
        report: the page to write.
        as_json: print the whole result as JSON in place of the table.

    Raises:
        typer.Exit: something could not be measured, with the exit code of the first failure; the rest is told.
    """
    from ..measure.quality.evaluation import evaluate
    from ..measure.report.page import write_report

    reporter = Reporter(quiet=as_json, unit="rows")
    reporter.start(None)
    try:
        found = evaluate(
            subjects,
            material,
            vgg=vgg,
            coherences=(0.0, DEFAULT_COHERENCE, *coherences),
            on_progress=lambda what, done, total: reporter.say(f"{done + 1} of {total}: {what}"),
        )
    finally:
        reporter.stop()
    result = found.to_dict()
    for style in cards:
        _write_card(style, result)
    if report is not None:
        write_report(report, evaluation=result, pictures=found.pictures)
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show(result, reporter)
    if found.failures:
        raise typer.Exit(found.failures[0].error.exit_code)


def _write_card(style: Style, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if row["name"] == style.name and not row["against"]]
    if not rows:
        return
    off = next(row for row in rows if row["coherence"] == 0)
    default = next(row for row in rows if row["default"])
    machine, protocol = result["machine"], result["protocol"]
    measurements = {
        **style.card.measurements,
        **{name: default[name] for name in _ON_THE_CARD},
        "coherence_off": {name: off[name] for name in _ON_THE_CARD},
        "date": machine["date"],
        "machine": f"{machine['cpu']}, {machine['system']}",
        "commit": machine["commit"] or f"allaprima {machine['allaprima']}",
        "data": {
            "pictures": protocol["pictures"]["names"],
            "clips": list(protocol["clips"]),
            "sequences": protocol["sequences"],
        },
    }
    write_style(style.path, style.model, replace(style.card, measurements=measurements))


def _show(result: dict[str, Any], reporter: Reporter) -> None:
    table = Table(
        Column(overflow="fold"),
        "coherence",
        *(Column(title, justify="right", no_wrap=True) for title, _ in _COLUMNS),
        box=SIMPLE,
    )
    for row in result["rows"]:
        table.add_row(
            row["name"],
            f"{row['coherence']:g}" if row["coherence"] else "off",
            *(_figure(row, path) for _, path in _COLUMNS),
        )
    print_table(table)
    for note in dict.fromkeys(
        f"{row['name']}: not measured: {note}" for row in result["rows"] for note in row["notes"]
    ):
        reporter.say(note)
    for failure in result["failures"]:
        reporter.say(f"allaprima: {failure['name']}: {failure['error']}")


def _figure(row: dict[str, Any], path: str) -> str:
    name, _, part = path.partition(".")
    value = row[name].get(part) if part else row[name]
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"
