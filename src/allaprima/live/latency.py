"""How long frames take, by stage, how many are shown and how many dropped, over a sliding window."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

STAGES = ("capture", "wait", "paint", "deliver", "show")
"""What a frame goes through: from captured to the first edge; waiting there; being painted; waiting in the sink's edge;
and being written by the sink."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long something took, in milliseconds."""

    p50: float
    """Median."""
    p95: float
    """95th percentile."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a live run does."""

    seconds: float
    """Since the start."""
    fps: float
    """Frames shown a second, over the window."""
    latency: StageTimes | None
    """From captured to shown; None before the first frame."""
    stages: Mapping[str, StageTimes]
    """By name of :data:`STAGES`, as far as a frame came."""
    dropped: Mapping[str, int]
    """Frames that a newer one took the place of, by edge: ``capture`` and each sink's name; since the start."""
    frames: int
    """Shown since the start."""
    busy: float
    """Share of the painting thread's time in which it painted, 0-1, over the window."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, rounded."""
        return {
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "latency_ms": None if self.latency is None else _rounded(self.latency),
            "stages_ms": {name: _rounded(times) for name, times in self.stages.items()},
            "dropped": dict(self.dropped),
            "frames": self.frames,
            "busy": round(self.busy, 3),
        }


class LatencyMeter:
    """Takes note of what becomes of frames, from any thread. With several sinks, one of them is measured.

    Args:
        window: seconds that figures look back.
        clock: seconds, monotonic; the one that frames are stamped by (:attr:`~allaprima.frame.Frame.captured`).
    """

    def __init__(self, *, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._lock = threading.Lock()
        self._started = clock()
        self._spans: dict[str, deque[tuple[float, float]]] = {name: deque() for name in STAGES}
        self._shown: deque[tuple[float, float]] = deque()
        self._first_shown: float | None = None
        self._painting: float | None = None
        self._frames = 0

    def passed(self, stage: str, begun: float, ended: float) -> None:
        """A frame was in one of :data:`STAGES` from one time of the clock to another."""
        with self._lock:
            self._add(self._spans[stage], begun, ended)
            if stage == "paint":
                self._painting = None

    def painting(self, begun: float) -> None:
        """A frame is being painted since then; :meth:`passed` ends it."""
        with self._lock:
            self._painting = begun

    def shown(self, captured: float, now: float) -> None:
        """A frame captured at one time was shown at another."""
        with self._lock:
            self._first_shown = now if self._first_shown is None else self._first_shown
            self._frames += 1
            self._add(self._shown, captured, now)

    def report(self, dropped: Mapping[str, int]) -> Report:
        """How it does now, given what the edges dropped since the start, by their names."""
        with self._lock:
            now = self._clock()
            since = max(now - self._window, self._started)
            stages = {name: _times(spans, since) for name, spans in self._spans.items() if spans}
            return Report(
                seconds=now - self._started,
                fps=self._fps(now),
                latency=_times(self._shown, since) if self._shown else None,
                stages=stages,
                dropped=dropped,
                frames=self._frames,
                busy=self._busy(since, now),
            )

    def _add(self, spans: deque[tuple[float, float]], begun: float, ended: float) -> None:
        spans.append((begun, ended))
        while spans[0][1] < ended - self._window:
            spans.popleft()

    def _fps(self, now: float) -> float:
        # The first frame of all ends no interval: it only starts the count.
        if self._first_shown is None:
            return 0.0
        since = max(now - self._window, self._first_shown)
        return sum(ended > since for _, ended in self._shown) / (now - since) if now > since else 0.0

    def _busy(self, since: float, now: float) -> float:
        if now <= since:
            return 0.0
        spans = list(self._spans["paint"])
        if self._painting is not None:
            spans.append((self._painting, now))
        return min(1.0, sum(max(0.0, min(ended, now) - max(begun, since)) for begun, ended in spans) / (now - since))


def _times(spans: deque[tuple[float, float]], since: float) -> StageTimes:
    """Of what ended since a time; where nothing did, of the last that did."""
    took = [ended - begun for begun, ended in spans if ended >= since] or [spans[-1][1] - spans[-1][0]]
    median, high = np.percentile(took, (50, 95))
    return StageTimes(1000 * float(median), 1000 * float(high))


def _rounded(times: StageTimes) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(times).items()}
