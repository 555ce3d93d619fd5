"""Local motion and the memory of strokes: found, trusted and carried, and never at the cost of the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from test_phase_lock import view

from allaprima.coherence.flow import LocalMotion, MotionSearch, carried, given_motion, local_motion, places
from allaprima.coherence.strokes import StrokeMemory
from allaprima.errors import UsageError
from allaprima.frame import Frame
from allaprima.measure.quality.image_quality import sharpness

INNER = np.s_[16:-16, 16:-16]


def motion_of(x: float, y: float, shape: tuple[int, int] = (240, 320)) -> LocalMotion:
    """Everything moved alike, trusted everywhere."""
    flow = np.full((*shape, 2), (-x, -y), np.float32)
    return LocalMotion(flow, np.ones(shape, np.float32))


def with_thing(x: int) -> NDArray[np.uint8]:
    """A picture with a thing of other light in it, so far right."""
    picture = view()
    picture[60:120, 100 + x : 180 + x] = view(90, 60, zoom=1.3)[60:120, 100:180] // 2 + 100
    return picture


@pytest.mark.parametrize(("x", "y"), [(3, 0), (-2, 4), (0.5, 1.5)])
def test_motion_is_found(x: float, y: float) -> None:
    """Protects the convention: what this frame shows at p is at p + flow(p) in the other."""
    motion = local_motion(view(x, y), view())
    assert motion.flow.shape == (240, 320, 2) and motion.trust.shape == (240, 320)
    assert np.abs(motion.flow[INNER] - (-x, -y)).mean() < 0.25
    assert motion.trust[INNER].mean() > 0.95
    difference = carried(view(), motion)[INNER].astype(int) - view(x, y)[INNER]
    assert np.abs(difference).mean() < 2


def test_whole_pixels_are_not_resampled() -> None:
    """Protects sharpness: a picture that stands still, with noise, is itself; whole pixels move exactly."""
    picture = view()
    assert carried(picture, local_motion(picture, picture)) is picture
    search = MotionSearch()
    search.follow(picture)
    motion = search.follow(view(3, 0), camera=(3.02, 0.0))
    assert motion is not None
    assert (carried(picture, motion)[INNER] == view(3, 0)[INNER]).mean() > 0.95


def test_sensor_noise_is_no_motion() -> None:
    """Protects a still camera's picture: what hardly has texture doesn't move by its noise; what moves, still does."""
    rng = np.random.default_rng(5)

    def shot(x: int) -> NDArray[np.uint8]:
        picture = with_thing(x)
        picture[120:] = picture[120:] // 16 + 100
        return np.clip(np.rint(picture + rng.normal(0, 2, picture.shape)), 0, 255).astype(np.uint8)

    search = MotionSearch()
    search.follow(shot(0))
    motion = search.follow(shot(4), camera=(0.0, 0.0))
    assert motion is not None
    flow = cv2.resize(motion.flow, (320, 240), interpolation=cv2.INTER_NEAREST)
    assert (flow[140:] == 0).mean() > 0.99
    assert np.abs(flow[75:105, 120:170] - (-4, 0)).mean() < 0.3


@pytest.mark.parametrize(("few", "size"), [((30, 40), (160, 120)), ((30, 40), (163, 121)), ((9, 70), (70, 9))])
def test_small_planes_reach_to_every_edge(few: tuple[int, int], size: tuple[int, int]) -> None:
    """Protects borders: flow of a reduced picture, stretched, is as exact in corners and where reduction cut off."""
    flow = np.full((*few, 2), (1.5, -2.25), np.float32)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    for rows in (size[1] + 1, 32):
        bands = list(places(flow, size, rows))
        assert [top for top, _ in bands] == np.cumsum([0, *(len(band) for _, band in bands[:-1])]).tolist()
        assert np.allclose(
            np.concatenate([band for _, band in bands]), np.stack([x + 1.5, y - 2.25], axis=-1), atol=1e-3
        )


def test_motions_of_a_search_do_not_mix() -> None:
    """Protects frames in flight: each is carried by its own motion, in any order."""
    search = MotionSearch()
    search.follow(view())
    motions = [search.follow(view(3 * index, 0)) for index in (1, 3)]
    for index in (0, 1, 0):
        motion = motions[index]
        assert motion is not None
        by_itself = LocalMotion(motion.flow, motion.trust)
        assert np.array_equal(carried(view(), motion), carried(view(), by_itself))


def test_what_was_hidden_is_not_trusted() -> None:
    """Protects from ghosts: what an object uncovers isn't in the frame before, nor is what came from outside."""
    trust = local_motion(with_thing(12), with_thing(0)).trust
    assert trust[70:110, 102:110].mean() < 0.5 and trust[150:, 40:280].mean() > 0.9
    assert local_motion(view(30, 0), view()).trust[40:-40, :20].mean() < 0.2


def test_new_light_is_not_trusted() -> None:
    """Protects explosions and lamps: a place that suddenly is brighter is painted anew."""
    lit = view()
    lit[100:180, 100:200] = np.minimum(lit[100:180, 100:200].astype(int) + 60, 255)
    trust = local_motion(lit, view()).trust
    assert trust[120:160, 120:180].mean() < 0.1 and trust[:60].mean() > 0.95


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 8, 3), (16, 300, 3), (50, 47, 3)])
def test_small_frames_have_motion(shape: tuple[int, ...]) -> None:
    """Protects thumbnails: what is too small to be searched stands still."""
    frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    motion = local_motion(frame, frame)
    assert motion.flow.shape == (*shape[:2], 2) and motion.still and motion.trust.min() > 0.99


