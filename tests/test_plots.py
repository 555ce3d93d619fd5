"""Plots: what they draw is what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allaprima.errors import MissingExtraError, SinkError
from allaprima.measure.report import plots

pytest.importorskip("matplotlib", reason="needs the extra 'report'")


def evaluated(name: str, coherence: float = 0.0, **figures: Any) -> dict[str, Any]:
    """A row of an evaluation."""
    row = {"name": name, "coherence": coherence, "against": False, "style_score": 0.1, "warp": 6.0}
    return {**row, "warp_untouched": 3.0, "milliseconds": 30.0, **figures}


def timed(style: str, size: str, median: float | None, precision: str = "f32", **figures: Any) -> dict[str, Any]:
    """A row of a bench."""
    where = {"style": style, "size": size, "engine": "onnxruntime", "precision": precision, "device": "cpu"}
    frame = None if median is None else {"median_ms": median, "p95_ms": median, "spread_ms": 0.1}
    return {**where, "frame": frame, "fps": None if median is None else 1000 / median, "stages": None, **figures}


def texts(figure: Any) -> str:
    """Every text of a figure."""
    found = [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]
    return " | ".join(found)


def with_clip(series: list[list[Any]], **figures: Any) -> dict[str, Any]:
    """A row with one clip."""
    return evaluated(figures.pop("name", "wave"), clips={"road": {"series": series}}, **figures)


def test_pareto_puts_rows_where_they_were_measured() -> None:
    """Protects the picture of the whole field: places from scores and errors, areas from milliseconds, an arrow."""
    rows = [evaluated("wave", milliseconds=20.0), evaluated("wave", 0.6, style_score=0.2, warp=4.0, milliseconds=40.0)]
    axes = plots.pareto({"rows": rows}).axes[0]
    places = [tuple(disk.get_offsets()[0]) for disk in axes.collections]
    assert places == [(0.1, 6.0), (0.2, 4.0)]
    small, large = (disk.get_sizes()[0] for disk in axes.collections)
    assert large / small == pytest.approx(2)
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None) is not None]
    assert [(arrow.xyann, arrow.xy) for arrow in arrows] == [((0.1, 6.0), (0.2, 4.0))]
    assert [list(line.get_ydata()) for line in axes.lines] == [[3.0, 3.0]]


def test_pareto_leaves_out_what_was_not_measured_and_says_so() -> None:
    """Protects against a null drawn as zero."""
    rows = [evaluated("wave"), evaluated("mute", style_score=None), evaluated("quick", milliseconds=None)]
    figure = plots.pareto({"rows": rows})
    assert len(figure.axes[0].collections) == 2
    assert "Left out, without a style score or a warp error: mute (coherence off)" in texts(figure)
    assert "milliseconds not measured: quick" in texts(figure)
    assert "no row has both" in texts(plots.pareto({"rows": [evaluated("mute", warp=None)]}))


def test_labels_of_twenty_rows_do_not_overlap() -> None:
    """Protects legibility: names stand apart where points don't."""
    rng = np.random.default_rng(3)
    rows = [evaluated(f"style number {i}", style_score=rng.random(), warp=9 * rng.random()) for i in range(20)]
    figure: Any = plots.pareto({"rows": rows})
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) == 20
    pairs = [(one, other) for i, one in enumerate(boxes) for other in boxes[:i]]
    assert not any(one.overlaps(other) for one, other in pairs)


def test_flicker_series_draws_every_frame_and_breaks_at_a_cut() -> None:
    """Protects the time series: the values as given, nothing across a cut, the untouched clip beside them."""
    row = with_clip([[1, 5.0, 3.0, None], [2, 6.0, 3.5, 7.0], [5, 4.0, 2.5, None]])
    above, below = plots.flicker_series({"rows": [row]}, "road").axes
    untouched, painted = above.lines
    np.testing.assert_array_equal(painted.get_xdata(), [1, 2, 3, 5])
    np.testing.assert_array_equal(painted.get_ydata(), [5, 6, math.nan, 4])
    np.testing.assert_array_equal(untouched.get_ydata(), [3, 3.5, math.nan, 2.5])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), [math.nan, 7, math.nan, math.nan])


def test_flicker_series_names_rows_without_the_clip() -> None:
    """Protects comparisons: a style that failed on a clip is missing by name."""
    figure = plots.flicker_series({"rows": [with_clip([[1, 5.0, 3.0, None]]), evaluated("mute")]}, "road")
    assert len(figure.axes) == 1
    assert "without a series: mute" in texts(figure)
    assert "no series" in texts(plots.flicker_series({"rows": []}, "road"))


