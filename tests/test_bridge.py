"""The game bridge: every layout arrives as the same frame, whole and newest, however the writer ends."""

from __future__ import annotations

import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from allaprima.bridge import BridgeWriter, MotionLayout, Origin, PixelFormat
from allaprima.bridge import layout as bridge_layout
from allaprima.bridge.layout import Layout, segment_path
from allaprima.bridge.motion import across
from allaprima.bridge.reader import BridgeReader, living_bridges
from allaprima.coherence.flow import given_motion
from allaprima.errors import SinkError, SourceError, UsageError
from allaprima.frame import Frame
from allaprima.sources.bridge import BridgeSource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the game bridge needs Linux or macOS")

WIDTH, HEIGHT = 60, 40
_numbers = itertools.count()
LAYOUTS = [MotionLayout(*flags) for flags in itertools.product((False, True), repeat=4)]


@pytest.fixture
def name() -> Iterator[str]:
    """A bridge of this test's own."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    yield name
    segment_path(name).unlink(missing_ok=True)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """Noise: no row and no channel looks like another."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def motion_of(x: float, y: float) -> NDArray[np.float32]:
    """Everything moves by so many pixels to the right and down."""
    return np.full((HEIGHT, WIDTH, 2), (x, y), np.float32)


def attached(name: str) -> BridgeReader:
    """A reader of a bridge that is there."""
    reader = BridgeReader.attach(name)
    assert reader is not None
    return reader


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_pixels_arrive(pixel_format: PixelFormat, origin: Origin, name: str) -> None:
    """Protects every format that a game hands out: the picture is the same, upright, in RGB."""
    codes = {PixelFormat.RGBA8: cv2.COLOR_RGB2RGBA, PixelFormat.BGRA8: cv2.COLOR_RGB2BGRA}
    code = codes.get(pixel_format)
    given = picture() if code is None else cv2.cvtColor(picture(), code)
    with BridgeWriter(name, WIDTH, HEIGHT, pixel_format=pixel_format, origin=origin) as writer:
        writer.write(given[::-1] if origin is Origin.BOTTOM else given, captured=12.5)
        with attached(name) as reader:
            reading = reader.read()
            assert reading is not None and np.array_equal(reading.pixels, picture())
            assert (reading.number, reading.captured, reading.motion) == (1, 12.5, None)
            assert reader.read() is None


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("kind", LAYOUTS)
def test_motion_arrives(kind: MotionLayout, origin: Origin, name: str) -> None:
    """Protects engines' conventions: units, direction, axis and type come out as a frame's motion."""
    truth = motion_of(3, -1.5)
    truth[: HEIGHT // 2] = (-6, 2)  # the upper half moves otherwise, so that a wrong origin shows
    given = truth / (WIDTH, HEIGHT) if kind.uv else truth.copy()
    given *= -1 if kind.to_previous else 1
    given[..., 1] *= -1 if kind.y_up else 1
    given[0, 0] = np.nan
    with BridgeWriter(name, WIDTH, HEIGHT, motion=kind, origin=origin) as writer, BridgeSource(name, print) as source:
        frames = source.frames()
        writer.write(picture())
        next(frames)
        writer.write(picture(), given[::-1] if origin is Origin.BOTTOM else given)
        frame = next(frames)
    assert frame.motion is not None and frame.mask is not None and frame.motion.dtype == np.float32
    assert not frame.mask[0, 0] and frame.mask.sum() == WIDTH * HEIGHT - 1
    assert np.abs(frame.motion - truth)[frame.mask].max() < (0.02 if kind.half else 1e-5)
    moved = given_motion(frame, (WIDTH, HEIGHT))
    assert moved is not None and moved.flow[30, 30] == pytest.approx((-3, 1.5), abs=0.02) and moved.trust[30, 30] == 1


def test_what_was_hidden_is_masked(name: str) -> None:
    """Protects from ghosts behind what moves: what that hid wasn't seen, and what it left bears its outline."""
    depth = np.full((HEIGHT, WIDTH), 10, np.float32)
    before, now = depth.copy(), depth.copy()
    before[10:20, 10:20], now[10:20, 15:25] = 2, 2
    motion = motion_of(0, 0)
    motion[10:20, 15:25] = (5, 0)
    with BridgeWriter(name, WIDTH, HEIGHT, motion=MotionLayout(), depth=True) as writer, attached(name) as reader:
        writer.write(picture(), depth=before)
        reader.read()
        writer.write(picture(), motion, now)
        reading = reader.read()
    assert reading is not None and reading.motion is not None
    mask = reading.motion[1]
    assert not mask[10:20, 10:14].any()  # was hidden
    assert not mask[7:23, 7:9].any()  # was beside it and isn't any more
    assert mask[12:18, 17:23].all() and mask[:5].all() and mask[25:].all() and mask[:, :5].all() and mask[:, 27:].all()


def test_motion_leads_to_the_last_frame_that_was_read(name: str) -> None:
    """Protects a slow painter: what the skipped frames moved by is added up along the way of each pixel."""
    with BridgeWriter(name, WIDTH, HEIGHT, motion=MotionLayout()) as writer, attached(name) as reader:
        writer.write(picture())
        reader.read()
        left_moves = motion_of(0, 0)
        left_moves[:, :20] = (4, 0)
        writer.write(picture(), left_moves)
        writer.write(picture(), motion_of(10, 1))
        reading = reader.read()
    assert reading is not None and reading.number == 3 and reading.motion is not None
    moved, mask = reading.motion
    # At 29 and left of it, a pixel comes from the part that had moved before; at 30, from the one that hadn't.
    assert (moved[5, 10:30] == (14, 1)).all() and (moved[5, 30:] == (10, 1)).all()
    assert not mask[:, :10].any() and not mask[0].any() and mask[1:, 10:].all()


@pytest.mark.parametrize("lost", ["overwritten", "not given"])
def test_motion_that_is_not_whole_is_dropped(lost: str, name: str) -> None:
    """Protects from wrong motion: with one step missing, the others lead to a frame that nobody painted."""
    with BridgeWriter(name, WIDTH, HEIGHT, motion=MotionLayout(), slots=4) as writer, attached(name) as reader:
        writer.write(picture())
        reader.read()
        for index in range(5 if lost == "overwritten" else 3):
            writer.write(picture(), None if lost == "not given" and index == 1 else motion_of(1, 0))
        reading = reader.read()
        assert reading is not None and reading.motion is None
        writer.write(picture(), motion_of(1, 0))
        reading = reader.read()
        assert reading is not None and reading.motion is not None  # and is back with the next frame


def test_frames_dropped_later_are_led_across() -> None:
    """Protects the edges behind a source: a frame whose predecessor is dropped there leads to the one before."""
    first = Frame(picture(), motion=motion_of(2, 0))
    second = Frame(picture(), motion=motion_of(1, -1), mask=np.ones((HEIGHT, WIDTH), bool))
    frame = across(first, second)
    assert frame.motion is not None and frame.mask is not None
    assert (frame.motion == (3, -1)).all() and frame.mask[:-1, 1:].all() and not frame.mask[-1].any()
    assert across(replace(first, motion=None), second).motion is None
    assert across(first, replace(second, motion=None)).motion is None


def test_frames_are_whole_while_the_writer_overtakes(name: str) -> None:
    """Protects from torn frames: with two slots and a writer that never waits, each frame read is of one color."""
    over = threading.Event()
    with BridgeWriter(name, 640, 360, slots=2) as writer, attached(name) as reader:

        def write() -> None:
            for value in itertools.cycle(range(256)):
                if over.is_set():
                    return
                writer.write(np.full((360, 640, 3), value, np.uint8))

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        readings = []
        until = time.monotonic() + 20
        while len(readings) < 50 and time.monotonic() < until:
            if reading := reader.read():
                readings.append(reading)
        over.set()
        thread.join()
    assert len(readings) == 50
    assert all((each.pixels == each.pixels[0, 0, 0]).all() for each in readings)
    assert all(each.pixels[0, 0, 0] == (each.number - 1) % 256 for each in readings)


DIES = """
import os, signal, sys
import numpy as np
from allaprima.bridge import BridgeWriter
writer = BridgeWriter(sys.argv[1], 60, 40)
writer.write(np.full((40, 60, 3), 7, np.uint8))
print("written", flush=True)
sys.stdin.readline()
words, at = writer._segment.words, (writer.layout.first_slot + writer.layout.slot_bytes) // 8
words[at] = 3
writer._segment.plane(at * 8 + writer.layout.pixels_at, (20, 60, 3), np.uint8)[:] = 9
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_dies_within_a_frame(name: str) -> None:
    """Protects from hanging and from half frames: it is said, the next writer takes the name over, and it goes on."""
    said: list[str] = []
    frames: list[Frame] = []
    command = [sys.executable, "-c", DIES, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stdout.readline() == "written\n"
        source = BridgeSource(name, said.append)
        thread = threading.Thread(target=lambda: frames.extend(source.frames()), daemon=True)
        thread.start()
        wait_for(lambda: len(frames) == 1)
        program.communicate("die\n")
    assert program.returncode == -signal.SIGKILL and segment_path(name).exists() and name not in living_bridges()
    wait_for(lambda: len(said) == 1)
    with BridgeWriter(name, WIDTH * 2, HEIGHT * 2, motion=MotionLayout()) as second:
        wait_for(lambda: len(said) == 2)
        second.write(np.full((HEIGHT * 2, WIDTH * 2, 3), 50, np.uint8))
        wait_for(lambda: len(frames) == 2)
        source.close()
        thread.join(0.5)
        assert not thread.is_alive()
    assert "ended; waiting" in said[0] and f"is back, scaled from {WIDTH * 2}×{HEIGHT * 2}" in said[1]
    assert [np.unique(frame.pixels).tolist() for frame in frames] == [[7], [50]]  # 9 stands in the half frame
    assert all(frame.pixels.shape == (HEIGHT, WIDTH, 3) for frame in frames)
    assert not segment_path(name).exists()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for another thread, not for long."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_a_dead_writer_left_is_replaced(name: str) -> None:
    """Protects readers of a dead writer's memory: it stays theirs, and a new writer begins a file of its own."""
    dead = BridgeWriter(name, WIDTH, HEIGHT)
    dead.write(picture(1))
    reader = attached(name)
    dead._segment.close()  # as the kernel does for a process that dies
    assert not reader.alive
    with BridgeWriter(name, WIDTH, HEIGHT) as writer, attached(name) as other:
        writer.write(picture(2))
        old, new = reader.read(), other.read()
    reader.close()
    assert old is not None and np.array_equal(old.pixels, picture(1))
    assert new is not None and np.array_equal(new.pixels, picture(2))


def test_one_writer_at_a_time(name: str) -> None:
    """Protects a running game from a second one, even where readers look often whether it lives."""
    with BridgeWriter(name, WIDTH, HEIGHT) as writer, attached(name) as reader:
        with pytest.raises(SinkError, match="another program writes"):
            BridgeWriter(name, WIDTH, HEIGHT)
        assert reader.alive
        writer.write(picture())
        assert reader.read() is not None
    assert BridgeReader.attach(name) is None


READS = """
import sys
from allaprima.bridge.reader import BridgeReader
print(BridgeReader.attach(sys.argv[1]).read().number)
"""


def test_a_reader_that_ends_takes_nothing_along(name: str) -> None:
    """Protects from what multiprocessing.shared_memory did before Python 3.13: its readers removed the segment."""
    with BridgeWriter(name, WIDTH, HEIGHT) as writer:
        writer.write(picture())
        program = subprocess.run([sys.executable, "-c", READS, name], check=True, capture_output=True, text=True)
        assert (program.stdout, program.stderr) == ("1\n", "")
        with attached(name) as reader:
            assert reader.read() is not None


def damaged(name: str, at: int, value: int) -> None:
    """Change a number in the header."""
    with segment_path(name).open("r+b") as file:
        file.seek(at)
        file.write(struct.pack("=I", value))


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (0, 1, "another program"),
        (8, 2, "version 2"),
        (12, 0, "sides from 1"),
        (16, 99999, "sides from 1"),
        (20, 1, "2 to 64 slots"),
        (24, 9, "a format"),
        (28, 2, "a format"),
        (32, 3, "a format"),
        (32, 1, "doesn't fit"),
        (36, 8, "a format"),
        (48, 1 << 31, "doesn't fit"),
        (56, 13, "doesn't fit"),
        (64, 4, "doesn't fit"),
        (72, 1 << 30, "doesn't fit"),
    ],
)
def test_damaged_headers_are_refused(at: int, value: int, says: str, name: str) -> None:
    """Protects from reading where nothing is mapped: whatever a foreign writer says is checked first."""
    with BridgeWriter(name, WIDTH, HEIGHT):
        damaged(name, at, value)
        with pytest.raises(SourceError, match=says):
            BridgeSource(name, print)


