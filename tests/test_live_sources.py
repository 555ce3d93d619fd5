"""What all live sources share: the grammar, the pace of files, coming back, and an end from any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import clips
import numpy as np
import pytest
from fakes import NumberedSource
from live_fakes import Clock, until
from test_cli import write_clip

from allaprima.errors import SourceError
from allaprima.frame import Pixels, SourceInfo
from allaprima.source import Source, open_live_source
from allaprima.sources.background import BackgroundSource
from allaprima.sources.live_source import MICROSECOND, LiveSource
from allaprima.sources.paced import PacedSource, pause_before
from allaprima.sources.reconnecting import FIRST_WAIT, ReconnectingSource

INFO = SourceInfo(32, 24, Fraction(25), MICROSECOND)


class Shots(LiveSource):
    """Pictures of given numbers and sizes; then it fails, blocks or ends."""

    def __init__(
        self, numbers: list[int], fails: str | None = None, clock: Clock | None = None, size: tuple[int, int] = (32, 24)
    ) -> None:
        super().__init__(INFO, clock or time.monotonic)
        self.info = SourceInfo(*size, INFO.frame_rate, MICROSECOND)
        self.numbers, self.fails, self.freed = numbers, fails, 0

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        for number in self.numbers:
            yield np.full((self.info.height, self.info.width, 3), number, np.uint8), self._clock()
        if self.fails:
            raise SourceError(self.fails)

    def _let_go(self) -> None:
        self.freed += 1


class Stuck(Shots):
    """A driver that doesn't return from its read until somebody lets it."""

    def __init__(self) -> None:
        super().__init__([1])
        self.returns = threading.Event()

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        yield from super()._pictures()
        self.returns.wait(10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gopher://there/x", "gopher:// isn't a stream that can be read; use rtsp"),
        ("nothing-here.mp4", "nothing-here.mp4 doesn't exist"),
        ("scene:moon", "no scene is called 'moon'"),
        ("srt://127.0.0.1:9", "srt"),
    ],
)
def test_names_that_lead_nowhere(name: str, message: str) -> None:
    """One line each, that says what would work."""
    with pytest.raises(SourceError, match=message) as error:
        open_live_source(name, say=print)
    assert "\n" not in str(error.value)


def test_a_file_goes_at_its_own_pace_to_its_end(tmp_path: Path) -> None:
    """Six frames at 25 a second take 0.24 s, the last one's time included, and each is stamped as it comes."""
    path = write_clip(tmp_path / "in.mp4", 6)
    begun = time.monotonic()
    with open_live_source(str(path), say=print) as source:
        frames = list(source.frames())
    span = 6 / source.info.frame_rate
    assert span <= time.monotonic() - begun
    assert len(frames) == 6 and [frame.pts for frame in frames] == sorted(frame.pts for frame in frames)
    assert all(frame.captured - begun >= frame.seconds for frame in frames)


def test_pause_before_a_frame() -> None:
    """Until it is due; none where that has passed."""
    assert pause_before(12.0, 10.0, started=100.0, now=101.5) == 0.5
    assert pause_before(12.0, 10.0, started=100.0, now=103.0) == 0
    assert pause_before(12.0, 10.0, started=100.0, now=100.5, speed=2.0) == 0.5


def test_late_frames_are_given_at_once_and_none_is_skipped() -> None:
    """After a stall the frames that are due follow without a pause, until the file is in step again."""
    clock, waits = Clock(), []

    def wait(seconds: float) -> bool:
        waits.append(round(seconds, 3))
        clock.now += seconds
        return False

    source = PacedSource(NumberedSource(8), clock=clock, wait=wait)
    seen = []
    for frame in source.frames():
        seen.append((int(frame.pixels[0, 0, 0]), round(frame.captured - 100, 3)))
        if frame.pts == 2:
            clock.now += 0.1
    assert seen == [(0, 0), (1, 0.04), (2, 0.08), (3, 0.18), (4, 0.18), (5, 0.2), (6, 0.24), (7, 0.28)]
    assert waits[-1] == 0.04, "the last frame shows for its time"


def test_closing_ends_a_paced_file_at_once() -> None:
    """Also while it waits for a frame's time; and a closed one gives nothing."""
    source = PacedSource(NumberedSource(1000))
    threading.Timer(0.1, source.close).start()
    begun = time.monotonic()
    assert 1 <= len(list(source.frames())) < 100
    assert time.monotonic() - begun < 5
    assert not list(source.frames())


def test_live_frames_have_one_size_and_growing_times() -> None:
    """Whatever the device sends: a picture of another shape lies between black bars, and no two share a time."""
    clock = Clock()
    source = Shots([10, 20], clock=clock)
    source._pictures = lambda: iter(  # type: ignore[method-assign]
        [(np.full((24, 32, 3), 9, np.uint8), 100.5), (np.full((12, 32, 3), 200, np.uint8), 100.5)]
    )
    first, second = source.frames()
    assert first.pixels.shape == second.pixels.shape == (24, 32, 3)
    assert (first.pts, second.pts, first.duration) == (500000, 500001, 40000)
    assert first.captured == 100.5
    assert (second.pixels[7:17] == 200).all() and not second.pixels[:5].any() and not second.pixels[-5:].any()


