"""Painted frames in a window, with keys, through pygame's SDL."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from ..errors import MissingExtraError, SinkError
from ..frame import Frame, SourceInfo
from ..live.commands import KEYS, Command
from ..sink import Sink, SinkResult
from ..video.letterbox import placed, scaled

_HINTS = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_NO_SIGNAL_HANDLERS": "1",
    "SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR": "0",
}
"""No greeting on standard output, Ctrl-C as it was, and other windows' effects as they were."""
_UNSEEN = ("dummy", "offscreen", "evdev")
"""Drivers of SDL's that show nothing."""
_SHARE = 0.9
"""Of the screen's sides, at most, before the user makes the window larger."""
_COMMANDS = {key: command for command, keys in KEYS.items() for key in keys}


class WindowSink(Sink):
    """Shows frames as large as the window allows, whole and undistorted, between black bars.

    It belongs to the main thread, every method of it; events wait until :meth:`poll`.

    Args:
        info: of the frames that will be written; the window begins with this size, or less on a small screen.
        title: what stands in the window's frame.

    Raises:
        MissingExtraError: pygame-ce isn't installed.
        SinkError: there is no display.
    """

    def __init__(self, info: SourceInfo, *, title: str = "allaprima") -> None:
        for hint, value in _HINTS.items():
            os.environ.setdefault(hint, value)
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError("the window", "live") from error
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            driver = pygame.display.get_driver()
            if driver in _UNSEEN and driver not in os.environ.get("SDL_VIDEODRIVER", ""):
                raise pygame.error(f"SDL found only its {driver} driver")
            if driver == "x11":
                # A window's surface through shared memory costs 0.3 ms at 1280x720, through OpenGL without a GPU 4.5.
                os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
            width, height = pygame.display.get_desktop_sizes()[0]
            *_, width, height = placed(info.width, info.height, round(width * _SHARE), round(height * _SHARE))
            size = min(width, info.width), min(height, info.height)
            self._window: Any = pygame.Window(title, size, resizable=True)
            self._window.get_surface()
        except pygame.error as error:
            pygame.display.quit()
            raise SinkError(_no_display(str(error))) from error
        self._full = False
        self._frame: Frame | None = None
        self._overlay = _Overlay(pygame)
        self._frames = 0

    def write(self, frame: Frame) -> None:
        """Show one frame now. After the end it is let go."""
        if self._window is None:
            return
        self._frame = frame
        self._show()
        self._frames += 1

    def show_overlay(self, lines: list[str] | None) -> None:
        """Lay lines over the picture from the next frame on, or take them away; spaces in a row part columns."""
        self._overlay.set(lines or [])

    def poll(self) -> list[Command]:
        """What the user asked for since the last call, in order; doesn't wait."""
        pygame, asked, torn = self._pygame, list[Command](), False
        if self._window is None:
            return asked
        for event in pygame.event.get():
            if event.type == pygame.KEYDOWN:
                command = _COMMANDS.get(pygame.key.name(event.key))
                if command is Command.FULL_SCREEN:
                    self._toggle_full_screen()
                if command is not None:
                    asked.append(command)
            elif event.type in (pygame.QUIT, pygame.WINDOWCLOSE):
                if Command.QUIT not in asked:
                    asked.append(Command.QUIT)
            elif event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWSIZECHANGED):
                torn = True
        if torn:
            self._show()
        return asked

    def _toggle_full_screen(self) -> None:
        self._full = not self._full
        if self._full:
            self._window.set_fullscreen(desktop=True)
        else:
            self._window.set_windowed()
        self._pygame.mouse.set_visible(not self._full)

    def _show(self) -> None:
        if self._frame is None:
            return
        pygame, surface, pixels = self._pygame, self._window.get_surface(), self._frame.pixels
        box = surface.get_size()
        left, top, width, height = placed(pixels.shape[1], pixels.shape[0], *box)
        for bar in ((0, 0, left, box[1]), (left + width, 0, *box), (0, 0, box[0], top), (0, top + height, *box)):
            surface.fill((0, 0, 0), bar)
        picture = scaled(pixels, width, height)
        surface.blit(pygame.image.frombuffer(picture.data, (width, height), "RGB"), (left, top))
        self._overlay.draw(surface)
        self._window.flip()

    def finish(self) -> SinkResult:
        """Close the window."""
        if self._window is not None:
            self._window.destroy()
            self._window = None
            self._pygame.display.quit()
        return SinkResult(None, self._frames)

    def abandon(self) -> SinkResult:
        """As :meth:`finish`."""
        return self.finish()


class _Overlay:
    """Lines of text on a dark ground in the upper left corner, drawn once for as long as they stay."""

    def __init__(self, pygame: Any) -> None:
        self._pygame = pygame
        self._lines: list[str] = []
        self._drawn: tuple[int, Any] | None = None

    def set(self, lines: list[str]) -> None:
        if lines != self._lines:
            self._lines, self._drawn = list(lines), None

    def draw(self, surface: Any) -> None:
        if not self._lines:
            return
        size = max(12, min(28, surface.get_height() // 32))
        if self._drawn is None or self._drawn[0] != size:
            self._drawn = size, self._panel(size)
        surface.blit(self._drawn[1], (size // 2, size // 2))

    def _panel(self, size: int) -> Any:
        pygame = self._pygame
        pygame.font.init()
        font = pygame.font.Font(None, round(size * 1.4))
        lines = [line.replace("→", "->") for line in self._lines]  # pygame's own font has no arrow
        rows = [[font.render(cell, True, (255, 255, 255)) for cell in re.split(" {2,}", line)] for line in lines]
        widths: list[int] = []
        for row in rows:
            for column, cell in enumerate(row[:-1]):
                if column == len(widths):
                    widths.append(0)
                widths[column] = max(widths[column], cell.get_width() + size)
        step, margin = font.get_linesize(), size // 2
        across = max(sum(widths[: len(row) - 1]) + row[-1].get_width() for row in rows)
        panel = pygame.Surface((across + 2 * margin, step * len(rows) + 2 * margin), pygame.SRCALPHA)
        panel.fill((0, 0, 0, 160))
        for line, row in enumerate(rows):
            for column, cell in enumerate(row):
                panel.blit(cell, (margin + sum(widths[:column]), margin + line * step))
        return panel


def _no_display(reason: str) -> str:
    advice = "run it on a desktop, or choose another sink: --to FILE, a URL, - or null"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return f"no display for a window (DISPLAY isn't set); {advice}"
    return f"no display for a window ({reason}); {advice}"
