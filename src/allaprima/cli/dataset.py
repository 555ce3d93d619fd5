"""``allaprima dataset``: make data sets of one's own clips and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..dataset.manifest import TEST, TRAIN
from ..dataset.pairs import make_pairs
from ..dataset.pictures import make_from_clips, make_from_folders
from ..dataset.report import Report, Watch
from ..errors import PartialRunError
from .options import JsonOption, OverwriteOption, parse_size
from .progress import Reporter, stop_on_signals

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})

ClipsArgument = Annotated[
    list[str], typer.Argument(metavar="CLIP…", help="Videos, folders of numbered pictures, or scene[:NAME].")
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")]
SizeOption = Annotated[
    str | None, typer.Option("--size", help="Scale to cover WIDTHxHEIGHT and crop the middle; else sizes are kept.")
]
MirrorOption = Annotated[bool, typer.Option("--mirror", help="Add a mirrored copy of each.")]
ShareOption = Annotated[
    float, typer.Option("--test-share", min=0.0, max=0.5, help="About this share is kept for test; 0: nothing.")
]
LicenseOption = Annotated[str, typer.Option("--license", help="License of the clips or pictures, for the manifest.")]


@app.callback(invoke_without_command=True)
def kinds(context: typer.Context) -> None:
    """Make a data set of one's own clips or pictures."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("from-video")
def from_video(
    clips: ClipsArgument,
    out: OutOption,
    every: Annotated[int, typer.Option("--every", min=1, help="Take every N-th frame.")] = 10,
    size: SizeOption = None,
    mirror: MirrorOption = False,
    test_share: ShareOption = 0.1,
    license_text: LicenseOption = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Frames of clips: without near-duplicates, and split by shot."""

    def make(watch: Watch) -> Report:
        return make_from_clips(
            clips,
            out,
            every=every,
            size=parse_size(size),
            mirror=mirror,
            test_share=test_share,
            license_text=license_text,
            overwrite=overwrite,
            watch=watch,
        )

    _run(make, "frames read", "pictures", as_json=as_json)


@app.command("from-images")
def from_images(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Folders of pictures.")],
    out: OutOption,
    size: SizeOption = None,
    mirror: MirrorOption = False,
    test_share: ShareOption = 0.1,
    license_text: LicenseOption = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pictures of folders: without near-duplicates; smaller ones than --size are skipped."""

    def make(watch: Watch) -> Report:
        return make_from_folders(
            folders,
            out,
            size=parse_size(size),
            mirror=mirror,
            test_share=test_share,
            license_text=license_text,
            overwrite=overwrite,
            watch=watch,
        )

    _run(make, "pictures read", "pictures", as_json=as_json)


@app.command("pairs")
def pairs(
    clips: ClipsArgument,
    out: OutOption,
    every: Annotated[int, typer.Option("--every", min=1, help="A pair begins at every N-th frame.")] = 10,
    size: SizeOption = None,
    test_share: ShareOption = 0.1,
    license_text: LicenseOption = "",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Neighboring frames of clips with the motion between them, and where it is hidden."""

    def make(watch: Watch) -> Report:
        return make_pairs(
            clips,
            out,
            every=every,
            size=parse_size(size),
            test_share=test_share,
            license_text=license_text,
            overwrite=overwrite,
            watch=watch,
        )

    _run(make, "frames read", "pairs", as_json=as_json)


def _run(make: Callable[[Watch], Report], unit: str, what: str, *, as_json: bool) -> None:
    reporter = Reporter(quiet=as_json, unit=unit)
    with stop_on_signals() as stop:
        reporter.start(None)
        try:
            report = make(Watch(reporter.count, stop.is_set))
        except PartialRunError as error:
            raise PartialRunError(str(error), 128 + stop.signal_number) from error
        finally:
            reporter.stop()
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        for line in _lines(report, what):
            reporter.say(line)


def _lines(report: Report, what: str) -> list[str]:
    """A report for people; ``what`` was made, in the plural."""
    lines = [f"skipped {failure.name}: {failure.error}" for failure in report.skipped]
    lines += [f"{failure.name} is used up to its damage: {failure.error}" for failure in report.cut_short]
    lines += [f"note: {note}" for note in report.notes]
    left_out = {
        "near-duplicates": report.duplicates,
        "too small": report.too_small,
        "can't be read": len(report.skipped),
    }
    said = "".join(f"; {count} {reason}" for reason, count in left_out.items() if count)
    train, test = report.files[TRAIN], report.files[TEST]
    lines.append(f"{report.out}: {train} {what} for training, {test} for test, out of {report.read} read{said}")
    return lines
