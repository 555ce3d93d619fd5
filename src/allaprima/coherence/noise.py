"""Filters sensor noise from frames before they are painted, so that a painter that answers to it has less to answer."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels
from .flow import LocalMotion, carried

UNKNOWN_GAIN = 4.0
"""Noise gain of a painter that nobody measured: what published nets have, which answer to noise strongly."""
_BORNE = 2.0
"""Noise gain up to which nothing is filtered: strokes that are kept leave a tenth of such changes by themselves."""
_NOISE, _CHANGE = 8, 20
"""Differences between a frame and the one before, of 255, up to which they are noise and from which they are none."""


class NoiseFilter:
    """Averages frames over time along their motion: out = old + f(new − old), color by color.

    For small differences f(d) = a·d, the recursive mean, which leaves a/√(2 − a) of the change that independent noise
    makes from frame to frame (from the variance of a first-order autoregressive process); for large ones f(d) = d, so
    that edges, new light and what comes into view pass at once.

    Args:
        gain: the painter's noise gain; see :func:`~allaprima.measure.quality.flicker.noise_gain`. The noise is brought
            down to 2/gain, and not at all if the gain is 2 or less: the rest is left to
            :class:`~allaprima.coherence.strokes.StrokeMemory`.
        share: 0-1, how much of this is done.
    """

    def __init__(self, gain: float = UNKNOWN_GAIN, share: float = 1.0) -> None:
        left = 1 - share * (1 - _BORNE / max(gain, _BORNE))
        self._table = _table(new_share(left)) if left < 1 else None
        self.reset()

    def reset(self) -> None:
        """Forget the frame before."""
        self._before: Pixels | None = None

    def filter(self, pixels: Pixels, motion: LocalMotion | None) -> Pixels:
        """Take the next frame.

        Args:
            pixels: uint8, H×W×3, of the same size as the one before.
            motion: to the frame before; None for the first.

        Returns:
            uint8, H×W×3: the frame with less noise, or itself.
        """
        if self._table is None:
            return pixels
        if self._before is not None and motion is not None:
            old = carried(self._before, motion, cv2.INTER_LINEAR)
            lighter, darker = (cv2.LUT(cv2.subtract(*pair), self._table) for pair in ((pixels, old), (old, pixels)))
            pixels = np.asarray(cv2.subtract(cv2.add(old, lighter, dst=lighter), darker, dst=darker), np.uint8)
        self._before = pixels
        return pixels


def new_share(left: float) -> float:
    """Share of the new frame in a recursive mean that leaves so much of independent noise's change, 0-1.

    Solves a/√(2 − a) = left.
    """
    square = left * left
    return (math.sqrt(square * square + 8 * square) - square) / 2


def _table(new: float) -> NDArray[np.uint8]:
    """f(d) for d from 0 to 255: ``new`` times d up to noise, d from change on, and in between from one to the other."""
    difference = np.arange(256)
    share = np.interp(difference, (_NOISE, _CHANGE), (new, 1.0))
    return np.asarray(np.ceil(share * difference - 0.5), np.uint8)
