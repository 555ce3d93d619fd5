"""Where the camera has gone: the picture's displacement since a reset, to a few hundredths of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import Pixels

Points = NDArray[np.float32]
"""float32, N×2: x, y in pixels of the reduced picture."""
Place = NDArray[np.float64]
"""float64, 2: x, y."""
Plane = NDArray[np.uint8]

_WORK_SIDE = 480
"""The longer side that motion is searched at is this or less, so that the cost doesn't grow with the frame."""
_BLUR, _BLUR_WINDOW = 1.6, (9, 9)
"""Of the reduced picture, in its pixels. Bilinear sampling, which the search does, draws what is sharp toward whole
pixels, by up to 0.03 of a reduced one; smoothed like this, by less than 0.01."""
_ACROSS, _LEAST_CELL = 13, 16
"""Squares along the longer side, and the least side of one in pixels. One point is followed in each: every part of the
picture has the same say, however textured."""
_COARSE = 2
"""Corners are looked for at a half of the reduced picture's size: it is blurred, and any texture can be followed."""
_TEXTURE = 4e-5
"""Least eigenvalue of a corner there, as OpenCV scales it, from which a square counts as textured. Low enough for
asphalt: where a coder froze it, it should have its say against the few bright dots that drift."""
_BLOCKS = (16, 12)
"""Across and down, in which light is compared."""
_WINDOW = (15, 15)
_LEVELS = 1
"""Of the pyramid beyond the reduced picture. The search begins with the last motion, so that from one frame to the next
speed may change by some 30 pixels."""
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.003)
_FEWEST = 8
_NEAR = 0.3
"""Pixels of the frame within which points' motions are averaged."""
_STRAY = 0.5
_LEAST_STRAY, _MOST_STRAY = 0.15, 1.0
"""A point agrees with the common step when it strays by no more than half the step, within these bounds in pixels:
what moves by half the step or less is better left alone, and a pixel off, strokes are redrawn anyway."""
_LOST = 0.3
"""Support below which the step isn't even worth adding up."""
_KEEP_KEY = 0.6
"""Share of a key frame's points that must still move as one, for the key frame to stay."""


@dataclass(frozen=True, slots=True)
class Travel:
    """How the picture has moved as a whole."""

    x: float
    """Pixels to the right since the reset."""
    y: float
    """Pixels down since the reset."""
    support: float
    """Share of the picture's textured squares that made this last step in common, 0-1; where it is low, the step
    is something else than a shift (zoom, rotation, a scene full of movement) or couldn't be seen."""


class CameraMotion:
    """Follows the displacement of the picture from frame to frame.

    One corner in every square of a grid (Shi and Tomasi 1994, "Good Features to Track") is searched by pyramidal
    Lucas-Kanade (Bouguet 2001), in a key frame's surroundings rather than in the last frame's: errors don't add up.
    The common motion is the place where most points agree, so moving objects don't pull it. The key frame is replaced
    when too few of its points are left or they have moved apart.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all frames; the next one is the new origin."""
        self._key: _Key | None = None
        self._here = np.zeros(2)

    def follow(self, pixels: Pixels, half: Plane | None = None) -> Travel:
        """Take the next frame.

        Args:
            pixels: uint8, H×W×3, of the same size as the one before.
            half: what :func:`halved` makes of it, where that is at hand.
        """
        small, factor = _searched(pixels, half)
        if self._key is None:
            self._key = _Key.of(small, self._here)
            return Travel(0.0, 0.0, 1.0)
        self._key, self._here, support = _followed(self._key, self._here, small, factor)
        return Travel(float(self._here[0]), float(self._here[1]), support)


@dataclass(frozen=True, slots=True, eq=False)
class _Key:
    """A key frame and where its corners have gone."""

    plane: Plane
    origin: Place
    corners: Points
    now: Points
    """Where the corners were in the last frame."""
    step: Points
    """How they moved to get there."""

    @classmethod
    def of(cls, small: Plane, origin: Place, step: Place | float = 0.0) -> _Key:
        """A new one: the frame at ``origin``, in pixels of the frame, moving by ``step``, in reduced ones."""
        corners = _corners(small)
        return cls(small, origin, corners, corners, np.zeros_like(corners) + np.asarray(step, np.float32))


def _followed(key: _Key, here: Place, small: Plane, factor: int) -> tuple[_Key, Place, float]:
    """One frame on from ``here``: the key frame with its points, the new place, and the support."""
    guess = key.now + key.step
    now, seen = _search(key, small, guess)
    if seen.sum() < _FEWEST:
        return _Key.of(small, here), here, 0.0
    place = _common((now - key.corners)[seen], _NEAR / factor)
    step = place - (here - key.origin) / factor
    stray = np.clip(_STRAY * np.abs(step).max() * factor, _LEAST_STRAY, _MOST_STRAY) / factor
    together = seen & (np.abs(now - key.now - step).max(axis=1) < stray)
    support = float(together.sum() / (_inside(guess, small) | seen).sum())
    if support < _LOST:
        return _Key.of(small, here), here, support
    here = key.origin + place * factor
    kept = seen & (np.abs(now - key.corners - place).max(axis=1) < 2 * _NEAR / factor)
    if kept.sum() < _KEEP_KEY * len(kept):
        return _Key.of(small, here, step), here, support
    steps = np.where(seen[:, None], now - key.now, step).astype(np.float32)
    return _Key(key.plane, key.origin, key.corners, key.now + steps, steps), here, support


