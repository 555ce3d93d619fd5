"""What scenes are painted with: noise on many scales, color ramps, and a canvas that is drawn large and shrunk."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Color = tuple[float, float, float]
Points = Sequence[tuple[float, float]]

DENSITY = 1.25
"""Texture pixels to a scene unit. A unit is a frame pixel at zoom 1, so this is also the zoom that stays sharp."""
SUPERSAMPLE = 2


def noise(shape: tuple[int, int], cell: tuple[float, float] | float, octaves: int, rng: np.random.Generator) -> Float:
    """Value noise, cubic between lattice points, each octave half as large and half as strong.

    Args:
        shape: rows and columns.
        cell: size of the first octave's cell in pixels, (x, y) or both.
        octaves: how many; those finer than a pixel and a half are left out.

    Returns:
        float32, H×W, mean near 0, nearly all within ±1.
    """
    cell_x, cell_y = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros(shape, np.float32)
    strength = 1.0
    for _ in range(octaves):
        if cell_x < 1.5 and cell_y < 1.5:
            break
        step_x, step_y = max(cell_x, 1.0), max(cell_y, 1.0)
        grid = rng.uniform(-1, 1, (int(shape[0] / step_y) + 4, int(shape[1] / step_x) + 4)).astype(np.float32)
        into = np.array([[step_x, 0, -step_x], [0, step_y, -step_y]], np.float64)
        total += strength * cv2.warpAffine(grid, into, (shape[1], shape[0]), flags=cv2.INTER_CUBIC)
        strength, cell_x, cell_y = strength / 2, cell_x / 2, cell_y / 2
    return total


def smoothstep(low: float, high: float, value: Float) -> Float:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1).astype(np.float32)
    result: Float = t * t * (3 - 2 * t)
    return result


def ramp(value: Float, stops: Sequence[tuple[float, Color]]) -> Float:
    """Colors along a value: float32, H×W×3."""
    at = [stop for stop, _ in stops]
    planes = [np.interp(value, at, [color[i] for _, color in stops]) for i in range(3)]
    return np.stack(planes, axis=-1).astype(np.float32)


def mix(under: Float, over: Float | Color, weight: Float | float) -> Float:
    """Between two colors; ``weight`` H×W or a number."""
    share = weight[..., None] if isinstance(weight, np.ndarray) else np.float32(weight)
    result: Float = under + (np.asarray(over, np.float32) - under) * share
    return result


class Canvas:
    """A transparent sheet, drawn on in scene units and kept as a texture.

    ``color`` is float32, H×W×3, 0-255, and ``cover`` uint8, H×W, 0 or 255, both supersampled (what has no hard
    edges may do without).
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, *, supersample: int = SUPERSAMPLE) -> None:
        self.left, self.top = left, top
        self.supersample = supersample
        self.scale = DENSITY * supersample
        # Whole texture pixels, so that shrinking takes whole blocks.
        self.shape = (
            supersample * round((bottom - top) * DENSITY),
            supersample * round((right - left) * DENSITY),
        )
        self.color = np.zeros((*self.shape, 3), np.float32)
        self.cover = np.zeros(self.shape, np.uint8)

    @property
    def x(self) -> Float:
        """Scene x of each column: float32, 1×W."""
        result: Float = ((np.arange(self.shape[1], dtype=np.float32) + 0.5) / self.scale + self.left)[None]
        return result

    @property
    def y(self) -> Float:
        """Scene y of each row: float32, H×1."""
        result: Float = ((np.arange(self.shape[0], dtype=np.float32) + 0.5) / self.scale + self.top)[:, None]
        return result

    def noise(self, cell: tuple[float, float] | float, octaves: int, rng: np.random.Generator) -> Float:
        """:func:`noise` over the canvas, ``cell`` in scene units."""
        x, y = cell if isinstance(cell, tuple) else (cell, cell)
        return noise(self.shape, (x * self.scale, y * self.scale), octaves, rng)

    def _pixels(self, points: Points) -> NDArray[np.int32]:
        at = (np.asarray(points, np.float64) - (self.left, self.top)) * self.scale - 0.5
        return np.round(at * 16).astype(np.int32)

    def polygon(self, points: Points, color: Color) -> None:
        """Fill a polygon with one color."""
        where = [self._pixels(points)]
        cv2.fillPoly(self.color, where, color, shift=4)
        cv2.fillPoly(self.cover, where, 255, shift=4)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fill a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def line(self, points: Points, color: Color, width: float) -> None:
        """Draw an open line with round ends, ``width`` in scene units."""
        where, thickness = [self._pixels(points)], max(round(width * self.scale), 1)
        cv2.polylines(self.color, where, False, color, thickness, shift=4)
        cv2.polylines(self.cover, where, False, 255, thickness, shift=4)

    def dab(self, x: float, y: float, rx: float, ry: float, color: Color, *, turn: float = 0) -> None:
        """One touch of a brush: an ellipse, radii in scene units, ``turn`` in degrees."""
        k = 16 * self.scale
        at = (round((x - self.left) * k) - 8, round((y - self.top) * k) - 8)
        axes = (int(rx * k), int(ry * k))
        cv2.ellipse(self.color, at, axes, turn, 0, 360, color, -1, shift=4)
        cv2.ellipse(self.cover, at, axes, turn, 0, 360, 255, -1, shift=4)

    def fill(self, color: Float, where: NDArray[np.bool_] | None = None) -> None:
        """Lay colors (H×W×3) over the canvas, everywhere or where true."""
        if where is None:
            self.color[:] = color
            self.cover[:] = 255
        else:
            self.color[where] = color[where]
            self.cover[where] = 255

    def shade(self, amount: Float, where: NDArray[np.bool_] | None = None) -> None:
        """Multiply the color by 1 + ``amount`` (H×W), everywhere or where true."""
        factor = 1 + (amount if where is None else amount * where)
        self.color *= factor[..., None]

    def texture(self) -> NDArray[np.uint8]:
        """Shrink to uint8, H×W×4, slightly soft, with colors that reach past the edge of the alpha."""
        size = (self.shape[1] // self.supersample, self.shape[0] // self.supersample)
        cover = self.cover.astype(np.float32) / 255
        paint = np.dstack([np.clip(self.color, 0, 255) * cover[..., None], cover])
        # A little blur limits the band, so that sampling between pixels while the camera moves is nearly exact.
        small = cv2.GaussianBlur(cv2.resize(paint, size, interpolation=cv2.INTER_AREA), (0, 0), 0.6)
        alpha = small[..., 3:]
        wide = cv2.GaussianBlur(small, (0, 0), 4)
        near = small[..., :3] / np.maximum(alpha, 1e-3)
        far = wide[..., :3] / np.maximum(wide[..., 3:], 1e-3)
        color = np.where(alpha > 0.02, near, far)
        return np.clip(np.dstack([color, alpha * 255]) + 0.5, 0, 255).astype(np.uint8)
