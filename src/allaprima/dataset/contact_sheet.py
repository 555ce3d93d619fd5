"""A picture of what will be trained on: thumbnails in rows, what is for test in a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..comparison.mosaic import BACKGROUND, FRAME, Heading, Mosaic, View
from ..frame import Pixels
from .manifest import TEST, Entry

MOST = 64
_PER_ROW, _WIDTH, _TALLEST, _BORDER = 8, 192, 384, 4


def draw_sheet(entries: Sequence[Entry], show: Callable[[Entry], Pixels]) -> Pixels:
    """Thumbnails 192 pixels wide, eight a row, each under its split, source and time; a yellow frame marks ``test``.

    Args:
        entries: one or more, of which at most 64 are drawn, evenly spaced, those for training before those for test.
        show: the picture of an entry, uint8, H×W×3, RGB; the first one's proportions are the cells'.

    Returns:
        uint8, H×W×3, RGB.
    """
    ordered = sorted(entries, key=lambda entry: entry.split == TEST)
    places = np.linspace(0, len(ordered) - 1, min(MOST, len(ordered))).round().astype(int)
    chosen = [ordered[place] for place in places]
    height, width = show(chosen[0]).shape[:2]
    cell = (_WIDTH, min(max(round(_WIDTH * height / width), 1), _TALLEST))
    headings = [_heading(entry) for entry in chosen]
    mosaic = Mosaic(headings, [View(*cell)], per_row=min(_PER_ROW, len(chosen)), titled=True)
    return mosaic.fill([[_thumbnail(show(entry), cell, marked=entry.split == TEST)] for entry in chosen])


def _heading(entry: Entry) -> Heading:
    origin = entry.origin
    time = "" if origin.seconds is None else f"{origin.seconds:.1f} s, "
    return Heading(f"{entry.split}, shot {origin.shot}" if origin.shot else entry.split, time + origin.source)


def _thumbnail(pixels: Pixels, cell: tuple[int, int], *, marked: bool) -> Pixels:
    """The picture whole, in the middle of its cell."""
    height, width = pixels.shape[:2]
    factor = min(cell[0] / width, cell[1] / height)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    if marked:
        small = np.asarray(cv2.rectangle(small, (0, 0), (size[0] - 1, size[1] - 1), FRAME, _BORDER), np.uint8)
    whole = np.full((cell[1], cell[0], 3), BACKGROUND, np.uint8)
    left, top = (cell[0] - size[0]) // 2, (cell[1] - size[1]) // 2
    whole[top : top + size[1], left : left + size[0]] = small
    return whole