def test_a_bridge_that_is_being_made_is_waited_for(name: str) -> None:
    """Protects the moment between a file and its header: nothing is there yet, and nothing is wrong."""
    path = segment_path(name)
    path.touch()
    assert BridgeReader.attach(name) is None
    path.write_bytes(bytes(4096))
    assert BridgeReader.attach(name) is None
    with BridgeWriter(name, WIDTH, HEIGHT):
        assert attached(name).alive


def test_names(name: str) -> None:
    """Protects the user from guessing: who is there is told, and one alone needs no name."""
    with pytest.raises(UsageError, match="can't be a bridge's name"):
        BridgeWriter("../x", WIDTH, HEIGHT)
    with pytest.raises(SourceError, match=f"'{name}': start the game first"):
        BridgeSource(name, print)
    with BridgeWriter(name, WIDTH, HEIGHT):
        assert name in living_bridges()
        with pytest.raises(SourceError, match=name):
            BridgeSource(f"{name}-other", print)


def test_the_only_bridge_needs_no_name(
    name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects ``--from game``, also where there is no /dev/shm: in TMPDIR."""
    folder = tmp_path_factory.mktemp("shared")
    monkeypatch.setattr(bridge_layout, "_SHARED", folder / "missing")
    monkeypatch.setenv("TMPDIR", str(folder))
    with pytest.raises(SourceError, match="no program writes to a bridge: start"):
        BridgeSource(None, print)
    with BridgeWriter(name, WIDTH, HEIGHT) as writer:
        assert segment_path(name).parent == folder
        with BridgeSource(None, print) as source:
            writer.write(picture())
            assert source.name == name and np.array_equal(next(source.frames()).pixels, picture())
        with BridgeWriter(f"{name}-b", 32, 32), pytest.raises(SourceError, match="several"):
            BridgeSource(None, print)
        # The folder is everybody's: what others left there is passed over.
        (folder / "allaprima-no name.bridge").touch()
        (folder / "allaprima-link.bridge").symlink_to(segment_path(name))
        assert living_bridges() == [name]


def test_planes_must_be_as_agreed(name: str) -> None:
    """Protects a game's programmer: what was not agreed is refused, and nothing of it is written."""
    with BridgeWriter(name, WIDTH, HEIGHT, motion=MotionLayout(half=True)) as writer, attached(name) as reader:
        with pytest.raises(UsageError, match=r"pixels must be 40×60×3 uint8, not 40×60 uint8"):
            writer.write(picture()[..., 0])
        with pytest.raises(UsageError, match="motion must be"):
            writer.write(picture(), motion_of(1, 1)[1:])
        with pytest.raises(UsageError, match="without depth"):
            writer.write(picture(), depth=np.ones((HEIGHT, WIDTH), np.float32))
        assert reader.read() is None
    with pytest.raises(UsageError, match="closed"):
        writer.write(picture())


def test_times_are_the_writers(name: str) -> None:
    """Protects latency and times: stamps are the game's, never later than now, and frames follow one another."""
    with BridgeWriter(name, WIDTH, HEIGHT) as writer, BridgeSource(name, print) as source:
        frames = source.frames()
        now = time.monotonic()
        time.sleep(0.025)
        got = []
        for captured in (now, now, now + 0.02, now + 3600):
            writer.write(picture(), captured=captured)
            got.append(next(frames))
        assert got[0].captured == pytest.approx(now, abs=1e-6)
        assert got[3].captured is not None and got[3].captured <= time.monotonic()
        times = [frame.pts * frame.time_base for frame in got]
        assert times == sorted(set(times)) and float(times[2] - times[0]) == pytest.approx(0.02, abs=1e-5)


def test_frames_that_were_skipped_count_as_dropped(name: str) -> None:
    """Protects the count of drops: what was written over is in it, what was there before or after a new start isn't."""
    with BridgeWriter(name, WIDTH, HEIGHT) as writer:
        for _ in range(3):
            writer.write(picture())
        with BridgeSource(name, print) as source:
            frames = source.frames()
            next(frames)
            assert source.dropped == 0
            for _ in range(3):
                writer.write(picture())
            next(frames)
            assert source.dropped == 2
            writer.close()
            with BridgeWriter(name, WIDTH, HEIGHT) as second:
                second.write(picture())
                second.write(picture())
                next(frames)
                assert source.dropped == 2


def test_layout_out_of_range_is_refused(name: str) -> None:
    """Protects memory: sides and slots have bounds."""
    for options in ({"width": 0}, {"height": 20000}, {"slots": 1}):
        with pytest.raises(UsageError):
            BridgeWriter(name, **{"width": WIDTH, "height": HEIGHT, **options})
    assert not segment_path(name).exists()
    wide = {"pixel_format": PixelFormat.RGB8, "origin": Origin.TOP, "motion": None, "depth": False, "rate": None}
    assert Layout.of(16384, 16384, slots=64, **wide).size > 1 << 35
