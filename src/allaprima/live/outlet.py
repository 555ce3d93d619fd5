"""The sinks of a live run: each with an edge before it and a thread of its own, so that it holds up nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import AllaprimaError
from ..frame import Frame, Pixels
from ..sink import Sink, SinkResult
from ..stylizer import scale
from .edge import Edge
from .latency import LatencyMeter
from .notes import Notes

_LINE = 2
"""Pixels between the halves of a split view."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A frame on its way to the sinks."""

    frame: Frame
    """As it was painted."""
    original: Frame
    """As it came."""
    at: float
    """When it was painted, in seconds of the run's clock."""

    def split(self) -> Frame:
        """The original on the left, the painting on the right."""
        pixels: Pixels = self.frame.pixels.copy()
        height, width = pixels.shape[:2]
        half = width // 2
        pixels[:, :half] = scale(self.original.pixels, (width, height))[:, :half]
        pixels[:, max(half - _LINE, 0) : half] = np.uint8(255)
        return self.frame.with_pixels(pixels)


class Outlet:
    """Brings frames to one sink, which it finishes, or abandons where it failed.

    Args:
        name: for the user.
        sink: of its frames.
        clock: seconds, monotonic; the one that frames are stamped by.
        recording: it comes and goes beside the sinks that the run is for.
        attended: it is a window, whose frames the caller writes; the run ends with it.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        clock: Callable[[], float] = time.monotonic,
        *,
        recording: bool = False,
        attended: bool = False,
    ) -> None:
        self.name, self.sink, self.recording, self.attended = name, sink, recording, attended
        self.edge: Edge[Painted] = Edge()
        self.meter: LatencyMeter | None = None
        """Told of its frames, where this is the outlet that is measured."""
        self.ended = threading.Event()
        self.result: SinkResult | None = None
        """Of the sink, once it has ended."""
        self.error: BaseException | None = None
        """What it failed of."""
        self._clock = clock
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"allaprima-sink-{name}", daemon=True)

    def start(self) -> None:
        """Bring frames in a thread, until the edge is closed and empty."""
        self._thread.start()

    def write(self, painted: Painted, frame: Frame) -> None:
        """Bring one frame: the painting, or what is shown in its place."""
        begun = self._clock()
        self.sink.write(frame)
        now = self._clock()
        if self.meter is not None:
            self.meter.passed("deliver", painted.at, begun)
            self.meter.passed("show", begun, now)
            if painted.original.captured is not None:
                self.meter.shown(painted.original.captured, now)

    def finish(self) -> bool:
        """No frame comes any more: finish the sink; whether that was still to do."""
        if not self._ending.acquire(blocking=False):
            return False
        try:
            self.result = self.sink.finish()
        except BaseException as error:  # noqa: BLE001 - kept for the session, which raises it
            self.error = error
        self.ended.set()
        return True

    def fail(self, error: BaseException) -> None:
        """The sink failed: close it, and drop what still comes."""
        self.edge.close()
        if self._ending.acquire(blocking=False):
            self.error = error
            try:
                self.result = self.sink.abandon()
            except AllaprimaError as another:
                error.add_note(str(another))
            finally:
                self.ended.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread; a write that waits so long for a slow reader is ended by finishing the sink."""
        if self._thread.ident is None:
            return
        self._thread.join(seconds)
        if self._thread.is_alive() and not self.finish():
            self._thread.join()  # it is being finished, and takes its time

    def _run(self) -> None:
        try:
            while (painted := self.edge.take()) is not None:
                self.write(painted, painted.frame)
        except BaseException as error:  # noqa: BLE001 - kept for the session, which raises it
            self.fail(error)
        else:
            self.finish()


class Outlets:
    """All outlets of a run. One thread gives frames; another does the rest.

    Args:
        meter: told of the frames of one of them: a window's, or else the first one's that is left.
        notes: told of files that were written, and of sinks that were lost.
    """

    def __init__(self, meter: LatencyMeter, notes: Notes) -> None:
        self._meter, self._notes = meter, notes
        self._lock = threading.Lock()
        self._closed = False
        self._running: list[Outlet] = []
        self._dropped: dict[str, int] = {}
        self.results: dict[str, SinkResult] = {}
        """Of those that ended as they should, by name."""
        self.lost: dict[str, AllaprimaError] = {}
        """What those failed of that the run goes on without."""
        self.error: BaseException | None = None
        """What it can't go on after: the window failed, or the last one did, or there is a bug."""

    def add(self, outlet: Outlet) -> None:
        """Bring frames to one more from now on."""
        with self._lock:
            self._running.append(outlet)
            if self._closed:
                outlet.edge.close()
        if not outlet.attended:
            outlet.start()
        self._measure()

    def put(self, painted: Painted) -> None:
        """Give a frame to each of them."""
        with self._lock:
            for outlet in self._running:
                outlet.edge.put(painted)

    def close(self) -> None:
        """No frame comes any more; those that wait are still brought."""
        with self._lock:
            self._closed = True
            for outlet in self._running:
                outlet.edge.close()

    @property
    def over(self) -> bool:
        """Whether none is left but recordings."""
        return all(outlet.recording for outlet in self._running)

    def dropped(self) -> dict[str, int]:
        """Frames that a newer one took the place of, by name."""
        self._dropped |= {outlet.name: outlet.edge.dropped for outlet in self._running}
        return dict(self._dropped)

    def settle(self) -> None:
        """Take leave of those that ended, and say how."""
        for outlet in [outlet for outlet in self._running if outlet.ended.is_set()]:
            self._dropped[outlet.name] = outlet.edge.dropped
            with self._lock:
                self._running.remove(outlet)
            self._take_leave(outlet)
            self._measure()

    def join(self, seconds: float) -> None:
        """Wait for all of them together, so long at most."""
        until = time.monotonic() + seconds
        for outlet in self._running:
            outlet.join(max(until - time.monotonic(), 0.0))
        self.settle()

    def _measure(self) -> None:
        """Measure at one of those that the run is for."""
        sinks = [outlet for outlet in self._running if not outlet.recording]
        measured = max(sinks, key=lambda outlet: outlet.attended, default=None)
        for outlet in sinks:
            outlet.meter = self._meter if outlet is measured else None

    def _take_leave(self, outlet: Outlet) -> None:
        error, result = outlet.error, outlet.result
        if error is None:
            assert result is not None
            self.results[outlet.name] = result
            if result.path is not None:
                self._notes.say(f"{result.path}: {result.frames} frames")
            for note in result.notes:
                self._notes.say(f"{outlet.name}: {note}")
        elif not isinstance(error, AllaprimaError) or outlet.attended or (self.over and not outlet.recording):
            self.error = self.error or error
        else:
            self.lost[outlet.name] = error
            self._notes.say(f"{why_lost(outlet.name, error)}; it goes on without")


def why_lost(name: str, error: AllaprimaError) -> str:
    """What a sink failed of, with its name in front, which messages about streams begin with themselves."""
    return str(error) if str(error).startswith(name) else f"{name}: {error}"
