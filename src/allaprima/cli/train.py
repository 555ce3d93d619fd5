"""``allaprima train``: make a style."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MissingExtraError, SinkError, UsageError
from .progress import Reporter, stop_on_signals

if TYPE_CHECKING:
    from ..train.recipe import RealtimeRecipe

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def methods(context: typer.Context) -> None:
    """Make a style from a picture."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("realtime")
def realtime(
    out: Annotated[Path, typer.Option("--out", "-o", help="The style file to write (.onnx).")],
    style_image: Annotated[Path | None, typer.Option("--style-image", help="The picture to paint like.")] = None,
    content: Annotated[
        list[Path] | None, typer.Option("--content", help="Folder of photographs, searched recursively; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Pattern of file names to leave out.")] = None,
    recipe_file: Annotated[Path | None, typer.Option("--recipe", help="TOML file with every setting.")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="ALLAPRIMA_DATA", help="Folder that the recipe's relative paths are in."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0, help="How long to train.")] = 0.0,
    steps: Annotated[int, typer.Option(min=0, help="Number of steps, instead of --minutes.")] = 0,
    init: Annotated[Path | None, typer.Option("--init", help="Style or checkpoint to start from.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUT.run/checkpoint.pt.")] = False,
    title: Annotated[str | None, typer.Option(help="Title for the card.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    vgg: Annotated[Path | None, typer.Option("--vgg", envvar="ALLAPRIMA_VGG", help="VGG16 weights.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes all cores.")] = 0,
    preview: Annotated[Path | None, typer.Option("--preview", help="Picture to paint every few minutes.")] = None,
) -> None:
    """Train the real-time network: one picture, some photographs, minutes to an hour."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    from ..train.export import export_style
    from ..train.recipe import RealtimeRecipe, read_recipe
    from ..train.session import train_realtime

    if out.suffix != ".onnx":
        raise UsageError(f"--out must end in .onnx, not '{out.name}'")
    if out.exists():
        raise SinkError(f"{out} exists: choose another --out")

    if minutes and steps:
        raise UsageError("say either --minutes or --steps")
    recipe: RealtimeRecipe = read_recipe(recipe_file) if recipe_file else RealtimeRecipe()
    given: dict[str, Any] = {
        "style_image": None if style_image is None else str(style_image),
        "content": None if not content else tuple(map(str, content)),
        "exclude": None if not exclude else tuple(exclude),
        "steps": 0 if minutes else steps or None,
        "init": None if init is None else str(init),
        "title": title,
        "seed": seed,
    }
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    reporter = Reporter(quiet=False, unit="steps")
    with stop_on_signals() as stop:
        try:
            result = train_realtime(
                recipe,
                out.with_suffix(".run"),
                data=data,
                minutes=minutes,
                resume=resume,
                vgg=vgg,
                device=device,
                threads=threads,
                preview=preview,
                say=reporter.say,
                on_start=reporter.start,
                on_step=lambda progress: reporter.count(progress.step, f"loss {progress.losses['total']:.3f}"),
                stop=stop.is_set,
            )
        finally:
            reporter.stop()
    style = export_style(result, out)
    reporter.say(f"{out}: '{style.card.title}', {result.step} of {result.steps} steps")
    if stop.is_set():
        raise typer.Exit(128 + stop.signal_number)
