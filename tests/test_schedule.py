"""The learning rate over a run."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

pytest.importorskip("torch")

from allaprima.train.recipe import RealtimeRecipe
from allaprima.train.trainer import learning_rate


def test_learning_rate_warms_up_and_falls_to_nothing() -> None:
    """Linear up, the peak after it, half way down in the middle, 0 at the end, and never below."""
    recipe = replace(RealtimeRecipe(), learning_rate=0.8, warmup_steps=4, polish_steps=0)
    rates = [learning_rate(recipe, step, 24) for step in range(26)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[14] == pytest.approx(0.4)
    assert rates[24] == rates[25] == pytest.approx(0)
    assert all(before >= after for before, after in pairwise(rates[4:]))
    assert learning_rate(replace(recipe, warmup_steps=0), 0, 10) == 0.8