def test_a_device_is_let_go_by_whoever_reads_it() -> None:
    """By close where nobody reads, else by the end of frames, so that nothing is freed under the reader."""
    idle = Shots([1, 2, 3])
    idle.close()
    assert idle.freed == 1 and not list(idle.frames())
    read = Shots([1, 2, 3])
    frames = read.frames()
    next(frames)
    read.close()
    assert read.freed == 0
    assert not list(frames) and read.freed == 1


def test_what_was_lost_is_waited_for_and_said_once() -> None:
    """Longer and longer up to a limit; one line when it is gone, one when it is back; one size, one time line."""
    clock, said, waits = Clock(), [], []
    tries: list[Source | SourceError] = [
        Shots([1, 2], "the camera was unplugged", clock),
        *[SourceError("it isn't there")] * 4,
        Shots([], "it gives nothing yet", clock),
        Shots([3], "the camera was unplugged again", clock, size=(64, 48)),
        Shots([4], None, clock),
    ]

    def open_one() -> Source:
        found = tries.pop(0)
        if isinstance(found, SourceError):
            raise found
        return found

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.now += seconds
        return False

    source = ReconnectingSource(open_one, "camera 0", say=said.append, longest_wait=1.0, clock=clock, wait=wait)
    frames = list(source.frames())
    assert [int(frame.pixels[12, 16, 0]) for frame in frames] == [1, 2, 3, 4]
    assert {frame.pixels.shape for frame in frames} == {(24, 32, 3)}
    assert waits == [FIRST_WAIT, 0.5, 1.0, 1.0, 1.0, 1.0, FIRST_WAIT]
    assert frames[2].pts == round(sum(waits[:-1]) * 1e6)
    assert said == [
        "the camera was unplugged; waiting until it is back",
        "camera 0 is back",
        "the camera was unplugged again; waiting until it is back",
        "camera 0 is back",
    ]


def test_what_isnt_there_at_first_is_an_error() -> None:
    """Waiting for a camera that was never there would look like hanging."""

    def open_one() -> Source:
        raise SourceError("no camera")

    with pytest.raises(SourceError, match="no camera"):
        ReconnectingSource(open_one, "camera 0", say=print)


def test_waiting_for_what_was_lost_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing doesn't wait for the next try."""
    said: list[str] = []
    tries = [Shots([1], "gone")]

    def open_one() -> Source:
        if tries:
            return tries.pop()
        raise SourceError("still gone")

    monkeypatch.setattr("allaprima.sources.reconnecting.FIRST_WAIT", 30.0)
    source = ReconnectingSource(open_one, "camera 0", say=said.append, longest_wait=60.0)
    frames = source.frames()
    next(frames)
    threading.Timer(0.2, source.close).start()
    begun = time.monotonic()
    assert not list(frames) and time.monotonic() - begun < 10
    assert said == ["gone; waiting until it is back"]


def test_a_driver_that_hangs_doesnt_hang_us() -> None:
    """Silence is said once, closing ends the wait, and the thread ends when the driver returns."""
    stuck, silences = Stuck(), []
    source = BackgroundSource(stuck, patience=0.02, on_silence=lambda: silences.append(1))
    frames = source.frames()
    assert int(next(frames).pixels[0, 0, 0]) == 1
    threading.Timer(0.15, source.close).start()
    begun = time.monotonic()
    assert not list(frames)
    assert time.monotonic() - begun < 5 and silences == [1]
    assert stuck.freed == 0, "nothing is freed under the reader"
    stuck.returns.set()
    until(lambda: stuck.freed == 1)


def test_a_background_source_gives_the_newest_and_raises_what_went_wrong() -> None:
    """A slow reader finds the last frame, not the oldest; an error comes after it."""
    source = BackgroundSource(Shots(list(range(50)), "lost for good"))
    frames = source.frames()
    seen = [int(next(frames).pixels[0, 0, 0])]
    time.sleep(0.1)
    with pytest.raises(SourceError, match="lost for good"):
        seen.extend(int(frame.pixels[0, 0, 0]) for frame in frames)
    assert seen[-1] == 49 and len(seen) < 50 and all(a < b for a, b in pairwise(seen))
    assert len(seen) + source.dropped == 50


def test_a_background_source_that_was_never_read_closes() -> None:
    """As when a style turns out to be missing after the camera was opened."""
    inner = Shots([1])
    with BackgroundSource(inner) as source:
        pass
    assert inner.freed == 1 and not list(source.frames())


def test_numbered_clips_stay_numbered_when_paced(tmp_path: Path) -> None:
    """What is painted live from a file is every frame of it, where the reader keeps up."""
    path = clips.make(tmp_path / "in.mp4", frames=8, rate=Fraction(200))
    with open_live_source(str(path), say=print) as source:
        assert [clips.number_of(frame.pixels) for frame in source.frames()] == list(range(8))
