"""Keeps the goal of a live run: what to paint with, from what was measured. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import UsageError
from .latency import Report, StageTimes

WINDOW_SECONDS = 1.0
"""How far back the reports that :func:`step` gets should look: shorter is noise, longer is late."""
_SETTLE = WINDOW_SECONDS + 0.3
"""Seconds from a change until it is judged: no frame from before it is in the window, and the cross-fade is over."""
_PATIENCE = 1.0
"""Seconds that the goal must be missed for, before something cheaper is taken."""
_HOPE, _MORE_HOPE, _MOST_HOPE = 4.0, 12.0, 60.0
"""Seconds that there must be room for something better, before it is taken: at first; at most where room only went
away; and at most after failures."""
_CAUTION = 3.0
"""Times as long that this becomes when something better had to be given up soon; and than room that went away so far
that it would have had to be."""
_PROVEN = 30.0
"""Seconds that something better must hold, not to have failed."""
_FULL = 0.92
"""Share of the painting thread's time from which on it keeps up with what comes only just, or not at all."""
_BEHIND, _WAITING = 0.8, 0.15
"""The same where frames wait to be painted for so much of the time that one may take: on a machine that others use,
the thread is awake too late to be busy all the time."""
_MISS = 0.95
"""Share of what is allowed from which on the goal is missed: no two frames take the same time, and those that take too
long cost others."""
_GROSS = 1.5
"""Times what is allowed from which on the goal is missed so that something is done at once; something better that isn't
proven yet is given up at once when it is missed at all."""
_AIM, _ROOM = 0.9, 0.8
"""Share of what is allowed that is aimed at on the way down, and that must be enough on the way up. The steps of the
ladder are larger than what lies between this and a miss, so that it doesn't go to and fro."""
_BOLDEST = 1.5
"""Times the cost that one step up may have: predictions over a longer way are less certain."""
_LIKELY_ERROR = 1.6
"""Times more or less than foreseen that a setting may well cost; beyond that, load rather has changed."""
_LEARNED, _DOUBTED = 0.5, 0.15
"""Share of such an error, in its logarithm, that is made good; and of a larger one."""
_FORGOTTEN = 120.0
"""Seconds of room by the ladder's costs alone after which what was learned of them is forgotten: it may have been a
change of load, too."""
_CALM = 0.7
"""Share of what is allowed below which painting isn't what makes other stages slow."""

_EIGHTHS = (6, 5, 4, 3, 2, 1)
"""Work sizes, as parts of the frame's size. Nearer to full size, the refiner costs what the net saves."""
_STEADY_EIGHTHS = 4
"""The smallest of them at which coherence is kept."""
_NET, _COHERENCE, _REFINER = 13.5, 8.0, 4.5
"""Milliseconds of a core that a frame of 720×540 takes, in int8: by the area that is painted, and the refiner by the
frame's."""
_COHERENCE_ALWAYS = 4.5
"""The same that coherence takes whatever the size."""
_PRECISIONS = {"f32": 5.0, "f16": 1.4, "bf16": 1.4}
"""Times the net's cost in int8."""
_BETWEEN = 0.7
"""Cost of a frame that is carried along instead of painted, in painted ones."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What to paint with."""

    work_size: int | None
    """Short side in pixels; None is the frame's size."""
    coherence: float
    """0-1, as :class:`~allaprima.stylizer.Stylizer` takes it."""
    paint_every: int
    """One frame in so many is painted, the others are carried along."""
    precision: str
    """As :class:`~allaprima.painter.Painter` takes it."""
    cost: float = field(default=1.0, compare=False)
    """What a frame is expected to cost, as a share of what it costs with the best setting."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be kept.

    Raises:
        UsageError: a rate or a latency that isn't above 0, or an endless rate.
    """

    fps: float = 30.0
    """Frames shown a second."""
    latency: float = math.inf
    """Seconds from captured to shown, for 95 frames of 100."""

    def __post_init__(self) -> None:
        if not (0 < self.fps < math.inf and self.latency > 0):
            raise UsageError(f"goals must be finite and above 0, not {self.fps:g} fps and {1000 * self.latency:g} ms")


