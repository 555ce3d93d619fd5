"""A game, or any other program, that writes its frames to a bridge in shared memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from ..bridge.motion import Mask, Motion
from ..bridge.reader import BridgeReader, Reading, living_bridges
from ..errors import SourceError
from ..frame import Frame, Pixels, SourceInfo
from .live_source import MICROSECOND, LiveSource

_RATE = Fraction(60)
"""Frames a second, where the game doesn't say."""
_LOOK, _SEARCH = 0.001, 0.1
"""Seconds between looks for a new frame, and for a new writer."""
_SILENCE = 0.25
"""Seconds without a frame after which the writer is looked for, and between two such looks."""


class BridgeSource(LiveSource):
    """The newest frame of a bridge, each once, until it is closed.

    A frame's ``motion`` leads to the frame before it that came out of here, over those that were skipped (see
    :class:`~allaprima.bridge.reader.Reading`). When the writer leaves or dies, also in the middle of a frame, the
    source says so and waits for a new one. If the frames are of another size then, they are scaled into the first one.

    Args:
        name: of the bridge; None for the only one whose writer lives.
        say: takes notes for the user, one line each.

    Raises:
        SourceError: nobody writes to such a bridge, several do and none was named, or it isn't one of this version.
            :meth:`frames` raises it when a new writer speaks another version.
        UsageError: a name that can't be one.
    """

    def __init__(self, name: str | None, say: Callable[[str], None]) -> None:
        self.name, reader = _chosen(name)
        self._say = say
        self._reader: BridgeReader | None = reader
        self._motion: tuple[Motion, Mask] | None = None
        self._last: int | None = None
        self._dropped = 0
        layout = reader.layout
        super().__init__(SourceInfo(layout.width, layout.height, layout.rate or _RATE, MICROSECOND))

    @property
    def dropped(self) -> int:
        """Frames that were skipped, those before the first one aside."""
        return self._dropped

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            motion, mask = self._motion or (None, None)
            yield replace(frame, motion=motion, mask=mask)

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        while not self._over.is_set():
            if self._reader is None:
                self._find()
            elif reading := self._next(self._reader):
                fits = reading.pixels.shape[:2] == (self.info.height, self.info.width)
                # Planes would have to be scaled with the pixels; without them, motion is searched.
                self._motion = reading.motion if fits else None
                self._dropped += 0 if self._last is None else reading.number - self._last - 1
                self._last = reading.number
                yield reading.pixels, min(reading.captured, time.monotonic())
            elif not self._over.is_set():
                self._let_go()
                self._say(f"the program behind the bridge '{self.name}' ended; waiting for the next one")

    def _next(self, reader: BridgeReader) -> Reading | None:
        """The next frame; None when the writer is gone or this is closed."""
        looked = time.monotonic()
        while not self._over.is_set():
            if reading := reader.read():
                return reading
            if time.monotonic() - looked >= _SILENCE:
                if not reader.alive:
                    return reader.read()  # written since the last look
                looked = time.monotonic()
            self._over.wait(_LOOK)
        return None

    def _find(self) -> None:
        self._reader = BridgeReader.attach(self.name)
        if self._reader is None:
            self._over.wait(_SEARCH)
            return
        size = self._reader.layout.width, self._reader.layout.height
        scaled = "" if size == (self.info.width, self.info.height) else f", scaled from {size[0]}×{size[1]}"
        self._say(f"the bridge '{self.name}' is back{scaled}")

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = self._last = None


def _chosen(name: str | None) -> tuple[str, BridgeReader]:
    if name is None:
        names = living_bridges()
        if len(names) > 1:
            raise SourceError(f"several programs write to bridges: name one of {', '.join(names)}")
        if not names:
            raise SourceError("no program writes to a bridge: start the game first")
        name = names[0]
    if reader := BridgeReader.attach(name):
        return name, reader
    others = f", or choose one of {', '.join(names)}" if (names := living_bridges()) else ""
    raise SourceError(f"no program writes to the bridge '{name}': start the game first{others}")
