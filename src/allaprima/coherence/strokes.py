"""Keeps the strokes: the painting before is carried along with the picture and laid over the new one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels
from .flow import LocalMotion, carried

Mask = NDArray[np.uint8]
Plane = NDArray[np.float32]

KEPT = 0.88
"""Share of the carried painting in the next one, where it is trusted."""
_TRUSTED = 0.8
"""Trust from which on the carried painting is kept; below, the new one is shown."""
_AROUND = np.ones((7, 7), np.uint8)
"""Pixels of the new painting whose lightest and darkest bound the carried one."""
_DETAIL = (3, 3)
"""Pixels whose mean is the ground that detail stands out from."""
_AIM, _ENOUGH = 1.02, 0.98
"""Sharpness of what is shown, as a share of the new painting's: so much where something is done for it, which is where
the blend has less than this."""
_MOST_DETAIL, _MOST_LIGHT = 7.5, 3.0
"""How many times over detail, and how much light, of 255, is added to the new painting at most."""
_MOST_STILL = 1.0
"""The same of detail where nothing moves: there, sensor noise alone makes strokes anew, and is not to be raised."""
_HALVINGS = 6
"""Of the range in which the right amount of detail is looked for."""
_BAND, _STEP, _ACROSS = 12, 48, 2
"""Rows in which sharpness is measured, from each such band to the next, and columns from one value to the next."""
_LEAST_MOVING, _LEAST_STILL = 0.02, 0.5
"""Shares of the picture from which on what moves, and what stands still, is worth looking after."""
_STILL_AROUND = np.ones((5, 5), np.uint8)
"""Values of the flow that must all move."""
_DITHER = 0.4
"""Added in one frame and taken off in the next before rounding, which would else keep the last small differences."""


class StrokeMemory:
    """Blends each painting with the one before, carried along with the picture.

    As in temporal antialiasing (Karis 2014, "High Quality Temporal Supersampling"), the old painting is bounded by the
    darkest and the lightest that the new one has around each pixel, so that nothing is left behind what moves. The
    window is wider than there, since a stroke may be drawn anew a few pixels off.

    The mean of strokes drawn anew is softer than each of them, and each interpolation softens. So where the picture
    moves, the detail of the new painting is raised before it is laid under the old one, by as much as makes the blend
    as sharp as the new painting. Nothing is taken from the old one for it, so no pattern can grow by itself.

    Args:
        share: above 0, to 1: how much of this is done.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._kept = KEPT * share
        self._work = np.empty((2, 0, 0, 3), np.uint8)
        self.reset()

    def reset(self) -> None:
        """Forget the painting before."""
        self._painting: Pixels | None = None
        self._dither = _DITHER

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
            painting = self._blended(self._painting, painting, motion)
        self._painting = painting
        return painting

    def _blended(self, before: Pixels, new: Pixels, motion: LocalMotion) -> Pixels:
        if self._work.shape[1:] != new.shape:
            self._work = np.empty((2, *new.shape), np.uint8)
        old, spare = self._work
        cv2.max(carried(before, motion, cv2.INTER_LINEAR, old), cv2.erode(new, _AROUND, dst=spare), dst=old)
        cv2.min(old, cv2.dilate(new, _AROUND, dst=spare), dst=old)
        trusted = np.asarray(motion.trust >= _TRUSTED, np.uint8)
        under = self._raised(new, old, trusted, motion)
        self._dither = -self._dither
        blend = np.asarray(cv2.addWeighted(old, self._kept, under, 1 - self._kept, self._dither), np.uint8)
        _copy_where(trusted == 0, new, blend)
        return blend

    def _raised(self, new: Pixels, old: Pixels, trusted: Mask, motion: LocalMotion) -> Pixels:
        """The new painting with more detail, and, where it moves, the light that interpolation rounded away."""
        x, y = cv2.split(motion.flow)
        moves = np.asarray(cv2.erode(((x != 0) | (y != 0)).astype(np.uint8), _STILL_AROUND), np.uint8)
        light, old_light = (cv2.cvtColor(_sample(each), cv2.COLOR_RGB2GRAY) for each in (new, old))
        edges = [cv2.Laplacian(each, cv2.CV_16S)[:, ::_ACROSS] for each in (light, old_light, cv2.blur(light, _DETAIL))]
        rest = 1 - self._kept
        shown, raised = new, self._work[1]
        for area, moving in ((moves, True), (1 - moves, False)):
            share = float(area.mean())
            if share < (_LEAST_MOVING if moving else _LEAST_STILL):
                continue
            where = _sample(_stretched(trusted * area, new))
            for row in (0, 1, -2, -1):  # the next band shows in these
                where[row % _BAND :: _BAND] = 0
            at = where[:, ::_ACROSS]
            lift = self._lift(*(np.multiply(each, at, dtype=np.float32) for each in edges))
            lift = min(lift, _MOST_DETAIL if moving else _MOST_STILL)
            lost = (cv2.mean(light, where)[0] - cv2.mean(old_light, where)[0]) * self._kept / rest if moving else 0.0
            if not (lift or lost):
                continue
            cv2.blur(new, _DETAIL, dst=raised)
            cv2.addWeighted(new, 1 + lift, raised, -lift, min(max(lost, -_MOST_LIGHT), _MOST_LIGHT), dst=raised)
            if share == 1:
                return np.asarray(raised, np.uint8)
            shown = new.copy() if shown is new else shown
            _copy_where(area != 0, raised, shown)
        return shown

    def _lift(self, new: Plane, old: Plane, smooth: Plane) -> float:
        """How many times over detail must be added to the new painting for its blend to be as sharp as it is.

        The root of mean|kept·old + (1 − kept)·(new + b·(new − smooth))| = aim·mean|new|, which grows with b once it has
        passed its least, by bisection.

        Args:
            new, old, smooth: Laplacians of light, float32; the last of the new painting's without its detail.
        """
        blend = cv2.addWeighted(old, self._kept, new, 1 - self._kept, 0)
        sharpness = cv2.norm(new, cv2.NORM_L1)
        if cv2.norm(blend, cv2.NORM_L1) >= _ENOUGH * sharpness:
            return 0.0
        detail = cv2.addWeighted(new, 1 - self._kept, smooth, self._kept - 1, 0)
        least, most = 0.0, _MOST_DETAIL
        for _ in range(_HALVINGS):
            middle = (least + most) / 2
            if cv2.norm(cv2.scaleAdd(detail, middle, blend), cv2.NORM_L1) < _AIM * sharpness:
                least = middle
            else:
                most = middle
        return least


def _sample(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Some bands of rows, one after the other."""
    return np.concatenate([pixels[top : top + _BAND] for top in range(0, max(len(pixels) - _BAND, 1), _STEP)])


def _stretched(mask: Mask, over: Pixels) -> Mask:
    height, width = over.shape[:2]
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _copy_where(where: NDArray[np.bool_], source: Pixels, to: Pixels) -> None:
    """Copy pixels where a mask says so, stretched over the picture."""
    if where.any():
        cv2.copyTo(source, _stretched(where.astype(np.uint8), to), to)
