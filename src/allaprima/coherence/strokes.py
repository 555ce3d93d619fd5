"""Keeps the strokes: the painting before is carried along with the picture and laid over the new one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels
from .flow import LocalMotion, carried

Plane = NDArray[np.float32]
Window = tuple[int, int]

KEPT = 0.85
"""Share of the carried painting in the next one, where it is trusted in full."""
_AROUND = np.ones((7, 7), np.uint8)
"""Pixels of the new painting whose lightest and darkest bound the carried one."""
_STROKE: Window = (9, 9)
_EDGE: Window = (3, 3)
"""Pixels whose mean is the ground that strokes, and edges, stand out from."""
_CELL, _FINE = 16, 8
"""Pixels over which contrasts are compared, and at which it is looked whether something moves."""
_LEAST = 0.5
"""Contrast, of 255, that counts as none, so that nothing is made of it."""
_STROKE_STEEPNESS, _EDGE_STEEPNESS = 2.0, 2.0
"""How fast contrast is given back as it falls behind."""
_MOST_STROKE, _MOST_EDGE = 0.2, 0.7
"""How much of what stands out is added, at most; of old strokes no more than 1/kept − 1, either."""
_BAND = 32
"""Rows that are worked on at once, so that they stay in the processor's cache."""
_ONE = np.ones(4)
"""For OpenCV, a number to be taken from all channels."""


class StrokeMemory:
    """Blends each painting with the one before, carried along with the picture.

    As in temporal antialiasing (Karis 2014, "High Quality Temporal Supersampling"), the old painting is bounded by the
    darkest and the lightest that the new one has around each pixel, so that nothing is left behind what moves. The
    window is wider than there, since a stroke may be drawn anew a few pixels off.

    The mean of strokes drawn anew is paler than each of them, more so the longer it goes on, and each interpolation
    softens. So where the picture moves, the contrast of the old strokes is raised when it falls behind that of the new
    ones, by at most what the blend takes from it: no pattern can grow by itself. What edges lack is taken from the new
    painting.

    Args:
        share: above 0, to 1: how much of this is done.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._kept = KEPT * share
        self.reset()

    def reset(self) -> None:
        """Forget the painting before."""
        self._painting: Pixels | None = None
        self._fades = False  # in every other frame, since one step a frame would be seen

    def keep(self, painting: Pixels, motion: LocalMotion | None) -> Pixels:
        """Take the next painting.

        Args:
            painting: as the painter made it, uint8, H×W×3; of the same size as the one before.
            motion: of its frame, to the frame before; None for the first, which starts anew.

        Returns:
            What to show instead, uint8, H×W×3.
        """
        if motion is None:
            self.reset()
        elif self._painting is not None:
            painting = self._blend(carried(self._painting, motion, cv2.INTER_LINEAR), painting, motion)
        self._painting = painting
        return painting

    def _blend(self, old: Pixels, new: Pixels, motion: LocalMotion) -> Pixels:
        old = np.asarray(cv2.max(old, cv2.erode(new, _AROUND)), np.uint8)
        cv2.min(old, cv2.dilate(new, _AROUND), dst=old)
        blend = _Sum(new)
        self._fades = not self._fades
        blend.add(old, new, motion.trust, self._kept, fades=self._fades)
        if not motion.still:
            light, old_light = (np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in (new, old))
            moves = _moving(motion)
            pale = _contrast(light, _STROKE) / _contrast(old_light, _STROKE) - 1
            soft = 1 - _contrast(old_light, _EDGE) / _contrast(light, _EDGE)
            most = min(1 / self._kept - 1, _MOST_STROKE)
            blend.add(old, _ground(old, _STROKE), _share(_STROKE_STEEPNESS * pale / most, moves), self._kept * most)
            share = _share(_EDGE_STEEPNESS * soft / _MOST_EDGE, moves)
            blend.add(new, _ground(new, _EDGE), share, self._kept * _MOST_EDGE)
        return blend.pixels


class _Sum:
    """Adds differences of pictures to a picture, in bytes, which have no sign."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels.copy()

    def add(self, plus: Pixels, minus: Pixels, share: Plane, scale: float, *, fades: bool = False) -> None:
        """Add scale · share · (plus − minus), in whole steps.

        Args:
            plus, minus: uint8, H×W×3.
            share: 0-1, of any size: it is stretched over the picture.
            scale: 0-1.
            fades: take differences for one less, so that the smallest fade, which rounding would keep forever: they
                add up when each interpolation rounds up.
        """
        height, width = self.pixels.shape[:2]
        weight = (share * np.float32(255)).astype(np.uint8)
        if weight.shape != (height, width):
            weight = np.asarray(cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        for top in range(0, height, _BAND):
            rows = slice(top, top + _BAND)
            weights = cv2.merge([weight[rows]] * 3)
            up, down = cv2.subtract(plus[rows], minus[rows]), cv2.subtract(minus[rows], plus[rows])
            if fades:
                cv2.subtract(up, _ONE, dst=up)
                cv2.subtract(down, _ONE, dst=down)
            cv2.multiply(up, weights, dst=up, scale=scale / 255)
            cv2.multiply(down, weights, dst=down, scale=scale / 255)
            pixels = self.pixels[rows]
            cv2.subtract(cv2.add(pixels, up, dst=up), down, dst=pixels)


def _moving(motion: LocalMotion) -> Plane:
    """Trust where all around moves, a value every few pixels.

    What stands still loses no contrast, and would be raised in place again and again.
    """
    moves = np.asarray(motion.flow[::_FINE, ::_FINE].any(axis=2), np.uint8)
    all_around = cv2.erode(moves, np.ones((3, 3), np.uint8))
    return np.asarray(motion.trust[::_FINE, ::_FINE] * all_around, np.float32)


def _share(amount: Plane, moves: Plane) -> Plane:
    height, width = moves.shape
    amount = np.asarray(cv2.resize(np.clip(amount, 0, 1), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return amount * moves


def _contrast(light: NDArray[np.uint8], window: Window) -> Plane:
    """Mean distance of the light from its ground in and around each cell, of 255."""
    height, width = light.shape
    cells = (max(width // _CELL, 1), max(height // _CELL, 1))
    few = cv2.resize(cv2.absdiff(light, _ground(light, window)), cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(few.astype(np.float32), (3, 3)), np.float32) + _LEAST


def _ground(pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    return np.asarray(cv2.blur(pixels, window), np.uint8)
