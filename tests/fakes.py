"""Sources, sinks and painters that do next to nothing, for tests of what stands between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from allaprima.frame import Frame, SourceInfo
from allaprima.sink import Sink, SinkResult
from allaprima.source import Source


class NumberedSource(Source):
    """Frames whose pixels hold their own number."""

    def __init__(self, frames: int, before: Callable[[int], None] = lambda number: None) -> None:
        self.info = SourceInfo(32, 24, Fraction(25), Fraction(1, 25), frames)
        self._frames, self._before = frames, before

    def frames(self) -> Iterator[Frame]:
        for number in range(self._frames):
            self._before(number)
            pixels = np.full((24, 32, 3), number % 256, np.uint8)
            yield Frame(pixels, pts=number, duration=1, time_base=Fraction(1, 25))


class ListSink(Sink):
    """Keeps the frames, and remembers how it ended."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.written: list[Frame] = []
        self.ended: str | None = None
        self._before = before

    def write(self, frame: Frame) -> None:
        self._before(len(self.written))
        self.written.append(frame)

    def finish(self) -> SinkResult:
        self.ended = "finished"
        return SinkResult(Path("list"), len(self.written))

    def abandon(self) -> SinkResult:
        self.ended = "abandoned"
        return SinkResult(Path("list.partial") if self.written else None, len(self.written))


class InvertingStylizer:
    """Stands in for a stylizer: 255 minus the picture."""

    def __init__(self, before: Callable[[int], None] = lambda number: None, seconds: float = 0.0) -> None:
        self._before, self._seconds, self._count = before, seconds, 0

    def stylize(self, frame: Frame) -> Frame:
        self._before(self._count)
        self._count += 1
        time.sleep(self._seconds)
        return frame.with_pixels(255 - frame.pixels)
