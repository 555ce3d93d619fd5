"""Brings a painting made at a lower size to the frame's full size, with the frame's edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .frame import Pixels
from .style import MINIMUM_SIDE

Plane = NDArray[np.uint8]
Gain = NDArray[np.int16]

_SUBSAMPLING = 2
"""The painting's light is compared with the frame's at a half of the work size."""
_WINDOW = (5, 5)
"""Pixels of that over which it is compared. Smaller windows glitter; larger ones follow the painting less."""
_NOISE = 100.0
"""Variance of the frame's light, of 255², below which its detail is held back: it is grain rather than an edge."""
_MOST_GAIN = 1.5
_STEP_BITS = 6
_STEPS = 1 << _STEP_BITS
"""To a gain of 1. Levels times steps times the most gain stay within 16 bits."""
_BAND = 32
"""Rows that are worked on at once, so that they stay in the processor's cache."""


def work_size_of(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) at which a frame is painted, of the frame's shape to the nearest pixel.

    Args:
        width, height: of the frame.
        short_side: of the painting, in pixels.

    Raises:
        UsageError: larger than the frame, or shorter than the least side that styles paint.
    """
    least = min(width, height)
    if short_side > least:
        raise UsageError(
            f"a work size of {short_side} is larger than the frame, which is {width}x{height}:"
            f" its short side can be {least} at most; leave the work size out to paint at full size"
        )
    if short_side < MINIMUM_SIDE:
        raise UsageError(f"a work size is the short side in pixels, {MINIMUM_SIDE} at least, not {short_side}")
    return round(width * short_side / least), round(height * short_side / least)


class Refiner:
    """Brings the paintings of one stream to their frames' size; memory is kept from frame to frame."""

    def __init__(self) -> None:
        self._light = np.empty((0, 0), np.uint8)
        self._gain = np.empty((0, 0), np.int16)

    def refine(self, painting: Pixels, small: Pixels, frame: Pixels) -> Pixels:
        """Bring a painting to its frame's size.

        Around each pixel the painting's light is taken for a linear function of the frame's, with the slope
        a = cov(I, p) / (var(I) + ε), averaged once more over the window: the guided filter's, from subsampled pictures
        (He and Sun 2015, "Fast Guided Filter", algorithm 2). The result is U(p) + U(a)·(I' − U(I)), where U brings to
        full size and I' is the full frame's light. That is where we differ: the guided filter keeps a·I' + b, and with
        it only as much of the strokes as the frame's light explains; we keep the painting, and add the frame's detail
        as strongly, and with the sign, as the painting shows the frame's light there. The slope is that of light alone,
        the same for all three channels, and its size is limited. What is looked at is near, and of this frame alone.

        Args:
            painting: uint8, h×w×3, RGB.
            small: what was painted, uint8, h×w×3, RGB: the frame, scaled down by area.
            frame: uint8, H×W×3, RGB; H ≥ h, W ≥ w.

        Returns:
            uint8, H×W×3, RGB; a new array. The same as the painting where the sizes are the same.
        """
        height, width = frame.shape[:2]
        if self._light.shape != (height, width):
            self._light, self._gain = np.empty((height, width), np.uint8), np.empty((height, width), np.int16)
        size = (width, height)
        light = _light(small)
        cv2.resize(light, size, dst=self._light, interpolation=cv2.INTER_CUBIC)
        cv2.resize(_gain(light, _light(painting)), size, dst=self._gain, interpolation=cv2.INTER_LINEAR)
        refined = np.asarray(cv2.resize(painting, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        for top in range(0, height, _BAND):
            rows = slice(top, top + _BAND)
            detail = np.subtract(_light(frame[rows]), self._light[rows], dtype=np.int16)
            detail *= self._gain[rows]
            detail += _STEPS // 2
            detail >>= _STEP_BITS
            _add(refined[rows], detail)
        return refined


def _light(pixels: Pixels) -> Plane:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _gain(light: Plane, painted: Plane) -> Gain:
    """How much lighter the painting gets where the frame gets lighter, in steps; subsampled."""
    size = (-(-light.shape[1] // _SUBSAMPLING), -(-light.shape[0] // _SUBSAMPLING))
    light, painted = (
        np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8) for plane in (light, painted)
    )
    mean, painted_mean = _mean(light), _mean(painted)
    covariance = _mean(np.multiply(light, painted, dtype=np.uint16))
    covariance -= np.multiply(mean, painted_mean, out=painted_mean)
    squares = cv2.sqrBoxFilter(light, cv2.CV_32F, _WINDOW, borderType=cv2.BORDER_REFLECT_101)
    variance = np.asarray(squares, np.float32)
    variance -= np.multiply(mean, mean, out=mean)
    variance += _NOISE
    gain = _mean(np.divide(covariance, variance, out=covariance))
    gain *= _STEPS
    np.clip(gain, -_MOST_GAIN * _STEPS, _MOST_GAIN * _STEPS, out=gain)
    return np.rint(gain, out=gain).astype(np.int16)


def _mean(plane: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.float32]:
    mean = cv2.boxFilter(plane, cv2.CV_32F, _WINDOW, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(mean, np.float32)


def _add(pixels: Pixels, detail: NDArray[np.int16]) -> None:
    """Add the same to all channels, in place: what is lighter and what is darker by turns, since bytes have no sign."""
    lighter = np.clip(detail, 0, 255).astype(np.uint8)
    darker = np.clip(np.negative(detail, out=detail), 0, 255).astype(np.uint8)
    cv2.add(pixels, cv2.cvtColor(lighter, cv2.COLOR_GRAY2RGB), dst=pixels)
    cv2.subtract(pixels, cv2.cvtColor(darker, cv2.COLOR_GRAY2RGB), dst=pixels)
