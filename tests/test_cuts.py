"""Cuts: found between different pictures, not in motion or light."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from allaprima.cuts import is_cut
from allaprima.frame import Pixels
from allaprima.source import open_source


def picture(seed: int, color: tuple[int, int, int], height: int = 180, width: int = 320) -> Pixels:
    """Smooth noise on several scales around a color."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for sigma in (4, 9, 20):
        layer = cv2.GaussianBlur(rng.standard_normal((height, width, 1)).astype(np.float32), (0, 0), sigma)
        total += (layer / max(layer.std(), 1e-6))[..., None]
    return np.clip(np.array(color) + 15 * total, 0, 255).astype(np.uint8)


SEA, FIELD, SNOW = (60, 90, 170), (170, 150, 60), (190, 190, 190)


def test_different_pictures_are_a_cut() -> None:
    """Protects memory from mixing two shots."""
    assert is_cut(picture(0, SEA), picture(1, FIELD))
    assert is_cut(picture(1, FIELD), picture(0, SEA))


def test_black_is_not_like_everything() -> None:
    """Protects the cut from black: a flat picture has nothing that could be found again."""
    black = np.zeros((180, 320, 3), np.uint8)
    for color in (FIELD, SNOW):
        assert is_cut(black, picture(1, color))
        assert is_cut(picture(1, color), black)
    assert not is_cut(black, black)


def test_motion_is_no_cut() -> None:
    """Protects fast pans: 12 % of the width in one frame, over a picture that changes most of its pixels."""
    whole = picture(2, SEA, 180, 480)
    whole[:, ::80] = 255
    for step in (1, 10, 40):
        assert not is_cut(whole[:, :320], whole[:, step : step + 320])


def test_light_is_no_cut() -> None:
    """Protects flashes and lamps: brighter, darker, washed out, without anything else in view."""
    scene = picture(3, FIELD)
    for gain, offset in ((1.4, 0), (0.5, 0), (0.25, 0), (0.5, 128)):
        lit = np.clip(scene * gain + offset, 0, 255).astype(np.uint8)
        assert not is_cut(scene, lit)
        assert not is_cut(lit, scene)


def test_noise_is_no_cut() -> None:
    """Protects dark, grainy film."""
    rng = np.random.default_rng(0)
    scene = picture(4, SEA)
    grainy = [np.clip(scene + 25 * rng.standard_normal(scene.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    assert not is_cut(*grainy)


def test_sizes() -> None:
    """Protects every input: a change of size is a cut; tiny, tall and strided pictures are compared."""
    assert is_cut(picture(0, SEA), picture(0, SEA, 90, 160))
    for height, width in ((1, 1), (5, 200), (200, 5), (36, 64), (720, 1280)):
        assert not is_cut(picture(0, SEA, height, width), picture(0, SEA, height, width))
    wide = picture(0, SEA)
    assert not is_cut(wide[:, ::-1], wide[:, ::-1].copy())


@pytest.mark.data
def test_clips() -> None:
    """Protects the thresholds: two cuts in one film, none in pans, fast turns of games, sports and a noisy night."""
    folder = Path(os.environ.get("ALLAPRIMA_DATA", ""), "clips")
    if not folder.is_dir():
        pytest.skip("ALLAPRIMA_DATA names no folder with clips")
    found = {}
    shots = []
    for path in sorted(folder.glob("*.mp4")):
        with open_source(str(path)) as source:
            frames = [cv2.resize(frame.pixels, (320, 180), interpolation=cv2.INTER_AREA) for frame in source.frames()]
        cuts = [index for index, pair in enumerate(pairwise(frames), 1) if is_cut(*pair)]
        shots += [(path.stem, frames[0]), (path.stem, frames[-1])]
        if cuts:
            found[path.stem] = cuts
    assert found == {"bbb-opening": [93, 186]}
    different = [(a, b) for name, a in shots for other, b in shots if name != other]
    assert all(is_cut(a, b) for a, b in different)
