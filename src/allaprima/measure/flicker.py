"""How steady a painted video is: warp error along motion, shift error under a known pan, gain of sensor noise.

All of them are least for a style that paints nothing: quote them beside a figure of style.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError, StyleError, UsageError
from ..frame import Pixels

Motion = NDArray[np.float32]
Mask = NDArray[np.bool_]
Paint = Callable[[Pixels], Pixels]

WARM_UP = 4
"""Frames at the beginning that a painter with a memory may use to settle; they aren't counted."""


@dataclass(frozen=True, slots=True)
class WarpResult:
    """Warp error of a clip, each figure a mean over its pairs of neighboring frames."""

    output: float
    """Mean absolute difference of 255 between an output and its predecessor warped onto it, over valid pixels."""
    untouched: float
    """The same for the input: what is left when nothing is painted (new light, noise, errors of the flow)."""
    valid_fraction: float
    """Share of pixels that are seen in both frames, 0-1."""
    pairs: int
    """How many pairs had a valid pixel and were counted."""


class WarpError:
    """Warp error of a clip, frame by frame: mean absolute |O_t − W(O_{t−1})| where motion is known.

    Motion is the truth where it is given. Otherwise it is estimated on the *input*, at full size, by dense inverse
    search (OpenCV's DIS, preset medium) in both directions; pixels that fail :func:`consistent` are left out.
    Warping is cubic. A pair without one valid pixel (a cut) counts for the valid fraction alone.
    """

    def __init__(self) -> None:
        self._search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[Pixels, Pixels] | None = None
        self._output: list[float] = []
        self._untouched: list[float] = []
        self._valid: list[float] = []

    def add(
        self, input_pixels: Pixels, output_pixels: Pixels, motion: Motion | None = None, mask: Mask | None = None
    ) -> None:
        """Take the next frame.

        Args:
            input_pixels: uint8, H×W×3.
            output_pixels: the same frame painted, uint8, H×W×3.
            motion: float32, H×W×2, pixels: where pixel p was in the previous frame is p − motion(p). None: estimate.
            mask: bool, H×W, true where ``motion`` is valid; None: everywhere that comes from inside the picture.

        Raises:
            StyleError: the output's size isn't the input's.
            SourceError: the size changed, or motion or mask is of another size.
        """
        if output_pixels.shape != input_pixels.shape:
            raise _resized(input_pixels, output_pixels)
        for plane in (motion, mask):
            if plane is not None and plane.shape[:2] != input_pixels.shape[:2]:
                raise SourceError(f"motion or mask is {_size(plane)}, its frame {_size(input_pixels)}")
        before, self._before = self._before, (input_pixels, output_pixels)
        if before is None:
            return
        old_input, old_output = before
        if old_input.shape != input_pixels.shape:
            raise SourceError(f"the size changed from {_size(old_input)} to {_size(input_pixels)} within the clip")

        if motion is None:
            now, then = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (input_pixels, old_input))
            backward: Motion = self._search.calc(now, then, None)
            valid = consistent(backward, self._search.calc(then, now, None))
        else:
            backward = -motion
            valid = inside(backward)
        if mask is not None:
            valid &= mask
        self._valid.append(float(valid.mean()))
        if valid.any():
            self._output.append(_difference(output_pixels, _warp(old_output, backward), valid))
            self._untouched.append(_difference(input_pixels, _warp(old_input, backward), valid))

    def result(self) -> WarpResult:
        """What was measured so far.

        Raises:
            SourceError: no two neighboring frames show anything in common.
        """
        if not self._output:
            raise SourceError("warp error needs at least two neighboring frames that show the same things")
        return WarpResult(
            float(np.mean(self._output)),
            float(np.mean(self._untouched)),
            float(np.mean(self._valid)),
            len(self._output),
        )


def inside(backward: Motion) -> Mask:
    """Where p + flow(p) and the four pixels around it lie in the picture.

    Args:
        backward: float32, H×W×2, pixels: from this frame to the previous one.

    Returns:
        bool, H×W.
    """
    height, width = backward.shape[:2]
    x, y = _targets(backward)
    result: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return result


def consistent(backward: Motion, forward: Motion) -> Mask:
    """Where flow can be trusted: forward-backward check of Sundaram, Brox, Keutzer (ECCV 2010), with its constants.

    With w the backward flow at p and v the forward flow at p + w, a pixel is left out when it was hidden,
    |v + w|² > 0.01 (|v|² + |w|²) + 0.5, when it lies on a boundary of motion, |∇w₁|² + |∇w₂|² > 0.01 |w|² + 0.002,
    or when p + w is outside the picture. The constants are in squared pixels at the size the flow was computed at.
    Gradients are central differences.

    Args:
        backward: float32, H×W×2, pixels: from this frame to the previous one.
        forward: float32, H×W×2, pixels: from the previous frame to this one.

    Returns:
        bool, H×W.
    """
    x, y = _targets(backward)
    there = np.asarray(cv2.remap(forward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    size = _squared(backward)
    seen = _squared(there + backward) <= 0.01 * (_squared(there) + size) + 0.5
    slopes = [np.gradient(backward[..., i], axis=axis) for i in (0, 1) for axis in (0, 1) if backward.shape[axis] > 1]
    steepness = sum((slope * slope for slope in slopes), np.zeros_like(size))
    result: Mask = seen & (steepness <= 0.01 * size + 0.002) & inside(backward)
    return result


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """Shift error of a painter."""

    error: float
    """Mean absolute difference of 255 between neighboring outputs after the pan is undone."""
    floor: float
    """What undoing a fractional pan costs by itself: an output moved there and back by the same kernel, against
    itself, mean absolute difference of 255. 0 for whole pixels."""


def shift_error(paint: Paint, picture: Pixels, pan: float, *, frames: int = 16, border: int = 24) -> ShiftResult:
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
        raise UsageError(f"a picture of {_size(picture)} is too small to pan by {pan:g} for {frames} frames")

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


def noise_gain(paint: Paint, picture: Pixels, sigma: float, seed: int = 0, *, frames: int = 16) -> float:
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


def _resized(pixels: Pixels, output: Pixels) -> StyleError:
    return StyleError(f"{_size(pixels)} came back as {_size(output)}: only styles that keep the size can be measured")


def _painted(paint: Paint, pixels: Pixels) -> NDArray[np.float32]:
    output = paint(pixels)
    if output.shape != pixels.shape:
        raise _resized(pixels, output)
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


def _targets(backward: Motion) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = backward.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + backward[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + backward[..., 1]
    return x, y


def _warp(pixels: Pixels, backward: Motion) -> NDArray[np.float32]:
    x, y = _targets(backward)
    warped = cv2.remap(pixels.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _difference(now: Pixels, warped: NDArray[np.float32], valid: Mask) -> float:
    return float(np.abs(now - warped).mean(axis=2)[valid].mean())


def _squared(flow: Motion) -> NDArray[np.float32]:
    result: NDArray[np.float32] = np.einsum("hwc,hwc->hw", flow, flow)
    return result


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
