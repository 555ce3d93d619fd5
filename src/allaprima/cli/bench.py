"""``allaprima bench``: how fast styles are here, on which engine, in which precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from ..engine import ENGINES, PRECISIONS
from ..errors import AllaprimaError, UsageError
from ..failure import Failure
from ..style import Style, bundled_styles
from .options import JsonOption, RangeOption, StrideOption, ThreadsOption, open_one_of, parse_size
from .progress import Reporter
from .tables import print_table

_SIZES = "256x256,512x512,720x540,1280x720,1920x1080,3840x2160"
_QUIET = 0.05
"""Share of the CPU that others may take before a person is told."""


def bench(
    styles: Annotated[
        str | None, typer.Option(help="Bundled styles or style files, A,B,…; all bundled ones if left out.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Widths and heights.")] = _SIZES,
    engines: Annotated[
        str | None, typer.Option(help="onnxruntime,openvino; those installed if left out.", show_default=False)
    ] = None,
    precisions: Annotated[
        str | None,
        typer.Option(help="f32,bf16,f16,int8; what each engine can do if left out.", show_default=False),
    ] = None,
    stages: Annotated[bool, typer.Option("--stages", help="Time decode, convert and encode too.")] = False,
    rounds: Annotated[int, typer.Option(min=2, help="Frames timed of each, all in turn.")] = 12,
    threads: ThreadsOption = 0,
    value_range: RangeOption = None,
    stride: StrideOption = None,
    report: Annotated[Path | None, typer.Option(help="Write a report: one HTML file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast styles paint, engines and precisions in turn, and how near that is to what the machine can."""
    wanted = [size for size in map(parse_size, _items(sizes) or []) if size is not None]
    if not wanted:
        raise UsageError("--sizes takes at least one WIDTHxHEIGHT, like 1280x720")
    chosen_engines, chosen_precisions = _items(engines), _items(precisions)
    _check(chosen_engines, ENGINES, "--engines")
    _check(chosen_precisions, PRECISIONS, "--precisions")
    names = _items(styles) or [path.stem for path in bundled_styles()]
    from ..measure.report.page import check_report, write_report
    from ..measure.speed.bench import Bench, Plan

    if report is not None:
        check_report(report)
    opened, failures = _open(names, value_range, stride)
    plan = Plan(
        styles=opened,
        sizes=wanted,
        engines=chosen_engines,
        precisions=chosen_precisions,
        rounds=rounds,
        threads=threads,
        stages=stages,
    )
    reporter = Reporter(quiet=as_json)
    measurement = Bench(plan, say=reporter.say)
    measurement.failures += failures
    result = measurement.run()
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        _show(result, Console(highlight=False))
    others = result["protocol"]["others_cpu"]
    if others > _QUIET:
        reporter.say(
            f"other programs took {others:.0%} of the CPU meanwhile: times are too long; close them and repeat"
        )
    for name, error in measurement.failures:
        reporter.say(f"allaprima: {name}: {error}")
    if report is not None:
        write_report(report, bench=result)
    if measurement.failures:
        raise typer.Exit(measurement.failures[0].error.exit_code)


def _items(text: str | None) -> list[str] | None:
    """The parts of a comma-separated list, each once; None where nothing was given."""
    parts = [part.strip() for part in (text or "").split(",")]
    return list(dict.fromkeys(part for part in parts if part)) or None


def _check(given: list[str] | None, known: tuple[str, ...], option: str) -> None:
    for name in given or []:
        if name not in known:
            raise UsageError(f"{option} doesn't know '{name}'; known: {', '.join(known)}")


def _open(names: list[str], value_range: str | None, stride: int | None) -> tuple[list[Style], list[Failure]]:
    """The styles that open, and those that don't.

    Raises:
        AllaprimaError: the first one's reason, where none opens.
    """
    opened, failures = [], []
    for name in names:
        try:
            opened.append(open_one_of(name, value_range, stride))
        except UsageError:
            raise
        except AllaprimaError as error:
            failures.append(Failure(name, error))
    if not opened:
        raise failures[0].error
    return opened, failures


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table(
        Column("style", overflow="fold"), "size", "engine", *map(_right, ("ms", "p95", "fps", "of peak", "MiB"))
    )
    for row in result["rows"]:
        frame = row["frame"]
        share, memory = row["peak_share"], row["memory_mib"]
        table.add_row(
            row["style"],
            row["size"],
            f"{row['engine']} {row['precision']}",
            *(_ms(frame[name]) for name in ("median_ms", "p95_ms")),
            f"{row['fps']:.1f}",
            "-" if share is None else f"{share:.0%}",
            "-" if memory is None else f"{memory:.0f}",
        )
    print_table(table)
    staged = [row for row in result["rows"] if row["whole"] is not None]
    if staged:
        print_table(_stage_table(staged))
    peaks = result["peaks"]
    found = [
        f"{name} {peak['gmac_s']:.0f} GMAC/s ({peak['winner']})"
        for name, peak in peaks.items()
        if isinstance(peak, dict)
    ]
    console.print(f"peaks: {', '.join(found)}, copy {peaks['copy_gib_s']:.0f} GiB/s", soft_wrap=True)
    for each in result["ratios"]:
        times = f"{each['median']:.2f}× the time of {each['to']} (spread {each['spread']:.2f})"
        console.print(f"{each['size']}: {each['of']} takes {times}", soft_wrap=True)


def _stage_table(rows: list[dict[str, Any]]) -> Table:
    names = list(rows[0]["stages"])
    table = Table("style", "size", "engine", *map(_right, (*names, "whole")), title="ms a frame (CPU ms)")
    for row in rows:
        shown = [
            "-" if each is None else f"{_ms(each['median_ms'])} ({_ms(each['cpu_ms'])})"
            for each in row["stages"].values()
        ]
        engine = f"{row['engine']} {row['precision']}"
        table.add_row(row["style"], row["size"], engine, *shown, _ms(row["whole"]["median_ms"]))
    return table


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:.0f}"


def _right(title: str) -> Column:
    return Column(title, justify="right")
