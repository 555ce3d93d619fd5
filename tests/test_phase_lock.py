"""Following the camera, and holding the painter's grid to the picture: by hand, and on pictures known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from allaprima.coherence.camera import CameraMotion
from allaprima.coherence.phase_lock import (
    Offset,
    PhaseLock,
    eased,
    moved,
    moved_back,
    next_remainder,
    with_play,
)

HEIGHT, WIDTH = 240, 320


def view(
    x: float = 0,
    y: float = 0,
    *,
    zoom: float = 1,
    noise: float = 0,
    seed: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> NDArray[np.uint8]:
    """A picture of 40 waves, moved right and down by x and y exactly, at any fraction of a pixel."""
    random = np.random.default_rng(7)
    across = (np.arange(size[0]) - size[0] / 2) / zoom + size[0] / 2 - x
    down = (np.arange(size[1]) - size[1] / 2) / zoom + size[1] / 2 - y
    u, v = random.uniform(-0.12, 0.12, (2, 40, 1))
    columns = np.exp(2j * np.pi * u * across).astype(np.complex64)
    rows = np.exp(2j * np.pi * v * down).astype(np.complex64)
    colors = 4 * (random.normal(size=(3, 40, 1)) + 1j * random.normal(size=(3, 40, 1))).astype(np.complex64)
    light = 128 + np.stack([(rows.T @ (color * columns)).real for color in colors], axis=-1)
    if noise:
        light += noise * np.random.default_rng(seed).standard_normal(light.shape, np.float32)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def remainders(steps: list[float], stride: int = 4) -> list[float]:
    """The remainder after each step, from 0."""
    now, result = 0.0, []
    for step in steps:
        now = next_remainder(now, step, stride)
        result.append(now)
    return result


def test_remainder_is_what_whole_strides_leave() -> None:
    """Protects the grid's place: a pan of 1 px with stride 4 goes 1, 2, then back by a whole stride, and round."""
    assert remainders([1] * 8) == [1, 2, -1, 0, 1, 2, -1, 0]
    assert remainders([-1] * 4) == [-1, -2, 1, 0]
    assert remainders([4, 8, 9]) == [0, 0, 1]
    assert remainders([0.75] * 5, stride=2) == [0.75, 1.5, 0.25, 1.0, -0.25]


def test_remainder_does_not_jump_to_and_fro() -> None:
    """Protects against flicker at half a stride: within half a pixel round it nothing jumps, either way."""
    assert remainders([2.25, 0.25, -0.5, 0.5]) == [2.25, 2.5, 2.0, 2.5]
    assert remainders([2.75, 0.75, -0.75, -1.0]) == [-1.25, -0.5, -1.25, -2.25]


def test_play_swallows_noise_and_follows_at_the_slack() -> None:
    """Protects a still camera: small motions change nothing; a pan is followed at a constant distance."""
    assert with_play(0.0, 0.05) == 0.0
    assert with_play(0.0, -0.15) == 0.0
    assert with_play(0.0, 1.0) == pytest.approx(0.95)
    assert with_play(0.95, 2.0) == pytest.approx(1.95)
    assert with_play(1.95, 1.9) == 1.95
    assert with_play(0.0, -1.0) == pytest.approx(-0.95)


def test_easing_ends_at_zero() -> None:
    """Protects against a jump when the camera is lost: a tenth of a pixel a frame, and no further than 0."""
    assert [eased(0.25), eased(-0.25), eased(0.05), eased(0.0)] == pytest.approx([0.15, -0.15, 0.0, 0.0])


@pytest.mark.parametrize("shape", [(40, 50), (16, 16), (1, 1), (3, 70)])
@pytest.mark.parametrize("place", [(0, 0), (4, -4), (-3, 2)])
def test_whole_pixels_move_exactly(shape: tuple[int, int], place: tuple[int, int]) -> None:
    """Protects the frame: moved by whole pixels it lies where it should, complete, and comes back bit for bit."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    offset = Offset(*place)
    framed = moved(pixels, offset, 4)
    top, left = 4 + place[1], 4 + place[0]
    assert framed.shape == (shape[0] + 8, shape[1] + 8, 3)
    assert np.array_equal(framed[top : top + shape[0], left : left + shape[1]], pixels)
    assert np.array_equal(moved_back(framed, offset, 4), pixels)


@pytest.mark.parametrize("step", [(1.0, 0.0), (0.37, -0.21), (2.6, 1.3), (-0.05, 0.0)])
def test_pans_are_measured_to_a_few_hundredths(step: tuple[float, float]) -> None:
    """Protects the lock's precision: no drift over 12 frames of a sub-pixel pan."""
    camera = CameraMotion()
    for index in range(12):
        x, y = step[0] * index, step[1] * index
        travel = camera.follow(view(x, y))
        assert abs(travel.x - x) < 0.04 and abs(travel.y - y) < 0.04
        assert travel.support > 0.9


