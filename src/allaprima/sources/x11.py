"""Windows of an X11 desktop: which there are, and where each is now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import MissingExtraError, SourceError


@dataclass(frozen=True)
class Window:
    """A window's inside, without the frame that the window manager draws, in pixels from the desktop's corner."""

    handle: int
    title: str
    left: int
    top: int
    width: int
    height: int
    visible: bool
    """False while it is minimized or on another workspace."""


class Desktop:
    """The windows on the display that ``DISPLAY`` names.

    Raises:
        SourceError: no X server answers.
        MissingExtraError: python-xlib isn't installed.
    """

    def __init__(self) -> None:
        try:
            from Xlib import X, error
            from Xlib.display import Display
        except ImportError:
            raise MissingExtraError("finding a window", "live") from None
        self._x, self._errors = X, error
        try:
            self._display = Display()
        except (error.DisplayError, OSError) as failure:
            raise SourceError(f"no X server answers at DISPLAY ({failure}); check that the desktop runs") from None
        self._root = self._display.screen().root

    def windows(self) -> list[Window]:
        """All windows with a title, the topmost first."""
        found = []
        for handle in self._handles():
            unnamed = self.look(Window(handle, "", 0, 0, 0, 0, visible=False))
            if unnamed is not None and (title := self._title(handle)):
                found.append(replace(unnamed, title=title))
        return found

    def _handles(self) -> Iterator[int]:
        for name in ("_NET_CLIENT_LIST_STACKING", "_NET_CLIENT_LIST"):
            listed = self._property(self._root, name)
            if listed is not None:
                yield from (int(handle) for handle in reversed(listed))
                return
        # Without a window manager nobody keeps a list; programs' windows are the root's children then.
        yield from (child.id for child in reversed(self._root.query_tree().children))

    def look(self, window: Window) -> Window | None:
        """Where a window is now; None once it is closed.

        Raises:
            SourceError: the X server is gone.
        """
        place = self._display.create_resource_object("window", window.handle)
        try:
            shape = place.get_geometry()
            corner = self._root.translate_coords(place, 0, 0)
            visible = place.get_attributes().map_state == self._x.IsViewable
        except (self._errors.BadWindow, self._errors.BadDrawable):
            return None
        except (self._errors.ConnectionClosedError, OSError):
            raise SourceError("the X server is gone; start the desktop again") from None
        return Window(window.handle, window.title, corner.x, corner.y, shape.width, shape.height, visible)

    def _title(self, handle: int) -> str:
        window = self._display.create_resource_object("window", handle)
        try:
            title = self._property(window, "_NET_WM_NAME")
            if title is None:
                title = window.get_wm_name() or ""
        except self._errors.BadWindow:  # closed meanwhile
            return ""
        return title.decode(errors="replace") if isinstance(title, bytes) else str(title)

    def _property(self, window: Any, name: str) -> Any:
        found = window.get_full_property(self._display.get_atom(name), self._x.AnyPropertyType)
        return None if found is None else found.value

    def close(self) -> None:
        """Leave the display; safe to call twice."""
        try:
            self._display.close()
        except (self._errors.ConnectionClosedError, OSError):
            return


def choose_window(windows: Sequence[Window], title: str) -> Window:
    """The window of that title, or the topmost whose title holds these words, whatever their case.

    Raises:
        SourceError: there is none.
    """
    wanted = title.casefold()
    exact = [window for window in windows if window.title.casefold() == wanted]
    holding = [window for window in windows if wanted in window.title.casefold()]
    found = sorted(exact or holding, key=lambda window: not window.visible)
    if not found:
        here = ", ".join(f"'{window.title}'" for window in windows if window.visible)
        raise SourceError(f"no window is called '{title}'; open are {here or 'none'}")
    return found[0]
