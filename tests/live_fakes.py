"""What a live run is made of, reduced to what tests look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from fakes import ListSink

from allaprima.frame import Frame, SourceInfo
from allaprima.live.budget import Setting
from allaprima.live.commands import Command
from allaprima.live.switching import Look
from allaprima.source import Source

INFO = SourceInfo(32, 24, Fraction(25), Fraction(1, 1_000_000))
SETTING = Setting(work_size=None, coherence=0.0, paint_every=1, precision="f32")
LOOK = Look("first", 1.0, SETTING)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gray(value: int, captured: float | None = None) -> Frame:
    """A frame of one color."""
    return Frame(np.full((INFO.height, INFO.width, 3), value, np.uint8), captured=captured)


def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


class Beats(Source):
    """A live source: frame after frame until it is closed, their number in their pixels and their time."""

    def __init__(self, frames: int | None = None, seconds: float = 0.002, fails: BaseException | None = None) -> None:
        self.info = INFO
        self.given = 0
        self.closed = threading.Event()
        self._frames, self._seconds, self._fails = frames, seconds, fails

    def frames(self) -> Iterator[Frame]:
        while self._frames is None or self.given < self._frames:
            if self.closed.wait(self._seconds):
                return
            yield replace(gray(self.given % 256, time.monotonic()), pts=self.given)
            self.given += 1
        if self._fails:
            raise self._fails

    def close(self) -> None:
        self.closed.set()


class FakeWindow(ListSink):
    """A window on no screen, with keys that are pressed at given frames."""

    def __init__(self, keys: dict[int, list[Command]], before: Callable[[int], None] = lambda number: None) -> None:
        super().__init__(before)
        self.lines: list[str] | None = None
        self.shown: list[list[str]] = []
        self.thread: threading.Thread | None = None
        self._keys = dict(keys)

    def poll(self) -> list[Command]:
        """What is pressed by now."""
        self.thread = threading.current_thread()
        due = [number for number in self._keys if number <= len(self.written)]
        return [command for number in due for command in self._keys.pop(number)]

    def show_overlay(self, lines: list[str] | None) -> None:
        """Keep the lines."""
        self.lines = lines
        self.shown.append(lines or [])


class FakeSwitcher:
    """Paints the negative in no time, or in some, and takes note of what is asked of it."""

    def __init__(self, seconds: float = 0.0, before: Callable[[int], None] = lambda number: None) -> None:
        self.wanted = self.shown = LOOK
        self.loading: str | None = None
        self.seconds, self.painted, self.resets, self.closed = seconds, 0, 0, False
        self.fails: BaseException | None = None
        self._before = before

    def want(self, look: Look) -> None:
        """Is had at once."""
        self.wanted = self.shown = look

    def prepare(self) -> str:
        """Nothing to load, unless it is to fail."""
        if self.fails:
            raise self.fails
        return "nothing on nowhere"

    def reset(self) -> None:
        """Counted."""
        self.resets += 1

    def paint(self, frame: Frame) -> Frame:
        """The negative."""
        self._before(self.painted)
        self.painted += 1
        time.sleep(self.seconds)
        return frame.with_pixels(255 - frame.pixels)

    def close(self) -> None:
        """Noted."""
        self.closed = True
