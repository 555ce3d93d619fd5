"""Locks a painter's grid to the picture, so that strokes ride along when the camera moves.

A net that works at a fraction of the picture's size redraws its strokes when the picture moves by a part of its
stride, and carries them along when it moves by whole strides. So the frame is moved to where the grid lies on it as it
did in the frame before, to the pixel, painted there, and the painting is moved back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ..frame import Pixels
from .camera import CameraMotion, Plane

_HYSTERESIS = 0.5
"""Pixels beyond half a stride before the remainder jumps by a stride, so that it doesn't jump to and fro."""
_PLAY = 0.15
"""Pixels of motion that are taken for noise: a camera that stands still leaves the remainder exactly as it is."""
_SLACK = 0.05
"""Pixels that a moving camera is followed at, so that the next noise finds play on both sides."""
_EASE = 0.1
"""Pixels a frame by which the remainder goes back to 0 while there is no common motion to follow."""
_SUPPORT = 0.5
"""Share of the picture that must move as one to be followed."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a frame is moved to be painted, in pixels to the right and down."""

    x: int = 0
    y: int = 0


class PhaseLock:
    """Decides frame by frame where to paint.

    Whole pixels are followed, which costs no sharpness. What a fraction of a pixel changes in the strokes is left to
    :class:`~allaprima.coherence.strokes.StrokeMemory`.

    Args:
        stride: of the painter, in pixels, at least 2.
    """

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._camera = CameraMotion()
        self.reset()

    @property
    def border(self) -> int:
        """Pixels that :func:`moved` adds on every side: room for the largest move, a multiple of the stride."""
        return self._stride

    def reset(self) -> None:
        """Forget all frames: after a cut, a seek or a change of size."""
        self._camera.reset()
        self._followed = [0.0, 0.0]
        self._remainder = [0.0, 0.0]
        self.step: tuple[float, float] | None = None
        """How the picture was last followed, in pixels to the right and down; None where it didn't move as one."""

    def follow(self, pixels: Pixels, half: Plane | None = None) -> Offset:
        """Where to paint the next frame; see :meth:`~allaprima.coherence.camera.CameraMotion.follow`."""
        travel = self._camera.follow(pixels, half)
        before = tuple(self._followed)
        for axis, place in enumerate((travel.x, travel.y)):
            if travel.support < _SUPPORT:
                self._followed[axis] = place
                self._remainder[axis] = eased(self._remainder[axis])
            else:
                followed = with_play(self._followed[axis], place)
                step = followed - self._followed[axis]
                self._followed[axis] = followed
                self._remainder[axis] = next_remainder(self._remainder[axis], step, self._stride)
        together = travel.support >= _SUPPORT
        self.step = (self._followed[0] - before[0], self._followed[1] - before[1]) if together else None
        return Offset(*(-round(remainder) for remainder in self._remainder))


def next_remainder(remainder: float, step: float, stride: int) -> float:
    """The displacement since the reset, less the whole strides in it, after one more step.

    Args:
        remainder: before the step, in pixels.
        step: of the picture, in pixels.
        stride: of the painter, in pixels.

    Returns:
        Pixels, at most half a stride and the hysteresis of half a pixel.
    """
    remainder += step
    if abs(remainder) <= stride / 2 + _HYSTERESIS:
        return remainder
    return remainder - stride * round(remainder / stride)


def with_play(followed: float, place: float) -> float:
    """Follow a place as on a rope: not at all while it is within the play, else up to the slack behind it."""
    way = place - followed
    return followed if abs(way) <= _PLAY else place - math.copysign(_SLACK, way)


def eased(remainder: float) -> float:
    """One frame's way back to 0."""
    return math.copysign(max(abs(remainder) - _EASE, 0.0), remainder)


def moved(pixels: Pixels, offset: Offset, border: int) -> Pixels:
    """The frame in a border of its own reflection, moved.

    Args:
        pixels: uint8, H×W×3; sides of any length.
        offset: at most ``border`` in each direction.
        border: pixels on every side.

    Returns:
        uint8, (H + 2·border)×(W + 2·border)×3.
    """
    sides = (border + offset.y, border - offset.y, border + offset.x, border - offset.x)
    return np.asarray(cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_REFLECT_101), np.uint8)


def moved_back(painting: Pixels, offset: Offset, border: int) -> Pixels:
    """Undo :func:`moved` on the painting: exactly over the frame again, without the border."""
    height, width = painting.shape[:2]
    top, left = border + offset.y, border + offset.x
    return np.ascontiguousarray(painting[top : height - 2 * border + top, left : width - 2 * border + left])
