"""The report: one HTML file with every table, plot and picture in it; nothing is loaded from elsewhere.

Needs Matplotlib and Jinja, from the extra ``report``; both are imported when a report is written.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError
from ...frame import Pixels
from ...writing import check_destination, write_whole
from . import plots
from .drawing import Mark, Result, figure_bytes, rows_of
from .tables import (
    CLIP_COLUMNS,
    SEQUENCE_COLUMNS,
    keys_of,
    layer_table,
    node_table,
    part_table,
    peak_table,
    ratio_table,
    speed_table,
    stage_table,
    style_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_QUALITY = 88


@dataclass(frozen=True, slots=True, eq=False)
class ReportPicture:
    """A picture that the report shows."""

    title: str
    caption: str
    pixels: Pixels
    """uint8, H×W×3, RGB."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A plot or picture, ready to be written."""

    title: str
    source: str
    """A data URI."""
    caption: str = ""


def check_report(path: Path) -> None:
    """Refuse what :func:`write_report` couldn't write, before anything is measured.

    Raises:
        MissingExtraError: Matplotlib or Jinja isn't installed.
        SinkError: there is no such folder, or the path is one.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the report", "report") from error
    check_destination(path)


def write_report(
    path: Path,
    *,
    evaluation: dict[str, Any] | None = None,
    bench: dict[str, Any] | None = None,
    pictures: Sequence[ReportPicture] = (),
) -> None:
    """Write what was measured as one HTML file, beside its final name at first; a file that is there is replaced.

    Args:
        path: where to.
        evaluation: what ``evaluate --json`` prints.
        bench: what ``bench --json`` prints.
        pictures: to be shown, such as the frames where flicker is worst.

    Raises:
        MissingExtraError: Matplotlib or Jinja isn't installed.
        SinkError: the file can't be written.
    """
    check_report(path)
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))
    marks = plots.style_marks(evaluation, bench)
    results = [result for result in (evaluation, bench) if result is not None]
    text = template.render(
        machines=_machines(results),
        protocols=[_protocol(result) for result in results],
        failures=[
            (str(failure.get("name")), str(failure.get("error")))
            for result in results
            for failure in result.get("failures") or ()
        ],
        evaluation=None if evaluation is None else _evaluation(evaluation, marks),
        bench=None if bench is None else _bench(bench, marks),
        pictures=[_Shown(one.title, _jpeg(one.pixels), one.caption) for one in pictures],
    )
    write_whole(path, text.encode("utf-8", "replace"))


def _evaluation(evaluation: Result, marks: Mapping[str, Mark]) -> dict[str, Any]:
    rows = rows_of(evaluation)
    notes = list(dict.fromkeys(str(note) for row in rows for note in row.get("notes") or ()))
    clips = keys_of(row.get("clips") for row in rows)
    return {
        "table": style_table(rows, notes),
        "notes": notes,
        "pareto": _plot("Flicker against style", plots.pareto(evaluation, marks)) if rows else None,
        "series": [_plot(f"Flicker of {clip}", plots.flicker_series(evaluation, clip, marks)) for clip in clips],
        "layers": layer_table(rows),
        "clips": part_table(rows, "clips", clips, CLIP_COLUMNS),
        "sequences": part_table(rows, "sequences", keys_of(row.get("sequences") for row in rows), SEQUENCE_COLUMNS),
    }


def _bench(bench: Result, marks: Mapping[str, Mark]) -> dict[str, Any]:
    rows = rows_of(bench)
    figures = []
    if rows:
        figures.append(_plot("Inference time and frame rate against size", plots.time_against_size(bench, marks)))
        figures.append(_plot("Roofline", plots.roofline(bench, marks)))
    staged = {row.get("size") for row in rows if row.get("stages")}
    sizes = [size for size in plots.sizes_of(bench) if size in staged]
    layers = bench.get("layers") or {}
    return {
        "table": speed_table(rows),
        "peaks": peak_table(bench.get("peaks") or {}),
        "ratios": ratio_table(bench.get("ratios") or ()),
        "figures": figures,
        "stages": [_plot(f"Latency by stage at {size}", plots.stages(bench, size)) for size in sizes],
        "stage_table": stage_table(rows),
        "layers": [
            (str(style), _plot(f"Slowest layers of {style}", plots.layers(bench, style)), node_table(layers[style]))
            for style in layers
        ],
    }


def _machines(results: Sequence[Result]) -> list[dict[str, str]]:
    """Each machine once: label to value."""
    machines: list[dict[str, str]] = []
    for result in results:
        given = dict(result.get("machine") or {})
        packages = given.pop("packages", None) or {}
        shown = {key: "unknown" if value is None else str(value) for key, value in given.items()}
        if packages:
            shown["packages"] = ", ".join(f"{name} {version or 'not installed'}" for name, version in packages.items())
        if shown and shown not in machines:
            machines.append(shown)
    return machines


def _protocol(result: Result) -> dict[str, Any]:
    """The protocol's settings as words, and its definitions."""
    given = dict(result.get("protocol") or {})
    definitions = dict(given.pop("definitions", None) or {})
    settings = [(key.replace("_", " "), _in_words(key, value)) for key, value in given.items()]
    return {"title": str(result.get("kind") or "protocol"), "settings": settings, "definitions": definitions}


def _in_words(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_in_words(str(name), one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ("×" if key.endswith("size") else ", ").join(str(one) for one in value)
    return "not set" if value is None else str(value)


def _plot(title: str, figure: Figure) -> _Shown:
    return _Shown(title, f"data:image/svg+xml;base64,{_base64(figure_bytes(figure, 'svg'))}")


def _jpeg(pixels: Pixels) -> str:
    from PIL import Image

    file = io.BytesIO()
    # Strokes are made of color: it keeps its resolution.
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{_base64(file.getvalue())}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