def test_time_against_size_draws_a_line_for_each_style_and_placement() -> None:
    """Protects the figure that every paper shows: pixels against milliseconds and frames per second."""
    rows = [timed("wave", "20x10", 4.0), timed("wave", "10x10", 2.0), timed("wave", "10x10", 1.0, "int8")]
    figure = plots.time_against_size({"rows": [*rows, timed("slow", "4000x4000", None)]})
    above, below = figure.axes
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in above.lines] == [
        ([100, 200], [2.0, 4.0]),
        ([100], [1.0]),
    ]
    assert [list(line.get_ydata()) for line in below.lines] == [[500.0, 250.0], [1000.0]]
    assert above.get_xscale() == above.get_yscale() == "log"
    assert above.lines[0].get_linestyle() != above.lines[1].get_linestyle()
    assert "inference time: slow 4000x4000" in texts(figure)


def test_stages_stack_to_their_sum() -> None:
    """Protects the latency picture: widths are medians, one after the other; an unmeasured stage has no entry."""
    stages = {"decode": {"median_ms": 2.0}, "infer": {"median_ms": 30.0}, "show": None}
    bench = {"rows": [timed("wave", "720x540", 30.0, stages=stages), timed("wave", "256x256", 3.0)]}
    axes = plots.stages(bench, "720x540").axes[0]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 2.0), (2.0, 30.0)]
    assert "no stages" in texts(plots.stages(bench, "256x256"))
    assert plots.sizes_of(bench) == ["720x540", "256x256"]


def test_roofline_draws_the_roof_and_the_rows_below() -> None:
    """Protects the roofline: 1 GMAC and 1000 MiB in 20 ms are 50 GMAC/s at 0.954 MAC/B; the ridge is peak over copy."""
    row = timed("wave", "720x540", 20.0, gmac=1.0, mib=1000.0)
    peaks = {"f32": {"gmac_s": 100.0, "winner": "a product"}, "int8": None, "copy_gib_s": 50.0}
    figure = plots.roofline({"rows": [row, timed("mute", "720x540", 20.0)], "peaks": peaks})
    axes = figure.axes[0]
    x, y = axes.collections[0].get_offsets()[0]
    assert (x, y) == (pytest.approx(1e9 / (1000 * 2**20)), pytest.approx(50))
    roof = axes.lines[0]
    assert roof.get_xdata()[1] == pytest.approx(100 / (50 * 2**30 / 1e9))
    assert list(roof.get_ydata()[1:]) == [pytest.approx(100), 100]
    assert "Peak not measured: int8" in texts(figure)
    assert "or a time: mute" in texts(figure)


def test_layers_are_sorted_and_the_rest_added_up() -> None:
    """Protects the profile: slowest first, nothing lost."""
    nodes = [{"name": f"conv{i}", "op": "Conv", "output": [1, 8], "ms": float(i)} for i in (1, 4, 2, 3)]
    figure = plots.layers({"layers": {"wave": [*nodes, {"name": "odd", "op": "Pad", "ms": None}]}}, "wave", top=2)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [4.0, 3.0, 3.0]
    assert "conv4 1×8" in texts(figure)
    assert "2 others" in texts(figure)
    assert "without a time: odd" in texts(figure)


def test_a_style_looks_the_same_everywhere_and_peers_are_gray() -> None:
    """Protects recognition across figures."""
    marks = plots.style_marks(
        {"rows": [evaluated("peer", against=True), *(evaluated(f"own {i}") for i in range(20))]},
        {"rows": [timed("own 1", "8x8", 1.0), timed("new", "8x8", 1.0)]},
        None,
    )
    red, green, blue = (marks["peer"].color[i : i + 2] for i in (1, 3, 5))
    assert red == green == blue
    own = [(mark.color, mark.marker) for name, mark in marks.items() if name != "peer"]
    assert len(set(own)) == len(own) == 21


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_figures_are_written_whole_and_the_same_every_time(tmp_path: Path, suffix: str) -> None:
    """Protects docs/images: odd names are plain text, equal figures are equal files, nothing is left beside them."""
    name = "_<b>$x^2$ & 波"
    paths = [tmp_path / f"{i}{suffix}" for i in (1, 2)]
    for path in paths:
        plots.save_figure(plots.pareto({"rows": [evaluated(name)]}), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths
    if suffix == ".svg":
        assert "_&lt;b&gt;$x^2$ &amp; 波" in paths[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "says"), [("a.gif", "use .svg or .png"), ("none/a.svg", "create it first")])
def test_figures_that_can_not_be_written_say_why(tmp_path: Path, name: str, says: str) -> None:
    """Protects against a traceback for a wrong path."""
    with pytest.raises(SinkError, match=says):
        plots.save_figure(plots.pareto({}), tmp_path / name)


def test_without_matplotlib_the_extra_is_named(uninstall: Callable[[str], None]) -> None:
    """Protects the light package: the module imports, drawing says what to install."""
    uninstall("matplotlib")
    with pytest.raises(MissingExtraError, match=r"allaprima\[report\]"):
        plots.pareto({"rows": []})
