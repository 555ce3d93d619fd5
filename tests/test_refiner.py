"""From the work size to the full one: the strokes of the painting, the edges of the frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from allaprima.errors import UsageError
from allaprima.frame import Pixels
from allaprima.refiner import Refiner, work_size_of

SCALE = 3
INSIDE = np.s_[30:-30, 30:-30]
"""Further from the border than windows and kernels reach, in pixels of the frame."""


def refine(painting: Pixels, small: Pixels, frame: Pixels) -> Pixels:
    """The first painting of a stream."""
    return Refiner().refine(painting, small, frame)


def gray(plane: NDArray[np.floating]) -> Pixels:
    """A plane as a picture."""
    return np.repeat(np.rint(plane).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def shrunk(frame: Pixels, scale: int = SCALE) -> Pixels:
    """The frame at its work size, by area."""
    height, width = frame.shape[:2]
    return np.asarray(cv2.resize(frame, (width // scale, height // scale), interpolation=cv2.INTER_AREA), np.uint8)


def cubic(painting: Pixels, frame: Pixels) -> Pixels:
    """What upscaling alone makes of a painting."""
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(cv2.resize(painting, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def step(at: int = 61, *, dark: int = 40, light: int = 200) -> Pixels:
    """An upright edge: 61 lies between two pixels of the work size."""
    plane = np.full((90, 120), dark, float)
    plane[:, at:] = light
    return gray(plane)


def texture(seed: int = 0, size: tuple[int, int] = (150, 180)) -> Pixels:
    """Something with detail of every size, in colors."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    return (
        np.rint(128 + sum(cv2.GaussianBlur(noise, (0, 0), s) * s * 60 for s in (1, 3, 9))).clip(0, 255).astype(np.uint8)
    )


def test_flat_colors_stay() -> None:
    """A painting of one color on a frame of another: nothing to add."""
    painting = np.full((30, 40, 3), (10, 120, 250), np.uint8)
    refined = refine(painting, gray(np.full((30, 40), 77.0)), gray(np.full((90, 120), 77.0)))
    assert refined.shape == (90, 120, 3) and refined.dtype == np.uint8
    assert (refined == (10, 120, 250)).all()


def test_strokes_on_a_flat_frame_stay() -> None:
    """Protects the strokes: where the frame has no detail, the painting comes through as upscaling alone brings it."""
    painting = texture(size=(30, 40))
    frame = gray(np.full((90, 120), 77.0))
    assert np.array_equal(refine(painting, shrunk(frame), frame), cubic(painting, frame))


def test_a_ramp_has_no_detail() -> None:
    """Light that changes evenly is all in the small frame: the painting is upscaled and no more, to the rounding."""
    frame = gray(np.tile(np.arange(120) * 2.0, (90, 1)))
    painting = 255 - shrunk(frame)
    difference = np.abs(refine(painting, shrunk(frame), frame)[INSIDE].astype(int) - cubic(painting, frame)[INSIDE])
    assert difference.max() <= 1


def test_equal_sizes_are_the_painting() -> None:
    """Protects the top of the ladder: at the frame's own size nothing is touched."""
    frame, painting = texture(1), texture(2)
    assert np.array_equal(refine(painting, frame, frame), painting)


@pytest.mark.parametrize(("slope", "base"), [(1.0, 0.0), (0.5, 60.0), (-0.8, 220.0), (-1.0, 255.0)])
def test_an_edge_between_pixels_is_sharp(slope: float, base: float) -> None:
    """Protects the point of it: the frame's edge as the painting shows it, either way round; upscaling blurs it."""
    frame = step()
    painting = gray(base + slope * shrunk(frame)[..., 0].astype(float))
    wanted = (base + slope * frame[..., 0].astype(float))[INSIDE]
    refined = refine(painting, shrunk(frame), frame)[INSIDE][..., 0].astype(float)
    height = abs(slope) * 160
    assert np.abs(refined - wanted).max() < 0.08 * height
    assert np.abs(cubic(painting, frame)[INSIDE][..., 0] - wanted).max() > 0.25 * height


@pytest.mark.parametrize("seed", range(3))
def test_the_gain_by_hand(seed: int) -> None:
    """The slopes of 5×5 windows at a half, averaged over as many, in 64ths; here nothing changes from row to row."""
    frame, small = step(dark=100, light=130), shrunk(step(dark=100, light=130))
    strokes = np.random.default_rng(seed).normal(0, 30, 40)
    painting = gray(np.tile(strokes, (30, 1)) + small[..., 0] * 1.2)
    light, painted = (
        np.rint(picture[15, :, 0].astype(float).reshape(20, 2).mean(axis=1)) for picture in (small, painting)
    )
    # Column 61 is the middle of the small pixel 20, a quarter of the way from the halved pixel 10 to 9.
    windows = {at: [np.s_[x - 2 : x + 3] for x in range(at - 2, at + 3)] for at in (9, 10)}
    slopes = {
        at: float(np.mean([np.cov(light[w], painted[w], bias=True)[0, 1] / (light[w].var() + 100.0) for w in near]))
        for at, near in windows.items()
    }
    gain = 0.25 * slopes[9] + 0.75 * slopes[10]
    detail = int(frame[45, 61, 0]) - int(cubic(small, frame)[45, 61, 0])
    expected = int(cubic(painting, frame)[45, 61, 0]) + gain * detail
    assert 0.2 < gain < 1.5 and detail > 8
    assert abs(int(refine(painting, small, frame)[45, 61, 0]) - expected) <= 1


