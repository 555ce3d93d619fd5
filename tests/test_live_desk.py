"""What the budget controller chooses is painted with, beside what the user chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import pytest
from live_fakes import LOOK, SETTING, FakeSwitcher

from allaprima.errors import UsageError
from allaprima.live.budget import Goal, Setting
from allaprima.live.commands import Command
from allaprima.live.desk import Budget, Desk
from allaprima.live.latency import Report, StageTimes
from allaprima.live.notes import Notes
from allaprima.live.styles import Styles
from allaprima.style import Card, write_style

SLOW = StageTimes(100.0, 120.0)


def rungs(style: str, coherence: float) -> tuple[Setting, ...]:
    """Three settings, each half as dear as the one before."""
    sizes = (None, 240, 120)
    return tuple(Setting(size, coherence, 1, "f32", cost=0.5**number) for number, size in enumerate(sizes))


def report(paint: StageTimes = SLOW) -> Report:
    """Of painting that goes on all the time."""
    return Report(10.0, 1000 / paint.p50, paint, {"paint": paint}, {}, 100, 1.0)


class Run:
    """A desk with a goal of 30 frames a second, judged four times a second."""

    def __init__(self, goal: Goal | None = None) -> None:
        self.said: list[str] = []
        self.switcher = FakeSwitcher()
        budget = Budget(goal or Goal(30.0, 1.0), rungs)
        self.desk = Desk(self.switcher, ["first", "second"], Notes(self.said.append), budget)  # type: ignore[arg-type]
        self.now = 0.0

    @property
    def setting(self) -> Setting:
        return self.switcher.wanted.setting

    def judge(self, seconds: float, paint: StageTimes = SLOW) -> None:
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            self.desk.judge(report(paint), self.now)


def test_a_goal_that_is_missed_makes_settings_cheaper_and_says_why() -> None:
    """The look keeps its style and strength."""
    run = Run()
    assert run.setting.work_size is None
    run.judge(8.0)
    assert run.setting.work_size == 120
    assert replace(run.switcher.wanted, setting=SETTING) == LOOK
    assert "work size full → " in run.said[0]
    assert run.desk.state is not None and run.desk.state.reason


def test_without_a_goal_settings_stay() -> None:
    """Nothing is judged."""
    switcher = FakeSwitcher()
    desk = Desk(switcher, ["first"], Notes(lambda line: None))  # type: ignore[arg-type]
    desk.judge(report(), 100.0)
    assert (switcher.wanted, desk.state) == (LOOK, None)


def test_a_pause_is_no_reason_to_change_anything() -> None:
    """Nothing is painted then."""
    run = Run()
    run.desk.do(Command.PAUSE)
    run.judge(8.0)
    assert run.setting.work_size is None


def test_a_setting_that_cannot_be_loaded_is_left_out_from_then_on() -> None:
    """The switcher goes back to what it shows; the controller goes on with the others."""

    class Refusing(FakeSwitcher):
        def want(self, look: object) -> None:
            if look.setting.work_size != 120:  # type: ignore[attr-defined]
                super().want(look)  # type: ignore[arg-type]

    run = Run()
    run.switcher = Refusing()
    run.desk = Desk(
        run.switcher,  # type: ignore[arg-type]
        ["first"],
        Notes(run.said.append),
        Budget(Goal(30.0, 1.0), rungs),
    )
    run.judge(20.0)
    assert run.setting.work_size == 240
    assert sum("→ 120" in line for line in run.said) == 1


def test_a_style_that_cannot_be_loaded_leaves_nothing_behind() -> None:
    """What may be chosen for it is of no use to the one that goes on."""

    def rungs_of(style: str, coherence: float) -> tuple[Setting, ...]:
        return rungs(style, coherence)[: 3 if style == "first" else 1]

    run = Run()
    run.desk = Desk(
        run.switcher,  # type: ignore[arg-type]
        ["first", "second"],
        Notes(run.said.append),
        Budget(Goal(30.0, 1.0), rungs_of),
    )
    before = run.switcher.wanted
    run.desk.do(Command.NEXT_STYLE)
    run.switcher.want(before)
    run.judge(8.0)
    assert (run.switcher.wanted.style, run.setting.work_size) == ("first", 120)


def test_the_users_coherence_is_the_best_that_the_controller_goes_to() -> None:
    """It begins anew from where it is."""
    run = Run()
    run.judge(8.0)
    run.desk.do(Command.COHERENCE_UP)
    assert (run.setting.coherence, run.setting.work_size) == (0.1, 120)
    run.desk.do(Command.NEXT_STYLE)
    assert (run.switcher.wanted.style, run.setting.coherence, run.setting.work_size) == ("second", 0.1, 120)
    fast = StageTimes(1.0, 1.0)
    for _ in range(60):
        run.now += 0.25
        run.desk.judge(Report(10.0, 30.0, fast, {"paint": fast}, {}, 100, 0.03), run.now)
    assert (run.setting.coherence, run.setting.work_size) == (0.1, None)


def test_what_may_be_chosen_depends_on_the_style(tmp_path: Path) -> None:
    """A style of a fixed size has no work size; a light one, or one with a memory, paints each frame."""
    models = {
        "free": nets.negative(),
        "heavy": nets.textured(20_000),
        "fixed": nets.negative(shape=(1, 3, 64, 64)),
        "late": nets.with_state(),
    }
    styles = Styles(
        [
            write_style(
                tmp_path / f"{name}.onnx",
                model,
                Card(title=name, inputs=tuple(value.name for value in model.graph.input)),
            )
            for name, model in models.items()
        ]
    )
    free, heavy, fixed, late = (styles.rungs(name, 1.0, short_side=480, precise=True) for name in models)
    assert [rung.precision for rung in free[:2]] == ["f32", "auto"]
    assert min(rung.work_size or 480 for rung in free) == 180
    assert {rung.work_size for rung in fixed} == {None}
    assert [max(rung.paint_every for rung in each) for each in (free, heavy, late)] == [1, 3, 1]
    asked = replace(styles, precision="f32")
    assert {rung.precision for rung in asked.rungs("free", 1.0, short_side=480, precise=True)} == {"f32"}


def test_a_style_picture_goes_to_the_styles_that_take_one(tmp_path: Path) -> None:
    """And is refused where none does, as are two styles of one name."""
    plain = nets.style_of(tmp_path, nets.negative())
    other = write_style(tmp_path / "any.onnx", nets.with_style(), Card(title="Any", inputs=("image", "style")))
    picture = np.full((20, 20, 3), 90, np.uint8)
    styles = Styles([plain, other], picture, engine="onnxruntime", device="cpu", threads=1)
    paintings = [styles.open(name, "f32").paint(nets.photograph(), {})[0] for name in styles.names]
    assert nets.worst(paintings[0], 255 - nets.photograph()) <= 1
    assert nets.worst(paintings[1], np.full((*nets.SIZE, 3), 90, np.uint8)) <= 1
    with pytest.raises(UsageError, match="none of these styles takes"):
        Styles([plain], picture)
    with pytest.raises(UsageError, match="'any' needs --style-image"):
        Styles([plain, other])
    with pytest.raises(UsageError, match="two styles are called"):
        Styles([plain, plain])
