"""Instruments of steadiness, against cases worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from allaprima.errors import SourceError, StyleError, UsageError
from allaprima.frame import Pixels
from allaprima.measure.flicker import WarpError, consistent, inside, noise_gain, shift_error


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


def panned(frames: int, step: int) -> list[Pixels]:
    """A still picture that a camera slides over, whole pixels."""
    whole = picture(120, 200 + frames * step)
    return [whole[:, i * step : i * step + 200].copy() for i in range(frames)]


def test_identity_has_the_errors_of_the_clip() -> None:
    """Protects the zero line: painting nothing measures what the untouched clip measures."""
    measure = WarpError()
    for frame in panned(4, 2):
        measure.add(frame, frame)
    result = measure.result()
    assert result.output == result.untouched < 1
    assert result.pairs == 3
    assert 0.85 < result.valid_fraction < 1


def test_screen_texture_costs_what_it_differs_by() -> None:
    """Protects the scale: along a true motion of 3 px, columns of ±10 differ by 20, and the clip itself by 0."""
    measure = WarpError()
    motion = np.full((120, 200, 2), (-3, 0), np.float32)
    for frame in panned(4, 3):
        measure.add(frame, textured(frame), motion, np.ones((120, 200), np.bool_))
    result = measure.result()
    assert result.output == pytest.approx(20)
    assert result.untouched == 0
    assert result.valid_fraction == pytest.approx(197 / 200), "what came in at the side is left out"


def test_estimated_motion_finds_the_same() -> None:
    """Protects clips without truth: flow estimated on the input gives nearly the figure of the true motion."""
    measure = WarpError()
    for frame in panned(4, 3):
        measure.add(frame, textured(frame))
    result = measure.result()
    assert result.output == pytest.approx(20, abs=1.5)
    assert result.untouched < 1


def test_flow_is_estimated_on_the_input_alone() -> None:
    """Protects against a painter that hides its flicker from the flow: a flat output has no error, whatever moves."""
    measure = WarpError()
    for level, frame in zip((100, 107, 100), panned(3, 2), strict=True):
        measure.add(frame, np.full_like(frame, level))
    assert measure.result().output == pytest.approx(7)


def test_mask_decides_what_counts() -> None:
    """Protects occlusions: only true pixels are compared."""
    before, now = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)
    now[:, 10:] = 50
    now[:, :10] = 8
    mask = np.zeros((20, 20), np.bool_)
    mask[:, :10] = True
    measure = WarpError()
    still = np.zeros((20, 20, 2), np.float32)
    measure.add(before, before, still, mask)
    measure.add(now, now, still, mask)
    assert measure.result().output == pytest.approx(8)
    assert measure.result().valid_fraction == 0.5


def test_motion_sign() -> None:
    """Protects the convention: pixel p was at p − motion(p)."""
    before, now = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30, 3), np.uint8)
    before[8:12, 8:12] = 200
    now[9:13, 13:17] = 200
    right, wrong = WarpError(), WarpError()
    for measure, motion in ((right, (5, 1)), (wrong, (-5, -1))):
        plane = np.full((20, 30, 2), motion, np.float32)
        measure.add(before, before, plane)
        measure.add(now, now, plane)
    assert right.result().output == 0
    assert wrong.result().output > 5


def test_forward_backward_constants() -> None:
    """Protects the mask's thresholds: disagreement, boundary of motion, outside the picture."""
    still = np.zeros((40, 40, 2), np.float32)
    assert consistent(still, still).all()
    assert consistent(still, still + np.float32(0.48)).all(), "|0.48, 0.48|² = 0.46 ≤ 0.5 + 0.01 · 0.46"
    assert not consistent(still, still + np.float32(0.52)).any(), "|0.52, 0.52|² = 0.54 > 0.5 + 0.01 · 0.54"

    for slope, fine in ((0.04, True), (0.05, False)):
        ramp = still.copy()
        ramp[..., 1] = slope * (np.arange(40, dtype=np.float32) - 20)[None]
        found = consistent(ramp, -ramp)
        assert found[20, 20] == fine, "near zero motion the limit is a slope of √0.002 = 0.0447"

    away = still.copy()
    away[..., 0] = 2.5
    assert inside(away)[5].tolist() == [True] * 37 + [False] * 3
    assert consistent(away, -away)[5].tolist() == [True] * 37 + [False] * 3


def test_cut_counts_for_the_valid_fraction_alone() -> None:
    """Protects means from pairs that show nothing in common."""
    measure = WarpError()
    none, every = np.zeros((10, 10), np.bool_), np.ones((10, 10), np.bool_)
    still = np.zeros((10, 10, 2), np.float32)
    for level, mask in ((10, every), (14, every), (200, none)):
        frame = np.full((10, 10, 3), level, np.uint8)
        measure.add(frame, frame, still, mask)
    result = measure.result()
    assert (result.output, result.valid_fraction, result.pairs) == (4, 0.5, 1)


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
    small, large = np.zeros((10, 10, 3), np.uint8), np.zeros((20, 10, 3), np.uint8)
    measure = WarpError()
    with pytest.raises(SourceError, match="at least two"):
        measure.result()
    with pytest.raises(StyleError, match="10×10 came back as 10×20"):
        measure.add(small, large)
    with pytest.raises(SourceError, match="motion or mask is 10×20"):
        measure.add(small, small, np.zeros((20, 10, 2), np.float32))
    measure.add(small, small)
    with pytest.raises(SourceError, match="the size changed"):
        measure.add(large, large)
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
