"""The window: what it shows where, what keys ask for, and where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from allaprima.errors import MissingExtraError, SinkError
from allaprima.frame import Frame, SourceInfo
from allaprima.live.commands import KEYS, Command, help_lines
from allaprima.sink import SinkOptions, open_live_sink
from allaprima.sinks.window import WindowSink

INFO = SourceInfo(160, 120, Fraction(30), Fraction(1, 1000))
QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""Colors of the upper left, upper right, lower left and lower right of the picture."""


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> Any:
    """SDL without a screen, asked for by the user."""
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return pytest.importorskip("pygame", reason="needs the extra 'live'")


@pytest.fixture
def window(pygame: Any) -> Iterator[WindowSink]:
    """A window of 160×120."""
    sink = open_live_sink("window", INFO, SinkOptions(), say=lambda line: None)
    assert isinstance(sink, WindowSink)
    sink.poll()
    yield sink
    sink.abandon()


def picture(width: int = 160, height: int = 120) -> Frame:
    """Four quarters of different colors."""
    pixels = np.empty((height, width, 3), np.uint8)
    for number, color in enumerate(QUARTERS):
        row, column = divmod(number, 2)
        rows, columns = slice(row * height // 2, (row + 1) * height // 2), slice(column * width // 2, None)
        pixels[rows, columns] = color
    return Frame(pixels)


def surface(window: WindowSink) -> Any:
    """The window's pixels as pygame has them, before SDL gives them to the screen."""
    return window._window.get_surface()


def resize(window: WindowSink, width: int, height: int) -> None:
    """As if the user drew at the window's edge."""
    window._window.size = (width, height)


def seen(window: WindowSink) -> np.ndarray:
    """What is in the window: uint8, H×W×3, RGB."""
    shown = surface(window)
    pixels: np.ndarray = np.frombuffer(shown.get_buffer(), np.uint8).reshape(shown.get_height(), -1, 4)
    order = [shown.get_shifts()[channel] // 8 for channel in range(3)]
    return pixels[:, : shown.get_width()][..., order].copy()


def press(pygame: Any, *keys: str) -> None:
    """Keys go down, as SDL says it."""
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key), mod=0, unicode=""))


def test_the_picture_is_upright_and_its_colors_are_right(window: WindowSink) -> None:
    """Pixel by pixel where the window has its size, and so for frames that come later."""
    window.write(picture())
    assert (seen(window) == picture().pixels).all()
    window.write(Frame(picture().pixels[::-1]))
    assert (seen(window) == picture().pixels[::-1]).all()
    assert window.finish().frames == 2


@pytest.mark.parametrize("size", [(400, 120), (160, 400), (80, 60), (50, 41)])
def test_a_resized_window_shows_the_whole_picture_undistorted(
    window: WindowSink, pygame: Any, size: tuple[int, int]
) -> None:
    """At once, also while nothing new comes; the rest is black."""
    window.write(picture())
    resize(window, *size)
    pygame.event.post(pygame.event.Event(pygame.WINDOWSIZECHANGED, x=size[0], y=size[1]))
    assert window.poll() == []
    shown = seen(window)
    assert shown.shape == (size[1], size[0], 3)
    scale = min(size[0] / 160, size[1] / 120)
    center = np.array(size) / 2
    for number, color in enumerate(QUARTERS):
        row, column = divmod(number, 2)
        x, y = (center + scale * np.array([column * 80 - 40, row * 60 - 30])).astype(int)
        assert tuple(shown[y, x]) == color
    bars = shown.copy()
    left, top = np.floor(center - scale * np.array([80, 60])).astype(int)
    bars[max(top, 0) : size[1] - top, max(left, 0) : size[0] - left] = 0
    assert not bars.any()


def test_a_source_that_changes_its_size_leaves_nothing_behind(window: WindowSink) -> None:
    """The bars cover what was there."""
    window.write(picture())
    window.write(Frame(np.full((120, 40, 3), 9, np.uint8)))
    shown = seen(window)
    assert not shown[:, :60].any() and not shown[:, 100:].any() and (shown[:, 60:100] == 9).all()


def test_the_window_begins_no_larger_than_the_screen(pygame: Any) -> None:
    """And keeps the picture's shape."""
    sink = WindowSink(SourceInfo(16000, 9000, Fraction(30), Fraction(1, 1000)))
    width, height = surface(sink).get_size()
    screen = pygame.display.get_desktop_sizes()[0]
    assert width <= screen[0] and height <= screen[1]
    assert width / height == pytest.approx(16 / 9, rel=0.01)
    sink.abandon()


