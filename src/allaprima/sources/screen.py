"""The screen: a monitor, a region, or the window of a title, wherever it moves."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from ..errors import MissingExtraError, SourceError
from ..frame import Pixels, SourceInfo
from .live_source import MICROSECOND, Clock, LiveSource
from .x11 import Desktop, Window, choose_window

USUAL_RATE = 30.0


@dataclass(frozen=True)
class Region:
    """A rectangle of the desktop, in pixels from its corner."""

    left: int
    top: int
    width: int
    height: int

    def inside(self, whole: Region) -> Region | None:
        """The part of it that lies in another one; None where they don't meet."""
        left, top = max(self.left, whole.left), max(self.top, whole.top)
        right = min(self.left + self.width, whole.left + whole.width)
        bottom = min(self.top + self.height, whole.top + whole.height)
        return Region(left, top, right - left, bottom - top) if right > left and bottom > top else None


class Screen:
    """The desktop's pixels, through mss.

    Args:
        environ: the environment; it tells Wayland and a missing display.

    Raises:
        SourceError: no display, or Wayland.
        MissingExtraError: mss isn't installed.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        if sys.platform == "linux":
            refuse_without_x11(environ)
        try:
            import mss
        except ImportError:
            raise MissingExtraError("capturing the screen", "live") from None
        self._error = mss.ScreenShotError
        try:
            self._mss = mss.MSS()
            monitors = [Region(*(m[side] for side in ("left", "top", "width", "height"))) for m in self._mss.monitors]
        except mss.ScreenShotError as error:
            raise SourceError(f"the screen can't be captured ({_short(error)}); check that the desktop runs") from None
        self.whole = monitors[0]
        self.monitors = monitors[1:] or monitors
        """In mss's order, which is the system's."""
        primary = (n for n, m in enumerate(self._mss.monitors[1:]) if m.get("is_primary"))
        self.primary = self.monitors[next(primary, 0)]

    def grab(self, region: Region) -> Pixels:
        """What is on the screen there: uint8, H×W×3, RGB; black beyond the screen's edges.

        On a screen of double density it is twice as large as the region.

        Raises:
            SourceError: the screen is gone.
        """
        part = region.inside(self.whole)
        if part is None:
            return np.zeros((region.height, region.width, 3), np.uint8)
        try:
            shot = self._mss.grab(vars(part))
        except (self._error, AssertionError) as error:  # mss asserts that the X server still answers
            raise SourceError(f"the screen can't be captured any more ({_short(error)})") from None
        bgra = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        rgb = cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB).astype(np.uint8, copy=False)
        if part == region:
            return rgb
        scale = shot.width / part.width
        top, left = round((part.top - region.top) * scale), round((part.left - region.left) * scale)
        canvas = np.zeros((round(region.height * scale), round(region.width * scale), 3), np.uint8)
        canvas[top : top + shot.height, left : left + shot.width] = rgb
        return canvas

    def close(self) -> None:
        """Leave the display; safe to call twice."""
        try:
            self._mss.close()
        except (self._error, AssertionError):
            return


def refuse_without_x11(environ: Mapping[str, str]) -> None:
    """Look in the environment whether there is an X11 desktop to capture.

    Raises:
        SourceError: Wayland, or no display.
    """
    display = environ.get("DISPLAY")
    if environ.get("XDG_SESSION_TYPE") == "wayland" or (environ.get("WAYLAND_DISPLAY") and not display):
        raise SourceError(
            "the screen can't be captured under Wayland, which lets no program see other programs' windows:"
            " log in to an X11 (Xorg) session"
        )
    if not display:
        raise SourceError("there is no display to capture (DISPLAY isn't set): run it in a desktop, or under xvfb-run")


def _short(error: Exception) -> str:
    return (str(error).splitlines() or ["no answer"])[0]


class ScreenSource(LiveSource):
    """What is on the screen, so many times a second; what covers a window shows.

    A window is followed where it moves. Resized, it is scaled to the size that it had; while it is minimized no frame
    comes.

    Args:
        where: ``WIDTHxHEIGHT+X+Y``, a monitor's number from 1, or words of a window's title; None takes the primary
            monitor.
        rate: frames a second.
        say: takes lines about what becomes of it.
        clock: what frames are stamped by.

    Raises:
        SourceError: no display, Wayland, or no such window, monitor or region; while it runs, the window was closed.
        MissingExtraError: mss or python-xlib isn't installed.
    """

    def __init__(
        self,
        where: str | None,
        *,
        rate: float | None,
        say: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._step = 1 / (rate or USUAL_RATE)
        self._say = say
        self._desktop: Desktop | None = None
        self._screen = Screen()
        try:
            self._window = self._find_window(where) if where and not _is_place(where) else None
            self._region = self._place(where) if self._window is None else _region_of(self._window)
            height, width = self._screen.grab(self._region).shape[:2]
        except BaseException:
            self._let_go()
            raise
        exact = Fraction(1 / self._step).limit_denominator(1001)
        super().__init__(SourceInfo(width, height, exact, MICROSECOND), clock)

    def _find_window(self, title: str) -> Window:
        if sys.platform != "linux":
            raise SourceError("windows are found by their title on X11 only; give a region like 1280x720+0+0")
        self._desktop = Desktop()
        return choose_window(self._desktop.windows(), title)

    def _place(self, where: str | None) -> Region:
        if where is None:
            return self._screen.primary
        monitors = self._screen.monitors
        if where.isdigit():
            if not 1 <= int(where) <= len(monitors):
                raise SourceError(f"there is no monitor {where}: there are {len(monitors)}, see 'allaprima devices'")
            return monitors[int(where) - 1]
        region = parse_region(where)
        if region.inside(self._screen.whole) != region:
            whole = self._screen.whole
            raise SourceError(f"{where} reaches beyond the screen, which is {whole.width}x{whole.height}")
        return region

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        due = self._clock()
        hidden = False
        while not self._over.is_set():
            if self._window is not None:
                window = self._look(self._window)
                if not window.visible and not hidden:
                    self._say(f"the window '{window.title}' is minimized; waiting until it shows again")
                hidden = not window.visible
                self._region = _region_of(window)
            if not hidden:
                captured = self._clock()
                yield self._screen.grab(self._region), captured
            now = self._clock()
            due = next_due(due, now, self._step)
            self._over.wait(due - now)

    def _look(self, window: Window) -> Window:
        now = self._desktop.look(window) if self._desktop is not None else None
        if now is None:
            raise SourceError(f"the window '{window.title}' was closed")
        return now

    def _let_go(self) -> None:
        self._screen.close()
        if self._desktop is not None:
            self._desktop.close()


def next_due(due: float, now: float, step: float) -> float:
    """When to capture next, in seconds: one step after it was due, or now where that has passed."""
    return max(due + step, now)


def parse_region(text: str) -> Region:
    """``WIDTHxHEIGHT+X+Y`` in pixels.

    Raises:
        SourceError: anything else, or a side of 0.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})\+(-?\d{1,5})\+(-?\d{1,5})", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise SourceError(f"a region is WIDTHxHEIGHT+X+Y, like 1280x720+0+0, not '{text}'")
    width, height, left, top = (int(number) for number in match.groups())
    return Region(left, top, width, height)


def _is_place(where: str) -> bool:
    return where.isdigit() or re.match(r"\d+[xX]\d+", where) is not None


def _region_of(window: Window) -> Region:
    return Region(window.left, window.top, window.width, window.height)
