"""Where a film cuts: two neighboring frames that show different things."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .frame import Pixels

_WIDTH, _HEIGHT = 64, 36
_BLOCK_X, _BLOCK_Y = 16, 12

# Fitted (logistic regression, rounded) to neighboring frames of films, games and sports, also with every second one
# dropped, against frames of different clips and photographs: the first score below -0.8, of the last 99 % above -0.2.
_LEAST_CHANGE = 25.0
_FLAT = 1.0  # standard deviation below which a block has nothing to be found by: black bars, black frames
_CHANGE_UNIT, _COLOR_WEIGHT, _LIKENESS_WEIGHT, _THRESHOLD = 30.0, 4.0, 6.0, -0.25


def is_cut(before: Pixels, now: Pixels) -> bool:
    """Whether the film cuts between two frames.

    Thumbnails of 64×36 are compared by three figures: how much hue, saturation and value change pixel by pixel (the
    content score of PySceneDetect), how far the histograms of chroma are apart (Bhattacharyya distance, which motion
    leaves small), and how well blocks of one picture are found again near their place in the other (normalized
    correlation, which motion and a change of light leave large). Weighed together they tell cuts from fast pans, which
    change many pixels, and from flashes, which change all. A fade or a dissolve is none, frame by frame; a flash that
    burns the picture out is one. A change of size always is one.

    Args:
        before: uint8, H×W×3, RGB.
        now: the same; the next frame.
    """
    if before.shape != now.shape:
        return True
    old, new = _thumbnail(before), _thumbnail(now)
    change = _change(old, new)
    if change < _LEAST_CHANGE:
        return False
    score = change / _CHANGE_UNIT + _COLOR_WEIGHT * _color_distance(old, new) - _LIKENESS_WEIGHT * _likeness(old, new)
    return score > _THRESHOLD


def _thumbnail(pixels: Pixels) -> Pixels:
    # Every n-th pixel of a large picture is enough, and several times as fast as a mean over all of them.
    step = max(min(pixels.shape[0] // (2 * _HEIGHT), pixels.shape[1] // (2 * _WIDTH)), 1)
    height, width = pixels.shape[:2]
    sampled = cv2.resize(pixels, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(sampled, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _change(old: Pixels, new: Pixels) -> float:
    """Mean absolute difference of hue (0-179), saturation and value (0-255)."""
    return float(np.mean(cv2.absdiff(*(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV) for pixels in (old, new)))))


def _color_distance(old: Pixels, new: Pixels) -> float:
    """Between the histograms of chroma, 0-1."""
    planes = [cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb) for pixels in (old, new)]
    first, second = (cv2.calcHist([plane], [1, 2], None, [32, 32], [0, 256, 0, 256]) for plane in planes)
    return float(cv2.compareHist(first, second, cv2.HISTCMP_BHATTACHARYYA))


def _likeness(old: Pixels, new: Pixels) -> float:
    """How well the blocks of one are found in the other, a block's size away at most: median correlation, −1 to 1.

    Of both directions the better, since a camera that moves back shows more than can be found in the frame before.
    """
    light = [np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32) for pixels in (old, new)]
    return max(_found(light[0], light[1]), _found(light[1], light[0]))


def _found(blocks: NDArray[np.float32], picture: NDArray[np.float32]) -> float:
    best = []
    for y in range(0, _HEIGHT, _BLOCK_Y):
        for x in range(0, _WIDTH, _BLOCK_X):
            near = picture[max(y - _BLOCK_Y, 0) : y + 2 * _BLOCK_Y, max(x - _BLOCK_X, 0) : x + 2 * _BLOCK_X]
            block = blocks[y : y + _BLOCK_Y, x : x + _BLOCK_X]
            if block.std() >= _FLAT:
                best.append(float(cv2.matchTemplate(near, block, cv2.TM_CCOEFF_NORMED).max()))
    return float(np.median(best)) if best else 0.0
