"""``allaprima styles``: what there is to paint with."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..style import Style, bundled_styles
from .options import JsonOption

app = typer.Typer(
    help="List the bundled styles, or show one.", context_settings={"help_option_names": ["-h", "--help"]}
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
        card, measured = style.card, style.card.measurements
        shift, noise = measured.get("shift", {}), measured.get("noise", {})
        figures = [measured.get("style_score"), shift.get("1"), noise.get("2"), measured.get("warp")]
        known = any(figure is not None for figure in figures)
        shown = ["-" if figure is None else f"{figure:.2f}" for figure in figures] if known else ["not measured"]
        table.add_row(style.name, ", ".join(filter(None, (card.title, card.artist, card.year))), *shown)
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
