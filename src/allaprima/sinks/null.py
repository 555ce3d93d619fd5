"""Frames that go nowhere, to see how fast the rest is."""

from __future__ import annotations

from ..frame import Frame
from ..sink import Sink, SinkResult


class NullSink(Sink):
    """Counts frames."""

    def __init__(self) -> None:
        self._frames = 0

    def write(self, frame: Frame) -> None:
        self._frames += 1

    def finish(self) -> SinkResult:
        return SinkResult(None, self._frames)

    def abandon(self) -> SinkResult:
        return self.finish()