def test_given_planes() -> None:
    """Protects motion vectors of engines: turned around, masked, scaled, and refused where they don't fit."""
    plane = np.full((40, 60, 2), (6, 4), np.float32)
    mask = np.ones((40, 60), np.bool_)
    mask[20:, :] = False
    frame = Frame(np.zeros((40, 60, 3), np.uint8), motion=plane, mask=mask)
    motion = given_motion(frame, (60, 40))
    assert motion is not None
    assert (motion.flow == (-6, -4)).all()
    assert not motion.trust[:4].any() and not motion.trust[:, :6].any() and not motion.trust[20:].any()
    assert motion.trust[4:20, 6:].all()
    half = given_motion(frame, (30, 20))
    assert half is not None and half.flow.shape == (20, 30, 2) and (half.flow == (-3, -2)).all()
    assert given_motion(Frame(frame.pixels), (60, 40)) is None
    with pytest.raises(UsageError, match=r"mask plane is 39×60.*40×60"):
        given_motion(Frame(frame.pixels, motion=plane, mask=mask[1:]), (60, 40))


def test_strokes_are_kept() -> None:
    """Protects steadiness: strokes drawn anew in every frame change a fraction as much, without getting pale."""
    rng = np.random.default_rng(3)
    memory, shown, drawn = StrokeMemory(), [], []
    for index in range(30):
        strokes = np.repeat(np.repeat(rng.integers(-40, 40, (60, 80, 1)), 4, axis=0), 4, axis=1)
        drawn.append(np.clip(view(1.5 * index, 0) // 2 + 64 + strokes, 0, 255).astype(np.uint8))
        shown.append(memory.keep(drawn[-1], motion_of(1.5, 0) if index else None))
    change = [np.abs(pair[1][INNER].astype(int) - pair[0][INNER]).mean() for pair in (shown[-2:], drawn[-2:])]
    assert change[0] < 0.75 * change[1]
    contrast = [picture[INNER].astype(float).std() for picture in (shown[-1], drawn[-1])]
    assert contrast[0] > 0.65 * contrast[1]


def test_a_still_camera_neither_darkens_nor_smears() -> None:
    """Protects long runs: 300 frames of a noisy still picture keep their light and their sharpness."""
    clean, rng = view(size=(120, 90)), np.random.default_rng(0)
    memory, search = StrokeMemory(), MotionSearch()
    sharp, light = [], []
    for _ in range(300):
        noisy = clean + 3 * rng.standard_normal(clean.shape, np.float32)
        frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        shown = memory.keep(frame, search.follow(frame))
        sharp.append(sharpness(shown))
        light.append(shown.mean(axis=(0, 1)))
    assert np.abs(light[-1] - clean.mean(axis=(0, 1))).max() < 1
    assert sharp[-1] > 0.9 * sharpness(clean)
    assert sharp[-1] < 1.1 * sharp[0]
    assert np.abs(shown.astype(int) - clean).mean() < 3


def test_what_stands_still_stays_sharp() -> None:
    """Protects strokes that noise alone draws anew in every frame: of their mean, half the sharpness would be left."""
    clean, rng = view(size=(120, 90)), np.random.default_rng(0)
    still = LocalMotion(np.zeros((30, 40, 2), np.float32), np.ones((30, 40), np.float32))
    memory, ratios = StrokeMemory(), []
    memory.keep(clean, None)
    for _ in range(40):
        strokes = cv2.resize(rng.normal(0, 25, (45, 60, 3)).astype(np.float32), (120, 90))
        painting = np.clip(clean + strokes, 0, 255).astype(np.uint8)
        shown = memory.keep(painting, still)
        ratios.append(sharpness(shown) / sharpness(painting))
    assert np.mean(ratios[10:]) > 0.65


def test_a_moving_camera_neither_fades_nor_grows() -> None:
    """Protects the loop: sharpness and light stay where they are through 60 frames of half pixels."""
    memory, motion, size = StrokeMemory(), motion_of(0.5, 0, (120, 160)), (160, 120)
    for index in range(60):
        frame = view(0.5 * index, 0, size=size)
        shown = memory.keep(frame, motion if index else None)
        if index in (20, 59):
            assert 0.9 < sharpness(shown[INNER]) / sharpness(frame[INNER]) < 1.1
            assert np.abs(shown[INNER].mean(axis=(0, 1)) - frame[INNER].mean(axis=(0, 1))).max() < 1


def test_nothing_is_left_behind_what_moves() -> None:
    """Protects from ghosts even where motion is wrong: the old painting can't be lighter than what is there now."""
    memory = StrokeMemory()
    memory.keep(np.full((60, 80, 3), 250, np.uint8), None)
    dark = np.full((60, 80, 3), 20, np.uint8)
    assert np.array_equal(memory.keep(dark, motion_of(0, 0, (60, 80))), dark)


def test_without_trust_the_new_painting_is_shown() -> None:
    """Protects places that can't be followed: they are as the painter made them."""
    memory, motion, new = StrokeMemory(), motion_of(2.5, 0), view(2.5, 0)
    memory.keep(view(), None)
    assert np.array_equal(memory.keep(new, LocalMotion(motion.flow, 0 * motion.trust)), new)
