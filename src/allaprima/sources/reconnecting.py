"""Goes on when a camera is plugged in again, or a stream is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..errors import SourceError
from ..frame import Pixels
from ..source import Source
from .live_source import Clock, LiveSource

FIRST_WAIT = 0.25
"""Seconds until the first try; each wait is twice as long as the one before."""


class ReconnectingSource(LiveSource):
    """The pictures of a source that is opened anew whenever it fails; its normal end is the end.

    Frames keep the size that the first opening had, and one time line.

    Args:
        open_one: opens the source; raises :class:`~allaprima.errors.SourceError` where it can't.
        label: what the user's lines call it.
        say: takes a line when it is lost and one when it is back, however many tries lie between.
        longest_wait: seconds between two tries, at most.
        clock: what frames are stamped by.
        wait: sleeps so many seconds, or until it is closed, and then says True.

    Raises:
        SourceError: the first opening failed.
    """

    def __init__(
        self,
        open_one: Callable[[], Source],
        label: str,
        *,
        say: Callable[[str], None],
        longest_wait: float = 5.0,
        clock: Clock = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._source: Source | None = open_one()
        super().__init__(self._source.info, clock)
        self._open_one, self._label, self._say = open_one, label, say
        self._longest_wait = longest_wait
        self._wait = wait or self._over.wait
        self.lost = False
        """Whether it is gone just now, and said so."""

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        pause = FIRST_WAIT
        while not self._over.is_set():
            try:
                if self._source is None:
                    self._source = self._open_one()
                if self._over.is_set():
                    return
                for frame in self._source.frames():
                    if self.lost:
                        self.lost = False
                        self._say(f"{self._label} is back")
                    pause = FIRST_WAIT
                    yield frame.pixels, self._clock() if frame.captured is None else frame.captured
                return
            except SourceError as error:
                if not self.lost and not self._over.is_set():
                    self.lost = True
                    self._say(f"{error}; waiting until it is back")
            self._let_go()
            if self._wait(pause):
                return
            pause = min(2 * pause, self._longest_wait)

    def close(self) -> None:
        super().close()
        source = self._source
        if source is not None:
            source.close()

    def _let_go(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
