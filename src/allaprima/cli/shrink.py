"""``allaprima shrink``: make finished styles smaller and faster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..placement import TOLERANCE
from ..shrink.frames import FRAMES, SHORT_SIDE
from ..style import Style
from .options import JsonOption, OverwriteOption
from .progress import Reporter

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def ways(context: typer.Context) -> None:
    """Make a finished style smaller and faster."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("quantize")
def quantize(
    style: Annotated[str, typer.Argument(metavar="STYLE", help="A float style: a file, or a bundled style's name.")],
    content: Annotated[
        list[str],
        typer.Option(help="Folder of pictures, clip or scene[:NAME] to calibrate with; may be repeated."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="NAME.int8.onnx; beside the style if left out.")
    ] = None,
    keep_float: Annotated[
        list[str] | None, typer.Option(help="A convolution to leave in float, by name; may be repeated.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many frames to calibrate with.")] = FRAMES,
    size: Annotated[int, typer.Option(min=16, help="Short side of the frames, in pixels.")] = SHORT_SIDE,
    fine_tune: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Train the weights for being rounded (takes the extra 'train').")
    ] = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the int8 file of a style, which every verb finds beside it."""
    from ..shrink.quantize import quantize_style

    reporter = Reporter(quiet=as_json)
    made = quantize_style(
        Style.open(style),
        content,
        out,
        keep=keep_float or [],
        frames=frames,
        short_side=size,
        fine_tune=fine_tune,
        overwrite=overwrite,
        say=reporter.say,
    )
    if as_json:
        typer.echo(json.dumps(made.to_dict(), ensure_ascii=False))
        return
    for failure in made.skipped:
        reporter.say(f"skipped {failure.name}: {failure.error}")
    told = []
    for place, found in made.differences.items():
        if isinstance(found, str):
            reporter.say(f"{place}: {found}")
            continue
        told.append(f"{place} differs by {found['mean']:.1f} on average, {found['max']:.0f} at most")
        if found["mean"] > TOLERANCE:
            reporter.say(
                f"{place}: more than the {TOLERANCE:g} of 255 that --precision auto takes; train the"
                " weights for it (--fine-tune 500), keep layers in float (--keep-float), or calibrate with content"
                " like what is to be painted"
            )
    count, kept = len(made.quantized), f", {', '.join(made.kept)} in float" if made.kept else ""
    size_text = f"{made.style.path.stat().st_size / 1e3:.0f} kB"
    reporter.say(f"{made.style.path}: {size_text}, {count} layers in int8{kept}; {'; '.join(told)} (of 255)")
