"""Likeness, sharpness, grid and bubbles, against cases worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from allaprima.errors import StyleError, UsageError
from allaprima.frame import Pixels
from allaprima.measure.quality.image_quality import blob_count, find_blobs, grid_energy, sharpness, ssim


def flat(level: int = 128, height: int = 96, width: int = 128) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def gray(plane: np.ndarray) -> Pixels:
    """A plane of levels as RGB."""
    return np.repeat(np.clip(np.rint(plane), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noise(seed: int = 0, sigma: float = 20.0, blur: float = 0.0, height: int = 192, width: int = 256) -> Pixels:
    """Gray noise around 128 of that standard deviation, blurred or not."""
    plane = np.random.default_rng(seed).standard_normal((height, width))
    if blur:
        plane = cv2.GaussianBlur(plane, (0, 0), blur)
    return gray(128 + sigma * plane / plane.std())


def test_ssim_of_a_picture_with_itself_is_one() -> None:
    """Protects the upper end: nothing changed is 1."""
    assert ssim(noise(), noise()) == pytest.approx(1, abs=1e-12)


def test_ssim_of_constant_pictures_by_hand() -> None:
    """Protects the constants: without variance only (2μν + C₁) / (μ² + ν² + C₁), C₁ = 2.55², is left."""
    expected = (2 * 100 * 150 + 2.55**2) / (100**2 + 150**2 + 2.55**2)
    assert ssim(flat(100), flat(150)) == pytest.approx(expected, rel=1e-6)


def test_ssim_of_noise_by_hand() -> None:
    """Protects the structure term: half the contrast of fine noise gives (2·½ + c) / (1 + ¼ + c), c = C₂ / σ²."""
    strong, weak = noise(sigma=40), noise(sigma=20)
    c = 7.65**2 / 40**2
    assert ssim(strong, weak) == pytest.approx((1 + c) / (1.25 + c), abs=0.01)


def test_ssim_at_one_place_against_the_sum_written_out() -> None:
    """Protects window and border: an 11×11 picture has one valid window, the weights e^(−r²/2·1.5²)."""
    rng = np.random.default_rng(3)
    x, y = (gray(rng.integers(0, 256, (11, 11)).astype(float)) for _ in range(2))
    r = np.arange(11) - 5
    weights = np.exp(-(r[:, None] ** 2 + r[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    p, q = x[..., 0].astype(float), y[..., 0].astype(float)
    mean_p, mean_q = (weights * p).sum(), (weights * q).sum()
    var_p, var_q = (weights * (p - mean_p) ** 2).sum(), (weights * (q - mean_q) ** 2).sum()
    cov = (weights * (p - mean_p) * (q - mean_q)).sum()
    expected = (2 * mean_p * mean_q + 2.55**2) * (2 * cov + 7.65**2)
    expected /= (mean_p**2 + mean_q**2 + 2.55**2) * (var_p + var_q + 7.65**2)
    assert ssim(x, y) == pytest.approx(expected, rel=1e-5)


def test_ssim_knows_only_luminance() -> None:
    """Protects the definition: a change of color that keeps luminance is no change (to within rounding)."""
    first, second = flat(), flat()
    second[..., 0] += 58
    second[..., 2] -= 152 - 128
    second[..., 1] = round(128 - (0.299 * 58 - 0.114 * 24) / 0.587)
    assert ssim(first, second) > 0.9999


def test_pictures_that_do_not_compare() -> None:
    """Protects against silent resizing: one line for other sizes and for pictures smaller than the window."""
    with pytest.raises(StyleError, match="128×96 and 120×96"):
        ssim(flat(), flat(width=120))
    with pytest.raises(StyleError, match="one size"):
        grid_energy(flat(), flat(width=120), 4)
    with pytest.raises(StyleError, match="one size"):
        find_blobs(flat(), flat(width=120))
    with pytest.raises(UsageError, match="at least 11×11"):
        ssim(flat(height=10), flat(height=10))


def test_sharpness_of_a_checkerboard() -> None:
    """Protects the scale: each pixel of ±a differs from four neighbors by 2a, 8a in all."""
    rows, columns = np.mgrid[:40, :60]
    assert sharpness(gray(128 + 10.0 * (-1) ** (rows + columns))) == pytest.approx(80, rel=1e-5)
    assert sharpness(flat()) == 0


def test_sharpness_of_an_edge() -> None:
    """Protects the kernel: a step of 50 counts 50 in the column on each side of it."""
    step = np.full((40, 60), 100.0)
    step[:, 30:] = 150
    assert sharpness(gray(step)) == pytest.approx(2 * 50 / 60, rel=1e-5)


def test_sharpness_exposes_blur() -> None:
    """Protects steadiness figures: what is only blurred is less sharp."""
    assert sharpness(np.asarray(cv2.GaussianBlur(noise(), (0, 0), 1.5), np.uint8)) < 0.1 * sharpness(noise())


@pytest.mark.parametrize("stride", [2, 3, 4, 8, 16])
def test_a_pattern_of_the_stride_has_its_standard_deviation(stride: int) -> None:
    """Protects the scale of the grid: whatever repeats with the stride counts fully, at every harmonic."""
    cell = np.random.default_rng(stride).integers(-9, 10, (stride, stride)).astype(float)
    rows, columns = np.mgrid[:384, :512]
    grid = 128 + cell[rows % stride, columns % stride]
    assert grid_energy(gray(grid), flat(height=384, width=512), stride) == pytest.approx(cell.std(), rel=1e-4)


def test_a_checkerboard_is_found_with_its_amplitude() -> None:
    """Protects the best-known fault: ±3 in turn is 3 at stride 2 and 4, and nothing at stride 3."""
    rows, columns = np.mgrid[:192, :256]
    board = gray(128 + 3.0 * (-1) ** (rows + columns))
    below = flat(height=192, width=256)
    assert grid_energy(board, below, 2) == pytest.approx(3, rel=1e-4)
    assert grid_energy(board, below, 4) == pytest.approx(3, rel=1e-4)
    assert grid_energy(board, below, 3) == pytest.approx(0, abs=0.01)


def test_a_grid_is_found_under_strokes() -> None:
    """Protects the figure of real paintings: strokes of ten times the grid's power hardly change it."""
    rows, columns = np.mgrid[:192, :256]
    strokes = noise(4, sigma=10, blur=1.5)[..., 0].astype(float)
    grid = np.where((rows % 4 == 0) | (columns % 4 == 0), 3.0, -3.0)
    found = grid_energy(gray(strokes + grid), flat(height=192, width=256), 4)
    assert found == pytest.approx(grid.std(), abs=0.3)


