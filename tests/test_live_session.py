"""A live run ends with nothing left running however it ends, and nothing slow holds up the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fakes import ListSink
from live_fakes import LOOK, Beats, FakeSwitcher, FakeWindow, gray, until

from allaprima.errors import AllaprimaError, EngineError, SinkError, SourceError
from allaprima.frame import Frame
from allaprima.live.commands import Command
from allaprima.live.controls import Folder
from allaprima.live.desk import Desk
from allaprima.live.notes import Notes
from allaprima.live.session import Session, Standing
from allaprima.picture import read_picture
from allaprima.sink import Sink, SinkResult
from allaprima.source import Source


class Run:
    """A session with fakes, and what it said."""

    def __init__(
        self,
        sinks: dict[str, Sink],
        source: Source | None = None,
        switcher: FakeSwitcher | None = None,
        folder: Folder | None = None,
    ) -> None:
        self.source, self.switcher = source or Beats(), switcher or FakeSwitcher()
        self.said: list[str] = []
        self.standings: list[Standing] = []
        notes = Notes(self.said.append)
        self.desk = Desk(self.switcher, ["first", "second", "third"], notes)  # type: ignore[arg-type]
        self.session = Session(
            self.source,
            list(sinks.items()),
            self.switcher,  # type: ignore[arg-type]
            self.desk,
            notes=notes,
            folder=folder or Folder(lambda path: ListSink(), Path("nowhere")),
            on_standing=self.standings.append,
            overlay=lambda standing: ["standing"],
            patience=0.3,
        )


def stopped_after(frames: int, stop: threading.Event) -> Callable[[int], None]:
    """Stop the run when so many frames came to a sink."""
    return lambda number: stop.set() if number == frames else None


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    """Raise at one frame."""

    def check(current: int) -> None:
        if current == number:
            raise error

    return check


def test_a_source_that_ends_ends_the_run_with_its_last_frame() -> None:
    """A file's end is no error, and nothing is cut off."""
    sink = ListSink()
    run = Run({"null": sink}, Beats(20))
    result = run.session.run()
    assert not result.interrupted and not result.lost
    assert sink.ended == "finished" and result.sinks["null"].frames == len(sink.written)
    assert sink.written[-1].pts == 19
    assert [int(frame.pixels[0, 0, 0]) for frame in sink.written] == [255 - frame.pts for frame in sink.written]
    assert result.report.frames == len(sink.written)
    assert result.report.frames + sum(result.report.dropped.values()) == 20
    assert run.switcher.closed and run.source.closed.is_set()  # type: ignore[attr-defined]
    assert run.said[0] == "first: nothing on nowhere"
    assert run.standings[-1].report == result.report


def test_a_stop_ends_the_run_and_finishes_what_was_written() -> None:
    """A camera never ends by itself, so its recording is whole when the user ends it."""
    stop = threading.Event()
    sink = ListSink(stopped_after(5, stop))
    result = Run({"file": sink}).session.run(stop)
    assert result.interrupted and sink.ended == "finished"


@pytest.mark.parametrize("error", [SourceError("the cable is out"), ZeroDivisionError("a bug")])
def test_a_source_that_fails_ends_the_run_with_its_error(error: BaseException) -> None:
    """What was written until then is kept whole, and a bug stays a bug."""
    sink = ListSink()
    with pytest.raises(type(error), match=str(error)):
        Run({"file": sink}, Beats(5, fails=error)).session.run()
    assert sink.ended == "finished" and sink.written


@pytest.mark.parametrize("when", ["loading", "painting"])
def test_a_style_that_fails_ends_the_run_with_its_error(when: str) -> None:
    """Be it before the first frame or in the middle; the source is closed, the sinks are finished."""
    error = EngineError("bad graph")
    sink = ListSink()

    def fail_or_wait(number: int) -> None:
        if number == 3:
            raise error
        until(lambda: len(sink.written) == number)

    switcher = FakeSwitcher(before=fail_or_wait)
    switcher.fails = error if when == "loading" else None
    run = Run({"file": sink}, switcher=switcher)
    with pytest.raises(EngineError, match="bad graph"):
        run.session.run()
    assert sink.ended == "finished" and len(sink.written) == (0 if when == "loading" else 3)
    assert run.source.closed.is_set() and switcher.closed  # type: ignore[attr-defined]


