"""Where panels and labels stand, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..frame import Pixels
from .lettering import SMALLEST, fitting_size, font_for, shortened

BACKGROUND, FRAME = (22, 22, 25), (255, 214, 10)
_BRIGHT, _MUTED = (240, 240, 242), (160, 160, 168)
COLORS = (BACKGROUND, FRAME, _BRIGHT, _MUTED)
"""All that are drawn beside the panels' own, RGB."""
_TITLE_SHARE, _TITLE_SIZES = 0.036, (14, 44)
_DETAIL_SHARE, _DETAIL_LEAST = 0.72, 11
_LINE = 1.3
"""Height of a line of text, in sizes of its letters."""
_FINE = 4


@dataclass(frozen=True)
class Heading:
    """What stands over a column, or under it."""

    title: str
    detail: str = ""


@dataclass(frozen=True)
class View:
    """One row of panels: their size in pixels, and what stands over the row, if anything."""

    width: int
    height: int
    caption: str = ""


@dataclass(frozen=True)
class _Text:
    """A line of text, before it is drawn."""

    x: int
    y: int
    text: str
    width: int
    """What it must fit, in pixels."""
    size: int
    """Of its letters, where it fits."""
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """A panel's rectangle in the mosaic, in pixels."""

    x: int
    y: int
    width: int
    height: int


def gap_for(column: int) -> int:
    """Space between columns of a width, and around all of them, in pixels."""
    return max(4, round(column / 64))


class Mosaic:
    """Panels in columns: each column's heading, and under it its views, one below the other.

    Width and height are even, as video encoders want them.

    Args:
        headings: one for each column.
        views: the same for all columns; a narrow view is centered under the widest.
        per_row: after how many columns the next ones begin below.
        titled: whether the headings are shown.
        under: whether they stand under the panels, as on a wall of a gallery, instead of over them.
    """

    def __init__(
        self, headings: Sequence[Heading], views: Sequence[View], *, per_row: int, titled: bool, under: bool = False
    ) -> None:
        self._headings, self._views = headings, views
        self._column = max(view.width for view in views)
        self._gap = gap_for(self._column)
        low, high = _TITLE_SIZES
        self._title_size = min(high, max(low, round(self._column * _TITLE_SHARE)))
        self._detail_size = max(_DETAIL_LEAST, round(self._title_size * _DETAIL_SHARE))
        self._texts: list[_Text] = []
        self.places: list[list[Place]] = [[] for _ in headings]
        """By column and view."""
        columns = min(per_row, len(headings))
        self.width = 2 * self._gap + columns * self._column + (columns - 1) * self._gap
        y = self._gap
        for first in range(0, len(headings), per_row):
            chunk = range(first, min(first + per_row, len(headings)))
            y = self._put_row(chunk, y, over=titled and not under, under=titled and under)
        self.width += self.width % 2
        self.height = y + y % 2
        self._empty = self._draw()

    def _put_row(self, columns: range, y: int, *, over: bool, under: bool) -> int:
        """Place a row of columns from ``y`` down; where the next one begins."""
        xs = [self._gap + n * (self._column + self._gap) for n in range(len(columns))]
        if over:
            y = self._put_headings(columns, xs, y) + self._gap // 2
        for view in self._views:
            if view.caption:
                y += self._gap // 2
                span = xs[-1] + self._column - xs[0]
                self._texts.append(_Text(xs[0], y, view.caption, span, self._detail_size, _MUTED))
                y += round(self._detail_size * _LINE) + self._gap // 2
            for x, column in zip(xs, columns, strict=True):
                left = x + (self._column - view.width) // 2
                self.places[column].append(Place(left, y, view.width, view.height))
            y += view.height + self._gap
        return self._put_headings(columns, xs, y - self._gap // 2) + self._gap if under else y

    def _put_headings(self, columns: range, xs: Sequence[int], y: int) -> int:
        """Place the headings of a row at ``y``; where they end."""
        title, detail = round(self._title_size * _LINE), round(self._detail_size * _LINE)
        for x, column in zip(xs, columns, strict=True):
            heading = self._headings[column]
            self._texts.append(_Text(x, y, heading.title, self._column, self._title_size, _BRIGHT))
            self._texts.append(_Text(x, y + title, heading.detail, self._column, self._detail_size, _MUTED))
        return y + title + detail

    def _draw(self) -> Pixels:
        picture = Image.new("RGB", (self.width, self.height), BACKGROUND)
        for entry in self._texts:
            # Texts of one kind get one size: the one that suits the longest.
            alike = [other.text for other in self._texts if (other.width, other.size) == (entry.width, entry.size)]
            size = max(SMALLEST, fitting_size(alike, entry.width * _FINE, entry.size * _FINE) // _FINE)
            text = shortened(entry.text, entry.width * _FINE, size * _FINE)
            # Drawn larger and scaled down: at a few pixels, letters and spaces that sit on whole ones stand unevenly.
            line = round(entry.size * _LINE)
            mask = Image.new("L", (entry.width * _FINE, line * _FINE))
            # By their middle, for fonts stand at different heights over their lines.
            ImageDraw.Draw(mask).text((0, line * _FINE // 2), text, 255, font_for(text, size * _FINE), anchor="lm")
            picture.paste(entry.color, (entry.x, entry.y), mask.reduce(_FINE))
        return np.array(picture, np.uint8)

    def fill(self, panels: Sequence[Sequence[Pixels]]) -> Pixels:
        """Put panels (uint8 H×W×3, by column and view) into their places."""
        whole = self._empty.copy()
        for column, places in zip(panels, self.places, strict=True):
            for panel, place in zip(column, places, strict=True):
                whole[place.y : place.y + place.height, place.x : place.x + place.width] = panel
        return whole
