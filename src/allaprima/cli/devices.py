"""``allaprima devices``: what a live run can take its frames from, and which virtual cameras it can feed."""

from __future__ import annotations

import json
import shlex

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..devices import find_devices
from .options import JsonOption
from .tables import print_table


def devices(as_json: JsonOption = False) -> None:
    """List cameras, screens, windows, games and virtual cameras."""
    found = find_devices()
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    table = Table("live", "name", "")
    kinds = {
        "--from": [*found.cameras, *found.screens, *found.windows, *found.games],
        "--to": found.virtual_cameras,
    }
    for option, entries in kinds.items():
        for entry in entries:
            table.add_row(Text(f"{option} {shlex.quote(entry.use)}"), Text(entry.name), Text(entry.detail))
    if table.row_count:
        print_table(table)
    for note in found.notes:
        Console(highlight=False, soft_wrap=True).print(note, markup=False)
