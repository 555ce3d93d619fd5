"""Motion over several frames, and what was hidden."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Frame

Motion = NDArray[np.float32]
"""float32, H×W×2 (x right, y down), pixels: pixel p was at p − motion(p) before."""
Mask = NDArray[np.bool_]
"""bool, H×W: true where motion is known and the pixel was seen before."""
Depth = NDArray[np.float32]
"""float32, H×W: distance along the camera's axis."""

_SAME_DEPTH = 0.1
"""Difference of depth, of the nearer one, up to which two pixels may show the same: what comes nearer by a tenth from
one frame to the next moves faster than games do."""

_REDUCTION = 2
"""Of the depth that is compared, in a quarter of the time: what a pixel is wrong by lies within an outline."""
_OUTLINE = np.ones((5, 5), np.uint8)
"""Reduced pixels around one in which strokes follow the edge of something nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """What of a frame's depth is compared: at every second pixel of every second row, since means would be of nothing
    that is there."""

    depth: Depth
    nearest: Depth
    """Of what is around each pixel, within an outline."""

    @classmethod
    def of(cls, depth: Depth) -> Relief:
        """A copy of a frame's depth, top row first, as it is compared."""
        reduced = np.ascontiguousarray(depth[::_REDUCTION, ::_REDUCTION])
        return cls(reduced, np.asarray(cv2.erode(reduced, _OUTLINE), np.float32))


def composed(motion: Motion, mask: Mask, before: Motion, mask_before: Mask) -> tuple[Motion, Mask]:
    """Motion over two frames.

    What pixel p shows was at q = p − motion(p) in the frame between, and at q − before(q) in the first one. ``before``
    is taken at the pixel nearest to q: between two pixels of its own it is no mean of both where something ends.

    Args:
        motion, mask: from the frame between to this one.
        before, mask_before: from the first frame to the one between.
    """
    places = _places(_pairs(motion))
    there = _fetched(_pairs(before), places, cv2.BORDER_REPLICATE).view(np.float32).reshape(motion.shape)
    seen = _fetched(mask_before.view(np.uint8), places, cv2.BORDER_CONSTANT)
    both: Mask = mask & seen.view(np.bool_)
    return np.asarray(cv2.add(motion, there), np.float32), both


def seen_before(motion: Motion, now: Relief, before: Relief) -> Mask:
    """Where the point that a pixel shows was seen before, and not beside something nearer that it has left since.

    What was hidden had something nearer in front of it, by the depth there: as temporal antialiasing rejects history
    (Yang, Liu, Salvi 2020, "A Survey of Temporal Antialiasing Techniques", section 4.1), without the cameras: depth is
    compared as it is. What was beside something nearer bears the outline that was painted around that; carried along,
    it would leave an echo of the edge at every step.

    Args:
        motion: since the frame before.
        now: the depth of this frame.
        before: of the frame before.
    """
    height, width = motion.shape[:2]
    places = _places(_pairs(motion)[::_REDUCTION, ::_REDUCTION], 1 / _REDUCTION)
    there, nearest_there = (_fetched(plane, places, cv2.BORDER_REPLICATE) for plane in (before.depth, before.nearest))
    nearer = (1 - _SAME_DEPTH) * now.depth
    same = cv2.absdiff(there, now.depth) <= _SAME_DEPTH * cv2.min(there, now.depth)
    left = (nearest_there < nearer) & (now.nearest >= nearer)
    return _doubled(same & ~left)[:height, :width]


def across(skipped: Frame, frame: Frame) -> Frame:
    """A frame as it follows when the one before it is left out: its motion leads to the frame before that.

    Args:
        skipped: the frame before, which is not painted.
        frame: the next one.

    Returns:
        The frame with composed planes; with none where one of the two has no motion or another size, since its own
        would lead to a frame that nobody painted.
    """
    if frame.motion is None or skipped.motion is None or frame.motion.shape != skipped.motion.shape:
        return replace(frame, motion=None, mask=None)
    masks = (np.ones(each.pixels.shape[:2], np.bool_) if each.mask is None else each.mask for each in (frame, skipped))
    motion, mask = composed(frame.motion, next(masks), skipped.motion, next(masks))
    return replace(frame, motion=motion, mask=mask)


def _fetched(plane: NDArray[Any], places: NDArray[np.int16], border: int) -> NDArray[Any]:
    """result(p) = plane(places(p)); beyond the edges as OpenCV's border mode says."""
    found = cv2.remap(plane, places, None, cv2.INTER_NEAREST, borderMode=border)  # type: ignore[call-overload]
    return np.asarray(found)


def _places(pairs: NDArray[np.float64], scale: float = 1.0) -> NDArray[np.int16]:
    """The pixels nearest to p − scale · motion(p), as OpenCV fetches fastest from."""
    motion = np.ascontiguousarray(pairs).view(np.float32).reshape(*pairs.shape, 2)
    at = cv2.scaleAdd(motion, -scale, _grid(*pairs.shape))
    whole, _ = cv2.convertMaps(at, None, cv2.CV_16SC2, nninterpolation=True)  # type: ignore[call-overload]
    return np.asarray(whole, np.int16)


def _pairs(motion: Motion) -> NDArray[np.float64]:
    """Both values of a pixel as one, which NumPy and OpenCV move five times as fast; H×W, in the same memory."""
    return np.ascontiguousarray(motion).view(np.float64)[..., 0]


def _doubled(mask: Mask) -> Mask:
    """Each pixel as 2×2 of them, in an eighth of the time that OpenCV takes."""
    wide = (mask.view(np.uint8) * np.uint16(0x0101)).view(np.bool_)
    return np.repeat(wide, 2, axis=0)


@functools.lru_cache(maxsize=2)
def _grid(rows: int, columns: int) -> Motion:
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
