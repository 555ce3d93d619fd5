"""What a window is for beside frames: keys, lines of text over the frames, snapshots and recordings."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..errors import AllaprimaError
from ..frame import Pixels
from ..picture import write_picture
from ..sink import Sink
from .commands import Command, help_lines
from .desk import Desk
from .notes import Notes
from .outlet import Outlet, Outlets, Painted

_POLL_SECONDS = 0.005
"""Keys are looked for at least so often: one that is seen too late for the next frame costs another one."""
_REDRAW_SECONDS = 0.2
"""A window that gets no frame shows its last one anew so often, since what stands over it changes."""
_STAMP = "%Y%m%d-%H%M%S"


@runtime_checkable
class Window(Protocol):
    """What a sink that is a window does beside taking frames, all of it in the main thread."""

    def poll(self) -> list[Command]:
        """What was asked for since the last call; never blocks. A closed window asks to quit."""

    def show_overlay(self, lines: list[str] | None) -> None:
        """Show lines of text over the frames from the next one on; None shows none."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where snapshots and recordings go, under names with date and time."""

    open_recording: Callable[[Path], Sink]
    """Opens a file for frames."""
    path: Path = field(default_factory=Path.cwd)
    today: Callable[[], datetime] = datetime.now

    def free(self, suffix: str) -> Path:
        """A name that nothing bears yet."""
        stem = f"allaprima-{self.today():{_STAMP}}"
        names = (f"{stem}{f'-{number}' if number > 1 else ''}{suffix}" for number in count(1))
        return next(path for name in names if not (path := self.path / name).exists())


class Controls:
    """Attends to a window, in the main thread.

    Args:
        window: the outlet of the window.
        desk: does what concerns painting.
        outlets: recordings are added to them.
        notes: told what came of it, and shown over the frames.
        folder: of snapshots and recordings.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        window: Outlet,
        desk: Desk,
        outlets: Outlets,
        *,
        notes: Notes,
        folder: Folder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert isinstance(window.sink, Window)
        self._window, self._screen = window, window.sink
        self._desk, self._outlets, self._notes, self._folder, self._clock = desk, outlets, notes, folder, clock
        self._last: Painted | None = None
        self._drawn = clock()
        self._lines: list[str] = []
        self._recording: Outlet | None = None
        self._snapshots = ThreadPoolExecutor(1, "allaprima-snapshot")
        self.quit = False
        """Whether the user wants no more."""

    def attend(self, standing: list[str]) -> None:
        """Show the next frame, or wait for it a moment; and do what was asked for.

        Args:
            standing: lines to show over the frames, above those that notes and keys bring.
        """
        try:
            painted = self._window.edge.take(_POLL_SECONDS)
            self._refresh(standing)
            if painted is not None:
                self._last, self._drawn = painted, self._clock()
                self._window.write(painted, painted.split() if self._desk.split else painted.frame)
            elif self._last is not None and self._clock() - self._drawn > _REDRAW_SECONDS:
                self._drawn = self._clock()
                self._window.sink.write(self._last.split() if self._desk.split else self._last.frame)
            for command in self._screen.poll():
                self._do(command)
        except Exception as error:  # noqa: BLE001 - whatever it is, the outlet keeps it, and the session raises it
            self._window.fail(error)

    def close(self) -> None:
        """Waits for snapshots that are being written, and takes the window away."""
        self._snapshots.shutdown()
        if not self._window.ended.is_set():
            self._window.finish()

    def _refresh(self, standing: list[str]) -> None:
        lines = [*standing, *self._desk.standing()]
        if self._recording is not None and not self._recording.ended.is_set():
            lines.append(f"recording {self._recording.name}")
        lines += self._notes.recent()
        lines += help_lines() if self._desk.help else []
        if lines != self._lines:
            self._lines = lines
            self._screen.show_overlay(lines or None)

    def _do(self, command: Command) -> None:
        match command:
            case Command.QUIT:
                self.quit = True
            case Command.SNAPSHOT:
                if self._last is not None:
                    frame = self._last.split() if self._desk.split else self._last.frame
                    self._snapshots.submit(self._snapshot, frame.pixels)
            case Command.RECORD:
                self._record()
            case _:
                self._desk.do(command)

    def _snapshot(self, pixels: Pixels) -> None:
        path = self._folder.free(".png")
        try:
            write_picture(path, pixels)
        except AllaprimaError as error:
            self._notes.say(f"no snapshot: {error}")
        else:
            self._notes.say(f"snapshot: {path}")

    def _record(self) -> None:
        if self._recording is not None and not self._recording.ended.is_set():
            self._recording.edge.close()
            self._recording = None
            return
        path = self._folder.free(".mp4")
        try:
            sink = self._folder.open_recording(path)
        except AllaprimaError as error:
            self._notes.say(f"no recording: {error}")
            return
        self._recording = Outlet(path.name, sink, self._clock, recording=True)
        self._outlets.add(self._recording)
