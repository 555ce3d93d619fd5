"""The command line: one file a verb."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import AllaprimaError
from . import dataset, shrink, styles, train
from .bench import bench
from .compare import compare
from .demo import demo
from .devices import devices
from .doctor import doctor
from .evaluate import evaluate
from .gatys import gatys
from .image import image
from .live import live
from .video import video

app = typer.Typer(
    name="allaprima",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (video, live, image, compare, demo, evaluate, bench, devices, doctor):
    app.command()(verb)
app.add_typer(styles.app, name="styles")
app.add_typer(dataset.app, name="dataset")
train.app.command("gatys")(gatys)
app.add_typer(train.app, name="train")
app.add_typer(shrink.app, name="shrink")


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Paints video in the style of a picture."""
    if version:
        typer.echo(f"allaprima {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors become one line on stderr."""
    try:
        code = app(arguments, standalone_mode=False)
    except AllaprimaError as error:
        typer.echo(f"allaprima: {' '.join(str(error).split())}", err=True)
        return error.exit_code
    except typer.TyperException as error:
        typer.echo(f"allaprima: {error.format_message()}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("allaprima: stopped", err=True)
        return 130
    return int(code) if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the ``allaprima`` command."""
    sys.exit(run())
