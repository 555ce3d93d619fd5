"""A file at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..frame import Frame
from ..source import Source
from .live_source import Clock, InterruptibleSource


def pause_before(shown: float, first: float, started: float, now: float, speed: float = 1.0) -> float:
    """How long to wait until a picture is due.

    Args:
        shown: when it shows, in seconds of its own clock.
        first: when the first one showed, by the same clock.
        started: when the first one was given, in seconds.
        now: the time now, on the clock of ``started``.
        speed: seconds of its own clock in one second.

    Returns:
        Seconds; 0 for one that is late.
    """
    return max(0.0, started + (shown - first) / speed - now)


class PacedSource(InterruptibleSource):
    """The frames of a source that could give them faster, each when it is due, and at once where that has passed.

    None is skipped: who can't keep up takes the newest. Pixels and times stay; ``captured`` is when a frame was given.
    The last one shows for as long as it says.

    Args:
        source: a file, a folder of pictures or a scene; closed by this one.
        clock: seconds that only grow.
        wait: sleeps so many seconds, or until it is closed, and then says True.
    """

    def __init__(
        self, source: Source, *, clock: Clock = time.monotonic, wait: Callable[[float], bool] | None = None
    ) -> None:
        super().__init__()
        self.info = source.info
        self._source, self._clock = source, clock
        self._wait = wait or self._over.wait

    def _frames(self) -> Iterator[Frame]:
        started: float | None = None
        first = end = 0.0
        for frame in self._source.frames():
            now = self._clock()
            if started is None:
                started, first = now, frame.seconds
            pause = pause_before(frame.seconds, first, started, now)
            if pause > 0 and self._wait(pause):
                return
            yield replace(frame, captured=self._clock())
            end = frame.seconds + float(frame.duration * frame.time_base)
        if started is not None:
            self._wait(pause_before(end, first, started, self._clock()))

    def _let_go(self) -> None:
        self._source.close()
