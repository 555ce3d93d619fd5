"""``benchmarks/goals.py``: jobs, turns, ratios and the page, without measuring for long."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nets as graphs
import pytest
from clips import make, number_of, times_of

from allaprima.engine import Placement
from allaprima.errors import EngineError, UsageError
from allaprima.source import open_source
from allaprima.style import Card, write_style

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts are no package: they are imported from their folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("adapters", "document", "end_to_end", "goals", "goals_page", "net_alone", "peers"):
        sys.modules.pop(name, None)


def a_run(group: str, fps: float, placement: str = "openvino bf16 on cpu", options: str = "") -> dict[str, Any]:
    """A command's row."""
    figures = {"wall_s": 8.0, "spread_s": 0.1, "cpu_s": 15.0, "core_ms": 25.0, "peak_mib": 300.0}
    place = {"size": "720x540", "frames": 600, "placement": placement, "options": options}
    return {"group": group, "fps": fps, "command": f"python {group} {options}", **place, **figures}


def found_with(**parts: Any) -> dict[str, Any]:
    """A run of ``goals.py`` in which nothing but these parts was measured."""
    machine = {"cpu": "2 cores of a test", "system": "Linux", "python": "3.11", "allaprima": "0", "commit": None,
               "date": "2026-01-01", "packages": {"onnxruntime": "1", "torch": None}}  # fmt: skip
    empty = {"bench": {"peaks": {}, "rows": [], "others_cpu": 0.0}, "runs": [], "pairs": {}, "failures": []}
    return {"machine": machine, "threads": 2, "command": "python benchmarks/goals.py --peers P", "style": "mine",
            "clip": "scene", "frames": 600, "rounds": 2, **empty, **parts}  # fmt: skip


def test_goals_are_judged_by_the_right_runs() -> None:
    """Protects honesty: f32 is no int8 or bf16, bounds count both ways, and what is missing is neither met nor not."""
    from goals_page import goals_of

    def verdicts(**parts: Any) -> list[bool | None]:
        return [goal.met for goal in goals_of(found_with(**parts))]

    assert verdicts() == [None] * 9
    slow, fast = a_run("fastest", 79.9), a_run("fastest", 80.0, "openvino int8 on cpu")
    exact = a_run("fastest", 200.0, "openvino f32 on cpu")
    assert verdicts(runs=[exact])[0] is None
    assert verdicts(runs=[exact, slow])[0] is False
    assert verdicts(runs=[exact, slow, fast])[:2] == [True, None]
    assert verdicts(runs=[a_run("defaults", 45.0), a_run("free", 29.0)])[1:4:2] == [True, False]
    times = {"ms": 1.0, "of_ms": 40.0, "placement": "here", "of": "rival"}
    pairs = {"lite": {"median": 4.0, "spread": 0.1}, "whole": {"median": 4.01, "spread": 0.1}}
    ladder, net = {"median": 2.5, "spread": 0.0, **times}, {"median": 39.9, "spread": 0.2, **times}
    assert verdicts(pairs=pairs, ladder=ladder, net=net)[2:7] == [True, None, True, False, False]
    reached = (("bf16", 0.8), ("bf16", 0.9), ("int8", 0.74), ("f32", 1.0), ("int8", None))
    shares = [
        {"precision": name, "engine": "openvino", "peak_share": share, "frame": {"median_ms": 9.0}}
        for name, share in reached
    ]
    assert verdicts(bench={"peaks": {}, "rows": shares, "others_cpu": 0.0})[7:] == [True, False]


def test_section_shows_goals_commands_and_what_is_missing() -> None:
    """Protects the page: figures beside their goals, the options that won, every command, and reasons."""
    from goals_page import section

    runs = [a_run("fastest", 70.0), a_run("free", 31.0, options="--work-size 540")]
    failures = [{"name": "lite", "error": "isn't installed"}]
    text = section(found_with(runs=runs, failures=failures))
    line = next(line for line in text.splitlines() if "--coherence 0`, int8 or bf16" in line)
    assert "| ≥ 80 fps | 70.0 fps, 25.0 core-ms a frame (openvino bf16 on cpu) | **no** |" in line
    assert "(openvino bf16 on cpu, `--work-size 540`) | yes |" in text
    assert "| not measured | – |" in text
    assert "python fastest \npython free --work-size 540\n```" in text
    assert "- lite: isn't installed" in text
    assert "2 cores of a test, Linux, 2 threads" in text and "torch" not in text


