"""Tiles of a picture, so placed that their paintings make up the painting of the whole, without a seam.

Tiles begin on the grid of the style's strokes and overlap by its reach on either side; what saw a border that isn't the
picture's own is cut away. All tiles of a picture have one size, so that one compiled graph paints them, and that size
leaves the same remainder by the grid as the picture's, so that the last tile's border is extended as the picture's is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import StyleError
from ..frame import Pixels
from ..style import Style
from .operators import NotLocalError
from .sight import Sight, sight

TILE_SIDE = 2048
"""Longest side of a tile in pixels. A tile of this size takes 0.2 GiB with a realtime style (43 bytes a pixel), and
3.6 GiB with a net like ``fast_neural_style`` (900 bytes a pixel), both in ONNX Runtime."""
WHOLE_PIXELS = 2 * TILE_SIDE**2
"""Pictures up to this size are painted in one go."""
UNTILED_PIXELS = 25_000_000
"""Pictures up to this size are painted in one go where there is no other way: 1 GiB to 22 GiB, by the net."""


@dataclass(frozen=True)
class Cut:
    """One tile along one side of the picture, in the picture's pixels."""

    start: int
    """Where the tile begins."""
    begin: int
    end: int
    """From where to where its painting is kept."""


@dataclass(frozen=True)
class Tiles:
    """How a picture is cut up."""

    height: int
    width: int
    """Of every tile."""
    rows: tuple[Cut, ...]
    columns: tuple[Cut, ...]


def plan_tiles(styles: Sequence[Style], height: int, width: int) -> Tiles | None:
    """How to cut up a picture.

    Args:
        styles: the style, and its int8 file where that may run instead.
        height, width: of the picture.

    Returns:
        None where the picture is painted in one go: because it is small enough, or because the style has a fixed size.

    Raises:
        StyleError: the picture is larger than :data:`UNTILED_PIXELS`, and tiles would change the painting.
    """
    style = styles[0]
    if height * width <= WHOLE_PIXELS or style.fixed_size:
        return None
    try:
        return _cut_up([_seer(each) for each in styles], _outer_stride(style), height, width)
    except NotLocalError as error:
        if height * width <= UNTILED_PIXELS:
            return None
        raise StyleError(
            f"style '{style.name}' can't paint {width}x{height} pixels in tiles, since {error}: scale the picture down"
            f" to {UNTILED_PIXELS / 1e6:g} megapixels, or take a style that sees a neighborhood only, as those bundled"
        ) from error


def paint_tiles(pixels: Pixels, tiles: Tiles, paint: Callable[[Pixels], Pixels]) -> Pixels:
    """Paint a picture, uint8 H×W×3, tile by tile; the painting, of the same size."""
    painting = np.empty_like(pixels)
    for row in tiles.rows:
        for column in tiles.columns:
            tile = pixels[row.start : row.start + tiles.height, column.start : column.start + tiles.width]
            painted = paint(np.ascontiguousarray(tile))
            painting[row.begin : row.end, column.begin : column.end] = painted[
                row.begin - row.start : row.end - row.start, column.begin - column.start : column.end - column.start
            ]
    return painting


def _outer_stride(style: Style) -> int:
    """What a picture's sides are extended to multiples of before the graph sees it."""
    return 1 if style.card.pads else style.card.stride


def _seer(style: Style) -> Callable[[int, int], Sight]:
    """What the style sees in pictures of a size."""
    if any(name == "previous" or name.startswith("state.") for name in style.card.inputs):
        raise NotLocalError("its memory is of whole pictures")
    stride = _outer_stride(style)
    return lambda height, width: sight(style.model, -(-height // stride) * stride, -(-width // stride) * stride)


def _cut_up(seers: list[Callable[[int, int], Sight]], stride: int, height: int, width: int) -> Tiles:
    whole = [see(height, width) for see in seers]
    grid = math.lcm(stride, *(each.grid for each in whole))
    margin = max(-(-each.reach // grid) * grid for each in whole)
    tile_height, rows = cuts(height, margin, grid)
    tile_width, columns = cuts(width, margin, grid)
    if tile_height * tile_width > UNTILED_PIXELS:
        raise NotLocalError(f"it looks {margin} pixels far")
    if any(see(tile_height, tile_width).borders != each.borders for see, each in zip(seers, whole, strict=True)):
        raise NotLocalError("its borders depend on the picture's size")
    return Tiles(tile_height, tile_width, rows, columns)


def cuts(side: int, margin: int, grid: int, longest: int | None = None) -> tuple[int, tuple[Cut, ...]]:
    """Cut one side of a picture into tiles of one length.

    Args:
        side: in pixels.
        margin: what is cut away at a border that isn't the picture's, a multiple of ``grid``.
        grid: what tiles begin at multiples of.
        longest: a tile's length at most, :data:`TILE_SIDE` unless told; four margins where that is more.

    Returns:
        The length of every tile, and the tiles.
    """
    longest = max(longest or TILE_SIDE, 4 * margin, 4 * grid)
    if side <= longest:
        return side, (Cut(0, 0, side),)
    inner = side - 2 * margin
    count = -(-inner // ((longest - 2 * margin - grid) // grid * grid))
    step = -(-inner // (count * grid)) * grid
    length = step + 2 * margin + side % grid
    starts = sorted({min(index * step, side - length) for index in range(count)})
    begins = [0, *(start + margin for start in starts[1:])]
    return length, tuple(map(Cut, starts, begins, [*begins[1:], side]))
