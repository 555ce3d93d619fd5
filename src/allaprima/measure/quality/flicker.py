"""How steady a painter is: shift error under a known pan, gain of sensor noise.

Both are least for a style that paints nothing: quote them beside a figure of style.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...frame import Pixels
from .motion import check_size_kept, size_of

Paint = Callable[[Pixels], Pixels]

WARM_UP = 4
"""Frames at the beginning that a painter with a memory may use to settle; they aren't counted."""
PAN_FRAMES = NOISE_FRAMES = 16
"""Frames of a pan, and of noise."""
BORDER = 24
"""Pixels on all sides of a panned picture that aren't compared."""


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """Shift error of a painter."""

    error: float
    """Mean absolute difference of 255 between neighboring outputs after the pan is undone."""
    floor: float
    """What undoing a fractional pan costs by itself: an output moved there and back by the same kernel, against
    itself, mean absolute difference of 255. 0 for whole pixels."""


def shift_error(
    paint: Paint, picture: Pixels, pan: float, *, frames: int = PAN_FRAMES, border: int = BORDER
) -> ShiftResult:
    """How much strokes are redrawn when a still picture slides under the painter.

    A window slides right over the picture by ``pan`` pixels a frame; each output is compared with the one before,
    moved by the pan, from the fifth frame on. Fractional positions are sampled by cubic convolution, of the picture as
    of the outputs.

    Args:
        paint: the painter; called once a frame, in order.
        picture: uint8, H×W×3.
        pan: pixels a frame, not negative.
        frames: how many, at least 6.
        border: pixels left out on all sides, at least 3 for the kernel.

    Raises:
        UsageError: the picture is too narrow for that many frames of that pan, or an argument is out of range.
        StyleError: the painter returns another size.
    """
    _at_least(frames=(frames, WARM_UP + 2), border=(border, 3), pan=(pan, 0))
    height, width = picture.shape[:2]
    window = width - math.ceil(pan * (frames - 1))
    reach = math.ceil(pan)
    if window - reach <= 2 * border or height <= 2 * border:
        raise UsageError(f"a picture of {size_of(picture)} is too small to pan by {pan:g} for {frames} frames")

    errors: list[float] = []
    floor = 0.0
    inner = np.s_[border : height - border, border : window - border - reach]
    before = None
    for index in range(frames):
        output = _painted(paint, _slide(picture, pan * index, window))
        if before is not None and index > WARM_UP:
            moved = _slide_float(before, pan)
            errors.append(float(np.abs(output[inner] - moved[inner]).mean()))
        if index == WARM_UP:
            back = _slide_float(_slide_float(output, pan), -pan)
            floor = float(np.abs(output[inner] - back[inner]).mean()) if pan % 1 else 0.0
        before = output
    return ShiftResult(float(np.mean(errors)), floor)


def noise_gain(paint: Paint, picture: Pixels, sigma: float, seed: int = 0, *, frames: int = NOISE_FRAMES) -> float:
    """How much a painter amplifies sensor noise: frame-to-frame change of its outputs over that of its inputs.

    A still picture gets independent Gaussian noise in every frame and channel, rounded and clipped to 8 bits. Change
    is the mean absolute difference of neighboring frames, from the fifth frame on.

    Args:
        paint: the painter; called once a frame, in order.
        picture: uint8, H×W×3.
        sigma: standard deviation of the noise, of 255.
        seed: of the noise.
        frames: how many, at least 6.

    Raises:
        UsageError: an argument is out of range, or the noise vanishes in rounding.
        StyleError: the painter returns another size.
    """
    _at_least(frames=(frames, WARM_UP + 2), sigma=(sigma, 0))
    rng = np.random.default_rng(seed)
    changes = np.zeros(2)
    before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    for index in range(frames):
        noisy = picture + sigma * rng.standard_normal(picture.shape, np.float32)
        pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        pair = (pixels.astype(np.float32), _painted(paint, pixels))
        if before is not None and index > WARM_UP:
            changes += [float(np.abs(now - then).mean()) for now, then in zip(pair, before, strict=True)]
        before = pair
    if changes[0] == 0:
        raise UsageError(f"noise of sigma {sigma:g} leaves the picture as it is: take at least 0.5")
    return float(changes[1] / changes[0])


def _at_least(**bounds: tuple[float, float]) -> None:
    for name, (value, least) in bounds.items():
        if not value >= least:
            raise UsageError(f"{name} must be at least {least:g}, not {value:g}")


def _painted(paint: Paint, pixels: Pixels) -> NDArray[np.float32]:
    output = paint(pixels)
    check_size_kept(pixels, output)
    return output.astype(np.float32)


def _slide(picture: Pixels, offset: float, width: int) -> Pixels:
    """The window of that width whose left edge is at ``offset``."""
    if offset % 1 == 0:
        return np.ascontiguousarray(picture[:, int(offset) : int(offset) + width])
    moved = _slide_float(picture.astype(np.float32), offset)[:, :width]
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def _slide_float(picture: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """The picture moved left by ``offset``: result(x) = picture(x + offset); edges repeat."""
    height, width = picture.shape[:2]
    x, y = np.arange(width, dtype=np.float32) + np.float32(offset), np.arange(height, dtype=np.float32)
    at_x, at_y = (np.ascontiguousarray(plane) for plane in np.broadcast_arrays(x[None], y[:, None]))
    moved = cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
