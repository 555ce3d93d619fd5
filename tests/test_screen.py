"""The screen: monitors, regions and windows, on a display that the test makes; and none, or Wayland."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from allaprima.cli import run
from allaprima.errors import MissingExtraError, SourceError
from allaprima.source import open_live_source
from allaprima.sources.screen import Region, next_due, parse_region, refuse_without_x11
from allaprima.sources.x11 import Window, choose_window

RED, BLUE, BACKGROUND = 0xC02040, 0x2040C0, 0x102030


def rgb(color: int) -> list[int]:
    return [color >> 16, color >> 8 & 255, color & 255]


class Program:
    """Another program's windows."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        from Xlib.display import Display

        self.server = server
        self.display = Display()
        self.screen = self.display.screen()
        self.screen.root.change_attributes(background_pixel=BACKGROUND)
        self.screen.root.clear_area()

    def window(self, title: str, place: tuple[int, int, int, int], color: int) -> Any:
        window = self.screen.root.create_window(*place, 0, self.screen.root_depth, background_pixel=color)
        window.change_property(
            self.display.get_atom("_NET_WM_NAME"), self.display.get_atom("UTF8_STRING"), 8, title.encode()
        )
        window.map()
        self.display.sync()
        return window

    def show(self) -> None:
        """Let the server do what was asked of windows."""
        self.display.sync()
        time.sleep(0.02)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """A display of 320×240 on an X server of the test's own."""
    if sys.platform != "linux" or shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb (Debian: apt install xvfb)")
    pytest.importorskip("mss", reason="needs the extra 'live'")
    pytest.importorskip("Xlib", reason="needs the extra 'live'")
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield Program(server)
    server.terminate()
    server.wait(5)
    server.stdout.close()


def newest(frames: Iterator[Any]) -> Any:
    """A picture that was captured after what was done before."""
    next(frames)
    return next(frames).pixels


def test_a_monitor_and_a_region(program: Program) -> None:
    """Pixel for pixel, in the right colors and at the right place."""
    program.window("picture", (40, 30, 100, 50), RED)
    for name in ("screen", "screen:1"):
        with open_live_source(name, rate=100, say=print) as source:
            whole = newest(source.frames())
        assert whole.shape == (240, 320, 3) and (source.info.width, source.info.height) == (320, 240)
        assert (whole[30:80, 40:140] == rgb(RED)).all()
        whole[30:80, 40:140] = rgb(BACKGROUND)
        assert (whole == rgb(BACKGROUND)).all()
    with open_live_source("screen:60x40+100+60", rate=100, say=print) as source:
        part = newest(source.frames())
    assert part.shape == (40, 60, 3)
    assert (part[:20, :40] == rgb(RED)).all() and (part[20:] == rgb(BACKGROUND)).all()


def test_a_window_is_followed(program: Program) -> None:
    """Where it moves, beyond the screen's edge, in another size; what covers it shows; closed, it is an error."""
    window = program.window("A Game – level 1", (40, 30, 100, 50), RED)
    program.window("something else", (200, 150, 60, 60), BLUE)
    said: list[str] = []
    source = open_live_source("screen:a game", rate=100, say=said.append)
    frames = source.frames()
    assert (newest(frames) == rgb(RED)).all() and source.info.width == 100
    window.configure(x=150, y=120)
    program.show()
    moved = newest(frames)
    assert (moved[30:, 50:] == rgb(BLUE)).all(), "covered parts show what covers them"
    assert (moved[:30] == rgb(RED)).all() and (moved[:, :50] == rgb(RED)).all()
    window.configure(x=-20, y=-10)
    program.show()
    cut = newest(frames)
    assert not cut[:10].any() and not cut[:, :20].any() and (cut[10:, 20:] == rgb(RED)).all()
    window.configure(x=0, y=0, width=50, height=50)
    program.show()
    resized = newest(frames)
    assert resized.shape == (50, 100, 3) and (resized[:, 25:75] == rgb(RED)).all() and not resized[:, :24].any()
    window.unmap()
    program.show()
    begun = time.monotonic()
    threading.Timer(0.2, lambda: (window.map(), program.display.sync())).start()
    newest(frames)
    assert time.monotonic() - begun > 0.1
    assert said == ["the window 'A Game – level 1' is minimized; waiting until it shows again"]
    window.destroy()
    program.show()
    with pytest.raises(SourceError, match="the window 'A Game – level 1' was closed"):
        for _ in range(5):
            next(frames)


