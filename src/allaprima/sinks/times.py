"""When live frames show."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from ..frame import Frame

UNIT = Fraction(1, 90000)
"""In which encoded times are counted: MPEG's clock."""


class LiveTimes:
    """Places frames by when they were captured, the first at zero; by their own times where nothing captured them."""

    def __init__(self) -> None:
        self._begin: float | None = None

    def seconds(self, frame: Frame) -> float:
        """Seconds since the first frame that was asked about."""
        now = frame.seconds if frame.captured is None else frame.captured
        if self._begin is None:
            self._begin = now
        return now - self._begin

    def placed(self, frame: Frame) -> Frame:
        """The frame with that time, counted in :data:`UNIT`, and no duration: it shows until the next one does."""
        return replace(frame, pts=round(self.seconds(frame) / UNIT), duration=0, time_base=UNIT)
