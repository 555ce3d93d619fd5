"""Local motion: where what each pixel shows is in another frame, and how far that can be trusted."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..frame import Frame, Pixels
from .camera import Plane, halved, reduced

Flow = NDArray[np.float32]
Share = NDArray[np.float32]
"""float32, H×W, 0-1."""

REDUCTION = 3
"""The frame is searched at a third of its size: twice the cost at a half, and half of it at a quarter."""
_WORK_SIDE = 640
"""The longer side that is searched is this or a little less."""
_FEWEST = 100
"""Values on the longer side below which frames aren't reduced, if they aren't smaller: too little would be found."""
_LEAST_SIDE = 16
"""Of what can be searched; in less, nothing is taken to move."""
_STRIDE = 6
"""Pixels between the search's patches of 8×8."""
_DESCENTS = 8
"""Steps in which each patch is searched; beginning with the motion found last, more find hardly more."""
_WHOLE = 0.15
"""Fractions of a pixel up to this are rounded away rather than resampled: what stands still isn't touched."""
_NEAR_CAMERA = 0.5
"""Pixels of the frame, in each direction, within which local motion is taken for the camera's."""
_NO_BETTER = 0.2
"""Difference of light, of 255 and averaged over the window, by which local motion must be better than none where the
camera stands still: motion that is found in sensor noise alone always is a little better."""
_BOUND, _SLOPE = 0.5, 0.01
"""Of the forward-backward check: squared pixels of the reduced picture, and their share of the squared motion."""
_LEAST_ALIKE, _CONTRAST, _MOST_ALIKE = 1.5, 0.7, 6.0
"""Difference of light, of 255 and averaged over the window, up to which two places are alike: so much, and so much of
the contrast around them, which they would differ by at random; but no more than this. From twice that they are not."""
_WINDOW = (5, 5)
_BAND = 64
"""Rows that are carried along at once, so that what is needed for it stays in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalMotion:
    """Where the pixels of a frame are in another one."""

    flow: Flow
    """float32, h×w×2 (x right, y down), pixels: what pixel p of this frame shows is at p + flow(p) in the other.
    Planes smaller than the frame are stretched over it."""
    trust: Share
    """float32, h×w, 0-1: whether it is inside the other frame, seen there, and looks alike."""

    @property
    def still(self) -> bool:
        """Whether nothing moves at all."""
        return not self.flow.any()

    def stretched(self, size: tuple[int, int]) -> LocalMotion:
        """The same with planes of (width, height)."""
        flow, trust = (np.asarray(cv2.resize(plane, size), np.float32) for plane in (self.flow, self.trust))
        return LocalMotion(flow, trust)


def places(flow: Flow, size: tuple[int, int], rows: int) -> Iterator[tuple[int, Flow]]:
    """p + flow(p), for each pixel of (width, height), in bands of so many rows: each with the number of its first."""
    width, height = size
    down, across = flow.shape[:2]
    x, y = max(width // across, 1), max(height // down, 1)
    # So many cells more that stretching never ends within the picture.
    at = cv2.copyMakeBorder(flow, 1, 2, 1, 2, cv2.BORDER_REPLICATE) + _grid(down, across, x, y)
    cells = max(rows // y, 1)
    for cell in range(0, down + 1, cells):
        part = at[cell : cell + cells + 2]
        top, bottom = cell * y, min((cell + cells) * y, height)
        if bottom > top:
            band = cv2.resize(part, (part.shape[1] * x, len(part) * y))
            yield top, np.asarray(band[y : y + bottom - top, x : x + width], np.float32)


@functools.lru_cache(maxsize=8)
def _grid(rows: int, columns: int, x: int, y: int) -> Flow:
    """Middles of cells of x×y pixels, of one more at the left and on top, and two at the right and below: float32."""
    lines = (np.arange(-1, count + 2) * side + (side - 1) / 2 for count, side in ((columns, x), (rows, y)))
    return np.stack(np.meshgrid(*lines), axis=-1).astype(np.float32)


class MotionSearch:
    """Finds local motion between frames of one size.

    Dense inverse search (Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"; OpenCV's, preset
    ultrafast down to the finest scale) on reduced luminance, from the frame to the other one, beginning with the
    motion found last. Trusted is what is inside the other frame and of the same light there.

    Args:
        reduction: by which frames are reduced, at least; see :data:`REDUCTION`.
        both_ways: search from the other frame to this one, too, at twice the cost, and trust only what passes the
            forward-backward check of Sundaram et al. 2010 ("Dense Point Trajectories by GPU-accelerated Large
            Displacement Optical Flow", equation 5). Their check of motion boundaries is left out: at this size they
            are blurred.
    """

    def __init__(self, reduction: int = REDUCTION, *, both_ways: bool = False) -> None:
        self._reduction, self._both_ways = reduction, both_ways
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(0)
        self._search.setPatchStride(_STRIDE)
        self._search.setGradientDescentIterations(_DESCENTS)
        self.reset()

    def reset(self) -> None:
        """Forget the frame before."""
        self._before: Plane | None = None
        self._last: Flow | None = None

    def follow(
        self,
        pixels: Pixels,
        given: LocalMotion | None = None,
        camera: tuple[float, float] | None = None,
        half: Plane | None = None,
    ) -> LocalMotion | None:
        """Take the next frame, uint8, H×W×3, of the same size.

        Args:
            pixels: the frame.
            given: its motion to the frame before, where that is known already and needn't be searched.
            camera: how the picture moved as a whole, in pixels to the right and down, where that is known: taken for
                what moves within half a pixel of it, since it is far more exact; and, where it is (0, 0), for what
                moves in no way that explains the light better.
            half: what :func:`~allaprima.coherence.camera.halved` makes of the frame, where that is at hand.

        Returns:
            The motion to the frame before; None for the first.
        """
        now, before = self._reduced(pixels, half), self._before
        self._before = now
        if before is None:
            return None
        return given or self._between(now, before, (pixels.shape[1], pixels.shape[0]), camera)

    def between(self, now: Pixels, other: Pixels) -> LocalMotion:
        """Motion from a frame to another one, uint8, H×W×3 each, of the same size."""
        size = (now.shape[1], now.shape[0])
        return self._between(self._reduced(now), self._reduced(other), size).stretched(size)

    def _between(
        self, now: Plane, other: Plane, size: tuple[int, int], camera: tuple[float, float] | None = None
    ) -> LocalMotion:
        height, width = now.shape
        if min(now.shape) < _LEAST_SIDE:
            there = np.zeros((height, width, 2), np.float32)
            off = _difference(now, other)
            trust = _likeness(now, off)
        else:
            there = self._searched(now, other, self._last)
            self._last = there
            off = _difference(now, sampled(other, there))
            trust = _likeness(now, off)
            trust *= _inside(there)
            if self._both_ways:
                trust *= _consistency(there, self._searched(other, now, None))
        larger = size[0] // width, size[1] // height, 0, 0
        there = np.asarray(cv2.multiply(there, larger), np.float32)  # type: ignore[call-overload]
        if camera is not None:
            apart = cv2.add(there, (*camera, 0, 0))  # type: ignore[call-overload]
            near = cv2.inRange(apart, (-_NEAR_CAMERA,) * 4, (_NEAR_CAMERA,) * 4)
            if not any(camera):
                near[_difference(now, other) <= off + _NO_BETTER] = 255
            cv2.subtract(there, apart, dst=there, mask=near)
        there = _rounded(there)
        return LocalMotion(there, trust)

    def _reduced(self, pixels: Pixels, half: Plane | None = None) -> Plane:
        height, width = pixels.shape[:2]
        side = max(height, width)
        factor = min(max(-(-side // _WORK_SIDE), min(self._reduction, side // _FEWEST), 1), height, width)
        if factor % 2 == 0:
            return reduced(halved(pixels) if half is None else half, factor // 2)
        return reduced(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8), factor)

    def _searched(self, now: Plane, other: Plane, guess: Flow | None) -> Flow:
        guess = np.zeros((*now.shape, 2), np.float32) if guess is None else guess.copy()
        return np.asarray(self._search.calc(now, other, guess), np.float32)


def local_motion(now: Pixels, before: Pixels) -> LocalMotion:
    """Motion from a frame to another one, as a rule the one before, checked forward and backward.

    Args:
        now: uint8, H×W×3, RGB.
        before: the same.
    """
    return MotionSearch(both_ways=True).between(now, before)


def given_motion(frame: Frame, size: tuple[int, int]) -> LocalMotion | None:
    """The motion to the frame before that a frame brings along; None where it brings none.

    Args:
        frame: with its planes.
        size: (width, height) that the motion is wanted at.

    Raises:
        UsageError: the planes aren't of the frame's size.
    """
    if frame.motion is None:
        return None
    height, width = frame.pixels.shape[:2]
    for name, plane, shape in (("motion", frame.motion, (height, width, 2)), ("mask", frame.mask, (height, width))):
        if plane is not None and plane.shape != shape:
            found, wanted = ("×".join(str(side) for side in sides) for sides in (plane.shape, shape))
            raise UsageError(f"the {name} plane is {found}, but its frame needs {wanted}: give planes of its size")
    motion = frame.motion if size == (width, height) else np.asarray(cv2.resize(frame.motion, size), np.float32)
    scale = np.array([-size[0] / width, -size[1] / height], np.float32)
    # Rows of single values, which NumPy multiplies many times as fast as pairs.
    rows = motion.reshape(size[1], -1)
    flow: Flow = np.multiply(rows, np.tile(scale, size[0]), dtype=np.float32).reshape(motion.shape)
    trust = _inside(flow)
    if frame.mask is not None:
        trust *= cv2.resize(frame.mask.astype(np.float32), size)
    return LocalMotion(flow, trust)


def carried(
    painting: Pixels, motion: LocalMotion, kernel: int = cv2.INTER_CUBIC, memory: Pixels | None = None
) -> Pixels:
    """The other frame's painting as it looks from this one: result(p) = painting(p + flow(p)); edges repeat.

    Args:
        painting: uint8, H×W×3, RGB; of the other frame.
        motion: from this frame to the other.
        kernel: of the interpolation, OpenCV's; linear takes a fifth of cubic's time, and softens.
        memory: to put the result in, of its shape.

    Returns:
        uint8, H×W×3. The painting itself where nothing moves.
    """
    if motion.still:
        return painting
    # OpenCV samples four channels in half the time that it takes for three.
    four = cv2.cvtColor(painting, cv2.COLOR_RGB2RGBA)
    result = np.empty_like(painting) if memory is None else memory
    for top, band in places(motion.flow, (painting.shape[1], painting.shape[0]), _BAND):
        cv2.cvtColor(_at(band, four, kernel), cv2.COLOR_RGBA2RGB, dst=result[top : top + len(band)])
    return result


def sampled(plane: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """result(p) = plane(p + flow(p)), linearly interpolated; edges repeat.

    Args:
        plane: uint8 or float32, H×W or H×W×C.
        flow: float32, H×W×2, pixels.
    """
    ((_, there),) = places(flow, (plane.shape[1], plane.shape[0]), len(plane))
    return _at(there, plane, cv2.INTER_LINEAR)


def _at(there: Flow, plane: NDArray[Any], kernel: int) -> NDArray[Any]:
    return np.asarray(cv2.remap(plane, there, None, kernel, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]


def _inside(flow: Flow) -> Share:
    return (cv2.inRange(flow, *_bounds(*flow.shape[:2])) > 0).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _bounds(rows: int, columns: int) -> tuple[Flow, Flow]:
    """The least and the largest flow that stays inside, for each pixel."""
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    there = np.stack([x, y], axis=-1).astype(np.float32)
    return -there, np.array((columns - 1, rows - 1), np.float32) - there


def _difference(one: Plane, other: Plane) -> Share:
    """Of light, averaged over the window; float32."""
    return np.asarray(cv2.boxFilter(cv2.absdiff(one, other), cv2.CV_32F, _WINDOW), np.float32)


def _likeness(now: Plane, difference: Share) -> Share:
    """0-1: whether the light is the same, noise aside, given how it differs."""
    contrast = _difference(now, np.asarray(cv2.blur(now, _WINDOW), np.uint8))
    alike = np.minimum(_LEAST_ALIKE + _CONTRAST * contrast, np.float32(_MOST_ALIKE))
    return np.asarray(np.clip(2 - difference / alike, 0, 1), np.float32)


def _consistency(there: Flow, back: Flow) -> Share:
    """0-1: whether the way there and back ends where it began."""
    back_there = sampled(back, there)
    seen = _squared(back_there + there) <= _SLOPE * (_squared(there) + _squared(back_there)) + _BOUND
    return np.asarray(cv2.boxFilter(seen.astype(np.float32), -1, (3, 3)), np.float32)


def _rounded(flow: Flow) -> Flow:
    """Fractions near a whole number taken off."""
    values = flow.reshape(-1)  # NumPy takes five times as long over pairs
    whole = np.rint(values)
    return np.where(np.abs(values - whole) < _WHOLE, whole, values).reshape(flow.shape)


def _squared(flow: Flow) -> Share:
    x, y = cv2.split(flow)
    return np.asarray(x * x + y * y, np.float32)
