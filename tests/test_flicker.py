"""Shift error and noise gain, against cases worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from allaprima.errors import StyleError, UsageError
from allaprima.frame import Pixels
from allaprima.measure.quality.flicker import Paint, noise_gain, shift_error


def picture(height: int = 120, width: int = 200, seed: int = 0) -> Pixels:
    """Smooth noise on several scales, 60 to 200."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (2, 4, 9):
        layer = cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return np.clip(130 + 18 * total, 60, 200).astype(np.uint8)


def texture(shape: tuple[int, ...], amplitude: int = 10) -> np.ndarray:
    """Columns that are brighter and darker in turn: moved by an odd number of pixels, all of them differ by 2a."""
    columns = np.where(np.arange(shape[1]) % 2, amplitude, -amplitude)
    return np.broadcast_to(columns[None, :, None], shape).astype(np.int16)


def textured(pixels: Pixels) -> Pixels:
    """A painter whose strokes stick to the screen."""
    return (pixels + texture(pixels.shape)).astype(np.uint8)


def test_shift_error_of_identity() -> None:
    """Protects the zero line: exactly 0 at whole pixels, near the resampling floor at fractions."""
    for pan in (0, 1, 2, 4):
        assert shift_error(lambda pixels: pixels, picture(), pan).error == 0
    fraction = shift_error(lambda pixels: pixels, picture(), 2.6)
    assert 0 < fraction.error < 1.5
    assert 0 < fraction.floor < 1.5
    assert shift_error(lambda pixels: pixels, picture(), 2).floor == 0


def test_shift_error_of_a_screen_texture() -> None:
    """Protects the scale: columns of ±10 differ by 20 under an odd pan and ride along with an even one."""
    assert shift_error(textured, picture(), 1).error == pytest.approx(20)
    assert shift_error(textured, picture(), 3).error == pytest.approx(20)
    assert shift_error(textured, picture(), 2).error == 0


def test_blur_is_steady() -> None:
    """Protects the reading of the figures: a painter that moves with the picture has no shift error, however soft."""
    assert shift_error(lambda pixels: cv2.blur(pixels, (5, 5)), picture(), 1).error == 0


def test_only_what_lies_inside_the_border_is_compared() -> None:
    """Protects painters from their frame: what happens in the 24 pixels along each side isn't counted, the rest is."""

    def framed(width: int) -> Paint:
        """Another noise every frame, in a frame that wide."""
        rng = np.random.default_rng(0)

        def paint(pixels: Pixels) -> Pixels:
            output = rng.integers(0, 255, pixels.shape, np.uint8)
            inner = np.s_[width:-width, width:-width]
            output[inner] = pixels[inner]
            return output

        return paint

    for pan in (0, 1, 4, 5):
        assert shift_error(framed(24), picture(), pan).error == 0
        assert shift_error(framed(25), picture(), pan).error > 0
    outside = shift_error(framed(22), picture(), 2.6).error
    assert outside == shift_error(lambda pixels: pixels, picture(), 2.6).error, "the kernel reaches 2 px further"


def test_pictures_of_the_protocol_are_wide_enough() -> None:
    """Protects the pan by the stride: 512×384 is enough for 16 frames of 28 px; at 29 nothing is left to compare."""
    wide = picture(384, 512)
    assert shift_error(lambda pixels: pixels, wide, 16).error == 0
    assert shift_error(lambda pixels: pixels, wide, 28).error == 0
    with pytest.raises(UsageError, match="512×384 is too small to pan by 29 for 16 frames"):
        shift_error(lambda pixels: pixels, wide, 29)


def test_floor_is_one_output_moved_there_and_back() -> None:
    """Protects the figure beside the fractional one: cubic half a pixel right and left again, worked out by hand.

    OpenCV's cubic kernel (a = -0.75) at half a pixel weighs -3/32, 19/32, 19/32, -3/32, and so again back:
    columns of ±10 that alternate every pixel become 0 both times, and differ by 10 from themselves.
    """
    flat = np.full((120, 200, 3), 100, np.uint8)
    assert shift_error(textured, flat, 0.5).floor == pytest.approx(10)


def test_warm_up_is_left_out() -> None:
    """Protects painters with a memory: what they do in the first four frames isn't counted."""
    calls = []

    def settling(pixels: Pixels) -> Pixels:
        calls.append(pixels)
        return np.full_like(pixels, 50 * len(calls)) if len(calls) <= 4 else pixels

    assert shift_error(settling, picture(), 1).error == 0
    assert len(calls) == 16
    calls.clear()
    assert noise_gain(settling, picture(), 2) == 1
    assert len(calls) == 16


def test_noise_gain() -> None:
    """Protects the scale: the same picture is 1, half contrast ½, triple contrast 3, a mean of 3×3 near ⅓."""
    middle = (picture() // 4 + 100).astype(np.uint8)
    assert noise_gain(lambda pixels: pixels, middle, 2, seed=1) == 1
    assert noise_gain(lambda pixels: (pixels * 0.5).astype(np.uint8), middle, 4) == pytest.approx(0.5, abs=0.02)
    tripled = noise_gain(lambda pixels: (3 * (pixels.astype(int) - 115) + 115).clip(0, 255).astype(np.uint8), middle, 2)
    assert tripled == pytest.approx(3, abs=0.01)
    assert noise_gain(lambda pixels: cv2.blur(pixels, (3, 3)), middle, 6) == pytest.approx(1 / 3, abs=0.03)
    again = [noise_gain(lambda pixels: cv2.blur(pixels, (3, 3)), middle, 2, seed=seed) for seed in (7, 7, 8)]
    assert again[0] == again[1] != again[2]


def test_what_cannot_be_measured() -> None:
    """Protects the figures: other sizes, too few frames and impossible arguments are errors, not numbers."""
    with pytest.raises(UsageError, match="too small"):
        shift_error(lambda pixels: pixels, picture(), 12)
    with pytest.raises(UsageError, match="pan must be"):
        shift_error(lambda pixels: pixels, picture(), -1)
    with pytest.raises(StyleError, match="came back as"):
        shift_error(lambda pixels: pixels[1:], picture(), 1)
    with pytest.raises(UsageError, match="frames must be at least 6"):
        noise_gain(lambda pixels: pixels, picture(), 2, frames=5)
    with pytest.raises(UsageError, match="leaves the picture as it is"):
        noise_gain(lambda pixels: pixels, picture(), 0.01)
