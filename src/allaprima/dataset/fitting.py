"""Frames and their motion at the size of a data set: scaled to cover it, the middle cut out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from ..frame import Pixels
from ..measure.quality.motion import Mask, Motion, inside
from ..stylizer import scale

_WHOLE = 0.999
"""Share of a pixel's area that must be valid, up to rounding: all of it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How pictures of one size become pictures of another: scaled, then cropped in the middle."""

    original: tuple[int, int]
    """(width, height) of what comes in."""
    scaled: tuple[int, int]
    """(width, height) before cropping; in square pixels."""
    size: tuple[int, int]
    """(width, height) of what comes out."""
    enlarges: bool
    """Whether pictures are scaled up."""

    @classmethod
    def cover(cls, width: int, height: int, size: tuple[int, int] | None, sample_aspect: Fraction = Fraction(1)) -> Fit:
        """Scale so that ``size`` is covered and nothing else than needed is cropped.

        Args:
            width, height: of what comes in, in pixels.
            size: (width, height) of what shall come out; None keeps the height, and the width as shown.
            sample_aspect: width of a pixel as shown by its height.
        """
        shown = width * sample_aspect
        if size is None:
            size = (max(round(shown), 1), height)
        factor = max(size[0] / shown, Fraction(size[1], height))
        scaled = (max(size[0], round(shown * factor)), max(size[1], round(height * factor)))
        return cls((width, height), scaled, size, bool(size != (round(shown), height) and factor > 1))

    def pixels(self, pixels: Pixels) -> Pixels:
        """A picture, uint8 H×W×3, at the new size."""
        return np.ascontiguousarray(scale(pixels, self.scaled)[self._middle()])

    def motion(self, flow: Motion, valid: Mask) -> tuple[Motion, Mask]:
        """Motion between two such pictures at the new size.

        A pixel takes the vector at its middle, for vectors of two surfaces have no mean that is true of either; it is
        valid where all of its area was, and where it comes from inside of what was cropped out.

        Args:
            flow: float32, H×W×2, pixels.
            valid: bool, H×W.

        Returns:
            flow: float32, H×W×2, in pixels of the new size.
            valid: bool, H×W.
        """
        nearest = cv2.resize(flow, self.scaled, interpolation=cv2.INTER_NEAREST_EXACT)
        factors = np.array([new / old for new, old in zip(self.scaled, self.original, strict=True)], np.float32)
        way = cv2.INTER_LINEAR if self.enlarges else cv2.INTER_AREA
        share = cv2.resize(valid.astype(np.float32), self.scaled, interpolation=way)
        fitted = np.ascontiguousarray(np.asarray(nearest, np.float32)[self._middle()] * factors)
        return fitted, np.asarray(share >= _WHOLE)[self._middle()] & inside(fitted)

    def _middle(self) -> tuple[slice, slice]:
        left, top = (self.scaled[0] - self.size[0]) // 2, (self.scaled[1] - self.size[1]) // 2
        return slice(top, top + self.size[1]), slice(left, left + self.size[0])
