"""The way of a frame: decode, stylize and encode overlap in threads over bounded queues."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import AllaprimaError, PartialRunError
from .frame import Frame
from .sink import Sink, SinkResult
from .source import Source

QUEUE_FRAMES = 3
"""Frames waiting between two stages: 19 MB each way at 1080p."""
_POLL_SECONDS = 0.05


class FrameStylizer(Protocol):
    """What the pipeline asks of its middle stage: a stylizer, or several side by side."""

    def stylize(self, frame: Frame) -> Frame:
        """Paint one frame."""


Way = Callable[[Callable[[Frame], Frame], Iterator[Frame]], Iterator[Frame]]
"""How a stylizer goes over frames: takes what paints one frame, and the frames; yields as many, in order.

``map`` paints each of them. Another may leave some out, or paint all of them in its own way, and may read ahead by a
few frames, which then are held in memory beside those in the queues.
"""


@dataclass
class PipelineResult:
    """What a run did."""

    sink: SinkResult
    frames: int = 0
    seconds: float = 0.0
    """From the first frame asked for to the sink's end."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds each stage was busy, waiting for others left out: ``decode``, ``stylize``, ``encode``."""
    placement: str = ""
    """What ran where, in words."""
    notes: tuple[str, ...] = ()
    """What had to be changed on the way in and out."""
    interrupted: bool = False
    error: BaseException | None = None
    """What ended the run early, where a part was kept."""
    painted: int | None = None
    """Frames that the way let the stylizer paint, those of them that were lost when the run was cut short among them;
    None: each one that was written."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "output": str(self.sink.path) if self.sink.path else None,
            "whole": self.error is None and not self.interrupted,
            "frames": self.frames,
            "painted": self.frames if self.painted is None else self.painted,
            "seconds": round(self.seconds, 3),
            "fps": round(self.frames / self.seconds, 2) if self.seconds else 0.0,
            "stages": {name: round(value, 3) for name, value in self.stages.items()},
            "engine": self.placement,
            "notes": list(self.notes),
        }


class _End:
    """Stands behind the last frame in a queue."""


class _Line:
    """A bounded queue that both ends leave as soon as the run is over."""

    def __init__(self, over: threading.Event) -> None:
        self._queue: queue.Queue[Frame | _End] = queue.Queue(QUEUE_FRAMES)
        self._over = over

    def put(self, item: Frame | _End) -> None:
        while not self._over.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise _OverError

    def __iter__(self) -> Iterator[Frame]:
        while not self._over.is_set():
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            yield item
        raise _OverError


class _OverError(Exception):
    """Another stage ended the run."""


class _Run:
    """The threads of one run and what they share."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.error: BaseException | None = None
        self.busy = {"decode": 0.0, "stylize": 0.0, "encode": 0.0}
        self._lock = threading.Lock()

    def stage(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Start a stage; what it raises ends the run and waits for the caller."""

        def guarded() -> None:
            try:
                work()
            except _OverError:
                return
            except BaseException as error:  # noqa: BLE001 - kept for the calling thread, which raises it
                with self._lock:
                    self.error = self.error or error
                self.over.set()

        thread = threading.Thread(target=guarded, name=f"allaprima-{name}", daemon=True)
        thread.start()
        return thread

    def timed(self, name: str, frames: Iterator[Frame], sign: int = 1) -> Iterator[Frame]:
        """The frames, with the time that making each one took added to a stage; or with -1, taken off."""
        while True:
            started = time.perf_counter()
            frame = next(frames, None)
            self.busy[name] += sign * (time.perf_counter() - started)
            if frame is None:
                return
            yield frame


def run(
    source: Source,
    stylizer: FrameStylizer,
    sink: Sink,
    *,
    way: Way = map,
    on_frame: Callable[[Frame, Frame, int], None] = lambda before, after, count: None,
    stop: threading.Event | None = None,
) -> PipelineResult:
    """Paint a source into a sink. Ends with no thread left alive, however it ends.

    Args:
        source, stylizer, sink: the three stages; the sink is finished or abandoned here.
        way: how the stylizer goes over the frames.
        on_frame: called in the stylizer's thread with the frame before, after, and how many came so far.
        stop: set from anywhere to end early and keep the part.

    Returns:
        A whole run, finished; or one cut short, with ``interrupted`` or ``error`` set and the part kept by the sink.

    Raises:
        AllaprimaError: a stage failed before anything was worth keeping.
    """
    state = _Run()
    decoded, painted = _Line(state.over), _Line(state.over)
    written = by_stylizer = 0
    started = time.perf_counter()

    def decode() -> None:
        for frame in state.timed("decode", source.frames()):
            if stop is not None and stop.is_set():
                break
            decoded.put(frame)
        decoded.put(_End())

    def paint(frame: Frame) -> Frame:
        nonlocal by_stylizer
        by_stylizer += 1
        return stylizer.stylize(frame)

    def stylize() -> None:
        taken: deque[Frame] = deque()

        def arriving() -> Iterator[Frame]:
            for frame in state.timed("stylize", iter(decoded), -1):
                taken.append(frame)
                yield frame

        for count, painting in enumerate(state.timed("stylize", way(paint, arriving())), 1):
            on_frame(taken.popleft(), painting, count)
            painted.put(painting)
        painted.put(_End())

    def encode() -> None:
        nonlocal written
        for frame in painted:
            begun = time.perf_counter()
            sink.write(frame)
            state.busy["encode"] += time.perf_counter() - begun
            written += 1

    threads = [state.stage(*stage) for stage in (("decode", decode), ("stylize", stylize), ("encode", encode))]
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)
    except BaseException:
        state.over.set()
        for thread in threads:
            thread.join()
        sink.abandon()
        raise
    interrupted = stop is not None and stop.is_set()
    begun = time.perf_counter()
    kept = sink.abandon() if interrupted or state.error else sink.finish()
    state.busy["encode"] += time.perf_counter() - begun
    if state.error and kept.path is None:
        raise state.error
    seconds = time.perf_counter() - started
    return PipelineResult(
        kept,
        written,
        seconds,
        state.busy,
        interrupted=interrupted,
        error=state.error,
        painted=by_stylizer or None,
    )


def raise_if_partial(result: PipelineResult, signal_number: int = 2) -> None:
    """Turn a run that was cut short into an error that names the part that was kept.

    Raises:
        PartialRunError: with exit code 128 + ``signal_number`` where the user stopped it, else the cause's.
    """
    if result.error is None and not result.interrupted:
        return
    part = f"{result.frames} frames are kept in {result.sink.path}" if result.sink.path else "nothing was kept"
    if result.error is None:
        raise PartialRunError(f"stopped; {part}", 128 + signal_number)
    if not isinstance(result.error, AllaprimaError):
        raise result.error
    raise PartialRunError(f"{result.error}; {part}", result.error.exit_code) from result.error