@pytest.mark.parametrize("why", ["the server is gone", "rtmp://there: the server is gone"])
def test_the_run_goes_on_without_a_sink_that_fails(why: str) -> None:
    """A stream that breaks takes neither the file nor the picture with it; it is said with its name, once."""
    stop = threading.Event()
    broken, whole = ListSink(fail_at(3, SinkError(why))), ListSink(stopped_after(40, stop))
    run = Run({"rtmp://there": broken, "file": whole})
    result = run.session.run(stop)
    assert (broken.ended, whole.ended) == ("abandoned", "finished")
    assert len(whole.written) > 40
    assert "rtmp://there: the server is gone; it goes on without" in run.said
    assert list(result.lost) == ["rtmp://there"] and list(result.sinks) == ["file"]
    assert result.report.frames > 5  # from then on measured at the one that is left


@pytest.mark.parametrize("error", [SinkError("the reader is gone"), ZeroDivisionError("a bug")])
def test_a_run_without_a_sink_is_over(error: BaseException) -> None:
    """Painting for nobody makes no sense; and a bug ends the run although another sink is left."""
    sinks: dict[str, Sink] = {"-": ListSink(fail_at(3, error))}
    if not isinstance(error, AllaprimaError):
        sinks["null"] = ListSink()
    with pytest.raises(type(error), match=str(error)):
        Run(sinks).session.run()


def test_a_result_that_cannot_be_finished_is_an_error() -> None:
    """A full disk at the end isn't exit code 0."""

    class Full(ListSink):
        def finish(self) -> SinkResult:
            raise SinkError("the disk is full")

    with pytest.raises(SinkError, match="the disk is full"):
        Run({"file": Full()}, Beats(5)).session.run()


def test_a_slow_sink_holds_up_neither_painting_nor_other_sinks() -> None:
    """Each sink gets the newest frame when it is ready for one, and misses the others."""
    stop = threading.Event()
    fast = ListSink(stopped_after(60, stop))

    def ten_frames(number: int) -> None:
        begun = len(fast.written)
        until(lambda: fast.ended or len(fast.written) >= begun + 10)

    slow = ListSink(ten_frames)
    result = Run({"fast": fast, "slow": slow}, Beats(seconds=0.004)).session.run(stop)
    assert len(fast.written) > 60 > 3 * len(slow.written)
    assert result.report.dropped["slow"] > result.report.dropped["fast"]
    gaps = np.diff([frame.pts for frame in slow.written[1:-1]])
    assert gaps.min() >= 5  # it skips, and isn't behind by more and more


def test_frames_dropped_within_the_source_are_counted() -> None:
    """Protects the report from saying that nothing was left out where a camera's thread did so already."""

    class Dropping(Beats):
        dropped = 7

    report = Run({"null": ListSink()}, Dropping(frames=20)).session.run().report
    assert report.dropped["capture"] >= 7
    assert report.frames + sum(report.dropped.values()) == 20 + 7


def test_a_slow_style_makes_no_delay_grow() -> None:
    """Frames are left out before painting."""
    source, behind = Beats(seconds=0.003), list[int]()

    class Slow(FakeSwitcher):
        def paint(self, frame: Frame) -> Frame:
            behind.append(source.given - frame.pts)
            return super().paint(frame)

    stop = threading.Event()
    result = Run({"null": ListSink(stopped_after(12, stop))}, source, Slow(seconds=0.025)).session.run(stop)
    assert result.report.dropped["capture"] > 10
    assert np.median(behind) < 10  # in a queue, the 12th frame would be 80 others late
    assert result.report.latency is not None and result.report.latency.p50 > 25
    assert result.report.busy > 0.5


def test_a_sink_that_takes_nothing_any_more_does_not_hang_the_end() -> None:
    """A reader that stops reading lets the run end: finishing the sink ends the write that waits."""

    class Stuck(ListSink):
        over = threading.Event()

        def write(self, frame: Frame) -> None:
            super().write(frame)
            assert self.over.wait(10.0)

        def finish(self) -> SinkResult:
            self.over.set()
            return super().finish()

    stop = threading.Event()
    stuck, other = Stuck(), ListSink(stopped_after(20, stop))
    result = Run({"-": stuck, "file": other}).session.run(stop)
    assert (stuck.ended, other.ended) == ("finished", "finished")
    assert len(stuck.written) == 1 and set(result.sinks) == {"-", "file"}


def test_a_source_that_does_not_end_is_left_and_said_so() -> None:
    """A driver that hangs doesn't hang the program."""

    class Deaf(Source):
        info = Beats().info

        def frames(self) -> Iterator[Frame]:
            yield gray(1)
            over.wait(10.0)

    stop, over = threading.Event(), threading.Event()
    sink = ListSink(stopped_after(0, stop))
    run = Run({"file": sink}, Deaf())
    started = time.monotonic()
    run.session.run(stop)
    assert time.monotonic() - started < 5
    over.set()
    assert sink.ended == "finished" and "the source doesn't end, and was left as it is" in run.said