def test_sections_of_pages() -> None:
    """Protects pages that several scripts write: only what stands between the marks changes."""
    from document import below, with_section

    page = with_section("# Page\n\nwords\n", "goals", "old")
    assert page == "# Page\n\nwords\n\n<!-- goals -->\n\nold\n\n<!-- end of goals -->\n"
    assert with_section(f"{page}\ntail\n", "goals", "new") == page.replace("old", "new") + "\ntail\n"
    assert below(f"{page}\ntail\n") == "<!-- goals -->\n\nold\n\n<!-- end of goals -->\n\ntail\n"
    assert below("# Page\n\nwords\n") == below("") == ""


def test_the_peers_page_keeps_what_stands_below_it(tmp_path: Path) -> None:
    """Protects the goals: peers.py writes its page anew; other scripts' sections, and the words between, stay."""
    import peers

    run = {"machine": found_with()["machine"], "peers": []}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    page = tmp_path / "page.md"
    kept = "<!-- goals -->\n\nthe goals\n\n<!-- end of goals -->\n\nwords\n\n<!-- live -->\n<!-- end of live -->\n"
    page.write_text(f"old words\n\n{kept}", encoding="utf-8")
    assert peers.main(["--render", str(tmp_path / "run.json"), "--docs", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "old words" not in text and text.startswith("# Benchmarks") and text.endswith(f"\n\n{kept}")


def test_clips_are_scaled_and_go_forth_and_back(tmp_path: Path) -> None:
    """Protects the inputs: as many frames as asked for, of the size, without a jump where the source ends."""
    from end_to_end import make_clip

    source = make(tmp_path / "in.mp4", frames=4)
    made = make_clip(tmp_path / "out.mp4", source, (96, 64), 10)
    with open_source(str(made)) as opened:
        pictures = [frame.pixels for frame in opened.frames()]
    assert {picture.shape for picture in pictures} == {(64, 96, 3)}
    assert [number_of(picture) for picture in pictures] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert len(times_of(made)) == 10


@dataclass
class FakeJob:
    """Takes its turns, and fails in one of them."""

    name: str
    turns: list[str]
    fails_at: int = -1
    done: int = field(default=0)

    def run(self, cache: Path) -> Any:
        from end_to_end import Usage

        self.turns.append(self.name)
        self.done += 1
        if self.done == self.fails_at:
            raise EngineError(f"{self.name} broke")
        return Usage(float(self.done))

    def warm_up(self, cache: Path) -> Any:
        self.turns.append(f"{self.name} warms up")
        if self.fails_at == 0:
            raise EngineError("never ran")


def test_commands_take_turns(tmp_path: Path) -> None:
    """Protects the comparison: A B A B after warm-ups that don't count; what fails is told and left out."""
    from end_to_end import take_turns

    turns: list[str] = []
    jobs = {name: FakeJob(name, turns, fails) for name, fails in (("a", -1), ("b", 2), ("c", 0))}
    found, failures = take_turns(jobs, 3, tmp_path, lambda what: None)  # type: ignore[arg-type]
    assert turns == ["a warms up", "b warms up", "c warms up", "a", "b", "a", "b", "a"]
    assert [usage.wall for usage in found["a"]] == [1.0, 2.0, 3.0] and list(found) == ["a"]
    assert failures == [{"name": "c", "error": "never ran"}, {"name": "b", "error": "b broke"}]


def test_jobs_ask_for_what_the_goals_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the commands: options by group, sizes and lengths, every clip made once."""
    import goals

    made: list[tuple[tuple[int, int], int]] = []

    def touch(path: Path, pictures: object, size: tuple[int, int], frames: int) -> None:
        made.append((size, frames))
        path.touch()

    monkeypatch.setattr(goals, "write_clip", touch)
    monkeypatch.setattr(goals, "read_pictures", lambda source: [])
    style = graphs.style_of(tmp_path, graphs.negative())
    jobs = goals.jobs_for(style, "scene", tmp_path, 600)
    assert len(made) == len(set(made)) == 8
    assert {(size, frames) for size, frames in made if frames > 10} == {
        ((720, 540), 600), ((1920, 1080), 600), ((1280, 720), 100), ((3840, 2160), 100)
    }  # fmt: skip
    job = jobs["fastest --preset ultrafast --coherence 0 --engine onnxruntime --precision f32"]
    command = job.peer.video_command(job.clip, Path("out.mp4"), job.size)
    assert command is not None and command[4:6] == [str(tmp_path / "720x540-600.mp4"), "out.mp4"]
    assert command[-8:] == ["--preset", "ultrafast", "--coherence", "0", *goals.placed(Placement("onnxruntime", "f32"))]
    assert jobs["defaults"].peer.video_command(job.clip, Path("o.mp4"), job.size)[-2:] == ["--overwrite", "--json"]
    assert jobs["defaults"].clip == jobs["lite"].clip == job.clip
    assert "4k --preset ultrafast --work-size 720" in jobs
    assert not any("int8" in title for title in jobs)


def test_rows_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    """Protects the page: figures by frame, and commands that anyone can read as their own."""
    from adapters import StyleFile
    from end_to_end import Job, Usage
    from goals import row_of

    style = graphs.style_of(tmp_path, graphs.negative())
    own = StyleFile(name="net", about="", stride=1, against=False, style=style, options=("--crf", "30"))
    job = Job(own, tmp_path / "a.mp4", tmp_path / "b.mp4", 10, (48, 64))
    usages = [Usage(wall, 3.0, 90.0, '{"engine": "here"}') for wall in (2.0, 5.0, 4.0)]
    row = row_of("free --crf 30", job, usages)
    assert (row["group"], row["options"], row["size"], row["placement"]) == ("free", "--crf 30", "64x48", "here")
    assert (row["fps"], row["wall_s"], row["spread_s"], row["core_ms"]) == (2.5, 4.0, 1.5, 300.0)
    assert row["command"].endswith("video clip.mp4 out.mp4 --style net.onnx --overwrite --json --crf 30")


def test_ratios_are_taken_round_by_round() -> None:
    """Protects the pairs: medians of ratios, not ratios of medians; 4K by what the runs say of themselves."""
    from end_to_end import Usage
    from goals import pairs_of

    def usages(*walls: float) -> list[Usage]:
        tells = (json.dumps({"seconds": wall - 1, "stages": {"stylize": wall / 2}}) for wall in walls)
        return [Usage(wall, output=output) for wall, output in zip(walls, tells, strict=True)]

    found = pairs_of(
        {"lite": usages(8, 9, 40), "defaults": usages(2, 3, 4), "4k --x": usages(9), "720p --x": usages(3)}
    )
    assert found["lite"]["median"] == 4.0
    assert found["whole"]["median"] == 4.0 and found["stage"]["median"] == 3.0
    assert pairs_of({"lite": usages(8)}) == {}


def test_a_net_against_a_rival(tmp_path: Path) -> None:
    """Protects the goal's ratio: the rival's time over ours, and what ran is said; a rival without a net is refused."""
    from adapters import StyleFile, Untouched
    from net_alone import against

    style = graphs.style_of(tmp_path, graphs.negative())
    heavy = write_style(tmp_path / "heavy.onnx", graphs.textured(64), Card(title="Heavy"))
    rival = StyleFile(name="heavy", about="", stride=1, style=heavy)
    place = Placement("onnxruntime", "f32")
    found = against(style, place, rival, (96, 128), 3)
    assert (found["of"], found["placement"]) == ("heavy", "onnxruntime f32 on cpu")
    assert found["of_ms"] > found["ms"] > 0 and found["median"] > 1
    with pytest.raises(UsageError, match="no net"):
        against(style, place, Untouched(), (96, 128), 1)


def test_bad_options_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Protects the start: nothing is measured for minutes before a wrong path is told."""
    from goals import main

    assert main([]) == 2 and main(["--peers", str(tmp_path / "none")]) == 2
    assert main(["--peers", str(tmp_path), "--docs", str(tmp_path / "none.md")]) == 2
    assert main(["--peers", str(tmp_path), "--frames", "1"]) == 2
    assert main(["--peers", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 5 and all(line.startswith("goals.py: ") for line in lines)
    assert "no fast_neural_style-*.onnx" in lines[-1]
