"""``benchmarks/live.py``: figures, changes, clips and the page, without measuring for long."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make, number_of

from allaprima.source import open_source

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FULL = {"work_size": None, "coherence": 1.0, "paint_every": 1, "precision": "auto"}
SMALL = {**FULL, "work_size": 240, "coherence": 0.0}


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts are no package: they are imported from their folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def a_line(second: int, p95: float, setting: dict[str, Any] = FULL) -> dict[str, Any]:
    """One of ``live --json``, a second and 30 frames behind the one before."""
    stages = {name: {"p50": 1.0, "p95": 2.0} for name in ("capture", "wait", "deliver", "show")}
    stages["paint"] = {"p50": 20.0, "p95": 25.0}
    return {"seconds": float(second), "fps": 30.0, "frames": 30 * second, "latency_ms": {"p50": p95 / 2, "p95": p95},
            "stages_ms": stages, "dropped": {"capture": 5 + second, "window": 0},
            "busy": 0.6, "style": "mine", "strength": 1.0, "setting": setting, "reason": None}  # fmt: skip


def told(*high: float, setting: dict[str, Any] = FULL) -> dict[str, Any]:
    """What seconds of these 95th percentiles tell together."""
    from live_figures import Sample, figures

    lines = [a_line(second, p95, setting) for second, p95 in enumerate(high)]
    return figures([Sample(line["seconds"], 100.0, line) for line in lines])


def test_figures_are_over_the_whole_span() -> None:
    """Protects the table: frames over time, not a mean of rates; the worst seconds count, and earlier drops don't."""
    from end_to_end import BenchmarkError

    found = told(*[40.0] * 19, 90.0)
    assert (found["seconds"], found["fps"], found["p95"], found["p50"]) == (19.0, 30.0, 40.0, 20.0)
    assert 40 < found["worst_p95"] < 90
    assert found["dropped"] == {"capture": 19, "window": 0}
    assert found["stages"]["paint"] == {"p50": 20.0, "p95": 25.0}
    assert found["settings"] == [(FULL, 19)]
    with pytest.raises(BenchmarkError, match="--seconds"):
        told(40.0)


def test_only_quiet_seconds_count() -> None:
    """Protects the figures from other machines' work, and what was measured from being chosen by how it came out."""
    from live_figures import Sample, figures

    lines = [a_line(second, 40.0) for second in range(10)]
    for line in lines[5:]:
        line["frames"] -= 20  # lost in the second that was disturbed
        line["dropped"]["capture"] += 20
    found = figures([Sample(line["seconds"], 100.0, line, line["seconds"] != 5) for line in lines])
    assert (found["seconds"], found["of"], found["fps"]) == (8.0, 9.0, 30.0)
    assert found["dropped"] == {"capture": 8, "window": 0}


def test_a_setting_gets_quiet_seconds_in_a_row_to_come_back_in() -> None:
    """Protects the row of recovery: single quiet seconds between a neighbor's don't let anything come back."""
    from live_figures import Sample, left_alone

    def alone(quiet: str) -> bool:
        return left_alone([Sample(at, 100.0, {}, mark == "q") for at, mark in enumerate(quiet)], 3.0)

    assert alone("-qqq") and alone("qqq")
    assert not any(alone(quiet) for quiet in ("qq", "qq-q", "qqq-", "-q-q-q", ""))


def test_a_neighbor_on_the_core_is_noticed() -> None:
    """Protects what counts: work of the same kind that takes longer, of processor time alone, and not for a moment."""
    from quiet import Quiet

    quiet = Quiet()
    quiet._samples = [(n / 20, 1.1 if 100 <= n < 120 or n == 200 else 0.6) for n in range(400)]
    assert quiet.was(0.0, 4.9) and quiet.was(9.0, 11.0) and not quiet.was(5.0, 6.0)
    assert quiet.slow(4.0, 6.0) == pytest.approx(20 / 41) and quiet.slow(30.0, 31.0) == 1.0
    with Quiet() as real:
        time.sleep(0.35)
    assert len(real._samples) >= 2 and all(0 < took < 0.3 for _, took in real._samples)


def seen(*shown: tuple[float, int]) -> list[Any]:
    """Frames of one gray each, by their times."""
    from live_figures import Seen

    return [Seen(at, np.full((6, 8), gray, np.uint8)) for at, gray in shown]


def test_a_change_is_the_first_frame_that_differs() -> None:
    """Protects the count of frames after a key: rounding is no change, and pauses far from it don't count."""
    from live_figures import at_rest, change_after

    still = [(n / 30, 100 + n % 2) for n in range(30)]
    frames = seen((-5.0, 100), *still, (1.03, 101), (1.08, 104), (1.20, 130), (1.23, 140))
    found = change_after(frames, pressed=0.98)
    assert found is not None and found["frames"] == 2
    assert found["seconds"] == pytest.approx(0.10) and found["gap"] == pytest.approx(120.0)
    assert change_after(frames[:32], pressed=0.98) is None and change_after([], pressed=0.98) is None
    assert at_rest(frames[:32]) and not at_rest(frames) and not at_rest(frames[:1])


def test_clips_are_repeated_without_a_jump(tmp_path: Path) -> None:
    """Protects the soak: as long as asked for, an even pace across the seams, and the pictures in their order."""
    from live_runs import repeat_clip

    short = make(tmp_path / "short.mp4", frames=10, rate=Fraction(25))
    long = repeat_clip(tmp_path / "long.mp4", short, 1.0)
    with open_source(str(long)) as source:
        frames = list(source.frames())
    assert [number_of(frame.pixels) for frame in frames] == [*range(10)] * 3
    assert all(b.seconds - a.seconds == pytest.approx(0.04) for a, b in pairwise(frames))


