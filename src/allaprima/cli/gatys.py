"""``allaprima train gatys``: paint one picture by optimizing its pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..errors import MissingExtraError, PartialRunError, SinkError, UsageError
from ..frame import Pixels
from ..picture import check_picture_destination, read_picture, write_picture
from ..stylizer import scale, with_colors_of
from ..train.recipes.gatys import GatysRecipe
from ..writing import write_whole
from .options import JsonOption, KeepColorsOption, OverwriteOption, parse_size
from .progress import Reporter, stop_on_signals

if TYPE_CHECKING:
    from ..train.methods.gatys import GatysResult, GatysStep

_DEFAULT = GatysRecipe()


def gatys(
    content: Annotated[Path, typer.Option("--content", help="The picture to paint.")],
    style_image: Annotated[list[Path], typer.Option("--style-image", help="The picture to paint like; repeatable.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write; a .json beside it tells how.")],
    style_weights: Annotated[
        str | None, typer.Option("--style-weights", help="One for each --style-image, like 0.7,0.3.")
    ] = None,
    size: Annotated[str, typer.Option("--size", help="Longest side in pixels, or WIDTHxHEIGHT.")] = "512",
    style_scale: Annotated[
        float, typer.Option("--style-scale", help="Size of the style picture over the painting's: of the strokes.")
    ] = _DEFAULT.style_scale,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help=f"Steps, all sizes together; else {_DEFAULT.steps}.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="How long to paint, instead of --steps.")] = 0.0,
    optimizer: Annotated[str, typer.Option("--optimizer", help="lbfgs or adam.")] = _DEFAULT.optimizer,
    content_weight: Annotated[float, typer.Option("--content-weight", min=0)] = _DEFAULT.content_weight,
    style_weight: Annotated[float, typer.Option("--style-weight", min=0)] = _DEFAULT.style_weight,
    tv_weight: Annotated[float, typer.Option("--tv-weight", min=0, help="Smoothness.")] = _DEFAULT.tv_weight,
    init: Annotated[str, typer.Option("--init", help="Start from content, style or noise.")] = _DEFAULT.init,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the noise.")] = _DEFAULT.seed,
    keep_colors: KeepColorsOption = False,
    previews: Annotated[Path | None, typer.Option("--previews", help="Folder for the picture on its way.")] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Steps between previews.")] = 50,
    vgg: Annotated[Path | None, typer.Option("--vgg", envvar="ALLAPRIMA_VGG", help="VGG16 weights.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 takes all cores.")] = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Paint one picture by optimizing its pixels: minutes for a picture, and the yardstick for styles of video."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("painting by optimization", "train") from error
    from ..train.methods.gatys import paint
    from ..train.pyramid import to_pixels
    from ..train.vgg import load_weights

    check_destinations(out, previews, (content, *style_image), overwrite=overwrite)
    if minutes and steps:
        raise UsageError("say either --minutes or --steps")
    recipe = GatysRecipe(
        steps or _DEFAULT.steps,
        optimizer,
        content_weight,
        style_weight,
        tv_weight,
        parse_weights(style_weights),
        style_scale,
        init,
        seed,
    )
    picture = read_picture(content)
    pixels = scale(picture.pixels, target_size(size, picture.pixels))
    styles = [read_picture(path).pixels for path in style_image]
    reporter = Reporter(quiet=as_json, unit="steps")

    def colored(painting: Pixels) -> Pixels:
        height, width = painting.shape[:2]
        return with_colors_of(painting, scale(pixels, (width, height))) if keep_colors else painting

    def stepped(state: GatysStep) -> None:
        reporter.count(state.step, f"loss {state.losses['total']:.3f}")
        if previews is not None and state.step % every == 0:
            write_picture(previews / f"preview-{state.step:06d}.png", colored(to_pixels(state.image)), overwrite=True)

    with stop_on_signals() as stop:
        try:
            result = paint(
                pixels,
                styles,
                recipe,
                load_weights(vgg),
                minutes=minutes,
                device=device,
                threads=threads,
                on_start=reporter.start,
                on_step=stepped,
                stop=stop.is_set,
            )
        finally:
            reporter.stop()
    if not result.step:
        raise PartialRunError("stopped before the first step; nothing was kept", 128 + stop.signal_number)
    partial = result.interrupted or result.error is not None
    target = out.with_name(f"{out.stem}.partial{out.suffix}") if partial else out
    notes = write_picture(target, colored(result.pixels), picture, overwrite=overwrite or partial)
    record = {
        "output": str(target),
        "content": str(content),
        "style_images": [str(path) for path in style_image],
        "keep_colors": keep_colors,
        **figures(result),
        "threads": torch.get_num_threads(),
        "versions": {"allaprima": __version__, "torch": torch.__version__},
        "notes": [*picture.notes, *notes],
    }
    write_whole(target.with_suffix(".json"), json.dumps(record, indent=2).encode())
    if as_json:
        typer.echo(json.dumps(record))
    if result.error is not None:
        raise PartialRunError(f"{result.error}; the last good picture is {target}", result.error.exit_code)
    if partial:
        raise PartialRunError(f"stopped; {result.step} steps are kept in {target}", 128 + stop.signal_number)
    losses = ", ".join(f"{name} {result.losses[name]:.4f}" for name in ("content", "style", "tv"))
    reporter.say(f"{target}: {result.step} steps in {result.seconds:.0f} s; {losses}")


def figures(result: GatysResult) -> dict[str, Any]:
    """What the record says of a result; with the recipe, the pictures and the size, it paints the same again."""
    height, width = result.pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "recipe": asdict(result.recipe),
        "losses": dict(result.losses),
        "step": result.step,
        "steps": result.recipe.steps,
        "seconds": result.seconds,
        "device": result.device,
    }


def parse_weights(text: str | None) -> tuple[float, ...]:
    """``0.7,0.3`` to numbers; nothing to none.

    Raises:
        UsageError: something isn't a number.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise UsageError(f"--style-weights takes numbers like 0.7,0.3, not '{text}'") from error


def target_size(text: str, picture: Pixels) -> tuple[int, int]:
    """``--size`` to (width, height); of the longest side alone, in the proportions of a picture, uint8 H×W×3.

    Raises:
        UsageError: neither a number nor WIDTHxHEIGHT.
    """
    exact = None if text.strip().isdecimal() else parse_size(text)
    if exact is not None:
        return exact
    if not 0 < int(text) < 100_000:
        raise UsageError(f"--size takes the longest side in pixels or WIDTHxHEIGHT, not '{text}'")
    height, width = picture.shape[:2]
    factor = int(text) / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def check_destinations(out: Path, previews: Path | None, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse what couldn't be written at the end, before minutes are spent; makes the folder for previews.

    Raises:
        SinkError: ``out`` is one of the ``sources``, a file is there already, or a folder isn't or can't be.
    """
    check_picture_destination(out, overwrite=overwrite)
    if out.exists() and any(source.exists() and out.samefile(source) for source in sources):
        raise SinkError(f"'{out}' is one of the pictures to paint from: choose another --out")
    record = out.with_suffix(".json")
    if record.exists() and not overwrite:
        raise SinkError(f"'{record}' is there already: --overwrite replaces it")
    if previews is None:
        return
    try:
        previews.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"can't make folder {previews}: {error.strerror}") from error
    if not overwrite and any(previews.glob("preview-*.png")):
        raise SinkError(f"'{previews}' has previews already: --overwrite replaces them")