def test_a_source_that_shows_something_else_resets_the_state() -> None:
    """After a gap (a lost camera) or with another size, what was remembered is of no use; frames left out change that
    in nothing."""

    class Jumps(Source):
        info = Beats().info

        def frames(self) -> Iterator[Frame]:
            for captured in (0.0, 0.1, 0.2, 5.0, 5.1):
                yield gray(1, captured)
                time.sleep(0.005)
            yield replace(gray(1, 5.2), pixels=np.zeros((8, 8, 3), np.uint8))
            time.sleep(0.005)

    run = Run({"null": ListSink()}, Jumps())
    run.session.run()
    assert run.switcher.resets == 2


def test_motion_of_frames_leads_to_the_one_painted_before() -> None:
    """A game says how far things moved since its last frame; where that was left out, since the one before."""
    step = np.full((24, 32, 2), 1.0, np.float32)

    class Game(Beats):
        def frames(self) -> Iterator[Frame]:
            for frame in super().frames():
                yield replace(frame, motion=step, mask=np.ones((24, 32), np.bool_))

    seen: list[tuple[int, int | None]] = []

    class Watcher(FakeSwitcher):
        def paint(self, frame: Frame) -> Frame:
            seen.append((frame.pts, None if frame.motion is None else int(frame.motion[12, 16, 0])))
            return super().paint(frame)

    window = FakeWindow({8: [Command.PAUSE], 11: [Command.PAUSE], 33: [Command.QUIT]})
    run = Run({"window": window}, Game(), Watcher(seconds=0.006))
    result = run.session.run()
    assert result.report.dropped["capture"] > 10
    unknown = [number for number, (_, moved) in enumerate(seen) if moved is None]
    assert len(unknown) == 1  # behind the pause
    gaps = [(now - before, moved) for (before, _), (now, moved) in pairwise(seen)]
    assert [moved for number, (_, moved) in enumerate(gaps, 1) if number not in unknown] == [
        gap for number, (gap, _) in enumerate(gaps, 1) if number not in unknown
    ]


def test_frames_without_a_stamp_get_one() -> None:
    """Latency is told of any source, from when it gave the frame."""

    class Plain(Source):
        info = Beats().info

        def frames(self) -> Iterator[Frame]:
            yield gray(1)

    sink = ListSink()
    result = Run({"null": sink}, Plain()).session.run()
    assert sink.written[0].captured is not None
    assert result.report.latency is not None and 0 < result.report.latency.p50 < 1000


