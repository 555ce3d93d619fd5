"""``allaprima image``: paint pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..api import stylize_picture_file
from ..errors import AllaprimaError, SinkError, UsageError
from ..painter import Painter
from ..picture import WRITABLE, list_pictures
from .options import JsonOption, KeepColorsOption, OverwriteOption, takes_painter
from .progress import Reporter


@takes_painter
def image(
    painter: Painter,
    pictures: Annotated[list[Path], typer.Argument(metavar="IN…", help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A picture file for one picture, else a folder.")],
    keep_colors: KeepColorsOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Paint pictures; a picture that can't be read or written is named, and the others go on."""
    work = destinations(pictures, out)
    reporter = Reporter(quiet=as_json, unit="pictures")
    reporter.start(len(work))
    results: list[dict[str, Any]] = []
    failures: list[AllaprimaError] = []
    try:
        for count, (source, target) in enumerate(work, 1):
            try:
                picture = stylize_picture_file(source, target, painter, keep_colors=keep_colors, overwrite=overwrite)
                height, width = picture.pixels.shape[:2]
                results.append({"input": str(source), "output": str(target), "width": width, "height": height})
            except AllaprimaError as error:
                failures.append(error)
                results.append({"input": str(source), "error": str(error)})
                if len(work) > 1:
                    reporter.say(f"allaprima: {error}")
            reporter.count(count, source.name)
    finally:
        reporter.stop()
    if as_json:
        typer.echo(json.dumps(results))
    if failures and len(work) == 1:
        raise failures[0]
    reporter.say(f"{len(work) - len(failures)} of {len(work)} painted into {out}")
    if failures:
        raise typer.Exit(failures[0].exit_code)


def destinations(pictures: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Which file goes where: (picture, painting) pairs; makes the folder they go to.

    Raises:
        SourceError: a folder without pictures.
        SinkError: the folder for the paintings can't be made.
        UsageError: several pictures for one file, or two of the same name for one folder.
    """
    files: list[Path] = []
    for path in pictures:
        if path.is_dir():
            files += list_pictures(path)
        else:
            files.append(path)
    into_file = out.suffix.lower() in WRITABLE and not out.is_dir()
    if into_file and len(files) > 1:
        raise UsageError(f"{len(files)} pictures can't go into one file: let --out name a folder")
    if not into_file:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"can't make folder {out}: {error.strerror}") from error
    pairs = [(path, out if into_file else out / _writable_name(path)) for path in files]
    names = [target for _, target in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two pictures would both become {twice}: paint them into different folders")
    return pairs


def _writable_name(path: Path) -> str:
    """The picture's own name, ending in .png where its format can be read but not written."""
    return path.name if path.suffix.lower() in WRITABLE else f"{path.stem}.png"