def test_places_that_arent_there(program: Program) -> None:
    """Each with what is."""
    program.window("picture", (40, 30, 100, 50), RED)
    for name, message in {
        "screen:no such window": "no window is called 'no such window'; open are 'picture'",
        "screen:2": "there is no monitor 2: there are 1",
        "screen:300x100+100+0": "reaches beyond the screen, which is 320x240",
        "screen:10x0+0+0": "a region is WIDTHxHEIGHT",
    }.items():
        with pytest.raises(SourceError, match=message):
            open_live_source(name, say=print)


def test_a_display_that_goes_away(program: Program) -> None:
    """The desktop ended: an error, not a hang."""
    program.window("picture", (40, 30, 100, 50), RED)
    for name in ("screen:60x40+0+0", "screen:picture"):
        source = open_live_source(name, rate=100, say=print)
        frames = source.frames()
        next(frames)
        if name == "screen:60x40+0+0":
            source.close()
    program.server.terminate()
    program.server.wait(5)
    with pytest.raises(SourceError, match=r"gone|any more"):
        for _ in range(5):
            next(frames)
    with pytest.raises(SourceError, match="the screen can't be captured"):
        open_live_source("screen", say=print)


def test_devices_lists_them(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write after --from, as a shell takes it."""
    title = "Bob's Game"
    program.window(title, (40, 30, 100, 50), RED)
    assert run(["devices", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["screens"] == [{"use": "screen:1", "name": "primary monitor", "detail": "320x240+0+0"}]
    assert found["windows"] == [{"use": f"screen:{title}", "name": title, "detail": "100x50+40+30"}]
    assert run(["devices"]) == 0
    assert f"--from {shlex.quote(f'screen:{title}')} " in capsys.readouterr().out


def test_capturing_keeps_its_rate() -> None:
    """A step after it was due, so that no time is lost by waking late; after a stall, from now on."""
    assert next_due(10.0, 10.01, 0.1) == 10.1
    assert next_due(10.0, 10.5, 0.1) == 10.5


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "there is no display to capture"),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, "under Wayland"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "under Wayland"),
    ],
)
def test_no_display_and_wayland(environment: dict[str, str], message: str) -> None:
    """Refused with the reason, instead of a black picture."""
    with pytest.raises(SourceError, match=message):
        refuse_without_x11(environment)


def test_x11_beside_wayland_is_fine() -> None:
    """As in a nested X server."""
    refuse_without_x11({"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11", "WAYLAND_DISPLAY": "wayland-0"})


@pytest.mark.skipif(sys.platform != "linux", reason="tells Linux's display by its environment")
def test_no_display_is_an_error_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a note in the list of devices, which has no error."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SourceError, match="no display"):
        open_live_source("screen", say=print)
    assert run(["devices", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["screens"] and any("no display" in note for note in found["notes"])


@pytest.mark.skipif(sys.platform != "linux", reason="X11's packages")
@pytest.mark.parametrize(("package", "name"), [("mss", "screen"), ("Xlib", "screen:title")])
def test_a_missing_extra_is_named(
    package: str, name: str, request: pytest.FixtureRequest, uninstall: Callable[[str], None]
) -> None:
    """The line that installs it."""
    if name != "screen":
        request.getfixturevalue("program")
    else:
        request.getfixturevalue("monkeypatch").setenv("DISPLAY", ":77")
        request.getfixturevalue("monkeypatch").delenv("XDG_SESSION_TYPE", raising=False)
    uninstall(package)
    with pytest.raises(MissingExtraError, match=r"pip install 'allaprima\[live\]'"):
        open_live_source(name, say=print)


def test_regions() -> None:
    """Parts inside one another, and how they are written."""
    assert parse_region("640x480+10+-5") == Region(10, -5, 640, 480)
    assert Region(-10, 5, 100, 100).inside(Region(0, 0, 50, 50)) == Region(0, 5, 50, 45)
    assert Region(60, 0, 10, 10).inside(Region(0, 0, 50, 50)) is None
    for text in ("640x480", "0x480+0+0", "axb+0+0"):
        with pytest.raises(SourceError, match="WIDTHxHEIGHT"):
            parse_region(text)


def test_the_window_of_a_title() -> None:
    """The very title before one that holds it, what shows before what doesn't, the topmost before others."""

    def window(handle: int, title: str, visible: bool = True) -> Window:
        return Window(handle, title, 0, 0, 10, 10, visible)

    windows = [window(1, "Terminal: game"), window(2, "GAME"), window(3, "Mail", visible=False), window(4, "Mail 2")]
    assert choose_window(windows, "game").handle == 2
    assert choose_window(windows, "term").handle == 1
    assert choose_window(windows, "mail").handle == 3
    assert choose_window(windows, "ma").handle == 4
