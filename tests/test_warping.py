"""Warp error and e_stab, against cases worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from allaprima.errors import SourceError, StyleError
from allaprima.frame import Frame, Pixels
from allaprima.measure.quality.motion import consistent, estimate, inside, warp
from allaprima.measure.quality.warping import StabilityError, WarpError, measure_warp


def picture(height: int = 120, width: int = 200, seed: int = 0, middle: int = 130) -> Pixels:
    """Smooth noise on several scales, 70 to either side of the middle."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (2, 4, 9):
        layer = cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), (0, 0), sigma)
        total += layer / layer.std()
    return np.clip(middle + 18 * total, middle - 70, middle + 70).astype(np.uint8)


def textured(pixels: Pixels, amplitude: int = 10) -> Pixels:
    """A painter whose strokes stick to the screen: columns brighter and darker in turn."""
    columns = np.where(np.arange(pixels.shape[1]) % 2, amplitude, -amplitude)
    return (pixels + columns[None, :, None]).astype(np.uint8)


def panned(frames: int, step: int, seed: int = 0) -> list[Pixels]:
    """A still picture that a camera slides over, whole pixels."""
    whole = picture(120, 200 + frames * step, seed)
    return [whole[:, i * step : i * step + 200].copy() for i in range(frames)]


def plane(x: float, y: float, height: int = 120, width: int = 200) -> np.ndarray:
    """The same vector everywhere."""
    return np.full((height, width, 2), (x, y), np.float32)


def level(value: int, height: int = 20, width: int = 20) -> Pixels:
    """One gray."""
    return np.full((height, width, 3), value, np.uint8)


EVERY = np.ones((20, 20), np.bool_)


def test_identity_has_the_errors_of_the_clip() -> None:
    """Protects the zero line: painting nothing measures what the untouched clip measures, short and long."""
    measure = WarpError()
    for frame in panned(4, 2):
        measure.add(frame, frame)
    result = measure.result()
    assert result.output == result.untouched < 1
    assert result.long is not None
    assert result.long == result.long_untouched < 1
    assert result.pairs == 3
    assert 0.85 < result.valid_fraction < 1


def test_screen_texture_costs_what_it_differs_by() -> None:
    """Protects the scale: along a true motion of 3 px, columns of ±10 differ by 20, and the clip itself by 0."""
    measure = WarpError()
    for frame in panned(4, 3):
        measure.add(frame, textured(frame), plane(-3, 0), np.ones((120, 200), np.bool_))
    result = measure.result()
    assert result.output == pytest.approx(20)
    assert result.untouched == 0
    assert result.valid_fraction == pytest.approx(197 / 200), "what came in at the side is left out"
    assert (result.long, result.long_untouched, result.long_valid_fraction) == (None, None, None)


def test_estimated_motion_finds_the_same() -> None:
    """Protects clips without truth: flow estimated on the input gives nearly the figure of the true motion.

    Against the first frame the columns moved by 3, 6 and 9 px: they differ by 20, 0 and 20.
    """
    measure = WarpError()
    for frame in panned(4, 3):
        measure.add(frame, textured(frame))
    result = measure.result()
    assert result.output == pytest.approx(20, abs=1.5)
    assert result.untouched < 1
    assert [pair.long for pair in result.series] == pytest.approx([20, 0, 20], abs=2)


def test_flow_is_estimated_on_the_input_alone() -> None:
    """Protects against a painter that hides its flicker from the flow: a flat output has no error, whatever moves."""
    measure = WarpError()
    for gray, frame in zip((100, 107, 100), panned(3, 2), strict=True):
        measure.add(frame, np.full_like(frame, gray))
    result = measure.result()
    assert result.output == pytest.approx(7)
    assert [pair.long for pair in result.series] == pytest.approx([7, 0], abs=1e-4)


