"""The pipeline loses no frame, keeps their order, and ends at once with nothing left running, however it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fakes import InvertingStylizer, ListSink, NumberedSource

from allaprima.errors import EngineError, PartialRunError, SinkError, SourceError
from allaprima.frame import Frame
from allaprima.pipeline import QUEUE_FRAMES, PipelineResult, raise_if_partial, run
from allaprima.sink import SinkResult


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    """Raise at one frame."""

    def check(current: int) -> None:
        if current == number:
            raise error

    return check


def test_every_frame_arrives_painted_and_in_order() -> None:
    """Frames in = frames out, each with its own pixels and time."""
    sink = ListSink()
    result = run(NumberedSource(100), InvertingStylizer(), sink)
    assert [frame.pts for frame in sink.written] == list(range(100))
    assert [int(frame.pixels[0, 0, 0]) for frame in sink.written] == [255 - number for number in range(100)]
    assert (result.frames, result.error, result.interrupted, sink.ended) == (100, None, False, "finished")


@pytest.mark.parametrize(
    ("stage", "error"),
    [("decode", SourceError("bad packet")), ("stylize", EngineError("bad graph")), ("encode", SinkError("disk full"))],
)
def test_a_fault_in_any_stage_ends_all_within_a_second(stage: str, error: Exception) -> None:
    """No stage waits for ever on a queue that nobody fills or empties any more."""
    hooks = {
        name: fail_at(20, error) if name == stage else (lambda number: None) for name in ("decode", "stylize", "encode")
    }
    sink = ListSink(hooks["encode"])
    started = time.monotonic()
    result = run(NumberedSource(10_000, hooks["decode"]), InvertingStylizer(hooks["stylize"]), sink)
    assert time.monotonic() - started < 1.0
    assert result.error is error
    assert sink.ended == "abandoned"
    with pytest.raises(PartialRunError, match=f"{error}; {result.frames} frames are kept in list.partial") as caught:
        raise_if_partial(result)
    assert caught.value.exit_code == error.exit_code  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [SourceError("nothing in it"), ValueError("a bug")])
def test_a_fault_before_the_first_frame_is_raised_as_it_is(error: Exception) -> None:
    """With nothing worth keeping there is no part to name, and bugs keep their own type."""
    sink = ListSink()
    with pytest.raises(type(error), match=str(error)):
        run(NumberedSource(5, fail_at(0, error)), InvertingStylizer(), sink)
    assert sink.ended == "abandoned"


def test_stopping_keeps_the_part() -> None:
    """A stop from outside ends the run early, and the error names the part and the signal."""
    stop = threading.Event()
    sink = ListSink(lambda number: stop.set() if number == 10 else None)
    result = run(NumberedSource(10_000), InvertingStylizer(), sink, stop=stop)
    assert result.interrupted and sink.ended == "abandoned"
    assert 10 < result.frames < 10 + 4 * QUEUE_FRAMES
    with pytest.raises(PartialRunError) as caught:
        raise_if_partial(result, 15)
    assert caught.value.exit_code == 143


def test_a_slow_stage_bounds_what_is_read_ahead() -> None:
    """Memory stays flat: the source is never more than the queues ahead of the sink."""
    ahead: list[int] = []
    sink = ListSink()
    source = NumberedSource(40, lambda number: ahead.append(number - len(sink.written)))
    run(source, InvertingStylizer(seconds=0.002), sink)
    assert max(ahead) <= 2 * QUEUE_FRAMES + 4


def test_an_interrupt_in_the_calling_thread_abandons_and_passes_on() -> None:
    """Whatever ends the caller's wait leaves neither threads nor a half-written file."""
    sink = ListSink()

    class Interrupting(threading.Event):
        def is_set(self) -> bool:
            if threading.current_thread() is threading.main_thread():
                return False
            if len(sink.written) > 5:
                raise KeyboardInterrupt
            return False

    result = run(NumberedSource(10_000), InvertingStylizer(), sink, stop=Interrupting())
    assert isinstance(result.error, KeyboardInterrupt)
    assert sink.ended == "abandoned"


class EverySecond:
    """Has every second frame painted, and shows its painting twice; reads a frame ahead."""

    def go(self, stylize: Callable[[Frame], Frame], frames: Iterator[Frame]) -> Iterator[Frame]:
        for first in frames:
            second = next(frames, None)
            painting = stylize(first)
            yield painting
            if second is not None:
                yield second.with_pixels(painting.pixels)


def test_a_way_that_leaves_frames_out_keeps_count_and_pairs() -> None:
    """Frames in = frames out whatever is painted, each reported beside itself, and the painted ones are counted."""
    pairs: list[tuple[int, int, int]] = []
    sink = ListSink()
    result = run(
        NumberedSource(25),
        InvertingStylizer(),
        sink,
        way=EverySecond().go,
        on_frame=lambda before, after, count: pairs.append((before.pts, after.pts, count)),
    )
    assert [frame.pts for frame in sink.written] == list(range(25))
    assert pairs == [(number, number, number + 1) for number in range(25)]
    assert (result.frames, result.painted) == (25, 13)
    assert result.to_dict()["painted"] == 13
    assert run(NumberedSource(25), InvertingStylizer(), ListSink()).painted == 25


def test_waiting_for_frames_is_no_work() -> None:
    """The stylizer's seconds are its own, also where its way over the frames reads ahead."""
    slow = NumberedSource(10, lambda number: time.sleep(0.02))
    result = run(slow, InvertingStylizer(seconds=0.002), ListSink(), way=EverySecond().go)
    assert 0.01 <= result.stages["stylize"] < result.stages["decode"] / 2


@pytest.mark.parametrize("stage", ["decode", "stylize", "encode"])
def test_a_fault_while_frames_are_held_back_ends_all_within_a_second(stage: str) -> None:
    """Nothing hangs on frames that a way has taken and not yet given."""
    error = EngineError("bad graph")
    hooks = {name: fail_at(20, error) if name == stage else (lambda number: None) for name in ("decode", "encode")}
    stylizer = InvertingStylizer(fail_at(10, error) if stage == "stylize" else lambda number: None)
    started = time.monotonic()
    result = run(NumberedSource(10_000, hooks["decode"]), stylizer, ListSink(hooks["encode"]), way=EverySecond().go)
    assert time.monotonic() - started < 1.0
    assert result.error is error


def test_a_stop_shows_what_was_held_back() -> None:
    """A part has no gap at its end: what was read before the stop is painted."""
    stop = threading.Event()
    source = NumberedSource(10_000, lambda number: stop.set() if number == 11 else None)
    sink = ListSink()
    result = run(source, InvertingStylizer(), sink, way=EverySecond().go, stop=stop)
    assert result.interrupted and [frame.pts for frame in sink.written] == list(range(11))


def test_result_as_json_has_counts_and_seconds_by_stage() -> None:
    """What scripts read from --json."""
    table = run(NumberedSource(10), InvertingStylizer(), ListSink()).to_dict()
    assert table["frames"] == 10 and table["whole"] is True
    assert set(table["stages"]) == {"decode", "stylize", "encode"}


def test_whole_run_raises_nothing() -> None:
    """A run that came to its end is no error."""
    raise_if_partial(PipelineResult(SinkResult(None, 0)))
