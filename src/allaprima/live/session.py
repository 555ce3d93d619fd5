"""A live run: source, painting and each sink in a thread of its own; window, keys and reports in the caller's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..bridge.motion import across
from ..errors import AllaprimaError
from ..frame import Frame
from ..sink import Sink, SinkResult
from ..source import Source
from .budget import WINDOW_SECONDS, State
from .controls import Controls, Folder, Window
from .desk import Desk
from .edge import Edge
from .latency import LatencyMeter, Report
from .notes import Notes
from .outlet import Outlet, Outlets, Painted
from .switching import Look, Switcher

REPORT_SECONDS = 1.0
_JUDGE_SECONDS = 0.25
_IDLE_SECONDS = 0.05
_GAP_SECONDS = 1.0
"""A source that gave nothing for so long shows something else, and what was remembered is of no use."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a live run says of itself."""

    report: Report
    look: Look
    """What is painted with."""
    state: State | None
    """Of the budget controller, where there is one."""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What a live run did."""

    report: Report
    """At its end."""
    sinks: Mapping[str, SinkResult]
    """By name, those that ended as they should."""
    lost: Mapping[str, AllaprimaError]
    """By name, what sinks failed of that the run went on without."""
    interrupted: bool
    """Ended by the stop event."""


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    frame: Frame
    at: float
    """When it was put into the edge."""
    shot: int
    """Another one where the source shows something else."""


def _skipping(old: _Captured, new: _Captured) -> _Captured:
    """The newer one in place of both: motion that it brings leads to the frame before both."""
    return new if new.frame.motion is None else replace(new, frame=across(old.frame, new.frame))


class Session:
    """Paints from a source to sinks while it happens. No frame waits for another: the newest wins everywhere.

    Args:
        source: is closed at the end.
        sinks: with the names that the user knows them by; finished or abandoned here. A window is shown in the
            caller's thread, and the run ends with it. Of others, the run goes on without those that fail, as long as
            one is left.
        switcher: paints; is closed at the end.
        desk: does what the user asks for, and keeps the goal.
        notes: told what happens.
        folder: of snapshots and recordings.
        on_standing: called once a second and at the end, in the caller's thread.
        overlay: what a window shows over the frames, from what was measured last.
        clock: seconds, monotonic; the one that sources stamp frames by.
        patience: seconds that a source, and a sink whose reader is slow, get to end.
    """

    def __init__(
        self,
        source: Source,
        sinks: Sequence[tuple[str, Sink]],
        switcher: Switcher,
        desk: Desk,
        *,
        notes: Notes,
        folder: Folder,
        on_standing: Callable[[Standing], None] = lambda standing: None,
        overlay: Callable[[Standing], list[str]] = lambda standing: [],
        clock: Callable[[], float] = time.monotonic,
        patience: float = 2.0,
    ) -> None:
        self._source, self._switcher, self._desk, self._notes = source, switcher, desk, notes
        self._on_standing, self._overlay, self._clock, self._patience = on_standing, overlay, clock, patience
        self._meter = LatencyMeter(window=WINDOW_SECONDS, clock=clock)
        self._edge = Edge(_skipping)
        self._outlets = Outlets(self._meter, notes)
        self._controls: Controls | None = None
        self._error: BaseException | None = None
        self._prepared, self._ended = threading.Event(), threading.Event()
        self._sinks = [Outlet(name, sink, clock, attended=isinstance(sink, Window)) for name, sink in sinks]
        for outlet in self._sinks:
            if outlet.attended:
                self._controls = Controls(outlet, desk, self._outlets, notes=notes, folder=folder, clock=clock)

    def run(self, stop: threading.Event | None = None) -> LiveResult:
        """Paint until the source ends, the window is closed, or it is told to stop. No thread is left then.

        Args:
            stop: ends the run when it is set, from anywhere.

        Raises:
            AllaprimaError: the source, the style, the window or the last sink failed; the others are finished.
        """
        for outlet in self._sinks:
            self._outlets.add(outlet)
        capture = self._stage("capture", self._capture, self._edge.close)
        paint = self._stage("paint", self._paint, self._no_more)
        try:
            self._attend(stop)
        finally:
            interrupted = stop is not None and stop.is_set()
            standing = self._end(capture, paint)
        error = self._error or self._outlets.error
        if error is not None:
            raise error
        self._on_standing(standing)
        return LiveResult(standing.report, self._outlets.results, self._outlets.lost, interrupted)

    def _stage(self, name: str, work: Callable[[], None], afterwards: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - kept for the calling thread, which raises it
                # What a source says of being closed in the middle of a frame is no news.
                if not self._ended.is_set():
                    self._error = error
                self._ended.set()
            finally:
                afterwards()

        thread = threading.Thread(target=guarded, name=f"allaprima-{name}", daemon=True)
        thread.start()
        return thread

    def _capture(self) -> None:
        self._prepared.wait()
        shot, before, shape = 0, None, None
        for frame in self._source.frames() if not self._ended.is_set() else ():
            now = self._clock()
            if self._ended.is_set():
                return
            captured = now if frame.captured is None else frame.captured
            if before is not None and (captured - before > _GAP_SECONDS or frame.pixels.shape != shape):
                shot += 1
            before, shape = captured, frame.pixels.shape
            self._meter.passed("capture", captured, now)
            self._edge.put(_Captured(replace(frame, captured=captured), now, shot))

    def _paint(self) -> None:
        placement = self._switcher.prepare()
        self._notes.say(f"{self._switcher.shown.style}: {placement}")
        self._prepared.set()
        shot, skipped = 0, False
        while not self._ended.is_set() and (taken := self._edge.take()) is not None:
            if self._desk.paused:
                skipped = True
                continue
            begun = self._clock()
            self._meter.passed("wait", taken.at, begun)
            self._meter.painting(begun)
            if taken.shot != shot:
                self._switcher.reset()
                shot = taken.shot
            # Motion of the first frame behind a pause leads to one that wasn't painted.
            frame = replace(taken.frame, motion=None, mask=None) if skipped else taken.frame
            skipped = False
            painting = self._switcher.paint(frame)
            now = self._clock()
            self._meter.passed("paint", begun, now)
            self._outlets.put(Painted(painting, frame, now))

    def _no_more(self) -> None:
        self._prepared.set()
        self._outlets.close()
        self._ended.set()

    def _attend(self, stop: threading.Event | None) -> None:
        """What the caller's thread does while the others work."""
        judged = told = self._clock()
        lines: list[str] = []
        while not (self._ended.is_set() or self._outlets.over or (stop is not None and stop.is_set())):
            if self._controls is None:
                self._ended.wait(_IDLE_SECONDS)
            else:
                self._controls.attend(lines)
                if self._controls.quit:
                    return
            self._outlets.settle()
            if self._outlets.error is not None:
                return
            now = self._clock()
            if now - judged < _JUDGE_SECONDS:
                continue
            judged = now
            standing = self._standing()
            self._desk.judge(standing.report, now)
            lines = self._overlay(standing)
            if now - told >= REPORT_SECONDS:
                told += REPORT_SECONDS
                self._on_standing(standing)
        if self._controls is not None and self._error is None:
            self._controls.attend(lines)  # the last frame

    def _end(self, capture: threading.Thread, paint: threading.Thread) -> Standing:
        """End everything; how it stood when the last frame was shown."""
        self._ended.set()
        self._prepared.set()
        self._edge.close()
        self._source.close()
        paint.join()
        capture.join(self._patience)
        if capture.is_alive():
            self._notes.say("the source doesn't end, and was left as it is")
        if self._controls is not None:
            self._controls.close()
        self._outlets.join(self._patience)
        standing = self._standing()
        self._switcher.close()
        return standing

    def _standing(self) -> Standing:
        report = self._meter.report({"capture": self._source.dropped + self._edge.dropped, **self._outlets.dropped()})
        return Standing(report, self._switcher.shown, self._desk.state)
