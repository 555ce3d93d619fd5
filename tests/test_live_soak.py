"""Hours of live painting take no more memory than minutes, and no more time from frame to frame.

``pytest -m soak`` is two minutes of it, and with ``ALLAPRIMA_SOAK_SECONDS=3600`` the whole hour.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import ListSink
from live_fakes import FakeWindow
from test_live_end_to_end import ClockSource

from allaprima.frame import Frame
from allaprima.live.budget import Setting
from allaprima.live.commands import Command
from allaprima.live.controls import Folder
from allaprima.live.desk import Desk
from allaprima.live.notes import Notes
from allaprima.live.session import Session, Standing
from allaprima.live.styles import Styles
from allaprima.live.switching import Look, Switcher
from allaprima.sinks.null import NullSink
from allaprima.style import Style

RATE = 30
SECONDS = int(os.environ.get("ALLAPRIMA_SOAK_SECONDS", "120"))
CHANGES = [Command.NEXT_STYLE, Command.STRENGTH_DOWN, Command.COHERENCE_DOWN, Command.PREVIOUS_STYLE]
CHANGES += [Command.STRENGTH_UP, Command.COHERENCE_UP, Command.SPLIT]


class RestlessWindow(FakeWindow):
    """Somebody presses a key every second; nothing that is shown is kept."""

    def write(self, frame: Frame) -> None:
        self._shown += 1
        if self._shown % RATE == 0:
            self._due.append(CHANGES[self._shown // RATE % len(CHANGES)])

    def __init__(self) -> None:
        super().__init__({})
        self._shown, self._due = 0, list[Command]()

    def poll(self) -> list[Command]:
        due, self._due = self._due, []
        self.shown.clear()
        return due


def resident() -> float:
    """MiB of memory that the process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_latency_stay_flat() -> None:
    """From a quarter of the way on: within 20 MiB; in the last quarter, a frame takes no half more of processor time
    than in the second, and no second to be shown, however busy the machine is."""
    source = ClockSource(320, 240, SECONDS * RATE, RATE)
    styles = Styles([Style.open(name) for name in ("great-wave", "january")], precision="int8", engine="onnxruntime")
    look = Look("great-wave", 1.0, Setting(None, 1.0, 1, "int8"))
    switcher = Switcher(styles.open, look, source.info, preload=["january"])
    notes = Notes(lambda line: None)
    desk = Desk(switcher, styles.names, notes)
    seen: list[tuple[float, float, float, int]] = []

    def look_at(standing: Standing) -> None:
        if standing.report.latency is not None:
            seen.append((resident(), standing.report.latency.p50, time.process_time(), standing.report.frames))

    started = time.monotonic()
    Session(
        source,
        [("window", RestlessWindow()), ("null", NullSink())],
        switcher,
        desk,
        notes=notes,
        folder=Folder(lambda path: ListSink(), Path("nowhere")),
        on_standing=look_at,
    ).run()
    assert time.monotonic() - started > SECONDS - 2
    memory, latency, processor, frames = np.array(seen[len(seen) // 4 :]).T
    part = len(seen) // 4
    early, late = (1000 * np.ptp(processor[each]) / np.ptp(frames[each]) for each in (slice(part), slice(-part, None)))
    print(f"memory {memory.min():.0f} to {memory.max():.0f} MiB, latency {np.median(latency):.1f} ms")
    print(f"processor time of a frame {early:.1f} ms, at the end {late:.1f} ms")
    assert memory.max() - memory.min() < 20
    assert late < 1.5 * early
    assert np.median(latency[-part:]) < 1000
