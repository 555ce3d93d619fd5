"""Built-in clips: what flicker is measured against must be exact, the same every time, and cut where asked."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from allaprima.errors import SourceError
from allaprima.frame import Frame
from allaprima.scenes import SCENES
from allaprima.scenes.harbor import harbor
from allaprima.scenes.stage import Layer, Scene, affine, motion_between, shoot
from allaprima.source import open_source
from allaprima.sources.scene import FRAMES, SceneSource


def warped(before: Frame, now: Frame) -> np.ndarray:
    """The earlier frame moved along the later one's motion."""
    y, x = np.mgrid[0 : now.pixels.shape[0], 0 : now.pixels.shape[1]].astype(np.float32)
    moved = before.pixels.astype(np.float32)
    return cv2.remap(moved, x - now.motion[..., 0], y - now.motion[..., 1], cv2.INTER_CUBIC)


@pytest.fixture(scope="module", params=sorted(SCENES))
def clip(request: pytest.FixtureRequest) -> tuple[str, list[Frame]]:
    """Three neighboring frames of each scene, a second in."""
    with SceneSource(request.param, start=1.0, end=1.0 + 3 / 24) as source:
        return request.param, list(source.frames())


def test_planes_have_their_types(clip: tuple[str, list[Frame]]) -> None:
    """Protects the contract of Frame.motion and Frame.mask."""
    _, frames = clip
    assert len(frames) == 3
    for frame in frames:
        assert frame.pixels.shape == (360, 640, 3)
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.flags.c_contiguous
        assert frame.motion.shape == (360, 640, 2)
        assert frame.motion.dtype == np.float32
        assert frame.mask.shape == (360, 640)
        assert frame.mask.dtype == np.bool_
    assert not frames[0].motion.any()
    assert not frames[0].mask.any()


def test_true_motion_reproduces_the_next_frame(clip: tuple[str, list[Frame]]) -> None:
    """Protects the truth: outside occlusions only interpolation (and changing light) is left."""
    name, frames = clip
    for before, now in pairwise(frames):
        error = np.abs(warped(before, now) - now.pixels).mean(axis=2)[now.mask]
        assert now.mask.mean() > 0.8
        if name == "light":
            assert error.mean() > 1
        else:
            assert error.mean() < 1
            assert np.percentile(error, 99.9) < 20


def test_motion_is_needed(clip: tuple[str, list[Frame]]) -> None:
    """Protects the test above from scenes that hardly move: unmoved, the error is several times larger."""
    name, frames = clip
    before, now = frames[1:]
    still = np.abs(before.pixels.astype(np.float32) - now.pixels).mean(axis=2)[now.mask].mean()
    moved = np.abs(warped(before, now) - now.pixels).mean(axis=2)[now.mask].mean()
    assert still > (1.3 if name == "light" else 3) * moved


def test_known_motion_and_occlusion() -> None:
    """Protects sign and unit of motion: a white square goes 3 px right and 2 px down over a gray plane at rest."""
    plane = np.full((360, 640, 4), 255, np.uint8)
    plane[..., :3] = 90
    square = np.full((40, 40, 4), 255, np.uint8)
    scene = Scene((Layer(plane, lambda _: np.eye(3)), Layer(square, lambda t: affine(shift=(100 + 3 * t, 50 + 2 * t)))))
    motion, mask = motion_between(shoot(scene, 0), shoot(scene, 1))
    assert motion[70, 120] == pytest.approx((3, 2))
    assert motion[200, 300] == pytest.approx((0, 0))
    assert mask[70, 120]
    assert mask[200, 300]
    assert not mask[50, 101], "uncovered by the square"
    assert not mask[0, 0], "its neighbors were outside the picture"


def test_light_scales_pixels_but_not_motion() -> None:
    """Protects what the light scene is for: brightness changes, motion stays true."""
    plane = np.full((360, 640, 4), 255, np.uint8)
    plane[..., :3] = 100
    scene = Scene((Layer(plane, lambda _: np.eye(3)),), lambda t: 1 + 0.5 * t)
    before, now = shoot(scene, 0), shoot(scene, 1)
    assert (before.pixels == 100).all()
    assert (now.pixels == 150).all()
    assert not motion_between(before, now)[0].any()


def test_painted_twice_is_the_same() -> None:
    """Protects determinism: the seed alone says what is drawn."""
    first, second = shoot(harbor(), 2.0), shoot(harbor(), 2.0)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.front.tobytes() == second.front.tobytes()


def test_trim_starts_at_zero_and_keeps_the_pictures() -> None:
    """Protects --start and --end: the right moments, counted from zero."""
    with SceneSource("pan", start=0.5, end=0.75) as source, SceneSource("pan", end=0.75) as longer:
        cut, whole = list(source.frames()), list(longer.frames())
    assert source.info.frames == len(cut) == 6
    assert [frame.pts for frame in cut] == [0, 1, 2, 3, 4, 5]
    assert cut[0].time_base == Fraction(1, 24)
    assert cut[0].duration == 1
    assert (cut[0].pixels == whole[12].pixels).all()
    assert (cut[1].motion == whole[13].motion).all()


def test_whole_clip_says_its_length() -> None:
    """Protects progress bars: the header is known before anything is painted."""
    with open_source("scene") as source:
        assert source.info.frames == FRAMES
        assert (source.info.width, source.info.height, source.info.frame_rate) == (640, 360, 24)


@pytest.mark.parametrize(
    ("name", "start", "end", "says"),
    [
        ("habor", None, None, "did you mean scene:harbor"),
        ("xyzzy", None, None, "there are harbor, pan"),
        (None, 4.0, None, "lasts 4 s"),
        (None, 2.0, 1.0, "nothing to read from 2 s to 1 s"),
        (None, -1.0, None, "start must be a time"),
        (None, None, float("nan"), "end must be a time"),
    ],
)
def test_what_cannot_be_opened(name: str | None, start: float | None, end: float | None, says: str) -> None:
    """Protects against empty clips: each mistake is named in one line."""
    with pytest.raises(SourceError, match=says) as caught:
        SceneSource(name, start=start, end=end)
    assert "\n" not in str(caught.value)