@pytest.mark.parametrize(
    ("output", "most"),
    [
        (noise(sigma=5), 0.3),
        (noise(1, sigma=20, blur=2), 0.3),
        (gray(np.broadcast_to(np.linspace(60, 200, 256), (192, 256))), 0.05),
        (gray(128 + 20 * np.sin(np.mgrid[:192, :256][1] * 2 * math.pi / 6.3)), 0.1),
        (flat(40, height=192, width=256), 1e-6),
    ],
    ids=["white noise", "smooth strokes", "a gradient", "stripes of another period", "flat"],
)
def test_what_is_no_grid(output: Pixels, most: float) -> None:
    """Protects against counting strokes: without the stride's period there is no grid."""
    found = grid_energy(output, flat(height=192, width=256), 4)
    assert found is not None
    assert found <= most


def test_grid_is_looked_for_where_the_photograph_is_flat() -> None:
    """Protects the choice of places: texture below excuses a grid, and without flat areas there's no figure."""
    rows, columns = np.mgrid[:192, :256]
    grid = gray(128 + np.where(columns < 144, 3.0, 30.0) * (-1.0) ** (rows + columns))
    below = noise(sigma=30)
    below[:, :144] = 128
    assert grid_energy(grid, below, 2) == pytest.approx(3, rel=1e-4)
    assert grid_energy(grid, noise(sigma=30), 2) is None
    assert grid_energy(flat(height=20), flat(height=20), 4) is None, "smaller than a window"


