"""The report: one file that holds everything, shows numbers as they were given and nulls as nulls."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from allaprima.errors import MissingExtraError, SinkError
from allaprima.measure.report.page import ReportPicture, write_report

pytest.importorskip("matplotlib", reason="needs the extra 'report'")
pytest.importorskip("jinja2", reason="needs the extra 'report'")

MACHINE = {"cpu": "2 cores of a Xeon", "commit": None, "date": "2026-11-21", "packages": {"onnxruntime": "1.31.1"}}
VOID = {"meta", "img", "br", "link", "input", "hr", "col"}


class Reader(HTMLParser):
    """Reads strictly: every element is closed in turn; remembers what the file refers to, and its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.exact: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.references += [str(given[name]) for name in ("src", "href", "srcset", "poster", "action") if name in given]
        self.ids += [str(given["id"])] if "id" in given else []
        self.exact += [str(given["value"])] if tag == "data" else []
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


def row(name: str, coherence: float, **figures: Any) -> dict[str, Any]:
    """A row of an evaluation with everything in it."""
    series = [[1, 5.0, 3.0, None], [2, 6.0, 3.5, 7.0]]
    clip = {"warp": 5.5, "untouched": 3.25, "long": 7.0, "long_untouched": 4.5, "valid_fraction": 0.875, "pairs": 2}
    sequence = {"e_stab": 0.0512, "untouched": 0.0123, "per_valid_pixel": 0.0555, "valid_fraction": 0.9, "pairs": 2}
    given = {
        **{"name": name, "coherence": coherence, "default": coherence > 0, "against": False, "threads": 0},
        **{"placement": "onnxruntime f32 on cpu", "style": 0.2, "style_score": 0.0612345, "content": 0.5},
        **{"style_layers": {"relu1_2": {"median": 0.111, "spread": 0.022}}, "content_spread": 0.04, "ssim": 0.61},
        **{"ssim_spread": 0.05, "shift": {"1": 6.76, "stride": 0.3}, "shift_floor": {"1": 0, "2.6": 1.6}},
        **{"noise": {"1": 1.234, "4": None}, "warp": 6.0, "warp_untouched": 3.25, "warp_long": 8.0, "e_stab": 0.05},
        **{"clips": {"road": {**clip, "series": series}}, "sequences": {"scene:pan": {**sequence, "mask": "exact"}}},
        **{"sharpness": 9.1, "grid": 0.00012, "blobs": 0, "milliseconds": 31.4, "notes": ["noise at 4: it clips"]},
    }
    return {**given, **figures}


def evaluation(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result of ``evaluate``."""
    protocol = {"clips": {"road": 24}, "clip_size": [640, 360], "seed": 0, "definitions": {"warp": "a difference"}}
    return {"kind": "evaluate", "machine": MACHINE, "protocol": protocol, "rows": list(rows), "failures": [], **more}


def bench() -> dict[str, Any]:
    """A result of ``bench``."""
    frame = {"median_ms": 30.25, "p95_ms": 33.5, "spread_ms": 1.5}
    stages = {
        "decode": {"median_ms": 2.5, "p95_ms": 3.0, "spread_ms": 0.1, "cpu_ms": 4.75},
        "infer": frame,
        "show": None,
    }
    where = {"style": "wave", "size": "720x540", "engine": "onnxruntime", "precision": "f32", "device": "cpu"}
    work = {"gmac": 2.7, "mib": 110.0, "peak_share": 0.915, "bound": "compute", "memory_mib": 180.0}
    return {
        **{"kind": "bench", "machine": MACHINE, "protocol": {"rounds": 12}, "failures": []},
        "peaks": {"f32": {"gmac_s": 98.2, "winner": "a product"}, "int8": None, "copy_gib_s": 8.4},
        "rows": [
            {**where, "threads": 2, "stages": stages, "frame": frame, "fps": 33.06, **work},
            {**where, "size": "1280x720", "threads": 2, "stages": None, "frame": None, "fps": None, "bound": None},
        ],
        "ratios": [{"of": "wave f32", "to": "wave int8", "size": "720x540", "median": 1.875, "spread": 0.0125}],
        "layers": {"wave": [{"name": "conv", "op": "Conv", "output": [1, 48], "gmac": 0.5, "mib": 3.25, "ms": 1.125}]},
    }


def read(path: Path) -> tuple[str, Reader]:
    """A report's text, and what the reader found in it."""
    text = path.read_text(encoding="utf-8")
    return text, Reader(text)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Reader]:
    """A report with everything in it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    rows = [row("wave", 0.0), row("wave", 0.6, warp=4.0, style_score=None), row("peer", 0.0, against=True, warp=2.0)]
    picture = ReportPicture("worst <frame>", "of the clip", np.full((12, 34, 3), (200, 30, 60), np.uint8))
    write_report(path, evaluation=evaluation(*rows), bench=bench(), pictures=[picture])
    assert list(path.parent.iterdir()) == [path]
    return read(path)


def test_nothing_is_loaded_from_elsewhere(full: tuple[str, Reader]) -> None:
    """Protects the one file: it opens in ten years, without a network, and runs no script."""
    text, reader = full
    assert all(one.startswith(("data:image/", "#")) for one in reader.references)
    assert {one[1:] for one in reader.references if one.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", text)


def test_numbers_stand_as_they_were_given(full: tuple[str, Reader]) -> None:
    """Protects the figures: rounded to read, whole beside it, in the row and the column they belong to."""
    _, reader = full
    first = next(cells for cells in reader.rows if cells[0] == "wave, coherence off1")
    score, shift, gain, warp, untouched, grid = "0.061", "6.8", "1.23", "6.00", "3.25", "0.00012"
    assert first[1] == score
    assert [one for one in first if one in (shift, gain, warp, untouched, grid)] == [shift, gain, warp, untouched, grid]
    assert first[-1] == "onnxruntime f32 on cpu, all cores"
    assert {"0.0612345", "6.76", "1.234", "0.111", "7", "0.0555", "4.75", "98.2", "1.875", "1.125"} <= set(reader.exact)
    speed = next(cells for cells in reader.rows if cells[:2] == ["wave", "onnxruntime f32 on cpu, 2 threads"])
    assert speed[2:] == ["30.2", "33.5", "1.5", "33.1", "180", "2.70", "110", "91.5 %", "compute"]


def test_what_was_not_measured_says_so_and_why(full: tuple[str, Reader]) -> None:
    """Protects against a null that looks like a zero."""
    text, reader = full
    second = next(cells for cells in reader.rows if cells[0] == "wave, coherence 0.61")
    assert second[1] == "not measured"
    assert "0.0" in second  # blobs: measured, and none
    assert '<li id="note-1">noise at 4: it clips</li>' in text
    assert ["matrix product, int8, GMAC/s", "", "not measured"] in reader.rows


def test_only_our_own_best_is_emphasized(full: tuple[str, Reader]) -> None:
    """Protects fairness: a peer's lower figure neither takes the emphasis nor hides ours."""
    text, _ = full
    assert '<strong><data value="4" title="4">4.00</data></strong>' in text
    assert '<strong><data value="2" title="2">2.00</data></strong>' not in text
    assert '<tr class="against"><th scope="row">peer' in text