def test_an_interrupt_in_the_callers_thread_ends_everything_and_passes_on() -> None:
    """A second Ctrl-C."""

    def interrupt(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    window = FakeWindow({}, interrupt)
    with pytest.raises(KeyboardInterrupt):
        Run({"window": window}).session.run()
    assert window.ended == "finished"


def test_a_window_is_driven_by_the_callers_thread_and_ends_the_run_when_it_is_closed() -> None:
    """SDL wants one thread; closing is no error, and other sinks are finished."""
    window, sink = FakeWindow({5: [Command.QUIT]}), ListSink()
    result = Run({"file": sink, "window": window}).session.run()
    assert window.thread is threading.current_thread()
    assert (window.ended, sink.ended, result.interrupted) == ("finished", "finished", False)
    assert result.sinks["window"].frames == result.report.frames >= 5


def test_a_window_shows_the_last_frame_of_a_source_that_ends() -> None:
    """Be it the only one."""
    window = FakeWindow({})
    result = Run({"window": window}, Beats(1)).session.run()
    assert [frame.pts for frame in window.written] == [0] and result.report.frames == 1


def test_a_window_that_fails_ends_the_run() -> None:
    """Other sinks are finished; without the window nobody could end it."""
    window, sink = FakeWindow({}, fail_at(3, SinkError("the display is gone"))), ListSink()
    with pytest.raises(SinkError, match="the display is gone"):
        Run({"window": window, "file": sink}).session.run()
    assert (window.ended, sink.ended) == ("abandoned", "finished")


def test_a_split_view_is_the_windows_alone() -> None:
    """The original on the left, the painting on the right, in the window; others see the painting."""
    window, sink = FakeWindow({1: [Command.SPLIT], 6: [Command.QUIT]}), ListSink()
    Run({"window": window, "file": sink}).session.run()
    frame = window.written[-1]
    number = frame.pts % 256
    assert (frame.pixels[:, :14] == number).all() and (frame.pixels[:, 16:] == 255 - number).all()
    assert (frame.pixels[:, 14:16] == 255).all()
    assert all((frame.pixels == 255 - frame.pts % 256).all() for frame in sink.written)


def test_pausing_holds_the_picture_and_goes_on_with_the_newest() -> None:
    """Frames of the pause are gone; the window is drawn anew meanwhile, since text may change over it."""
    window = FakeWindow({3: [Command.PAUSE], 7: [Command.PAUSE], 11: [Command.QUIT]})
    run = Run({"window": window}, Beats(seconds=0.005))
    result = run.session.run()
    numbers = [frame.pts for frame in window.written]
    held = [number for number in numbers if numbers.count(number) > 1]
    assert held and len(set(held)) == 1
    later = numbers[numbers.index(held[0]) + len(held) :]
    assert later[0] > held[0] + 10
    assert ["standing", "paused"] in [lines[:2] for lines in window.shown]
    assert result.report.frames < len(numbers)  # frames that are drawn anew don't count


def test_keys_change_what_is_painted_with() -> None:
    """Styles go round; strength and coherence go in steps and stay in their range; the window tells."""
    keys = [Command.PREVIOUS_STYLE, Command.STRENGTH_UP, *[Command.STRENGTH_DOWN] * 2, *[Command.COHERENCE_UP] * 3]
    window = FakeWindow({1: keys, 2: [Command.HELP], 4: [Command.QUIT]})
    run = Run({"window": window})
    run.session.run()
    wanted = run.switcher.wanted
    assert (wanted.style, wanted.strength, wanted.setting.coherence) == ("third", 0.8, 0.3)
    assert {"style: third", "strength: 80%", "coherence: 30%"} & set(window.lines or [])
    assert any("quit" in line for line in window.lines or [])


def test_a_snapshot_is_written_beside_under_a_new_name(tmp_path: Path) -> None:
    """What is seen is kept as a picture, and nothing is overwritten, be it in the same second."""
    moment = datetime(2026, 5, 4, 3, 2, 1)
    folder = Folder(lambda path: ListSink(), tmp_path, lambda: moment)
    window = FakeWindow({3: [Command.SNAPSHOT, Command.SNAPSHOT], 6: [Command.QUIT]})
    run = Run({"window": window}, folder=folder)
    run.session.run()
    names = [tmp_path / "allaprima-20260504-030201.png", tmp_path / "allaprima-20260504-030201-2.png"]
    assert sorted(tmp_path.iterdir()) == sorted(names)
    assert [line for line in run.said if "snapshot" in line] == [f"snapshot: {name}" for name in names]
    light = int(read_picture(names[0]).pixels[0, 0, 0])
    assert 255 - light in [frame.pts for frame in window.written]


def test_a_snapshot_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    """And the run goes on."""
    window = FakeWindow({3: [Command.SNAPSHOT], 6: [Command.QUIT]})
    run = Run({"window": window}, folder=Folder(lambda path: ListSink(), tmp_path / "missing"))
    run.session.run()
    assert any(line.startswith("no snapshot: no folder") for line in run.said)


def test_recording_goes_on_and_off(tmp_path: Path) -> None:
    """Each time to a file of its own, which has the paintings from then on, and is whole at the end."""
    records: list[ListSink] = []

    def open_recording(path: Path) -> Sink:
        path.touch()
        records.append(ListSink())
        return records[-1]

    moment = datetime(2026, 5, 4, 3, 2, 1)
    keys = {number: [Command.RECORD] for number in (3, 20, 30)} | {50: [Command.QUIT]}
    window = FakeWindow(keys)
    result = Run({"window": window}, folder=Folder(open_recording, tmp_path, lambda: moment)).session.run()
    assert [record.ended for record in records] == ["finished"] * 2
    first, second = ([frame.pts for frame in record.written] for record in records)
    assert 0 < len(first) < 40 and first[-1] < second[0]
    assert {"allaprima-20260504-030201.mp4", "allaprima-20260504-030201-2.mp4"} < set(result.sinks)
    assert any("recording allaprima-20260504-030201.mp4" in lines for lines in window.shown)


@pytest.mark.parametrize("when", ["opening", "writing"])
def test_a_recording_that_fails_is_said_so_and_the_run_goes_on(when: str, tmp_path: Path) -> None:
    """A full disk doesn't take the window away."""

    def open_recording(path: Path) -> Sink:
        if when == "opening":
            raise SinkError("no such folder")
        return ListSink(fail_at(2, SinkError("the disk is full")))

    window = FakeWindow({3: [Command.RECORD], 40: [Command.QUIT]})
    run = Run({"window": window}, folder=Folder(open_recording, tmp_path))
    result = run.session.run()
    assert len(window.written) >= 40
    assert any("no recording: no such folder" in line or "the disk is full; it goes on" in line for line in run.said)
    assert len(result.lost) == (when == "writing")
    assert run.switcher.wanted == LOOK
