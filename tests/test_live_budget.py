"""The budget controller: its ladder, and single steps by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from allaprima.errors import UsageError
from allaprima.live.budget import Goal, Setting, State, begin, ladder, step
from allaprima.live.latency import Report, StageTimes

GOAL = Goal(fps=30, latency=0.08)
RUNGS = ladder(540, 1.0, ["auto"], 180)
LAST = len(RUNGS) - 1
JUDGED = 0.25
"""Seconds from one step of the controller to the next."""


def times(milliseconds: float) -> StageTimes:
    return StageTimes(milliseconds, milliseconds)


def report(
    paint: float = 20.0,
    fps: float = 30.0,
    busy: float | None = None,
    *,
    wait: float = 0.0,
    show: float = 2.0,
    latency: float | None = None,
) -> Report:
    """What a meter would say of a steady run, with times in milliseconds."""
    busy = min(1.0, fps * paint / 1000) if busy is None else busy
    stages = {name: times(took) for name, took in (("wait", wait), ("paint", paint), ("show", show))}
    return Report(100.0, fps, times(wait + paint + show if latency is None else latency), stages, {}, 3000, busy)


def fed(state: State, seconds: float, what: Report, since: float = 0.0) -> tuple[State, list[str]]:
    """The state after it saw the same for so long, its setting being in force, or until it chose another one."""
    told, running = [], state.setting
    for now in np.arange(since, since + seconds, JUDGED):
        state, line = step(state, GOAL, RUNGS, what, float(now), running=running)
        told += [line] if line else []
        if state.setting != running:
            break
    return state, told


def test_ladder_goes_from_best_to_cheapest() -> None:
    """Protects the order: precision, size to a half, coherence as a whole, size; each step is cheaper."""
    rungs = ladder(720, 0.5, ["f32", "auto"], 200)
    assert rungs == (
        Setting(None, 0.5, 1, "f32"),
        Setting(None, 0.5, 1, "auto"),
        Setting(540, 0.5, 1, "auto"),
        Setting(450, 0.5, 1, "auto"),
        Setting(360, 0.5, 1, "auto"),
        Setting(360, 0.0, 1, "auto"),
        Setting(270, 0.0, 1, "auto"),
    )
    costs = [rung.cost for rung in rungs]
    assert costs[0] == 1.0
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(costs)


@pytest.mark.parametrize("short_side", [16, 181, 480, 540, 1080, 2160])
@pytest.mark.parametrize("coherence", [0.0, 1.0])
@pytest.mark.parametrize("precisions", [["auto"], ["f32", "bf16", "auto"]])
def test_ladders_of_all_sizes_go_down(short_side: int, coherence: float, precisions: list[str]) -> None:
    """Protects the controller's ground: whatever the frames, each rung costs less, and no work size is too large."""
    rungs = ladder(short_side, coherence, precisions, 180, most_every=3)
    costs = [rung.cost for rung in rungs]
    assert all(cheaper < cost for cost, cheaper in pairwise(costs))
    assert all(180 <= rung.work_size < short_side for rung in rungs if rung.work_size is not None)
    assert [rung.paint_every for rung in rungs][-3:] == [1, 2, 3]