def test_the_gain_has_a_limit() -> None:
    """Protects from glitter: a painting of three times the frame's contrast gets one and a half times its detail."""
    frame = step(dark=100, light=140)
    painting = gray(3.0 * shrunk(frame)[..., 0].astype(float) - 280)
    added = refine(painting, shrunk(frame), frame)[45, :, 0].astype(int) - cubic(painting, frame)[45, :, 0]
    detail = frame[45, :, 0].astype(int) - cubic(shrunk(frame), frame)[45, :, 0]
    assert np.abs(added - 1.5 * detail).max() <= 0.5 and detail.max() > 5


def test_detail_the_painting_knows_nothing_of_stays_out() -> None:
    """Protects the picture from looking photographed: a frame's edge in a blank part of the painting isn't drawn."""
    frame = step()
    painting = np.full_like(shrunk(frame), 90)
    assert np.array_equal(refine(painting, shrunk(frame), frame), np.full_like(frame, 90))


def test_what_is_added_is_gray_and_stays_in_range() -> None:
    """Hue comes from the painting alone, and light doesn't wrap around at 0 and 255."""
    frame = step(dark=0, light=255)
    painting = (shrunk(frame) // 4 * 3 + np.array([0, 20, 60])).astype(np.uint8)
    added = refine(painting, shrunk(frame), frame).astype(int) - cubic(painting, frame)
    assert np.abs(added[..., 0] - added[..., 1]).max() <= 1 and added.max() > 20
    bright = refine(shrunk(frame), shrunk(frame), frame)[INSIDE]
    assert bright[:, -1].min() >= 250 and bright[:, 0].max() <= 5


@pytest.mark.parametrize(("steps", "most"), [((2, 0), 0), ((0, -4), 0), ((1, 0), 2), ((-2, 3), 2)])
def test_moving_by_whole_small_pixels_moves_the_result(steps: tuple[int, int], most: int) -> None:
    """Protects steadiness: nothing depends on where in the frame it lies, by an even number of pixels bit for bit."""
    wide = texture(3, (300, 300))
    x, y = (SCALE * value for value in steps)
    still, moving = wide[60:210, 60:240], wide[60 + y : 210 + y, 60 + x : 240 + x]
    refined, moved = (refine(shrunk(frame) // 2 + 60, shrunk(frame), frame) for frame in (still, moving))
    there = refined[48:-48, 48:-48]
    difference = cv2.absdiff(moved[48 - y : 102 - y, 48 - x : 132 - x], there)
    assert difference.max() <= most and difference.mean() <= most / 8
    assert there.std() > 5


@pytest.mark.parametrize("shape", [(90, 120), (91, 133), (33, 47)])
def test_any_ratio_of_sizes(shape: tuple[int, int]) -> None:
    """Protects odd sizes: bands and ratios needn't come out even."""
    frame = texture(4, shape)
    small = np.asarray(cv2.resize(frame, (31, 22), interpolation=cv2.INTER_AREA), np.uint8)
    refined = refine(small, small, frame)
    assert refined.shape == frame.shape
    light = [
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float) for picture in (refined, cubic(small, frame), frame)
    ]
    assert np.abs(light[0] - light[2]).mean() < 0.5 * np.abs(light[1] - light[2]).mean()


def test_a_refiner_goes_on_to_other_frames_and_sizes() -> None:
    """Protects streams: memory that is kept holds nothing of the frame before, and earlier results stay."""
    refiner, frames = Refiner(), [texture(5), texture(6), texture(7, (90, 120))]
    results = [refiner.refine(shrunk(frame), shrunk(frame), frame) for frame in frames]
    for frame, result in zip(frames, results, strict=True):
        assert np.array_equal(result, refine(shrunk(frame), shrunk(frame), frame))


def test_work_sizes_keep_the_frames_shape() -> None:
    """The short side is what is said, the long one follows."""
    assert work_size_of(3840, 2160, 720) == (1280, 720)
    assert work_size_of(1080, 1920, 360) == (360, 640)
    assert work_size_of(1000, 333, 100) == (300, 100)
    assert work_size_of(640, 480, 480) == (640, 480)


@pytest.mark.parametrize(("short_side", "words"), [(481, "481.*640x480.*480 at most"), (15, "16 at least"), (-3, "16")])
def test_work_sizes_that_cannot_be(short_side: int, words: str) -> None:
    """Protects from a wrong number: the message says what would work."""
    with pytest.raises(UsageError, match=words):
        work_size_of(640, 480, short_side)