def test_known_subpixel_warp() -> None:
    """Protects interpolation: a ramp of 4 levels a pixel moved by half a pixel differs by 2, moved along by 0."""
    ramp = np.broadcast_to((4 * np.arange(40)).astype(np.uint8)[None, :, None], (20, 40, 3)).copy()
    inner = np.zeros((20, 40), np.bool_)
    inner[:, 4:-4] = True
    for kernel in (cv2.INTER_CUBIC, cv2.INTER_LINEAR):
        moved = warp(ramp, plane(0.5, 0, 20, 40), kernel)
        assert moved[:, 4:-4] == pytest.approx(ramp[:, 4:-4] + 2.0, abs=0.01)
    measure = WarpError()
    measure.add(ramp, ramp)
    measure.add(ramp + np.uint8(2), ramp, plane(-0.5, 0, 20, 40), inner)
    result = measure.result()
    assert result.output == pytest.approx(2, abs=0.01), "the output stood still while the picture moved"
    assert result.untouched == pytest.approx(0, abs=0.01)


def test_mask_decides_what_counts() -> None:
    """Protects occlusions: only true pixels are compared."""
    before, now = level(0), level(0)
    now[:, 10:] = 50
    now[:, :10] = 8
    mask = np.zeros((20, 20), np.bool_)
    mask[:, :10] = True
    measure = WarpError()
    measure.add(before, before, plane(0, 0, 20, 20), mask)
    measure.add(now, now, plane(0, 0, 20, 20), mask)
    assert measure.result().output == pytest.approx(8)
    assert measure.result().valid_fraction == 0.5


def test_motion_sign() -> None:
    """Protects the convention: pixel p was at p − motion(p)."""
    before, now = level(0, 20, 30), level(0, 20, 30)
    before[8:12, 8:12] = 200
    now[9:13, 13:17] = 200
    right, wrong = WarpError(), WarpError()
    for measure, motion in ((right, (5, 1)), (wrong, (-5, -1))):
        measure.add(before, before, plane(*motion, 20, 30))
        measure.add(now, now, plane(*motion, 20, 30))
    assert right.result().output == 0
    assert wrong.result().output > 5


def test_estimate_points_from_now_to_before() -> None:
    """Protects the direction of estimated flow: a camera that slides right by 3 px finds everything 3 px further."""
    before, now = panned(2, 3)
    backward, valid = estimate(now, before)
    assert np.median(backward[valid], axis=0) == pytest.approx((3, 0), abs=0.1)


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
    assert not inside(np.full((4, 4, 2), np.nan, np.float32)).any()


def test_nothing_in_common_counts_for_the_valid_fraction_alone() -> None:
    """Protects means from pairs that show nothing in common."""
    measure = WarpError()
    for gray, mask in ((10, EVERY), (14, EVERY), (200, ~EVERY)):
        measure.add(level(gray), level(gray), plane(0, 0, 20, 20), mask)
    result = measure.result()
    assert (result.output, result.valid_fraction, result.pairs) == (4, 0.5, 1)


def test_slow_drift_is_caught_in_the_long_term() -> None:
    """Protects against painters that creep: 1 level a frame is 1 to the neighbor and 1, 2, … 7 to the first."""
    measure = WarpError()
    still = picture()
    for index in range(8):
        measure.add(still, still + np.uint8(index))
    result = measure.result()
    assert result.output == pytest.approx(1)
    assert result.long == pytest.approx(4)
    assert [pair.long for pair in result.series] == pytest.approx([1, 2, 3, 4, 5, 6, 7])
    assert (result.untouched, result.long_untouched) == (0, 0)


