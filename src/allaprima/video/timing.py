"""Where each frame lies in time in the output."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from av.packet import Packet
from av.video.stream import VideoStream

from ..frame import Frame
from .containers import Layout


class Clock:
    """Keeps the input's times, or rounds them where a container holds only a constant rate.

    Args:
        first: the first frame.
        rate: average frames a second.
        layout: the container.
    """

    def __init__(self, first: Frame, rate: Fraction, layout: Layout) -> None:
        self._label = layout.label
        self._constant = layout.constant_rate
        self._rate = rate
        self._source_base = first.time_base
        self.time_base = 1 / rate.limit_denominator(1 << 16) if layout.constant_rate else first.time_base
        self._last: int | None = None
        self._moved = 0
        self._grid = 0
        self._first_dts: int | None = None
        self._durations: dict[int, int] = {}
        self.begin = first.pts * first.time_base
        """When the first frame shows, in seconds."""
        self.end = Fraction(0)
        """When the last frame so far stops showing, in seconds."""

    def place(self, frame: Frame) -> tuple[int, int]:
        """Time and duration of a frame in units of ``time_base``; times always rise."""
        exact = frame.pts * frame.time_base / self.time_base
        pts = round(exact)
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
        self._moved += pts != exact
        self._last = pts
        self._grid = gcd(self._grid, pts)
        duration = round(frame.duration * frame.time_base / self.time_base)
        if duration <= 0 or self._constant:
            duration = max(1, round(1 / (self._rate * self.time_base)))
        self._durations[pts] = duration
        self.end = (pts + duration) * self.time_base
        return pts, duration

    @property
    def fine_scale(self) -> int:
        """Units a second in which the times of the picture, and of 48 kHz sound, are whole."""
        scale = lcm(self.time_base.denominator, 48000)
        return scale if scale < 1 << 24 else max(1000, self.time_base.denominator)

    def time(self, packet: Packet[VideoStream]) -> None:
        """Give an encoded packet the duration of its picture, which not every encoder passes on."""
        if packet.pts is not None:
            packet.duration = self._durations.pop(packet.pts, 0) or packet.duration
        if self._first_dts is None:
            self._first_dts = packet.dts

    def close(self, packet: Packet[VideoStream]) -> None:
        """Stretch the packet that is decoded last, so that MP4's sum of durations is the time that pictures show."""
        if packet.dts is not None and self._first_dts is not None and packet.time_base == self.time_base:
            shown = round((self.end - self.begin) / self.time_base)
            packet.duration = max(packet.duration or 0, shown - (packet.dts - self._first_dts))

    def notes(self, written: Fraction | None) -> list[str]:
        """What rounding was done, ``written`` being the unit that the container chose."""
        if self._moved:
            return [f"{self._label} holds a constant frame rate: {self._moved} times were rounded to 1/{self._rate} s"]
        if written is not None and (self._grid * self.time_base / written).denominator != 1:
            if written == Fraction(1, 1000):
                return [f"times were rounded to 1 ms ({self._label})"]
            return [f"times were rounded to {written} s ({self._label})"]
        return []
