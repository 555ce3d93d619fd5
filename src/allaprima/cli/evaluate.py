"""``allaprima evaluate``: how well and how steadily styles paint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..style import CARD_KEY, Style
from .measuring import make_subject, measure_styles
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
    work_size: Annotated[
        list[int] | None,
        typer.Option(
            metavar="PIXELS",
            help="Measure each STYLE with this work size, too: the short side it works at; may be repeated.",
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
    from ..measure.quality.material import load_material
    from ..measure.report.page import check_report

    if report is not None:
        check_report(report)
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data} is no folder")
    opened = [open_one_of(name, value_range, stride) for name in styles]
    paintings = _paintings(opened, style_image or [], data)
    rivals = [_split_rival(text) for text in against or []]
    if write_card:
        _check_cards(opened)
    place: dict[str, Any] = {"engine": engine, "precision": precision, "device": device, "threads": threads}
    subjects = [
        make_subject(style, painting, work_size=side, **place)
        for style, painting in zip(opened, paintings, strict=True)
        for side in (None, *dict.fromkeys(work_size or ()))
    ]
    subjects += [
        make_subject(
            open_one_of(name, value_range, stride),
            painting,
            why_no_painting="no painting: say FILE.onnx=PAINTING",
            rival=True,
            **place,
        )
        for name, painting in rivals
    ]
    measure_styles(
        subjects,
        load_material(data, images=images, clips=clips, flow=flow),
        vgg=vgg,
        coherences=coherence or (),
        cards=opened if write_card else (),
        report=report,
        as_json=as_json,
    )


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