def test_an_object_does_not_pull_the_camera() -> None:
    """Protects against moving objects: a fifth of the picture going its own way leaves the pan as it is."""
    camera = CameraMotion()
    for index in range(8):
        pixels, other = view(0.6 * index, 0.0), view(-5.0 * index, 40.0)
        left = 20 + 4 * index
        pixels[60:180, left : left + 120] = other[60:180, left : left + 120]
        travel = camera.follow(pixels)
        assert abs(travel.x - 0.6 * index) < 0.05 and abs(travel.y) < 0.05


def test_a_change_of_light_is_not_motion() -> None:
    """Protects against flickering lamps and automatic exposure: a pan is followed while the light goes up and down."""
    camera = CameraMotion()
    for index, light in enumerate((0.7, 0.6, 0.75, 0.5, 0.55)):
        travel = camera.follow(np.rint(light * view(0.7 * index)).astype(np.uint8))
        assert abs(travel.x - 0.7 * index) < 0.05 and abs(travel.y) < 0.05
        assert travel.support > 0.9


def test_large_frames_are_measured_in_their_own_pixels() -> None:
    """Protects the scale: the search runs on a reduced picture, the answer is in pixels of the frame."""
    camera = CameraMotion()
    for index in range(3):
        travel = camera.follow(view(2.5 * index, index, size=(901, 607)))
    assert travel.x == pytest.approx(5.0, abs=0.06)
    assert travel.y == pytest.approx(2.0, abs=0.06)


def test_a_still_camera_never_moves_the_grid() -> None:
    """Protects still pictures: sensor noise changes the frames but not one offset, even after a move."""
    lock = PhaseLock(4)
    lock.follow(view())
    lock.follow(view(1.4, -0.3))
    places = {lock.follow(view(1.4, -0.3, noise=4, seed=seed)) for seed in range(12)}
    assert len(places) == 1


def test_zoom_eases_back_to_zero() -> None:
    """Protects scenes without a common shift: the offset goes to 0 pixel by pixel, never by a jump."""
    lock = PhaseLock(4)
    lock.follow(view())
    before = lock.follow(view(2.05, 0.0))
    assert before == Offset(-2, 0)
    for index in range(1, 25):
        now = lock.follow(view(zoom=1.06**index))
        assert before.x <= now.x <= before.x + 1
        before = now
    assert before == Offset(0, 0)


def test_a_pan_is_followed_to_the_nearest_pixel() -> None:
    """Protects the grid's place: whole pixels, never more than half a pixel and the slack off."""
    lock = PhaseLock(4)
    for index in range(9):
        offset = lock.follow(view(0.4 * index, 0.0))
        off = (offset.x + 0.4 * index + 2) % 4 - 2
        assert isinstance(offset.x, int) and abs(off) <= 0.6


def test_flat_and_tiny_pictures_are_left_where_they_are() -> None:
    """Protects pictures with nothing to hold on to: no error, no move."""
    for shape in ((240, 320, 3), (16, 16, 3), (1, 900, 3), (1, 1, 3)):
        lock = PhaseLock(4)
        assert {lock.follow(np.full(shape, value, np.uint8)) for value in (90, 90, 91)} == {Offset(0, 0)}


def test_a_reset_starts_anew() -> None:
    """Protects what comes after a cut: the next frame lies at 0 whatever came before."""
    lock = PhaseLock(4)
    lock.follow(view())
    assert lock.follow(view(1.5, 0.0)).x != 0
    lock.reset()
    assert lock.follow(view(1.5, 0.0)) == Offset(0, 0)
