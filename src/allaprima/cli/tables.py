"""Tables of figures on standard output."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """Print a table as wide as it is: on a terminal too narrow lines break, but no figure is cut off."""
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(Console().width, needed), highlight=False).print(table)
