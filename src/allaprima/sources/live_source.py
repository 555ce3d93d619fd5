"""What live sources have in common: one clock, one size, and an end that any thread can bring about."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from ..frame import Frame, Pixels, SourceInfo
from ..source import Source
from ..video.letterbox import letterboxed

MICROSECOND = Fraction(1, 1_000_000)
Clock = Callable[[], float]
"""Seconds that only grow; :func:`time.monotonic` but in tests."""


class InterruptibleSource(Source):
    """Frames that any thread may put an end to.

    :meth:`close` only asks for it, so that nothing is taken from under the thread that reads; :meth:`frames` lets go of
    what it reads as it ends.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._reading = False

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """The frames, until ``_over`` is set."""

    @abstractmethod
    def _let_go(self) -> None:
        """Release what is read; safe to call twice."""

    def frames(self) -> Iterator[Frame]:
        with self._lock:
            if self._over.is_set():
                return
            self._reading = True
        try:
            for frame in self._frames():
                if self._over.is_set():
                    return
                yield frame
        finally:
            self._let_go()

    def close(self) -> None:
        """End :meth:`frames`, from any thread."""
        with self._lock:
            self._over.set()
            reading = self._reading
        if not reading:
            self._let_go()


class LiveSource(InterruptibleSource):
    """Frames as they happen: stamped when they were captured, and all of the size that ``info`` announces.

    Times count in microseconds since the source was opened. A subclass gives pictures.

    Args:
        info: of the pictures; the time base is set here.
        clock: what frames are stamped by.
    """

    def __init__(self, info: SourceInfo, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self.info = replace(info, time_base=MICROSECOND)
        self._clock = clock
        self._opened = clock()

    @abstractmethod
    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        """Pictures (uint8, H×W×3, RGB, of any size) and when each was captured, until ``_over`` is set."""

    def _frames(self) -> Iterator[Frame]:
        pts = -1
        for pixels, captured in self._pictures():
            pts = max(pts + 1, round((captured - self._opened) * 1e6))
            yield Frame(
                letterboxed(pixels, self.info.width, self.info.height),
                pts,
                max(1, round(1 / (self.info.frame_rate * MICROSECOND))),
                MICROSECOND,
                self.info.color,
                captured=captured,
            )
