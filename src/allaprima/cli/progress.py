"""What a person sees while frames are painted: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 5.0


class Reporter:
    """Progress on stderr, so that stdout holds results only.

    Args:
        quiet: say nothing (with ``--json``).
        unit: what is counted, in the plural.
    """

    def __init__(self, *, quiet: bool, unit: str = "frames") -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet, self._unit = quiet, unit
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._total: int | None = None
        self._first = 0
        self._started = self._last_line = time.monotonic()

    def say(self, text: str) -> None:
        """One line, unless quiet."""
        if not self._quiet:
            self._console.print(text, soft_wrap=True, markup=False)

    def start(self, total: int | None, first: int = 0) -> None:
        """Begin to count from ``first`` towards ``total`` (None where unknown)."""
        self._started = self._last_line = time.monotonic()
        self._total, self._first = total, first
        if self._quiet or not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("painting" if self._unit == "frames" else "{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task(self._unit, total=total, completed=first, detail="")
        self._bar.start()

    def count(self, done: int, detail: str | None = None) -> None:
        """``done`` so far."""
        now = time.monotonic()
        pace = (done - self._first) / max(now - self._started, 1e-6)
        detail = detail or f"{pace:.1f} fps"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, detail=detail)
        elif not self._quiet and now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            of = f" of {self._total}" if self._total else ""
            left = f", {(self._total - done) / max(pace, 1e-6):.0f} s left" if self._total else ""
            self.say(f"{done}{of} {self._unit}, {detail}{left}")

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Stop(threading.Event):
    """Set by Ctrl-C or SIGTERM; remembers which."""

    signal_number = int(signal.SIGINT)


@contextmanager
def stop_on_signals(stop: Stop | None = None) -> Iterator[Stop]:
    """Ctrl-C and SIGTERM set the event (a new one if left out) instead of ending the program; a second one ends it."""
    stop = stop or Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.signal_number = number
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