def test_keys_become_commands_in_order(window: WindowSink, pygame: Any) -> None:
    """All of them; others are nothing."""
    assert window.poll() == []
    for command, keys in KEYS.items():
        for key in keys:
            press(pygame, key)
            assert window.poll() == [command]
    press(pygame, "right", "z", "up", "up")
    assert window.poll() == [Command.NEXT_STYLE, Command.STRENGTH_UP, Command.STRENGTH_UP]


def test_a_window_that_is_closed_asks_to_quit_once(window: WindowSink, pygame: Any) -> None:
    """However SDL says it."""
    window.write(picture())
    pygame.event.post(pygame.event.Event(pygame.WINDOWCLOSE))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.poll() == [Command.QUIT]
    assert window.finish().frames == 1
    window.write(picture())
    assert window.poll() == [] and window.abandon().frames == 1


def test_full_screen_and_back(window: WindowSink, pygame: Any) -> None:
    """The window sees to it by itself, and comes back in its size."""
    window.write(picture())
    press(pygame, "f11")
    assert window.poll() == [Command.FULL_SCREEN]
    window.poll()
    assert surface(window).get_size() == pygame.display.get_desktop_sizes()[0]
    window.write(picture())
    press(pygame, "f")
    window.poll()
    window.poll()
    assert surface(window).get_size() == (160, 120)


def test_the_overlay_lies_over_the_picture_only_while_it_is_asked_for(window: WindowSink) -> None:
    """In white on dark; the frame itself is left alone, and the overlay doesn't grow darker from frame to frame."""
    resize(window, 640, 480)
    frame = picture(640, 480)
    window.show_overlay(["great-wave", "fps  29.7", "", *help_lines()])
    window.write(frame)
    first = seen(window)
    assert (first != frame.pixels).any() and (frame.pixels == picture(640, 480).pixels).all()
    assert (first[:200, :200] == 255).all(axis=2).sum() > 100
    window.write(frame)
    assert (seen(window) == first).all()
    window.show_overlay(None)
    window.write(frame)
    assert (seen(window) == frame.pixels).all()


def test_columns_of_the_overlay_are_aligned(window: WindowSink) -> None:
    """With letters of different width, too."""
    resize(window, 640, 480)
    black = Frame(np.zeros((480, 640, 3), np.uint8))
    begins, shown = [], []
    for line in ("iii  X", "WWW  X"):
        window.show_overlay([line, "WWWW  X"])
        window.write(black)
        shown.append(seen(window).max(axis=2)[:24])
        lit = np.flatnonzero(shown[-1].max(axis=0) > 128)
        begins.append(lit[np.flatnonzero(np.diff(lit) > 8)[-1] + 1])
    assert begins[0] == begins[1]
    assert (shown[0] != shown[1]).any()


def test_arrows_of_the_overlay_can_be_read(window: WindowSink) -> None:
    """The controller tells its changes with them; the font would draw an empty box."""
    resize(window, 640, 480)
    shown = []
    for line in ("full → 180", "full -> 180"):
        window.show_overlay([line])
        window.write(Frame(np.zeros((480, 640, 3), np.uint8)))
        shown.append(seen(window))
    assert shown[0].any() and (shown[0] == shown[1]).all()


DRIVERLESS = """
import sys
from fractions import Fraction
from allaprima.errors import SinkError
from allaprima.frame import SourceInfo
from allaprima.sinks.window import WindowSink
try:
    WindowSink(SourceInfo(64, 48, Fraction(30), Fraction(1, 1000)))
except SinkError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("display", ["", ":4711"])
def test_without_a_display_there_is_one_clear_line(pygame: Any, display: str) -> None:
    """Also where SDL would be content with a driver that shows nothing; nothing else on standard output."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    if display:
        environment["DISPLAY"] = display
    done = subprocess.run(
        [sys.executable, "-c", DRIVERLESS], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    assert done.stdout.startswith("no display for a window") and done.stdout.count("\n") == 1
    assert "choose another sink" in done.stdout


def test_a_driver_that_shows_nothing_is_refused_unless_asked_for(pygame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDL may take one silently."""
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    with pytest.raises(SinkError, match=r"offscreen driver|DISPLAY isn't set"):
        WindowSink(INFO)


def test_the_window_is_an_extra(uninstall: Callable[[str], None]) -> None:
    """Said with how to install it."""
    uninstall("pygame")
    with pytest.raises(MissingExtraError, match=r"allaprima\[live\]"):
        WindowSink(INFO)
