"""What a live run can take its frames from on this machine, and which virtual cameras it can feed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from .bridge.reader import living_bridges
from .errors import AllaprimaError
from .sources.camera import Camera, list_cameras
from .sources.screen import Screen
from .sources.x11 import Desktop

Found = TypeVar("Found")


@dataclass(frozen=True)
class Entry:
    """One thing to choose."""

    use: str
    """What to write after ``--from`` or ``--to``."""
    name: str
    detail: str = ""
    """Size and place, or what is wrong with it."""


@dataclass
class Devices:
    """All that was found; where nothing was, ``notes`` says why."""

    cameras: list[Entry] = field(default_factory=list)
    screens: list[Entry] = field(default_factory=list)
    windows: list[Entry] = field(default_factory=list)
    games: list[Entry] = field(default_factory=list)
    """Programs that write to a bridge."""
    virtual_cameras: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def find_devices(cameras: Callable[[], list[Camera]] = list_cameras) -> Devices:
    """Look for everything; what can't be looked for is a note."""
    found = Devices()
    nodes = cameras()
    found.cameras = [
        Entry(f"camera:{node.number}", node.name or node.address, node.trouble or ("virtual" if node.virtual else ""))
        for node in nodes
        if not node.accepts
    ]
    if not found.cameras:
        found.notes.append("no camera: plug one in")
    found.screens = _or_note(_screens, found.notes)
    if found.screens and sys.platform == "linux":
        found.windows = _or_note(_windows, found.notes)
    found.games = [Entry(f"game:{name}", name) for name in living_bridges()]
    if importlib.util.find_spec("pyvirtualcam") is None:
        found.notes.append("no virtual camera: pip install 'allaprima[virtual-camera]'")
    elif sys.platform == "linux":
        # With exclusive_caps=1, as conference programs ask for, v4l2loopback says that it takes pictures until it does.
        fed = [node for node in nodes if node.virtual]
        found.virtual_cameras = [Entry(f"virtual-camera:{node.address}", node.name, node.address) for node in fed]
        if not fed:
            found.notes.append("no virtual camera: load v4l2loopback (sudo modprobe v4l2loopback exclusive_caps=1)")
    else:
        found.virtual_cameras = [Entry("virtual-camera", "OBS Virtual Camera", "where OBS is installed")]
    return found


def _or_note(look: Callable[[], list[Found]], notes: list[str]) -> list[Found]:
    try:
        return look()
    except AllaprimaError as error:
        notes.append(str(error))
        return []


def _screens() -> list[Entry]:
    screen = Screen()
    try:
        return [
            Entry(
                f"screen:{number}",
                "primary monitor" if monitor == screen.primary else "monitor",
                f"{monitor.width}x{monitor.height}{monitor.left:+d}{monitor.top:+d}",
            )
            for number, monitor in enumerate(screen.monitors, 1)
        ]
    finally:
        screen.close()


def _windows() -> list[Entry]:
    desktop = Desktop()
    try:
        return [
            Entry(
                f"screen:{window.title}",
                window.title,
                f"{window.width}x{window.height}{window.left:+d}{window.top:+d}" if window.visible else "minimized",
            )
            for window in desktop.windows()
        ]
    finally:
        desktop.close()
