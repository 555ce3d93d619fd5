"""``allaprima train``: make a style, by one verb a method; all of them take the same options."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ..errors import MissingExtraError, SinkError, UsageError
from ..train.recipe import Recipe, resolve
from ..train.recipes import RECIPES
from ..train.recipes.gatys import GatysRecipe
from ..writing import check_destination
from .measuring import make_subject, measure_styles
from .progress import Reporter, Stop, stop_on_signals

if TYPE_CHECKING:
    from ..measure.quality.material import Material
    from ..style import Style
    from ..train.trainer import TrainingResult

_WIDE = 120
"""Columns of a terminal from which on a method is told side by side."""

_OF_SOME = ("recurrent",)
"""Options that are fields of some recipes alone."""

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def methods(
    context: typer.Context,
    listed: Annotated[bool, typer.Option("--list", help="Say what each method needs and is good for.")] = False,
) -> None:
    """Make a style from a picture."""
    if listed:
        console = Console(highlight=False)
        console.print(_table(wide=console.width >= _WIDE))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _table(*, wide: bool) -> Table:
    """The methods: a column for each thing to say, or one for all where there is no room."""
    table = Table("method", "good for", "needs", "takes", box=SIMPLE) if wide else Table("method", "", box=SIMPLE)
    abouts = {name: kind.about for name, kind in RECIPES.items()} | {GatysRecipe.method: GatysRecipe.about}
    for name, about in abouts.items():
        said = (about.good_for, about.needs, about.takes)
        table.add_row(name, *(said if wide else ("for {}\nneeds {}\ntakes {}".format(*said),)))
    return table


def _verb(kind: type[Recipe]) -> Callable[..., None]:
    def train(
        out: Annotated[Path | None, typer.Option("--out", "-o", help="The style file to write (.onnx).")] = None,
        style_image: Annotated[Path | None, typer.Option("--style-image", help="The picture to paint like.")] = None,
        content: Annotated[
            list[str] | None,
            typer.Option(
                "--content",
                metavar="PATH[=WEIGHT]",
                help="What to train on: a folder of pictures, searched recursively, a clip, scene[:NAME], or a folder"
                " with true flow; repeatable. One of twice the weight is taken twice as often.",
            ),
        ] = None,
        exclude: Annotated[
            list[str] | None,
            typer.Option("--exclude", metavar="PATTERN", help="File names to leave out, like 'game-*'; repeatable."),
        ] = None,
        recipe_file: Annotated[
            Path | None, typer.Option("--recipe", help="TOML file with any settings; the options go before it.")
        ] = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="FIELD=VALUE", help="Any field of the recipe; repeatable."),
        ] = None,
        show_recipe: Annotated[
            bool, typer.Option("--show-recipe", help="Print the recipe with every field as TOML, and train nothing.")
        ] = False,
        data: Annotated[
            Path | None,
            typer.Option("--data", envvar="ALLAPRIMA_DATA", help="Folder that the recipe's relative paths are in."),
        ] = None,
        minutes: Annotated[float, typer.Option("--minutes", min=0, help="How long to train.")] = 0.0,
        steps: Annotated[int, typer.Option("--steps", min=0, help="Number of steps, instead of --minutes.")] = 0,
        init: Annotated[str | None, typer.Option("--init", help="Style or checkpoint to start from.")] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on from OUT.run/checkpoint.pt, by the recipe that it holds.")
        ] = False,
        recurrent: Annotated[
            bool,
            typer.Option("--recurrent", help="Let the net see its last painting; it learns from pairs of frames then."),
        ] = False,
        title: Annotated[str | None, typer.Option("--title", help="Title for the card.")] = None,
        seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random numbers.")] = None,
        vgg: Annotated[Path | None, typer.Option("--vgg", envvar="ALLAPRIMA_VGG", help="VGG16 weights.")] = None,
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
        threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 takes all cores.")] = 0,
        preview: Annotated[
            Path | None, typer.Option("--preview", help="Picture or clip to paint every few minutes.")
        ] = None,
        report: Annotated[
            Path | None,
            typer.Option(
                "--report", help="Measure the style as `evaluate` does, store it on the card, write this HTML file."
            ),
        ] = None,
    ) -> None:
        if minutes and steps:
            raise UsageError("say either --minutes or --steps")
        given: dict[str, Any] = {
            "style_image": None if style_image is None else str(style_image),
            "content": tuple(content) if content else None,
            "exclude": tuple(exclude) if exclude else None,
            "steps": 0 if minutes else steps or None,
            "init": init,
            "recurrent": recurrent or None,
            "title": title,
            "seed": seed,
        }
        recipe = kind.read(recipe_file) if recipe_file else kind()
        recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
        recipe = recipe.changed(settings or ())
        if minutes and recipe.steps:
            raise UsageError("say either --minutes or --set steps=…")
        if show_recipe:
            typer.echo(_toml(recipe))
            return
        if out is None:
            raise UsageError("say where to: --out FILE.onnx")
        _check_out(out, resume=resume)
        material = None if report is None or not _is_first_process() else _prepare_report(report, data)
        result, stop = _train(
            recipe,
            out.with_suffix(".run"),
            data=data,
            minutes=minutes,
            resume=resume,
            vgg=vgg,
            device=device,
            threads=threads,
            preview=preview,
        )
        if not _is_first_process():
            return
        style = _export(result, out)
        painting = resolve(result.recipe.style_image, data)
        if report is None or material is None or stop.is_set():
            typer.echo(
                f"to measure it: allaprima evaluate {out} --style-image {painting} --write-card --report report.html",
                err=True,
            )
        else:
            measure_styles(
                [make_subject(style, painting, threads=threads)],
                material,
                vgg=None if vgg is None else str(vgg),
                cards=[style],
                report=report,
            )
        if stop.is_set():
            raise typer.Exit(128 + stop.signal_number)

    # A verb has no option for a field that its recipe hasn't.
    signature, fields = inspect.signature(train, eval_str=True), {field.name for field in dataclasses.fields(kind)}
    theirs = [option for name, option in signature.parameters.items() if name not in _OF_SOME or name in fields]
    train.__signature__ = signature.replace(parameters=theirs)  # type: ignore[attr-defined]
    return train


for _kind in RECIPES.values():
    app.command(
        _kind.method,
        help=f"For {_kind.about.good_for}.\n\nNeeds {_kind.about.needs}; takes {_kind.about.takes}.",
    )(_verb(_kind))


def _toml(recipe: Recipe) -> str:
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtraError("writing recipes", "train") from error
    return tomli_w.dumps(recipe.to_dict())


def _check_out(out: Path, *, resume: bool) -> None:
    """Refuse what couldn't be written at the end, before hours are spent.

    Raises:
        UsageError: not the name of a style file.
        SinkError: no such folder; or a file is there that isn't the state to go on from.
    """
    if out.suffix != ".onnx":
        raise UsageError(f"--out must end in .onnx, not '{out.name}'")
    check_destination(out)
    if out.exists() and not resume:
        raise SinkError(f"{out} exists: choose another --out")


def _prepare_report(report: Path, data: Path | None) -> Material:
    """What the style will be measured on; read now, so that what can't be used costs no training.

    Raises:
        AllaprimaError: the report couldn't be written, or the data hold nothing to measure on.
    """
    from ..measure.quality.material import load_material
    from ..measure.report.page import check_report

    check_report(report)
    return load_material(data)


def _train(recipe: Recipe, folder: Path, **options: Any) -> tuple[TrainingResult, Stop]:
    try:
        import lightning_fabric  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    from ..train.session import train

    reporter = Reporter(quiet=not _is_first_process(), unit="steps")
    with stop_on_signals() as stop:
        try:
            result = train(
                recipe,
                folder,
                **options,
                say=reporter.say,
                on_start=reporter.start,
                on_step=lambda progress: reporter.count(progress.step, f"loss {progress.losses['total']:.3f}"),
                stop=stop.is_set,
            )
        finally:
            reporter.stop()
    return result, stop


def _is_first_process() -> bool:
    """Whether this process, of those that torchrun started, is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def _export(result: TrainingResult, out: Path) -> Style:
    from ..train.export import export_style

    style = export_style(result, out)
    typer.echo(f"{out}: '{style.card.title}', {result.step} of {result.steps} steps", err=True)
    return style
