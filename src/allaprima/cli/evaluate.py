"""``allaprima evaluate``: how well and how steadily styles paint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Column, Table

from ..errors import UsageError
from ..painter import Painter
from ..picture import read_picture
from ..style import CARD_KEY, Style, write_style
from ..stylizer import Stylizer
from .options import (
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    RangeOption,
    StrideOption,
    ThreadsOption,
    open_one_of,
)
from .progress import Reporter
from .tables import print_table

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


def evaluate(
    styles: Annotated[list[str], typer.Argument(metavar="STYLE…", help="Bundled styles, or style files.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="ALLAPRIMA_DATA", help="Folder with content-test, clips, flow and the paintings."),
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="Folder of videos, in place of the data folder's clips.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of photographs, in place of the data folder's content-test.")
    ] = None,
    flow: Annotated[
        list[Path] | None,
        typer.Option(help="Sequences with true flow: MPI-Sintel, Middlebury, FlyingThings3D, Monkaa; may be repeated."),
    ] = None,
    style_image: Annotated[
        list[Path] | None,
        typer.Option("--style-image", help="The painting: one for all, or one for each STYLE in order."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="A net to compare with, FILE.onnx or FILE.onnx=PAINTING; may be repeated."),
    ] = None,
    coherence: Annotated[
        list[float] | None,
        typer.Option(
            min=0.0, max=1.0, help="A further setting of the dial beside off and the default; may be repeated."
        ),
    ] = None,
    value_range: RangeOption = None,
    stride: StrideOption = None,
    engine: EngineOption = "onnxruntime",
    precision: PrecisionOption = "f32",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 0,
    vgg: Annotated[
        str | None, typer.Option(help="Weights of the loss network; else ALLAPRIMA_VGG, or a download.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report: one HTML file.")] = None,
    write_card: Annotated[bool, typer.Option("--write-card", help="Store the figures in each STYLE's file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how well and how steadily styles paint, with coherence off and at its default."""
    from ..measure.quality.evaluation import Subject
    from ..measure.quality.evaluation import evaluate as measure
    from ..measure.quality.material import load_material
    from ..measure.report.page import check_report, write_report

    if report is not None:
        check_report(report)
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data} is no folder")
    opened = [open_one_of(name, value_range, stride) for name in styles]
    paintings = _paintings(opened, style_image or [], data)
    rivals = [_split_rival(text) for text in against or []]
    if write_card:
        _check_cards(opened)

    def subject(style: Style, named: Path | None, *, rival: bool) -> Subject:
        painting = None if named is None else read_picture(named).pixels
        model = painting if "style" in style.card.inputs else None

        def stylizer(dial: float) -> Stylizer:
            # A painter for each row: rows paint at sizes of their own, and an engine is loaded for one.
            painter = Painter(
                style, style_image=model, engine=engine, precision=precision, device=device, threads=threads
            )
            return Stylizer(painter, coherence=dial)

        return Subject(
            style.name,
            stylizer,
            style.card.stride,
            painting,
            "no painting is known: name it with --style-image" if not rival else "no painting: say FILE.onnx=PAINTING",
            rival,
            threads,
        )

    subjects = [subject(style, painting, rival=False) for style, painting in zip(opened, paintings, strict=True)]
    subjects += [subject(open_one_of(name, value_range, stride), painting, rival=True) for name, painting in rivals]
    material = load_material(data, images=images, clips=clips, flow=flow)
    reporter = Reporter(quiet=as_json, unit="rows")
    reporter.start(None)
    try:
        found = measure(
            subjects,
            material,
            vgg=vgg,
            coherences=coherence or (),
            on_progress=lambda what, done, total: reporter.say(f"{done + 1} of {total}: {what}"),
        )
    finally:
        reporter.stop()
    result = found.to_dict()
    if write_card:
        for style in opened:
            _write_card(style, result)
    if report is not None:
        write_report(report, evaluation=result, pictures=found.pictures)
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show(result, reporter)
    if found.failures:
        raise typer.Exit(found.failures[0].error.exit_code)


def _paintings(styles: list[Style], named: list[Path], data: Path | None) -> list[Path | None]:
    """Each style's painting: as named, or the picture of its recipe in the data folder.

    Raises:
        UsageError: neither one for all nor one for each.
    """
    if len(named) == 1:
        return [named[0]] * len(styles)
    if named:
        if len(named) != len(styles):
            raise UsageError(f"{len(named)} --style-image for {len(styles)} styles: name one, or one for each in order")
        return list(named)
    known = [style.card.recipe.get("style_image") for style in styles]
    found = [data / name if data is not None and isinstance(name, str) else None for name in known]
    return [path if path is not None and path.is_file() else None for path in found]


def _split_rival(text: str) -> tuple[str, Path | None]:
    name, _, painting = text.partition("=")
    return name, Path(painting) if painting else None


def _check_cards(styles: list[Style]) -> None:
    """Before minutes are spent: figures can be stored in files with a card only."""
    for style in styles:
        if not any(entry.key == CARD_KEY for entry in style.model.metadata_props):
            raise UsageError(f"{style.path} has no allaprima card to write on: leave out --write-card")


def _write_card(style: Style, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if row["name"] == style.name and not row["against"]]
    if not rows:
        return
    off = next(row for row in rows if row["coherence"] == 0)
    default = next(row for row in rows if row["default"])
    machine, protocol = result["machine"], result["protocol"]
    measurements = {
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
