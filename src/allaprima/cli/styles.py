"""``allaprima styles``: what there is to paint with."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..comparison.gallery import after, fitted, hang, painted_in
from ..errors import SinkError, StyleError, UsageError
from ..frame import Pixels
from ..picture import check_picture_destination, read_picture, write_picture
from ..source import open_source
from ..style import Style, bundled_styles
from .options import JsonOption, OverwriteOption
from .progress import Reporter

_SHEET = "allaprima-styles.jpg"
_MOMENT = 1.5
"""Second of the built-in clip that the gallery shows."""

app = typer.Typer(
    help="List the bundled styles, show one, or see all of them.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def describe(style: Style) -> dict[str, Any]:
    """A style as an object of the JSON list."""
    return {"name": style.name, "path": str(style.path), "card": style.card.to_dict()}


@app.callback(invoke_without_command=True)
def list_styles(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the bundled styles."""
    if context.invoked_subcommand:
        return
    styles = [Style.open(path) for path in bundled_styles()]
    if as_json:
        typer.echo(json.dumps([describe(style) for style in styles], ensure_ascii=False))
        return
    table = Table("name", "after", "style score", "shift error", "noise gain", "warp error")
    for style in styles:
        measured = style.card.measurements
        shift, noise = measured.get("shift", {}), measured.get("noise", {})
        figures = [measured.get("style_score"), shift.get("1"), noise.get("2"), measured.get("warp")]
        known = any(figure is not None for figure in figures)
        shown = ["-" if figure is None else f"{figure:.2f}" for figure in figures] if known else ["not measured"]
        table.add_row(style.name, after(style), *shown)
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundled style's name, or a style file.")],
    as_json: JsonOption = False,
) -> None:
    """Show a style's card."""
    style = Style.open(name)
    if as_json:
        typer.echo(json.dumps(describe(style), ensure_ascii=False))
    else:
        Console().print_json(json.dumps(describe(style), ensure_ascii=False))


@app.command("gallery")
def gallery(
    styles: Annotated[
        list[str] | None, typer.Argument(metavar="[STYLE…]", help="Styles; every bundled one if left out.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="What to paint; a frame of the built-in clip if left out.", show_default=False)
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=f"A picture file for the sheet; or a folder, for {_SHEET} and NAME.jpg.")
    ] = Path(_SHEET),
    size: Annotated[int, typer.Option(min=32, help="Longer side of each painting, in pixels.")] = 480,
    columns: Annotated[int, typer.Option(min=1, help="Begin a new row after so many.")] = 3,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Paint one picture in every style: a sheet that says what each is painted after, and thumbnails.

    The picture is scaled down first, so that strokes are seen at the size in which the style makes them.
    """
    chosen = [Style.open(name) for name in styles or bundled_styles()]
    if not chosen:
        raise StyleError("this installation has no bundled style: name style files")
    sheet, thumbnails = _places(chosen, out, overwrite=overwrite)
    small = fitted(_built_in() if picture is None else read_picture(picture).pixels, size)
    reporter = Reporter(quiet=as_json, unit="styles")
    reporter.start(len(chosen))
    paintings: list[tuple[Style, Pixels]] = []
    try:
        for style, painting in zip(chosen, painted_in(chosen, small), strict=True):
            paintings.append((style, painting))
            reporter.count(len(paintings), style.name)
    finally:
        reporter.stop()
    for path, (_, painting) in zip(thumbnails, paintings, strict=False):
        write_picture(path, painting, overwrite=overwrite)
    write_picture(sheet, hang(small, paintings, per_row=columns), overwrite=overwrite)
    if as_json:
        rows = [
            {"name": style.name, "after": after(style), "thumbnail": str(path) if path else None}
            for style, path in zip_longest(chosen, thumbnails)
        ]
        typer.echo(json.dumps({"sheet": str(sheet), "styles": rows}, ensure_ascii=False))
    else:
        reporter.say(f"{len(chosen)} styles on {sheet}" + (f", and one by one in {out}" if thumbnails else ""))


def _built_in() -> Pixels:
    with open_source("scene", start=_MOMENT) as clip:
        return next(iter(clip.frames())).pixels


def _places(styles: list[Style], out: Path, *, overwrite: bool) -> tuple[Path, list[Path]]:
    """Where the sheet goes, and each style's thumbnail where there are any; makes the folder they go to.

    Raises:
        UsageError: two of them would bear the same name.
        SinkError: one can't be written.
    """
    into_folder = out.is_dir() or not out.suffix
    sheet = out / _SHEET if into_folder else out
    thumbnails = [out / f"{style.name}.jpg" for style in styles] if into_folder else []
    names = [sheet, *thumbnails]
    twice = next((path for path in names if names.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"two pictures would both become {twice}: name each style once, or let --out name a file")
    if into_folder:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"can't make folder {out}: {error.strerror}") from error
    for path in names:
        check_picture_destination(path, overwrite=overwrite)
    return sheet, thumbnails