def test_strides_without_a_grid() -> None:
    """Protects nets that work pixel by pixel (0, whatever they paint) and refuses what isn't a stride."""
    assert grid_energy(noise(), noise(), 1) == 0
    with pytest.raises(UsageError, match="at least 1"):
        grid_energy(flat(), flat(), 0)


BUBBLES = ((40, 40, 8), (120, 60, 12), (200, 130, 20))


def with_bubbles(below: Pixels) -> Pixels:
    """White disks in dark rings."""
    painted = below.copy()
    for x, y, radius in BUBBLES:
        cv2.circle(painted, (x, y), 2 * radius, (40, 30, 20), cv2.FILLED)
        cv2.circle(painted, (x, y), radius, (255, 250, 240), cv2.FILLED)
    return painted


def test_bubbles_are_counted() -> None:
    """Protects the count, and place and size of each."""
    below = noise(blur=3)
    blobs = sorted(find_blobs(with_bubbles(below), below), key=lambda blob: blob.x)
    assert [(round(blob.x), round(blob.y)) for blob in blobs] == [(x, y) for x, y, _ in BUBBLES]
    assert [blob.radius for blob in blobs] == pytest.approx([r for *_, r in BUBBLES], abs=1.5)


def test_a_bubble_with_a_dark_core_is_one() -> None:
    """Protects the bubbles that networks really paint: egg-shaped rings around a dark core."""
    below = flat(150, height=192, width=256)
    painted = below.copy()
    for axes, level in (((16, 22), 40), ((8, 11), 255), ((3, 4), 60)):
        cv2.ellipse(painted, (100, 90), axes, 20, 0, 360, (level,) * 3, cv2.FILLED)
    assert blob_count(painted, below) == 1


def test_what_is_in_the_photograph_is_no_bubble() -> None:
    """Protects moons, lamps and eyes: the same disks in the picture below aren't the network's."""
    bubbly = with_bubbles(noise(blur=3))
    assert blob_count(bubbly, bubbly) == 0
    dimmed = np.asarray(bubbly * 0.6 + 40, np.uint8)
    assert blob_count(bubbly, dimmed) == 0


def strokes(height: int = 192, width: int = 256) -> Pixels:
    painted = flat(60, height, width)
    for y in range(20, height, 24):
        cv2.line(painted, (10, y), (width - 10, y + 12), (255, 255, 255), 5, cv2.LINE_AA)
    return painted


def text(words: str, below: Pixels) -> Pixels:
    """The words in three sizes over the picture, bold and white."""
    painted = below.copy()
    for row, scale in enumerate((0.7, 1.0, 1.4)):
        place, thickness = (8, 50 + 55 * row), round(3 * scale)
        cv2.putText(painted, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return painted


def panes() -> Pixels:
    """White panes between thin dark outlines."""
    painted = flat(230, 192, 256)
    painted[::20, :] = painted[1::20, :] = 30
    painted[:, ::20] = painted[:, 1::20] = 30
    return painted


def colored_dabs() -> Pixels:
    painted = flat(30, 192, 256)
    for x in range(30, 240, 40):
        cv2.circle(painted, (x, 90), 9, (255, 190, 20), cv2.FILLED)
    return painted


def soft_spots() -> Pixels:
    painted = flat(60, 192, 256)
    for x in range(40, 240, 50):
        cv2.circle(painted, (x, 90), 10, (255, 255, 255), cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(painted, (0, 0), 5), np.uint8)


@pytest.mark.parametrize("painted", [strokes(), panes(), colored_dabs(), soft_spots(), noise(blur=4), flat(255)])
def test_what_is_no_bubble(painted: Pixels) -> None:
    """Protects against false alarms: strokes, panes, dabs of color, soft light, clouds of noise, plain white."""
    assert blob_count(painted, flat(128, *painted.shape[:2])) == 0


def test_letters_are_no_bubbles() -> None:
    """Protects pictures with writing: letters aren't round, and round ones are in the photograph too."""
    below = flat(40, 192, 256)
    assert blob_count(text("WITH MANY LINES", below), below) == 0
    written = text("OOO 0 80 Qo", below)
    assert blob_count(written, written) == 0
