"""``allaprima live`` as a process of its own: what it prints, how much memory it has, and what becomes of a key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import IO

import av
import numpy as np
import psutil
from end_to_end import BenchmarkError
from live_figures import Sample, Seen, left_alone
from quiet import Quiet

from allaprima.sources.x11 import Desktop, Window, choose_window

TITLE = "allaprima"
"""Of the window that shows paintings."""
START_SECONDS = 120.0
"""Until the first frame is shown, at most: an engine may have to be chosen."""
_END_SECONDS = 20.0
_PATIENCE, _PATIENCE_ALONE = 8, 30
"""Times as long as asked for that quiet seconds are waited for; and those in a row."""
_BEFORE = 1.0
"""Seconds before a line's own in which the machine must have been left alone, too: frames may wait from then."""
_THIN = 8
"""One pixel in so many, either way, tells whether a picture has changed."""


class Live:
    """One run, until it is left.

    Args:
        options: of ``allaprima live``.
        quiet: tells when the machine is left alone.
        raw: read ``--to -``, too, into :attr:`frames`.

    Raises:
        BenchmarkError: on leaving, it ended by itself, or failed.
    """

    def __init__(self, options: Sequence[str], quiet: Quiet, *, raw: bool = False) -> None:
        command = [sys.executable, "-m", "allaprima", "live", "--json", *options, *(["--to", "-"] if raw else [])]
        self.samples: list[Sample] = []
        self._quiet = quiet
        self.frames: list[Seen] = []
        self._words = ["it said nothing"]
        # With raw video on standard output, lines go to the other one.
        errors = subprocess.PIPE if raw else subprocess.STDOUT
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        out, lines = self._process.stdout, self._process.stderr if raw else self._process.stdout
        assert out is not None and lines is not None
        self._readers = [threading.Thread(target=self._read_lines, args=[lines], daemon=True)]
        if raw:
            self._readers.append(threading.Thread(target=self._read_frames, args=[out], daemon=True))
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Live:
        try:
            self.wait(lambda: any(sample.line["latency_ms"] for sample in self.samples), START_SECONDS, "shown a frame")
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for reader in self._readers:
            reader.join()
        if kind is None and code not in (0, 128 + signal.SIGINT):
            raise BenchmarkError(f"allaprima live ended with exit code {code}: {self._words[-1]}")

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something.

        Raises:
            BenchmarkError: it hasn't come in so many seconds, or the run has ended.
        """
        until = time.monotonic() + seconds
        while not done():
            if (code := self._process.poll()) is not None:
                self._readers[0].join()
                raise BenchmarkError(f"allaprima live ended early, with exit code {code}: {self._words[-1]}")
            if time.monotonic() > until:
                raise BenchmarkError(f"allaprima live hasn't {what} in {seconds:g} s")
            time.sleep(0.01)

    def watch(self, seconds: float) -> list[Sample]:
        """Let it run; the lines of whole seconds since.

        Raises:
            BenchmarkError: it has ended.
        """
        begun = len(self.samples)
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= until, seconds + 1, "gone on")
        return self.samples[begun + 1 :]

    def watch_quiet(self, seconds: float) -> list[Sample]:
        """Let it run until so many seconds were quiet, or until there's no more hope; the lines of all since.

        Raises:
            BenchmarkError: it has ended.
        """
        return self._watch(lambda since: sum(sample.quiet for sample in since[1:]) >= seconds, _PATIENCE * seconds)

    def watch_alone(self, seconds: float) -> list[Sample]:
        """The same until so many seconds in a row were quiet."""
        return self._watch(lambda since: left_alone(since[1:], seconds), _PATIENCE_ALONE * seconds)

    def _watch(self, enough: Callable[[Sequence[Sample]], bool], most: float) -> list[Sample]:
        begun, until = len(self.samples) + 1, time.monotonic() + most
        self.wait(lambda: time.monotonic() >= until or enough(self.samples[begun:]), most + 1, "gone on")
        return self.samples[begun:]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it take nothing of the machine meanwhile; what its source missed comes in a burst then."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _read_lines(self, lines: IO[bytes]) -> None:
        process = psutil.Process(self._process.pid)
        for line in lines:
            text = line.decode(errors="replace").strip()
            if not text.startswith("{"):
                self._words.append(text)
                continue
            try:
                memory = process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                return  # its last line tells of its end
            now = time.monotonic()
            line = json.loads(text)
            self.samples.append(Sample(now, memory, line, self._quiet.was(now - 1 - _BEFORE, now)))

    def _read_frames(self, out: IO[bytes]) -> None:
        sides = {word[:1]: int(word[1:]) for word in out.readline().split() if word[:1] in (b"W", b"H")}
        if not sides:
            return
        width, height = sides[b"W"], sides[b"H"]
        head, luma = len(b"FRAME\n"), width * height
        while len(frame := out.read(head + luma + luma // 2)) == head + luma + luma // 2:
            now = time.monotonic()
            picture = np.frombuffer(frame, np.uint8, luma, head).reshape(height, width)
            self.frames.append(Seen(now, picture[::_THIN, ::_THIN].copy()))


class Keyboard:
    """Presses keys, as a user does, on the display that ``DISPLAY`` names; and puts windows where they are wanted."""

    def __init__(self) -> None:
        from Xlib.display import Display

        self._display = Display()
        self._desktop = Desktop()

    def _find(self, title: str) -> Window:
        return choose_window(self._desktop.windows(), title)

    def move(self, title: str, left: int, top: int) -> None:
        """Put a window's corner somewhere else, in pixels from the screen's.

        Raises:
            SourceError: there is no such window.
        """
        self._display.create_resource_object("window", self._find(title).handle).configure(x=left, y=top)
        self._display.sync()

    def press(self, title: str, key: str) -> float:
        """Press and release a key in a window; the monotonic time when it was pressed.

        Args:
            title: the window's.
            key: its name in X, as ``Right``.

        Raises:
            SourceError: there is no such window.
        """
        from Xlib import XK, X
        from Xlib.ext import xtest

        window = self._display.create_resource_object("window", self._find(title).handle)
        window.set_input_focus(X.RevertToParent, X.CurrentTime)
        code = self._display.keysym_to_keycode(XK.string_to_keysym(key))
        self._display.sync()
        pressed = time.monotonic()
        xtest.fake_input(self._display, X.KeyPress, code)
        xtest.fake_input(self._display, X.KeyRelease, code)
        self._display.sync()
        return pressed


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many other processes that take a core each, as far as they get it."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def repeat_clip(path: Path, clip: Path, seconds: float) -> Path:
    """Write a clip again and again, as it is encoded, until it lasts that long."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        stream = container.add_stream_from_template(source.streams.video[0])
        length = sum(packet.duration for packet in packets)
        rounds = int(np.ceil(seconds / float(length * packets[0].time_base)))
        for turn, packet in product(range(rounds), packets):
            copy = av.Packet(bytes(packet))  # muxing a packet empties it
            copy.pts, copy.dts, copy.duration = packet.pts + turn * length, packet.dts + turn * length, packet.duration
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
            container.mux(copy)
    return path


def half_of_the_cores() -> int:
    """At least one."""
    return max(1, (os.cpu_count() or 1) // 2)