def test_ladder_without_coherence_or_sizes() -> None:
    """Protects those who switched coherence off, and styles of one size: nothing is left to walk but what there is."""
    assert ladder(240, 0.0, ["auto"], 240) == (Setting(None, 0.0, 1, "auto"),)
    assert [rung.coherence for rung in ladder(480, 0.0, ["auto"], 300)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("wrong", [(0, ["auto"], 1), (540, [], 1), (540, ["auto"], 0)])
def test_ladder_refuses_what_makes_none(wrong: tuple[int, list[str], int]) -> None:
    """Protects against a ladder without a rung."""
    with pytest.raises(UsageError, match="1 pixel or more"):
        ladder(wrong[0], 1.0, wrong[1], wrong[2])


@pytest.mark.parametrize("wrong", [(0, 0.08), (30, 0), (-1, 1)])
def test_goals_are_above_zero(wrong: tuple[float, float]) -> None:
    """Protects against dividing by a goal of nothing."""
    with pytest.raises(UsageError, match="above 0"):
        Goal(*wrong)


def test_it_begins_at_the_best_or_near_the_last() -> None:
    """Protects a change of style or coherence meanwhile: the size that was found stays."""
    assert begin(RUNGS).rung == 0
    assert begin(RUNGS, Setting(270, 0.3, 1, "auto")).setting == Setting(270, 1.0, 1, "auto")
    assert begin(RUNGS, Setting(270, 0.0, 1, "auto")).setting == Setting(270, 0.0, 1, "auto")
    assert begin(ladder(540, 0.0, ["auto"], 180), Setting(270, 0.3, 1, "auto")).setting.work_size == 270
    assert begin(RUNGS, Setting(202, 0.3, 1, "auto")).setting == Setting(202, 0.0, 1, "auto")
    assert begin(RUNGS, Setting(99, 1.0, 1, "auto")).rung == 0


def test_it_says_what_it_chose_and_why() -> None:
    """Protects the overlay's line, and that what it missed by tells how far to go."""
    state, told = fed(begin(RUNGS), 5, report(paint=41, fps=24.4, busy=1.0))
    assert told == ["work size full → 337: painting took 41 ms, 33 allowed"]
    assert (state.setting.work_size, state.reason) == (337, told[0])
    _, told = fed(begin(RUNGS, RUNGS[-2]), 6, report(paint=12, fps=30, busy=0.36))
    assert told == ["coherence 0 → 1: painting took 12 ms, 33 allowed"]
    _, told = fed(begin(RUNGS), 5, report(paint=200, fps=5, busy=1.0, latency=230))
    assert told == ["work size full → 202, coherence 1 → 0: painting took 200 ms, 33 allowed"]


def test_only_what_was_asked_for_is_said_to_be_missed() -> None:
    """Protects the overlay's line where there is no goal of latency, and just enough of the rate."""
    state, told = begin(RUNGS), ""
    for now in np.arange(0, 5, JUDGED):
        what = report(paint=32, fps=30, busy=0.96)
        state, line = step(state, Goal(fps=30), RUNGS, what, float(now), running=RUNGS[0])
        told += line or ""
    assert told == "work size full → 405: painting took 32 ms, 33 allowed"


def test_a_gross_miss_is_answered_at_once() -> None:
    """Protects the first seconds under load: no patience where half is lost, and nothing is learned of costs."""
    for paint, seconds in ((70.0, 1.5), (38.0, 2.5)):
        what = report(paint=paint, fps=1000 / paint, busy=1.0)
        running = RUNGS[0]
        state, now = begin(RUNGS), 0.0
        while state.setting == running:
            state, _ = step(state, GOAL, RUNGS, what, now, running=running)
            now += JUDGED
        assert now - JUDGED == seconds
        assert (state.foreseen is None) == (paint == 70.0)


def test_nothing_is_judged_while_a_setting_is_made_ready() -> None:
    """Protects against judging a setting by what was painted before it: it counts from when it is in force."""
    state = begin(RUNGS)
    bad = report(paint=90, fps=11, busy=1.0)
    for now in np.arange(0, 20, JUDGED):
        state, told = step(state, GOAL, RUNGS, bad, float(now), running=RUNGS[2])
        assert (state.rung, told) == (0, None)
    state, told = step(state, GOAL, RUNGS, bad, 20.0, running=RUNGS[0])
    assert (state.rung, state.since, told) == (0, 20.0, None)
    assert step(state, GOAL, RUNGS, bad, 20.5, running=RUNGS[0])[0].rung == 0
    assert step(state, GOAL, RUNGS, bad, 30.0, running=RUNGS[2])[0] == replace(state, since=None)


def test_a_slow_camera_is_not_a_miss() -> None:
    """Protects quality in front of a camera of 25, or of 8, frames a second: the painter waits, and isn't to blame."""
    for fps in (8.0, 25.0):
        state, told = fed(begin(RUNGS), 60, report(paint=30, fps=fps))
        assert (state.rung, told) == (0, [])


def test_frames_that_wait_tell_a_painter_that_is_behind() -> None:
    """Protects the goal on a machine that others use: the thread is late and never quite busy, and still to blame."""
    behind = fed(begin(RUNGS), 5, report(paint=44, fps=20, busy=0.88, wait=16))
    assert behind[1] == ["work size full → 337: painting took 44 ms, 33 allowed"]
    assert fed(begin(RUNGS), 5, report(paint=44, fps=20, busy=0.88, wait=1))[1] == []


def test_a_fast_source_is_not_a_miss() -> None:
    """Protects quality behind a game of 120 frames a second: all the time is used, and the goal is kept."""
    state, told = fed(begin(RUNGS), 60, report(paint=25, fps=40, busy=1.0))
    assert (state.rung, told) == (0, [])


def test_a_slow_sink_is_not_painting() -> None:
    """Protects quality before a sink that takes half of the frames: less painting wouldn't show more."""
    state, told = fed(begin(RUNGS), 60, report(paint=22, fps=15, busy=0.66))
    assert (state.rung, told) == (0, [])


def test_a_source_that_gives_nothing_is_left_alone() -> None:
    """Protects a paused or lost source: neither better nor cheaper, however long."""
    state, told = fed(begin(RUNGS, RUNGS[2]), 60, report(paint=90, fps=0, busy=0))
    assert (state.rung, told) == (2, [])


def test_latency_of_other_stages_is_told_once_and_costs_nothing() -> None:
    """Protects quality where capture or show alone miss the latency; and with room it goes up all the same."""
    slow = report(paint=20, show=100)
    state, told = fed(begin(RUNGS), 60, slow)
    assert (state.rung, told) == (0, ["latency 120 ms, 80 allowed, but painting takes only 20 of it"])
    state, told = fed(begin(RUNGS, RUNGS[-2]), 60, report(paint=8, show=100))
    assert state.rung < LAST - 1
    assert sum("painting takes only" in line for line in told) == 1
    assert fed(state, 60, report(paint=20, show=100))[1] == []


def test_better_is_what_there_was_room_for_all_the_time() -> None:
    """Protects the goal beside a game, whose own load comes and goes: a light second doesn't choose alone."""

    def chosen(*loads: float) -> int:
        state = begin(RUNGS, RUNGS[3])
        for now in np.arange(0, 6, JUDGED):
            paint = loads[min(int(now / 3), len(loads) - 1)]
            state, _ = step(state, GOAL, RUNGS, report(paint=paint), float(now), running=RUNGS[3])
        return state.rung

    assert chosen(12.0) < chosen(20.0) == chosen(20.0, 12.0) == chosen(12.0, 20.0) < 3


def test_better_must_suit_the_slower_frames() -> None:
    """Protects the goal where frames take very different times: their mean alone has room for what they have not."""
    even, uneven = report(paint=14), report(paint=14)
    uneven = replace(uneven, stages={**uneven.stages, "paint": StageTimes(14, 32)})
    assert fed(begin(RUNGS, RUNGS[3]), 6, even)[0].rung < 3
    assert fed(begin(RUNGS, RUNGS[3]), 6, uneven)[0].rung == 3


def test_better_is_given_up_at_once_until_it_is_proven() -> None:
    """Protects the frames that a try costs; one slow frame is none, and doesn't end it."""
    one_slow = report(paint=20, fps=28, busy=1.0)
    for risen, what, seconds in ((False, report(paint=38, fps=26, busy=1.0), 2.5), (True, report(paint=38), 1.5)):
        state, now = replace(begin(RUNGS), risen=risen), 0.0
        while state.rung == 0 and now < 10:
            state, _ = step(state, GOAL, RUNGS, what, now, running=RUNGS[0])
            now += JUDGED
        assert now - JUDGED == seconds
    assert fed(replace(begin(RUNGS), risen=True), 2.25, one_slow)[0].rung == 0


def test_what_fails_soon_is_hoped_for_longer_and_what_holds_forgives() -> None:
    """Protects the backoff: giving up within 30 s makes it three times as long, up to a minute; holding a third."""
    tight = report(paint=40, fps=25, busy=1.0)
    for hope, failed, proven in ((4, 12, 4), (12, 36, 4), (36, 60, 12), (60, 60, 20)):
        state = replace(begin(RUNGS, RUNGS[3]), hope=hope)
        assert fed(state, 1.5 + hope, report(paint=17))[0].rung == 3
        risen, _ = fed(state, 1.75 + hope, report(paint=17))
        assert (risen.rung, risen.hope, risen.risen) == (1, hope, True)
        soon, _ = fed(fed(risen, 10, report(paint=25))[0], 5, tight, since=10)
        assert (soon.hope, soon.risen) == (failed, False)
        assert fed(soon, 5, tight)[0].hope == failed
        late, _ = fed(fed(risen, 40, report(paint=25))[0], 5, tight, since=40)
        assert late.hope == proven


def test_room_that_went_away_must_last_for_longer_next_time() -> None:
    """Protects the goal beside a game of light and heavy scenes: those that were too short to try cost no frames."""
    state, _ = fed(begin(RUNGS, RUNGS[3]), 1.5 + 2, report(paint=12))
    assert (state.rung, state.hope) == (3, 4)
    state, _ = fed(state, 2, report(paint=24), since=3.5)
    assert (state.rung, state.hope) == (3, 6)
    state, _ = fed(state, 6, report(paint=12), since=5.5)
    assert (state.rung, state.hope) == (3, 6)
    state, _ = fed(state, 3, report(paint=0, fps=0, busy=0), since=11.5)
    assert (state.room, state.hope) == (None, 6)  # of what wasn't painted nothing is known
    assert fed(state, 6.25, report(paint=12), since=14.5)[0].rung < 3


def test_room_that_was_only_just_lost_says_nothing() -> None:
    """Protects recovery: room for the next better setting that becomes tight isn't a try that would have failed."""
    state, _ = fed(begin(RUNGS, RUNGS[3]), 1.5 + 2, report(paint=19))
    state, _ = fed(state, 2, report(paint=22.5), since=3.5)
    assert (state.room, state.hope, state.lasted) == (None, 4, 2)
    assert fed(state, 0.5, report(paint=28), since=5.5)[0].hope == 6
    assert fed(state, 0.5, report(paint=19), since=5.5)[0].hope == 4


def test_room_that_only_went_away_is_waited_for_12_seconds_at_most() -> None:
    """Protects recovery from what never failed."""
    state, now = replace(begin(RUNGS, RUNGS[3]), hope=6), 0.0
    for _ in range(3):
        state, _ = fed(state, 5.5, report(paint=12), since=now)
        state, _ = fed(state, 2, report(paint=28), since=now + 5.5)
        now += 7.5
    assert (state.rung, state.hope) == (3, 12)


def test_errors_of_cost_are_learned_in_part() -> None:
    """Protects the predictions by hand: half of a likely error is made good, little of one that the load may make."""
    risen, _ = fed(begin(RUNGS, RUNGS[3]), 20, report(paint=19))
    assert risen.rung == 2
    foreseen = 19 * RUNGS[2].cost / RUNGS[3].cost
    for error, share in ((1.0, 0.5), (1.5, 0.5), (0.7, 0.5), (2.0, 0.15), (0.5, 0.15)):
        state, _ = fed(risen, 2, report(paint=foreseen * error, fps=min(30, 1000 / foreseen / error)))
        assert state.costs[2] == pytest.approx(RUNGS[2].cost * error**share)
        assert state.costs[:2] + state.costs[3:] == risen.costs[:2] + risen.costs[3:]
