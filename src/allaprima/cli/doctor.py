"""``allaprima doctor``: what really runs here, and the line that fixes what doesn't."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

from ..doctor import examine
from .options import JsonOption


def doctor(as_json: JsonOption = False) -> None:
    """Try engines, precisions and codecs on this machine."""
    report = examine()
    if as_json:
        typer.echo(json.dumps(report.to_dict()))
        return
    console = Console(highlight=False)
    console.print(f"allaprima {report.allaprima}, Python {report.python}, {report.system}, {report.cores} cores")
    console.print(", ".join(f"{name} {number or 'not installed'}" for name, number in report.versions.items()))
    table = Table("engine", "precision", "device", "ran")
    for entry in report.ran:
        table.add_row(entry["engine"], entry["precision"], entry["device"], "yes")
    for entry in report.failed:
        table.add_row(entry["engine"], entry["precision"], entry["device"], f"no: {entry['reason']}")
    console.print(table)
    console.print("decodes: " + ", ".join(name for name, found in report.decoders.items() if found))
    console.print("encodes: " + ", ".join(f"{name} ({found})" for name, found in report.encoders.items() if found))
    console.print("streams: " + ", ".join(name if found else f"no {name}" for name, found in report.protocols.items()))
    console.print("cameras: " + (", ".join(report.cameras) or "none"))
    for fix in report.fixes:
        console.print(f"to fix: {fix}", markup=False)