def test_nothing_is_compared_across_a_cut() -> None:
    """Protects clips with cuts: the pair across is left out, and the long term starts again behind it."""
    first, second = picture(seed=1, middle=80), picture(seed=2, middle=170)
    second[..., 0] //= 2
    measure = WarpError()
    for index in range(3):
        measure.add(first, first + np.uint8(index))
    for index in range(3):
        measure.add(second, second + np.uint8(3 * index))
    result = measure.result()
    assert [pair.index for pair in result.series] == [1, 2, 4, 5]
    assert [pair.output for pair in result.series] == pytest.approx([1, 1, 3, 3])
    assert [pair.long for pair in result.series] == pytest.approx([1, 2, 3, 6])
    assert result.valid_fraction == 1


def test_worst_frame_is_the_one_that_flickers_beyond_its_input() -> None:
    """Protects the report: a change of the input itself isn't the painter's."""
    measure = WarpError()
    for before, after in ((10, 10), (40, 40), (40, 45), (41, 45)):
        measure.add(level(before), level(after), plane(0, 0, 20, 20))
    result = measure.result()
    assert [(pair.output, pair.untouched) for pair in result.series] == [(30, 30), (5, 0), (0, 1)]
    assert (result.worst, result.excess) == (2, 5)
    assert result.to_dict()["series"] == [[1, 30, 30, None], [2, 5, 0, None], [3, 0, 1, None]]


def test_painter_is_not_told_the_motion() -> None:
    """Protects the figures of ``video``: the painter sees frames as a file gives them, each once, in order."""
    seen = []

    def painter(frame: Frame) -> Frame:
        seen.append(frame)
        return frame

    clip = [
        Frame(pixels, i, motion=plane(9, 9), mask=np.zeros((120, 200), np.bool_))
        for i, pixels in enumerate(panned(3, 2))
    ]
    result = measure_warp(painter, clip)
    assert [frame.pts for frame in seen] == [0, 1, 2]
    assert all(frame.motion is None and frame.mask is None for frame in seen)
    assert result.output == result.untouched < 1
    with pytest.raises(StyleError, match="200×120 came back as 200×119"):
        measure_warp(lambda frame: frame.with_pixels(frame.pixels[1:]), clip)


def test_stability_by_hand() -> None:
    """Protects the definition: 0.2 in all channels on half of the pixels is √(½ · 3 · 0.04), over all pixels."""
    mask = EVERY.copy()
    mask[10:] = False
    measure = StabilityError("by hand")
    measure.add_pair((level(100), level(151)), (level(100), level(100)), plane(0, 0, 20, 20), mask)
    result = measure.result()
    assert result.e_stab == pytest.approx(math.sqrt(0.5 * 3 * 0.04))
    assert result.per_valid_pixel == pytest.approx(math.sqrt(3 * 0.04))
    assert (result.untouched, result.untouched_per_valid_pixel) == (0, 0)
    assert (result.valid_fraction, result.pairs, result.mask) == (0.5, 1, "by hand")
    assert result.to_dict()["per_valid_pixel"] == result.per_valid_pixel

    measure.add_pair((level(100), level(100)), (level(151), level(100)), plane(0, 0, 20, 20), EVERY)
    result = measure.result()
    assert result.e_stab == pytest.approx(math.sqrt((0.5 * 3 * 0.04 + 0) / 2)), "the mean is under the root"
    assert result.per_valid_pixel == pytest.approx(math.sqrt(3 * 0.04 / 2))
    assert result.untouched == pytest.approx(math.sqrt(3 * 0.04 / 2))
    assert (result.valid_fraction, result.pairs) == (0.75, 2)

    measure.add_pair((level(0), level(0)), (level(255), level(255)), plane(0, 0, 20, 20), ~EVERY)
    assert measure.result().e_stab == result.e_stab
    assert (measure.result().valid_fraction, measure.result().pairs) == (0.5, 2)


def test_stability_in_both_directions() -> None:
    """Protects forward flow: a frame warped into its successor, or its successor into it, gives 0; a wrong sign not."""
    before, now = ((frame, frame) for frame in panned(2, 3))
    every = np.ones((120, 200), np.bool_)
    for reference, other, x, steady in ((now, before, 3, True), (before, now, -3, True), (before, now, 3, False)):
        measure = StabilityError()
        measure.add_pair(reference, other, plane(x, 0), every)
        assert (measure.result().e_stab == 0) == steady
        assert measure.result().valid_fraction == pytest.approx(197 / 200), "what left the picture is left out"