def test_the_machine_the_protocol_and_every_picture_are_there(full: tuple[str, Reader]) -> None:
    """Protects the context of the figures, and that plots and pictures are whole."""
    text, reader = full
    for one in (
        "2 cores of a Xeon",
        "2026-11-21",
        "onnxruntime 1.31.1",
        "640×360",
        "a difference",
        "scene:pan (mask: exact)",
    ):
        assert one in text
    pictures = [base64.b64decode(one.partition(",")[2]) for one in reader.references if one.startswith("data:")]
    drawn = [one for one in pictures if one.startswith(b"<?xml")]
    # Pareto, one clip, time, roofline, one size with stages, one style's layers.
    assert len(drawn) == 6
    (photograph,) = (one for one in pictures if one not in drawn)
    image = Image.open(io.BytesIO(photograph))
    assert image.size == (34, 12)
    assert np.abs(np.asarray(image, np.int16) - (200, 30, 60)).max() <= 3


def test_names_are_text_and_not_markup(tmp_path: Path) -> None:
    """Protects the reader of a report on a stranger's style file."""
    name = '<script>alert("1")</script> & $x$ 波 ' + "long " * 30
    given = evaluation(row(name, 0.0, notes=["<i>"]), failures=[{"name": "<b>", "error": "a < b"}])
    write_report(tmp_path / "a.html", evaluation=given, bench={"layers": {"<u>": []}})
    text, _ = read(tmp_path / "a.html")
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; $x$ 波" in text
    assert "<b>&lt;b&gt;</b>: a &lt; b" in text
    assert not re.search("<script|<i>|<u>", text)


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"evaluation": {"rows": [], "failures": [{"name": "wave", "error": "is damaged"}]}},
        {"evaluation": {"rows": [{"name": "bare"}]}, "bench": {"rows": [{"style": "bare"}], "peaks": None}},
        {"bench": {"failures": [{"name": "wave", "error": "is damaged"}]}},
    ],
)
def test_a_report_of_little_is_still_a_report(tmp_path: Path, results: dict[str, Any]) -> None:
    """Protects runs in which all but nothing worked: the failures are what one wants to read."""
    write_report(tmp_path / "a.html", **results)
    text, _ = read(tmp_path / "a.html")
    assert ("is damaged" in text) == any(one.get("failures") for one in results.values())
    assert ("bare" in text) == any(one.get("rows") for one in results.values())


def test_a_report_is_replaced_whole(tmp_path: Path) -> None:
    """Protects the report of yesterday from a half-written one, and the user from a traceback."""
    path = tmp_path / "a.html"
    path.write_text("old")
    write_report(path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    for wrong, says in ((tmp_path / "none" / "a.html", "create it first"), (tmp_path, "is a folder")):
        with pytest.raises(SinkError, match=says):
            write_report(wrong)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_it_is_named(tmp_path: Path, uninstall: Callable[[str], None], missing: str) -> None:
    """Protects the light package: what to install, and no file."""
    uninstall(missing)
    with pytest.raises(MissingExtraError, match=r"the report needs .*'allaprima\[report\]"):
        write_report(tmp_path / "a.html", evaluation=evaluation(row("wave", 0.0)))
    assert not any(tmp_path.iterdir())
