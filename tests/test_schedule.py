"""The learning rate over a run."""

from __future__ import annotations

from itertools import pairwise

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from allaprima.train.method import scheduled_rate
from allaprima.train.recipes.johnson import JohnsonRecipe


def test_learning_rate_warms_up_and_falls_to_nothing() -> None:
    """Linear up, the peak after it, half way down in the middle, 0 at the end, and never below."""
    recipe = JohnsonRecipe(learning_rate=0.8, warmup_steps=4, schedule="cosine")
    rates = [scheduled_rate(recipe, step, 24) for step in range(26)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[14] == pytest.approx(0.4)
    assert rates[24] == rates[25] == pytest.approx(0)
    assert all(before >= after for before, after in pairwise(rates[4:]))
    assert scheduled_rate(JohnsonRecipe(learning_rate=0.8, schedule="cosine"), 0, 10) == 0.8


def test_a_constant_rate_stays() -> None:
    """After the warm-up, to the last step."""
    recipe = JohnsonRecipe(learning_rate=0.8, warmup_steps=2)
    assert [scheduled_rate(recipe, step, 6) for step in range(6)] == pytest.approx([0.4, 0.8, 0.8, 0.8, 0.8, 0.8])