def test_stability_warps_bilinearly() -> None:
    """Protects comparability: half a pixel between columns of 0 and 102 is their mean, 51 = 0.2 from either."""
    columns = level(0)
    columns[:, 1::2] = 102
    measure = StabilityError()
    measure.add_pair((level(51), level(0)), (columns, columns), plane(0.5, 0, 20, 20), EVERY)
    result = measure.result()
    assert result.untouched == 0
    assert result.per_valid_pixel == pytest.approx(math.sqrt(3 * 0.04))


def test_blur_in_time_is_exposed() -> None:
    """Protects the reading of e_stab: mixing each frame with the last painting drags a ghost behind what moves."""
    ground, thing = picture(seed=3), picture(40, 40, seed=4)
    results = []
    for share in (0.0, 0.7):
        measure, before, old_left = StabilityError(), None, 0
        for index in range(6):
            left = 20 + 8 * index
            frame = ground.copy()
            frame[40:80, left : left + 40] = thing
            paint = frame if before is None else np.rint(share * before[1] + (1 - share) * frame).astype(np.uint8)
            if before is not None:
                flow, mask = plane(0, 0), np.ones((120, 200), np.bool_)
                flow[40:80, left : left + 40] = (-8, 0)
                mask[40:80, old_left:left] = False
                measure.add_pair((frame, paint), before, flow, mask)
            before, old_left = (frame, paint), left
        results.append(measure.result())
    assert results[0].e_stab == results[0].untouched == results[1].untouched == 0
    assert results[1].e_stab > 0.02


def test_what_cannot_be_measured() -> None:
    """Protects the figures: other sizes and clips without two frames are errors of one line, not numbers."""
    small, large = np.zeros((10, 10, 3), np.uint8), np.zeros((20, 10, 3), np.uint8)
    measure = WarpError()
    with pytest.raises(SourceError, match="this clip has 0"):
        measure.result()
    with pytest.raises(StyleError, match="10×10 came back as 10×20"):
        measure.add(small, large)
    with pytest.raises(SourceError, match="motion or mask is 10×20, its frame 10×10"):
        measure.add(small, small, np.zeros((20, 10, 2), np.float32))
    measure.add(small, small)
    with pytest.raises(SourceError, match="steadiness needs at least two frames"):
        measure.result()
    with pytest.raises(SourceError, match="10×10 are too small to find motion in: take at least 16×16"):
        measure.add(small, small)
    with pytest.raises(SourceError, match="the size changed from 10×10 to 10×20"):
        measure.add(large, large)
    with pytest.raises(SourceError, match="this clip has 1"):
        measure_warp(lambda frame: frame, [Frame(picture())])
    cut = WarpError()
    for pixels in (picture(seed=1, middle=80), np.full((120, 200, 3), (255, 40, 250), np.uint8)):
        cut.add(pixels, pixels)
    with pytest.raises(SourceError, match="no two neighboring frames"):
        cut.result()

    stability = StabilityError()
    with pytest.raises(SourceError, match="nothing to compare"):
        stability.result()
    still, every = np.zeros((10, 10, 2), np.float32), np.ones((10, 10), np.bool_)
    with pytest.raises(StyleError, match="10×10 came back as 10×20"):
        stability.add_pair((small, large), (small, small), still, every)
    with pytest.raises(SourceError, match="neighboring frames are 10×10 and 10×20"):
        stability.add_pair((small, small), (large, large), still, every)
    with pytest.raises(SourceError, match="motion or mask is 10×20, its frame 10×10"):
        stability.add_pair((small, small), (small, small), still, np.ones((20, 10), np.bool_))