def _search(key: _Key, small: Plane, guess: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Where a key frame's corners are now, and which of them were found inside the frame."""
    if not len(guess):
        return guess, np.zeros(0, np.bool_)
    now, found, _ = cv2.calcOpticalFlowPyrLK(
        key.plane,
        cv2.convertScaleAbs(small, alpha=_gain(small, key.plane)),
        key.corners[:, None],
        guess[:, None].copy(),
        winSize=_WINDOW,
        maxLevel=_LEVELS,
        criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    points = np.asarray(now[:, 0], np.float32)
    return points, (found[:, 0] == 1) & _inside(points, small)


def _gain(small: Plane, like: Plane) -> float:
    """What the light of one frame must be multiplied by to be that of another.

    The search compares gray values as they are, and would take a lamp that goes up for motion. The median over blocks
    leaves out what moves through the frame.
    """
    now, then = (np.maximum(_blocks(plane), 1.0) for plane in (small, like))
    return float(np.median(then / now))


def _blocks(plane: Plane) -> Plane:
    # From every few pixels of what is blurred anyway: a mean over all takes ten times as long.
    few = cv2.resize(plane, (4 * _BLOCKS[0], 4 * _BLOCKS[1]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(few, _BLOCKS, interpolation=cv2.INTER_AREA), np.uint8)


def halved(pixels: Pixels) -> Plane:
    """Gray values averaged over squares of 2×2 pixels, what is left over aside.

    Args:
        pixels: uint8, H×W×3, RGB.

    Returns:
        uint8, H/2×W/2, but at least 1×1.
    """
    height, width = (max(side // 2, 1) for side in pixels.shape[:2])
    half = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(half, cv2.COLOR_RGB2GRAY), np.uint8)


def reduced(plane: Plane, factor: int) -> Plane:
    """Values averaged over squares of ``factor`` × ``factor``, what is left over aside."""
    height, width = (side // factor for side in plane.shape)
    whole = plane[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _searched(pixels: Pixels, half: Plane | None) -> tuple[Plane, int]:
    """Blurred gray values at the size that is searched, and how many of the frame's pixels each is across."""
    if max(pixels.shape[:2]) <= _WORK_SIDE:
        plane, factor = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), 1
    else:
        half = halved(pixels) if half is None else half
        more = min(-(-max(half.shape) // _WORK_SIDE), *half.shape)
        plane, factor = reduced(half, more), 2 * more
    return np.asarray(cv2.GaussianBlur(plane, _BLUR_WINDOW, _BLUR), np.uint8), factor


def _corners(small: Plane) -> Points:
    """The best corner of every square, away from the frame's edge."""
    cell = max(max(small.shape) // _ACROSS, _LEAST_CELL) // _COARSE
    rows, columns = (side // (cell * _COARSE) for side in small.shape)
    if not rows * columns:
        return np.zeros((0, 2), np.float32)
    whole = small[: rows * cell * _COARSE, : columns * cell * _COARSE]
    coarse = cv2.resize(whole, (columns * cell, rows * cell), interpolation=cv2.INTER_AREA)
    strength = cv2.cornerMinEigenVal(coarse, 5).reshape(rows, cell, columns, cell)
    squares = strength.transpose(0, 2, 1, 3).reshape(rows * columns, cell * cell)
    best = squares.argmax(axis=1)
    top, left = np.divmod(np.arange(len(squares)), columns)
    at = np.stack([left * cell + best % cell, top * cell + best // cell], axis=1)
    points = (at * _COARSE).astype(np.float32)
    good = squares[np.arange(len(squares)), best] > _TEXTURE
    result: Points = points[good & _inside(points, small)]
    return result


def _inside(points: Points, small: Plane) -> NDArray[np.bool_]:
    height, width = small.shape
    x, y = points[:, 0], points[:, 1]
    edge = _WINDOW[0] // 2
    result: NDArray[np.bool_] = (x >= edge) & (x < width - edge) & (y >= edge) & (y < height - edge)
    return result


def _common(motions: Points, tolerance: float) -> Place:
    """The motion that most points share: a mean over those near it, from the median, ever nearer."""
    place = np.median(motions, axis=0).astype(np.float64)
    for reach in (8, 4, 2, 1, 1):
        near = np.abs(motions - place).max(axis=1) < reach * tolerance
        if near.any():
            place = motions[near].mean(axis=0, dtype=np.float64)
    return place