def a_run(**parts: Any) -> dict[str, Any]:
    """A run of ``live.py`` in which nothing but these parts was measured."""
    machine = {"cpu": "2 cores of a test", "system": "Linux", "python": "3.11", "allaprima": "0", "commit": None,
               "date": "2026-01-01", "packages": {"onnxruntime": "1", "torch": None}}  # fmt: skip
    return {"machine": machine, "threads": 2, "command": "python benchmarks/live.py", "style": "mine", "clip": "scene",
            "others_cpu": 0.01, "failures": [], "parts": parts}  # fmt: skip


def verdicts(**parts: Any) -> list[bool | None]:
    """Of the goals of those parts."""
    from live_page import goals_of

    return [goal.met for goal in goals_of(a_run(**parts)) if not goal.measured.startswith("not measured")]


def changes(*frames: float, gap: float = 40.0) -> list[dict[str, Any]]:
    """Of style, each after so many frames."""
    return [{"frames": count, "seconds": count / 30, "gap": gap, "least_fps": 29.0} for count in frames]


def test_goals_are_judged_by_the_worst() -> None:
    """Protects honesty: whole frames, the worst seconds, strict bounds both ways; nothing measured is no verdict."""
    place = {"placement": "here"}
    assert verdicts() == []
    assert verdicts(camera={**told(80, 80, 80), **place}) == [True, True]
    assert verdicts(camera={**told(40, 40, 99), **place, "fps": 29.4}) == [False, False]

    plain, default = told(40, 40), told(60, 60)

    def pipeline(paint: float) -> list[bool | None]:
        empty = told(10, 10)
        empty["stages"]["paint"]["p50"] = paint  # beside two waits of 1 ms
        return verdicts(pipeline={"plain": plain, "default": default, "empty": empty, "rate": 15})

    assert pipeline(3.0) == [True] and pipeline(3.1) == [False]

    def soak(most: float, end: float) -> list[bool | None]:
        memory = {"least": 300.0, "most": most, "median": 310.0, "slope_hour": 1.0}
        spans = {"first": told(50, 50), "last": told(90, 90), "new": told(50, 50), "old": told(end, end)}
        return verdicts(soak={"minutes": 60, "changes": 60, "memory": memory, "all": told(50, 50), **spans})

    assert soak(330, 60) == [True, True] and soak(331, 61) == [False, False]

    quick, slow = changes(1, 2), changes(1, 3, gap=101.0)
    assert verdicts(change={"rate": 30, "preloaded": quick, "known": quick, "unknown": slow}) == [
        True, True, True, False
    ]  # fmt: skip
    assert verdicts(change={"rate": 30, "preloaded": slow, "known": [], "unknown": []}) == [False, False]

    game = {**told(90, 90), "goal": "--fps 15", "track": "somewhere"}
    assert verdicts(game={**game, "fps": 15.2}) == [True] and verdicts(game={**game, "fps": 14.4}) == [False]


def test_the_budget_must_hold_in_each_phase_and_recover() -> None:
    """Protects the controller's row: the second half of each phase counts, and the setting comes back."""

    def budget(before: dict[str, Any], load: dict[str, Any], after: dict[str, Any]) -> list[bool | None]:
        phases = {"before": before, "under load": load, "after": after}
        spans = {name: {**told(500, 500), "steady": steady} for name, steady in phases.items()}
        return verdicts(budget={"goal": "--fps 30 --latency 80ms", "others": 1, "phases": spans, "back_s": None})

    well, small, late = told(50, 50), told(50, 50, setting=SMALL), told(50, 90)
    assert budget(well, small, well) == [True] * 4
    assert budget(well, late, small) == [True, False, True, False]


def test_section_shows_what_was_left_out_and_why() -> None:
    """Protects the page: every goal has its line, measured or not, and settings are told in words."""
    from live_page import section

    game = {**told(90, 90, setting=SMALL), "goal": "--fps 15", "track": "somewhere", "reasons": ["it took long"]}
    found = a_run(game=game)
    found["failures"].append({"name": "soak", "error": "allaprima live ended early"})
    text = section(found)
    lines = text.splitlines()
    assert text.startswith("## Live\n") and "2 cores of a test, Linux, 2 threads" in text and "torch" not in text
    assert "| 640×480 camera to window | – | not measured: left out of this run | – |" in lines
    assert "| an hour | – | not measured: see below | – |" in lines
    assert "- soak: allaprima live ended early" in lines
    assert "work size 240, coherence 0, auto (100% of the time) | yes |" in text
    assert "- the game: it took long" in lines
    assert any(line.startswith("| game | 30.0 | 45.0 / 90.0 | 1.0 / 2.0 |") for line in lines)


def test_a_run_is_rendered_into_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects long runs: what was saved becomes the section, beside whatever else the page holds."""
    from live import main

    (tmp_path / "run.json").write_text(json.dumps(a_run()), encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text("words\n", encoding="utf-8")
    assert main(["--render", str(tmp_path / "run.json"), "--docs", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("words\n\n<!-- live -->\n\n## Live") and text.endswith("<!-- end of live -->\n")
    assert "## Live" in capsys.readouterr().out


def test_bad_options_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the start: nothing is measured for an hour before a wrong path is told."""
    from live import command_of, main, parse

    assert main(["--docs", str(tmp_path / "none.md")]) == 2 and main(["--minutes", "0"]) == 2
    assert main(["--style", "there-is-none"]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3 and all(line.startswith("live.py: ") for line in lines)
    options = parse(["--skip", "game", "soak", "--clip", str(tmp_path / "clip.mp4")])
    assert options.parts == ["camera", "pipeline", "change", "budget"]
    assert "--clip clip.mp4 " in command_of(options) and command_of(options).endswith(
        "--only camera pipeline change budget"
    )
