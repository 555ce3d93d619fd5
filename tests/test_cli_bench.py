"""``allaprima bench``: JSON on stdout, a table for people, one line and the exit code for what can't be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nets
import pytest
import typer

from allaprima.cli.bench import bench
from allaprima.errors import SinkError, StyleError, UsageError
from allaprima.measure.report import page
from allaprima.measure.speed import bench as speed
from allaprima.measure.speed import roofline

PLAIN = ["--engines", "onnxruntime", "--precisions", "f32", "--rounds", "2", "--threads", "1"]


@pytest.fixture(autouse=True)
def small_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products and a copy that take no time."""
    monkeypatch.setattr(roofline, "_SIDES", (32,))
    monkeypatch.setattr(roofline, "_PLANE", (8, 8, 8))
    monkeypatch.setattr(roofline, "_COPIED", 2**20)


@pytest.fixture
def net(tmp_path: Path) -> str:
    """A tiny style file."""
    return str(nets.style_of(tmp_path, nets.textured()).path)


def run(*arguments: str) -> Any:
    """The verb's exit code; its errors come through."""
    app = typer.Typer()
    app.command()(bench)
    return app(list(arguments), standalone_mode=False) or 0


def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the process that measures memory, which has tests of its own."""
    monkeypatch.setattr(speed.Bench, "_memory", lambda self, entrant: None)


def test_json(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the exchange: every key that reports and plots read, for a real engine in a real process."""
    assert run("--styles", net, "--sizes", "32x32", "--json", *PLAIN) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert not captured.err
    assert set(result) == {"kind", "machine", "protocol", "peaks", "rows", "ratios", "layers", "failures"}
    assert result["kind"] == "bench"
    assert {"rounds", "warm_up", "threads", "definitions"} <= set(result["protocol"])
    assert set(result["peaks"]) == {"f32", "bf16", "int8", "copy_gib_s"}
    (row,) = result["rows"]
    assert (row["size"], row["engine"], row["precision"], row["device"], row["threads"]) == (
        "32x32", "onnxruntime", "f32", "cpu", 1,
    )  # fmt: skip
    assert set(row["frame"]) == {"median_ms", "p95_ms", "spread_ms"}
    assert row["fps"] == pytest.approx(1000 / row["frame"]["median_ms"])
    assert row["gmac"] == pytest.approx(32 * 32 * 2 * 8 * 27 / 1e9)
    assert row["memory_mib"] > 20
    assert 0 < row["peak_share"] < 10
    assert {"name", "op", "output", "gmac", "mib", "ms"} == set(result["layers"]["net"][0])
    assert result["failures"] == []


def test_table(net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the table: results on stdout, progress on stderr, what isn't measured a dash."""
    no_memory(monkeypatch)
    monkeypatch.setattr(speed.Neighbors, "share", lambda self: 0.4)
    assert run("--styles", net, "--sizes", "32x32,48x32", *PLAIN) == 0
    captured = capsys.readouterr()
    assert "onnxruntime f32" in captured.out
    assert "48x32" in captured.out
    assert " - " in captured.out
    assert "peaks: f32 " in captured.out
    assert "48x32: 1 in turn" in captured.err
    assert "other programs took 40% of the CPU" in captured.err


def test_what_cannot_be_measured_is_named_and_the_rest_goes_on(
    net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the batch: an unknown style, and a precision that the engine hasn't; the first one's exit code."""
    no_memory(monkeypatch)
    arguments = ["--styles", f"no-such-style,{net}", "--sizes", "32x32", "--engines", "onnxruntime", "--json"]
    assert run(*arguments, "--precisions", "bf16,f32", "--rounds", "2") == StyleError.exit_code
    result = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in result["rows"]] == ["f32"]
    assert [failure["name"] for failure in result["failures"]] == ["no-such-style", "net, onnxruntime bf16 at 32x32"]


def test_report(net: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the report: it gets the same dict that --json prints, after that was printed."""
    no_memory(monkeypatch)
    written: list[Any] = []
    monkeypatch.setattr(
        page, "write_report", lambda path, *, bench: written.append((path, bench, capsys.readouterr().out))
    )
    path = tmp_path / "report.html"
    assert run("--styles", net, "--sizes", "32x32", "--json", "--report", str(path), *PLAIN) == 0
    ((where, given, printed),) = written
    assert where == path
    assert json.loads(printed) == given


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["--sizes", "12by3"], UsageError, "WIDTHxHEIGHT"),
        (["--sizes", ","], UsageError, "at least one"),
        (["--engines", "tensorflow"], UsageError, "--engines doesn't know 'tensorflow'"),
        (["--precisions", "f64"], UsageError, "--precisions doesn't know 'f64'"),
        (["--styles", "no-such-style"], StyleError, "unknown style"),
        (["--stride", "4"], UsageError, "--range"),
        (["--report", "/no/such/folder/report.html"], SinkError, "create it first"),
    ],
)
def test_bad_options(arguments: list[str], error: type[Exception], says: str) -> None:
    """Protects minutes of measuring: what can't be used is refused before anything runs, in one line."""
    with pytest.raises(error, match=says) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_a_foreign_net(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects peers: files without a card are measured where --range says what they work on."""
    no_memory(monkeypatch)
    path = nets.write_foreign(tmp_path / "peer.onnx", nets.in_blocks(4))
    assert run("--styles", str(path), "--range", "0-1", "--stride", "4", "--sizes", "30x22", "--json", *PLAIN) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["style"], row["size"]) == ("peer", "30x22")