def ladder(
    short_side: int, coherence: float, precisions: Sequence[str], least_side: int, most_every: int = 1
) -> tuple[Setting, ...]:
    """Settings to choose from, best first; each costs less than the one before.

    Precision goes first, since it is hardly seen; then size, down to a half; then coherence, all of it, since any of it
    costs about the same; then size again. At a half, strokes are twice as large, and a size less saves little beside
    coherence, which doesn't get much cheaper with size. Carrying frames along comes last: it costs nearly as much as
    painting them with a small net, and pays with a large one.

    Args:
        short_side: of the frames, in pixels.
        coherence: of the best setting, 0-1.
        precisions: best first, at least one.
        least_side: no work size is below, in pixels.
        most_every: at most so many frames from a painted one to the next; 1 paints all of them.

    Raises:
        UsageError: no precision, or a side below 1.
    """
    if not precisions or short_side < 1 or least_side < 1:
        raise UsageError("a ladder of settings takes a precision, and sides of 1 pixel or more")
    sizes = {part: short_side * part // 8 for part in _EIGHTHS if short_side * part // 8 >= least_side}
    rungs = [Setting(None, coherence, 1, each) for each in precisions]
    rungs += [replace(rungs[-1], work_size=size) for part, size in sizes.items() if part >= _STEADY_EIGHTHS]
    if coherence > 0:
        rungs.append(replace(rungs[-1], coherence=0.0))
    rungs += [replace(rungs[-1], work_size=size) for part, size in sizes.items() if part < _STEADY_EIGHTHS]
    rungs += [replace(rungs[-1], paint_every=every) for every in range(2, most_every + 1)]
    costs = [_cost(rung, short_side) for rung in rungs]
    return tuple(replace(rung, cost=cost / costs[0]) for rung, cost in zip(rungs, costs, strict=True))


def _cost(setting: Setting, short_side: int) -> float:
    frame, area = ((side / 540) ** 2 for side in (short_side, setting.work_size or short_side))
    whole = area * _NET * _PRECISIONS.get(setting.precision, 1.0)
    whole += (_COHERENCE_ALWAYS + area * _COHERENCE) * (setting.coherence > 0)
    whole += frame * _REFINER * (setting.work_size is not None)
    return whole * (1 + _BETWEEN * (setting.paint_every - 1)) / setting.paint_every


@dataclass(frozen=True, slots=True)
class State:
    """Where the controller stands; :func:`begin` makes one, :func:`step` the next."""

    rung: int
    setting: Setting
    """What to paint with from now on."""
    reason: str = ""
    """Why it was chosen, or why nothing better can be done, in one line; empty at first."""
    since: float | None = None
    """When it came in force, in seconds; None while it isn't."""
    missing: float | None = None
    """Since when the goal is missed."""
    room: float | None = None
    """Since when there is room for something better."""
    reach: int = 0
    """The best rung that there was room for all that time."""
    lasted: float = 0.0
    """Seconds that there was room for, until there was none; 0 once that was seen to be too little."""
    risen: bool = False
    """Whether it was chosen as something better, and isn't proven yet."""
    hope: float = _HOPE
    """Seconds that there must be room for something better, by what has become of it so far."""
    told: bool = False
    """Whether the user knows that the goal can't be met."""
    costs: tuple[float, ...] = ()
    """What each setting of the ladder costs, as far as is known by now, as a share of the first one."""
    foreseen: float | None = None
    """Seconds of painting a frame that were expected when it was chosen, to learn from; None when nothing was."""

    def ratio(self, rung: int) -> float:
        """How many times the present setting's cost another one of the ladder has."""
        return self.costs[rung] / self.costs[self.rung]


def begin(rungs: Sequence[Setting], near: Setting | None = None) -> State:
    """The controller's first state: at the best setting, or at the one like ``near``, of another coherence if need be.

    Begin anew when the ladder, or what paints, changes: frames of another size, another coherence, another style.
    """
    rung = 0
    if near is not None:
        like = near.work_size, near.paint_every, near.precision
        alike = [
            index for index, each in enumerate(rungs) if (each.work_size, each.paint_every, each.precision) == like
        ]
        rung = next((index for index in alike if (rungs[index].coherence > 0) == (near.coherence > 0)), [*alike, 0][0])
    return State(rung, rungs[rung], costs=tuple(each.cost for each in rungs))


def step(
    state: State, goal: Goal, rungs: Sequence[Setting], report: Report, now: float, *, running: Setting
) -> tuple[State, str | None]:
    """Judge what was measured; to be called some times a second.

    Args:
        state: from :func:`begin`, or from the step before.
        goal: what is to be kept.
        rungs: settings, best first, each cheaper than the one before; the same as in the steps before.
        report: over the last :data:`WINDOW_SECONDS`.
        now: seconds, of any monotonic clock.
        running: what is painted with just now. While it isn't the state's setting, which takes time to get ready,
            nothing is judged.

    Returns:
        The next state, and where it brings something new to tell, that in one line.
    """
    if running != state.setting or state.since is None:
        return replace(state, since=now if running == state.setting else None, missing=None, room=None), None
    if now - state.since < _SETTLE:
        return state, None
    if report.fps == 0 and report.busy < _FULL:
        return replace(state, missing=None, room=None), None
    if state.risen and now - state.since >= _PROVEN:
        state = replace(state, risen=False, hope=max(_HOPE, state.hope / _CAUTION))
    load = _Load.of(goal, report)
    state = _learned(state, load)
    missing = now if state.missing is None else state.missing
    tried = now - missing >= _PATIENCE
    if load.expected() > _MISS:
        state = _without_room(replace(state, missing=missing), load, now)
        at_once = load.median > (_MISS if state.risen else _GROSS)
        return _down(state, rungs, load) if tried or at_once else (state, None)
    state = replace(state, missing=missing if load.others else None)
    if load.others and tried and not state.told:
        return _tell(state, f"{load.of_latency}, but painting takes only {load.paint.p50:.0f} of it")
    return _up(state, rungs, load, now)


@dataclass(frozen=True, slots=True)
class _Load:
    """What the setting takes of what the goal allows, of which 1 is all."""

    share: float
    """Of the painting time."""
    peak: float
    """Of the painting time, by 95 frames of 100."""
    fixed: float
    """Of the latency, by other stages than painting, and waiting for it."""
    painted: float
    """Of the latency, by these."""
    median: float
    """By the median frame, where that is less: one slow frame is none of its business."""
    mean: float
    """Seconds of painting for each frame that is shown."""
    paint: StageTimes
    of_rate: str
    of_latency: str
    """What was measured and what is allowed, in words."""

    @classmethod
    def of(cls, goal: Goal, report: Report) -> _Load:
        none = StageTimes(0.0, 0.0)
        paint, wait, latency = report.stages.get("paint", none), report.stages.get("wait", none), report.latency or none
        period, allowed = 1000 / goal.fps, 1000 * goal.latency
        # What is shown counts where painting holds it up. Else the source is slow, or a sink; or the source is so fast
        # that painting goes on all the time, and there is time left all the same.
        mean = report.busy / max(report.fps, 1 / WINDOW_SECONDS)
        behind = report.busy >= (_BEHIND if wait.p50 > _WAITING * period else _FULL)
        share = mean * goal.fps if behind else min(mean * goal.fps, report.busy)
        painted = min(wait.p95 + paint.p95, latency.p95) / allowed
        load = cls(
            share,
            paint.p95 / period,
            latency.p95 / allowed - painted,
            painted,
            math.inf,
            mean,
            paint,
            f"painting took {max(paint.p50, share * period):.0f} ms, {period:.0f} allowed",
            f"latency {latency.p95:.0f} ms, {allowed:.0f} allowed",
        )
        return replace(load, median=min(load.expected(), max(paint.p50 / period, latency.p50 / allowed)))

    @property
    def others(self) -> bool:
        """Whether the latency is missed whatever is painted with."""
        return self.fixed >= 1

    @property
    def late(self) -> bool:
        """Whether it is the latency rather than the frame rate that takes most of what is allowed."""
        return not self.others and self.fixed + self.painted > self.share

    def expected(self, ratio: float = 1.0) -> float:
        """The load when painting costs so many times as much.

        Where other stages alone miss the latency, painting must only leave them the time they need.
        """
        if self.others:
            return self.share * ratio / _CALM
        return max(self.share * ratio, self.fixed + self.painted * ratio)

    def has_room(self, ratio: float) -> bool:
        """Whether painting may cost so many times as much: on average, and where it varies, most of the frames."""
        return self.expected(ratio) <= _ROOM and self.peak * ratio <= 1


def _learned(state: State, load: _Load) -> State:
    """The state, with a part of the error made good that the foreseen cost had."""
    if state.foreseen is None:
        return state
    error, costs = load.mean / state.foreseen, list(state.costs)
    costs[state.rung] *= error ** (_LEARNED if 1 / _LIKELY_ERROR <= error <= _LIKELY_ERROR else _DOUBTED)
    return replace(state, costs=tuple(costs), foreseen=None)


def _down(state: State, rungs: Sequence[Setting], load: _Load) -> tuple[State, str | None]:
    why = load.of_rate if load.share > _MISS or load.others else load.of_latency
    cheaper = range(state.rung + 1, len(rungs))
    if not cheaper:
        return (state, None) if state.told else _tell(state, f"nothing cheaper is left: {why}")
    enough = (rung for rung in cheaper if load.expected(state.ratio(rung)) <= _AIM)
    # What becomes of the latency is less certain than of the frame rate.
    rung = cheaper[0] if load.late and load.median <= _GROSS else next(enough, cheaper[-1])
    hope = min(_CAUTION * state.hope, _MOST_HOPE) if state.risen else state.hope
    return _chosen(replace(state, hope=hope, risen=False), rungs, rung, load, why)


def _up(state: State, rungs: Sequence[Setting], load: _Load, now: float) -> tuple[State, str | None]:
    hope, known = state.hope, state
    rung = _better(known, load)
    if rung is None:
        hope, known = _FORGOTTEN, replace(state, costs=tuple(each.cost for each in rungs))
        rung = _better(known, load)
    if rung is None:
        return _without_room(state, load, now), None
    room, reach = (now, rung) if state.room is None else (state.room, max(rung, state.reach))
    if now - room < hope:
        return replace(state, room=room, reach=reach), None
    return _chosen(replace(known, risen=True, told=load.others), rungs, reach, load, load.of_rate)


def _without_room(state: State, load: _Load, now: float) -> State:
    """The state when there is no room: where something better would fail by now, room must last longer next time."""
    lasted = state.lasted if state.room is None else now - state.room
    if lasted and load.expected(state.ratio(state.reach)) > _MISS:
        hope = max(state.hope, min(_CAUTION * lasted, _MORE_HOPE))
        return replace(state, room=None, lasted=0.0, hope=hope)
    return replace(state, room=None, lasted=lasted)


def _better(state: State, load: _Load) -> int | None:
    """The best setting within reach that there is room for; None when there is none."""
    near = [rung for rung in range(state.rung) if state.ratio(rung) <= _BOLDEST or rung == state.rung - 1]
    return next((rung for rung in near if load.has_room(state.ratio(rung))), None)


def _chosen(state: State, rungs: Sequence[Setting], rung: int, load: _Load, why: str) -> tuple[State, str]:
    """The state with another setting, that isn't in force yet."""
    chosen = replace(
        state,
        rung=rung,
        setting=rungs[rung],
        reason=f"{_change(state.setting, rungs[rung])}: {why}",
        since=None,
        missing=None,
        room=None,
        lasted=0.0,
        # Of a gross miss, what was measured may be half from before it.
        foreseen=None if load.median > _GROSS else load.mean * state.ratio(rung),
    )
    return chosen, chosen.reason


def _tell(state: State, reason: str) -> tuple[State, str]:
    return replace(state, reason=reason, told=True), reason


def _change(old: Setting, new: Setting) -> str:
    """What becomes of the setting, in words."""
    sizes = (str(each.work_size or "full") for each in (old, new))
    changes = (
        ("work size", *sizes),
        ("coherence", f"{old.coherence:g}", f"{new.coherence:g}"),
        ("painted every", str(old.paint_every), str(new.paint_every)),
        ("precision", old.precision, new.precision),
    )
    return ", ".join(f"{name} {before} → {after}" for name, before, after in changes if before != after)
