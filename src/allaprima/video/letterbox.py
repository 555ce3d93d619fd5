"""Pictures of one size shown in another, whole and undistorted, between black bars."""

from __future__ import annotations

import cv2
import numpy as np

from ..frame import Pixels


def placed(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int, int, int]:
    """Where a picture lies in a box, in the middle and as large as can be: left, top, width, height; all in pixels."""
    scale = min(box_width / width, box_height / height)
    inside = max(1, min(box_width, round(width * scale))), max(1, min(box_height, round(height * scale)))
    return (box_width - inside[0]) // 2, (box_height - inside[1]) // 2, *inside


def scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """A picture (uint8, H×W×3) at another size, contiguous; by area where it is less than half, else bilinear."""
    rows, columns = pixels.shape[:2]
    if (columns, rows) == (width, height):
        return np.ascontiguousarray(pixels)
    shrunk = width * 2 < columns or height * 2 < rows
    method = cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=method).astype(np.uint8, copy=False)


def letterboxed(pixels: Pixels, width: int, height: int) -> Pixels:
    """A picture (uint8, H×W×3) in the middle of another size, contiguous."""
    rows, columns = pixels.shape[:2]
    left, top, across, down = placed(columns, rows, width, height)
    inner = scaled(pixels, across, down)
    if (across, down) == (width, height):
        return inner
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top : top + down, left : left + across] = inner
    return picture
