"""The noise filter: as much as a painter's noise gain asks, and nothing of what isn't noise."""

from __future__ import annotations

import math
from pathlib import Path

import nets
import numpy as np
import pytest
from test_local_motion import motion_of
from test_phase_lock import view

from allaprima.coherence.noise import UNKNOWN_GAIN, NoiseFilter, new_share
from allaprima.measure.quality.flicker import noise_gain
from allaprima.painter import Painter
from allaprima.style import Card, Style

STILL = motion_of(0, 0)


def left_by(filter_: NoiseFilter) -> float:
    """What it leaves of the change that noise makes from frame to frame."""
    seen = iter([None] + [STILL] * 100)
    return noise_gain(lambda pixels: filter_.filter(pixels, next(seen)), view(), 2.0)


def test_share_of_the_recursive_mean() -> None:
    """Protects the formula: a mean of that share leaves that much of the change, from all of it to little."""
    for left in (0.1, 0.25, 0.5, 1.0):
        share = new_share(left)
        assert share / math.sqrt(2 - share) == pytest.approx(left)


@pytest.mark.parametrize("gain", [4.0, 8.0])
def test_noise_is_brought_down_by_what_strokes_leave_of_the_gain(gain: float) -> None:
    """Protects the point: a painter that answers so strongly then changes at most twice as much as its frames did."""
    assert gain * left_by(NoiseFilter(gain)) == pytest.approx(2, rel=0.2)


def test_quiet_painters_and_no_share_see_frames_as_they_are() -> None:
    """Protects time and sharpness where there is nothing to gain."""
    for filter_ in (NoiseFilter(1.9), NoiseFilter(0.2), NoiseFilter(6.0, 0.0)):
        filter_.filter(view(), None)
        frame = view(noise=2)
        assert filter_.filter(frame, STILL) is frame
    assert left_by(NoiseFilter(8.0, 0.3)) > 1.5 * left_by(NoiseFilter(8.0))


def test_changes_pass_at_once() -> None:
    """Protects edges, cuts that weren't found, and new light: what differs much is the new frame, bit for bit."""
    filter_ = NoiseFilter(5.0)
    filter_.filter(np.full((60, 80, 3), 100, np.uint8), None)
    lit = np.full((60, 80, 3), 130, np.uint8)
    assert np.array_equal(filter_.filter(lit, motion_of(0, 0, (60, 80))), lit)


def test_moving_pictures_stay_sharp() -> None:
    """Protects pans: the mean is taken along the motion, so nothing is smeared."""
    filter_ = NoiseFilter(4.0)
    for index in range(20):
        shown = filter_.filter(view(2.5 * index, 0), motion_of(2.5, 0) if index else None)
    assert np.abs(shown[16:-16, 64:-16].astype(int) - view(47.5, 0)[16:-16, 64:-16]).mean() < 1


def test_a_long_run_does_not_drift() -> None:
    """Protects light: 200 noisy frames keep their mean."""
    filter_, clean, rng = NoiseFilter(4.0), view(size=(80, 60)), np.random.default_rng(0)
    for index in range(200):
        noisy = clean + 3 * rng.standard_normal(clean.shape, np.float32)
        frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        shown = filter_.filter(frame, motion_of(0, 0, (60, 80)) if index else None)
    assert np.abs(shown.mean(axis=(0, 1)) - clean.mean(axis=(0, 1))).max() < 0.75


def test_a_reset_forgets() -> None:
    """Protects cuts: the first frame after one is itself."""
    filter_ = NoiseFilter(4.0)
    filter_.filter(view(), None)
    filter_.reset()
    frame = view(noise=2)
    assert filter_.filter(frame, STILL) is frame


def test_the_gain_is_the_cards(tmp_path: Path) -> None:
    """Protects the wiring: the painter's own gain, without coherence; for foreign styles the stated one."""
    style: Style = nets.style_of(tmp_path, nets.negative(), stride=4)
    assert Painter(style).noise_gain == UNKNOWN_GAIN
    measured = {"noise": {"2": 0.3}, "coherence_off": {"noise": {"2": 1.25}}}
    card = Card(title="measured", measurements=measured)
    other = Style(style.name, style.path, card, style.model, style.digest, None)
    assert Painter(other).noise_gain == 1.25
