"""What the user and the budget controller ask for, made into looks; and what the user is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .budget import Goal, Setting, State, begin, step
from .commands import Command
from .latency import Report
from .notes import Notes
from .switching import Switcher

_STEP = 0.1
"""Of strength and coherence, at each touch of a key."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A goal, and what may be chosen to keep it."""

    goal: Goal
    rungs: Callable[[str, float], tuple[Setting, ...]]
    """Given a style and how much coherence there is at best: settings, best first, each cheaper than the one before."""


class Desk:
    """Does what a user asks for by a key, and what the budget controller finds; in one thread.

    Args:
        switcher: is told which look is wanted.
        styles: names, to go through.
        notes: told of changes.
        budget: what to keep; None leaves settings as they are.
    """

    def __init__(self, switcher: Switcher, styles: Sequence[str], notes: Notes, budget: Budget | None = None) -> None:
        self._switcher, self._styles, self._notes, self._budget = switcher, list(styles), notes, budget
        self._coherence = switcher.wanted.setting.coherence
        self._style = ""
        self._rungs: tuple[Setting, ...] = ()
        """What may be chosen for that style."""
        self.state: State | None = None
        """Of the controller, where there is one."""
        self.split = self.paused = self.help = False
        self._begin()

    def do(self, command: Command) -> None:
        """Do what concerns what is painted, and how it is shown; the rest is not for the desk."""
        look = self._switcher.wanted
        match command:
            case Command.NEXT_STYLE | Command.PREVIOUS_STYLE:
                step = 1 if command is Command.NEXT_STYLE else -1
                style = self._styles[(self._styles.index(look.style) + step) % len(self._styles)]
                self._switcher.want(replace(look, style=style))
                self._begin()
                self._notes.show(f"style: {style}")
            case Command.STRENGTH_UP | Command.STRENGTH_DOWN:
                strength = _stepped(look.strength, 1 if command is Command.STRENGTH_UP else -1)
                self._switcher.want(replace(look, strength=strength))
                self._notes.show(f"strength: {strength:.0%}")
            case Command.COHERENCE_UP | Command.COHERENCE_DOWN:
                self._coherence = _stepped(self._coherence, 1 if command is Command.COHERENCE_UP else -1)
                self._switcher.want(replace(look, setting=replace(look.setting, coherence=self._coherence)))
                self._begin()
                self._notes.show(f"coherence: {self._coherence:.0%}")
            case Command.SPLIT:
                self.split = not self.split
            case Command.PAUSE:
                self.paused = not self.paused
            case Command.HELP:
                self.help = not self.help

    def standing(self) -> list[str]:
        """Lines for the user, of what is going on."""
        loading = self._switcher.loading
        return [*([f"loading {loading}"] if loading else []), *(["paused"] if self.paused else [])]

    def judge(self, report: Report, now: float) -> None:
        """Let the controller see how it goes; what it chooses is wanted from now on.

        Args:
            report: over the last :data:`~allaprima.live.budget.WINDOW_SECONDS`.
            now: seconds, of the clock that frames are stamped by.
        """
        if self._budget is None or self.state is None or self.paused:
            return
        if self._switcher.wanted.style != self._style:
            self._begin()  # another style couldn't be loaded: what may be chosen is again what suits the one before
        look, running = self._switcher.wanted, self._switcher.shown.setting
        if look.setting != self.state.setting:
            # It couldn't be loaded, and was said to be so: go on without it.
            self._rungs = tuple(rung for rung in self._rungs if rung != self.state.setting) or (running,)
            self.state = begin(self._rungs, running)
        self.state, told = step(self.state, self._budget.goal, self._rungs, report, now, running=running)
        if look.setting != self.state.setting:
            self._switcher.want(replace(look, setting=self.state.setting))
        if told:
            self._notes.say(told)

    def _begin(self) -> None:
        """Begin to keep the goal anew, from what is wanted now."""
        if self._budget is None:
            return
        look = self._switcher.wanted
        self._style = look.style
        self._rungs = self._budget.rungs(look.style, self._coherence)
        self.state = begin(self._rungs, look.setting)
        self._switcher.want(replace(look, setting=self.state.setting))


def _stepped(value: float, sign: int) -> float:
    return round(min(max(value + sign * _STEP, 0.0), 1.0), 3)
