"""What the instruments of steadiness share: motion between two pictures, where it can be trusted, and moving along it.

Flow here goes from a picture to another one: what pixel p of the first shows is at p + flow(p) in the other.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SourceError, StyleError
from ...frame import Pixels

Motion = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST_SIDE = 16
_FLO_TAG = 202021.25
_UNKNOWN = 1e9


def estimate(now: Pixels, before: Pixels) -> tuple[Motion, Mask]:
    """Motion between two pictures, by dense inverse search on luminance at full size, in both directions.

    Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016: OpenCV's DIS, preset medium.

    Args:
        now: uint8, H×W×3.
        before: uint8, H×W×3, an earlier frame.

    Returns:
        backward: float32, H×W×2, pixels: from ``now`` to ``before``.
        valid: bool, H×W: where it passes :func:`consistent`.

    Raises:
        SourceError: a side is shorter than 16 pixels.
    """
    if min(now.shape[:2]) < _LEAST_SIDE:
        raise SourceError(f"frames of {size_of(now)} are too small to find motion in: take at least 16×16")
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    light, old_light = (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) for pixels in (now, before))
    no_guess: Motion = np.zeros((*now.shape[:2], 2), np.float32)
    backward = np.asarray(search.calc(light, old_light, no_guess.copy()), np.float32)
    forward = np.asarray(search.calc(old_light, light, no_guess), np.float32)
    return backward, consistent(backward, forward)


def inside(flow: Motion) -> Mask:
    """Where p + flow(p) and the four pixels around it lie in the picture.

    Args:
        flow: float32, H×W×2, pixels.

    Returns:
        bool, H×W; false where the flow isn't a number.
    """
    height, width = flow.shape[:2]
    x, y = _targets(flow)
    result: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return result


def consistent(backward: Motion, forward: Motion) -> Mask:
    """Where flow can be trusted: forward-backward check of Sundaram, Brox, Keutzer (ECCV 2010), with its constants.

    With w the backward flow at p and v the forward flow at p + w, a pixel is left out when it was hidden,
    |v + w|² > 0.01 (|v|² + |w|²) + 0.5, when it lies on a boundary of motion, |∇w₁|² + |∇w₂|² > 0.01 |w|² + 0.002,
    or when p + w is outside the picture. The constants are in squared pixels at the size the flow was computed at.
    Gradients are central differences.

    Args:
        backward: float32, H×W×2, pixels: from this frame to the earlier one.
        forward: float32, H×W×2, pixels: from the earlier frame to this one.

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


def warp(pixels: Pixels, flow: Motion, kernel: int = cv2.INTER_CUBIC) -> NDArray[np.float32]:
    """The other picture as it looks from this one: result(p) = pixels(p + flow(p)); edges repeat.

    Args:
        pixels: uint8, H×W×3: the other picture.
        flow: float32, H×W×2, pixels, finite: from this picture to the other.
        kernel: of the interpolation: ``cv2.INTER_CUBIC``, or ``cv2.INTER_LINEAR`` for what papers use.

    Returns:
        float32, H×W×3, of 255; cubic interpolation may leave 0-255.
    """
    x, y = _targets(flow)
    warped = cv2.remap(pixels.astype(np.float32), x, y, kernel, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def read_flow(path: Path) -> tuple[Motion, Mask]:
    """Read a file of true flow: ``.flo`` (Middlebury, Sintel) or ``.pfm`` (FlyingThings3D, Monkaa).

    Returns:
        flow: float32, H×W×2, x right and y down, pixels; 0 where it isn't known.
        known: bool, H×W: false where a component is over 1e9 (Middlebury's mark for unknown) or not a number.

    Raises:
        SourceError: missing, damaged, or not a file of flow.
    """
    try:
        values = _read_flo(path) if path.suffix.lower() == ".flo" else _read_pfm(path)
    except OSError as error:
        raise SourceError(f"can't read '{path}': {error.strerror}") from error
    known = np.asarray((np.abs(values) <= _UNKNOWN).all(axis=2), np.bool_)
    values[~known] = 0
    return values, known


def size_of(array: NDArray[np.generic]) -> str:
    """Width and height in words."""
    return f"{array.shape[1]}×{array.shape[0]}"


def check_size_kept(pixels: Pixels, output: Pixels) -> None:
    """Refuse a painting that can't be compared with its picture pixel by pixel.

    Raises:
        StyleError: the sizes differ.
    """
    if output.shape != pixels.shape:
        raise StyleError(
            f"{size_of(pixels)} came back as {size_of(output)}: only styles that keep the size can be measured"
        )


def _read_flo(path: Path) -> Motion:
    # OpenCV's reader trusts the sizes in the header and brings the process down when they are negative.
    data = path.read_bytes()
    if len(data) < 12:
        raise SourceError(f"'{path}' is cut short: it isn't a file of flow")
    tag, width, height = struct.unpack_from("<fii", data)
    if tag != _FLO_TAG or width < 1 or height < 1:
        raise SourceError(f"'{path}' is not a .flo file: its header is not Middlebury's")
    if len(data) < 12 + 8 * width * height:
        raise SourceError(f"'{path}' is cut short: {width}×{height} vectors need {12 + 8 * width * height} bytes")
    values = np.frombuffer(data, "<f4", 2 * width * height, 12)
    return values.reshape(height, width, 2).astype(np.float32)


def _read_pfm(path: Path) -> Motion:
    path.stat()
    try:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise SourceError(f"'{path}' is not a picture of flow that can be read: {error.err}") from error
    if image is None or image.dtype != np.float32 or image.ndim != 3:
        raise SourceError(f"'{path}' is not a picture of flow: it needs float32 and three channels, and all its bytes")
    # OpenCV turns RGB around to BGR; flow is in R and G.
    return np.ascontiguousarray(image[..., 2:0:-1], np.float32)


def _targets(flow: Motion) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return x, y


def _squared(flow: Motion) -> NDArray[np.float32]:
    result: NDArray[np.float32] = np.einsum("hwc,hwc->hw", flow, flow)
    return result
