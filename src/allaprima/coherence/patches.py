"""Paints parts of a frame as they look in the painting of the whole."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels
from ..painter import Painter
from ..tiling.operators import NotLocalError
from ..tiling.sight import sight
from ..tiling.tiles import Cut, Tiles, cuts

Window = tuple[slice, slice]
"""Rows and columns."""

_TILE = 224
"""Longest side in pixels of what is painted at once: smaller tiles lie closer around what is asked for, and larger ones
overlap less."""
_MARGIN = 32
"""Pixels that are cut away where a tile borders on others. Styles look farther, 51 pixels in those bundled, but what
lies beyond this changes their paintings by 0.01 of 255 on average, and by 2 at most."""
_WORTH, _WORTH_ALL = 0.03, 0.05
"""Share of a patch, and of a frame that can't be patched, that must be asked for, for it to be painted. Less
is shown as it was carried."""
_WHOLE = 0.35
"""Share of the frame's pixels that tiles may have together; with more, the frame is painted as a whole."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of a frame."""

    tiles: Tiles
    row: Cut
    column: Cut

    @property
    def window(self) -> Window:
        """Its rows and columns."""
        return slice(self.row.begin, self.row.end), slice(self.column.begin, self.column.end)

    @property
    def tile(self) -> Window:
        """What must be painted for it."""
        return (
            slice(self.row.start, self.row.start + self.tiles.height),
            slice(self.column.start, self.column.start + self.tiles.width),
        )

    @property
    def kept(self) -> Window:
        """Where in the tile it is."""
        return (
            slice(self.row.begin - self.row.start, self.row.end - self.row.start),
            slice(self.column.begin - self.column.start, self.column.end - self.column.start),
        )


class Patches:
    """Paints parts of frames with a painter, by the same strokes as in a painting of the whole frame.

    The frame is cut into tiles (see :mod:`~allaprima.tiling.tiles`), of which only those asked for are painted. A style
    of a fixed size, or that looks at the whole picture, can't paint patches.

    Args:
        painter: of the style.
    """

    def __init__(self, painter: Painter) -> None:
        # A painter's engine is for one size at a time, and tiles have their own.
        self._painter = copy.copy(painter)
        self._size: tuple[int, ...] | None = None
        self._tiles: Tiles | None = None

    def covering(self, lost: NDArray[np.bool_]) -> list[Patch] | None:
        """The patches to paint, which don't overlap, for what is lost of a frame: bool, H×W.

        None where the frame should be painted as a whole, which takes less time or is the only way.
        """
        if lost.shape != self._size:
            self._size, self._tiles = lost.shape, self._cut_up(*lost.shape)
        tiles = self._tiles
        if tiles is None:
            return None if lost.mean() > _WORTH_ALL else []
        patches = [
            patch
            for patch in (Patch(tiles, row, column) for row in tiles.rows for column in tiles.columns)
            if lost[patch.window].mean() > _WORTH
        ]
        return None if len(patches) * tiles.height * tiles.width > _WHOLE * lost.size else patches

    def paint(self, frame: Pixels, patch: Patch) -> Pixels:
        """The painting of a patch of a frame, uint8, H×W×3 each."""
        return self._painter.paint(np.ascontiguousarray(frame[patch.tile]), {})[0][patch.kept]

    def _cut_up(self, height: int, width: int) -> Tiles | None:
        """Tiles for frames of a size; None where there can be none."""
        style = self._painter.style
        if style.fixed_size:
            return None
        stride = 1 if style.card.pads else style.card.stride
        try:
            seen = sight(style.model, *(-(-side // stride) * stride for side in (height, width)))
        except NotLocalError:
            return None
        grid = math.lcm(stride, seen.grid)
        margin = -(-_MARGIN // grid) * grid
        tile_height, rows = cuts(height, margin, grid, _TILE)
        tile_width, columns = cuts(width, margin, grid, _TILE)
        return Tiles(tile_height, tile_width, rows, columns)
