"""Motion over several frames, and what was hidden."""

from __future__ import annotations

import functools
from dataclasses import replace
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


def composed(motion: Motion, mask: Mask, before: Motion, mask_before: Mask) -> tuple[Motion, Mask]:
    """Motion over two frames.

    What pixel p shows was at q = p − motion(p) in the frame between, and at q − before(q) in the first one. ``before``
    is taken at the pixel nearest to q: between two pixels of its own it is no mean of both where something ends.

    Args:
        motion, mask: from the frame between to this one.
        before, mask_before: from the first frame to the one between.
    """
    places = _places(motion)
    # The two values as one, which OpenCV fetches five times as fast.
    pairs = _fetched(np.ascontiguousarray(before).view(np.float64)[..., 0], places, cv2.BORDER_REPLICATE)
    there = pairs.view(np.float32).reshape(motion.shape)
    seen = _fetched(mask_before.view(np.uint8), places, cv2.BORDER_CONSTANT)
    both: Mask = mask & seen.view(np.bool_)
    return np.asarray(cv2.add(motion, there), np.float32), both


def reduced(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy at the size that depth is compared at: the values of some pixels, and no means of them."""
    size = [-(-side // _REDUCTION) for side in (plane.shape[1], plane.shape[0])]
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST), np.float32)


def seen_before(motion: Motion, depth: Depth, depth_before: Depth) -> Mask:
    """Where the point that a pixel shows was seen before, and not beside something nearer that it has left since.

    What was hidden had something nearer in front of it, by the depth there: as temporal antialiasing rejects history
    (Yang, Liu, Salvi 2020, "A Survey of Temporal Antialiasing Techniques", section 4.1), without the cameras: depth is
    compared as it is. What was beside something nearer bears the outline that was painted around that; carried along,
    it would leave an echo of the edge at every step.

    Args:
        motion: since the frame before.
        depth: of this frame, by :func:`reduced`.
        depth_before: of the frame before, likewise.
    """
    height, width = motion.shape[:2]
    scale = depth.shape[1] / width, depth.shape[0] / height, 0, 0
    places = _places(np.asarray(cv2.multiply(reduced(motion), scale), np.float32))  # type: ignore[call-overload]
    there, nearest_there = (
        _fetched(plane, places, cv2.BORDER_REPLICATE) for plane in (depth_before, cv2.erode(depth_before, _OUTLINE))
    )
    nearer = (1 - _SAME_DEPTH) * depth
    same = cv2.absdiff(there, depth) <= _SAME_DEPTH * cv2.min(there, depth)
    left = (nearest_there < nearer) & (cv2.erode(depth, _OUTLINE) >= nearer)
    seen = cv2.resize((same & ~left).view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(seen, np.uint8).view(np.bool_)


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


def _places(motion: Motion) -> NDArray[np.int16]:
    """The pixels nearest to p − motion(p), as OpenCV fetches fastest from."""
    at = cv2.subtract(_grid(*motion.shape[:2]), motion)
    whole, _ = cv2.convertMaps(at, None, cv2.CV_16SC2, nninterpolation=True)  # type: ignore[call-overload]
    return np.asarray(whole, np.int16)


@functools.lru_cache(maxsize=2)
def _grid(rows: int, columns: int) -> Motion:
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
