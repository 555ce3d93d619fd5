"""What the realtime method asks of its network, at every strength, alone and recurrent."""

# ruff: noqa: E402
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from lossfakes import RECIPES, SIDE, Colors, Net, pairs, parts, picture, still
from torch import nn

from allaprima.train.batches import Batch
from allaprima.train.content import Motion, StillMotion
from allaprima.train.methods.realtime import RealtimeMethod, _style_shares
from allaprima.train.network import StyleNetwork
from allaprima.train.recipes.realtime import RealtimeRecipe


def test_realtime_asks_style_only_of_the_photograph_itself() -> None:
    """Content 0, consistency 0, and as style the distance of colors, worked out by hand."""
    recipe = RealtimeRecipe(shift=0.0, affine=0.0, brightness=0.0, noise=0.0, strength_share=0.0)
    gray, white = torch.full((1, 3, SIDE, SIDE), 0.5), torch.ones(1, 3, 16, 16)
    method = RealtimeMethod(recipe, Colors(), white)  # type: ignore[arg-type]
    found = parts(method, Net(nn.Identity()), Batch(gray, torch.arange(1)))
    assert found["content"] == found["tv"] == found["grid"] == found["photograph"] == 0
    assert found["consistency"] == pytest.approx(0, abs=1e-10)
    assert found["style"] == pytest.approx(0.75**2)


def test_strength_weighs_style_against_the_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, for black where the picture is gray: at 0 the squared distance and no style, at 1 style alone."""
    black = nn.Conv2d(3, 3, 1)
    black.weight.data.zero_()
    black.bias.data.zero_()  # type: ignore[union-attr]
    method = RealtimeMethod(RealtimeRecipe(), Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]
    batch = Batch(torch.full((2, 3, SIDE, SIDE), 0.5), torch.arange(2))
    for strength, style, photograph in (((0.0, 0.0), 0.0, 0.25), ((1.0, 1.0), 1.0, 0.0), ((0.0, 0.6), 0.3, 0.175)):
        drawn = torch.tensor(strength)
        monkeypatch.setattr("allaprima.train.methods.realtime._style_shares", lambda *given, drawn=drawn: drawn)
        found = parts(method, Net(black), batch)
        assert found["style"] == found["style/relu1_2"] == pytest.approx(style)
        assert found["photograph"] == pytest.approx(photograph)
        assert found["content"] == pytest.approx(1.0)


class Shown(StyleNetwork):
    """Keeps the strengths that it is given, and paints the picture."""

    def __init__(self) -> None:
        super().__init__({"layer": nn.Identity()}, stride=1)
        self.given: list[torch.Tensor | None] = []

    def forward(self, image: torch.Tensor, strength: torch.Tensor | None = None) -> torch.Tensor:
        self.given.append(strength)
        return image


def test_both_views_are_painted_alike_strongly() -> None:
    """The flat fields in full, and each picture as strongly as its moved copy, by its own seed."""
    recipe, network = RealtimeRecipe(strength_share=1.0), Shown()
    method = RealtimeMethod(recipe, Colors(), picture(1, 7))  # type: ignore[arg-type]
    for seeds in ([40, 41], [41, 40]):
        parts(method, network, replace(pairs(), seeds=torch.tensor(seeds)))
    flat, first, moved, _, swapped, _ = network.given
    assert flat is None and first is not None and moved is not None and swapped is not None
    assert first.shape == (2,) and torch.equal(first, moved)
    assert first[0] != first[1] and torch.equal(first, swapped.flip(0))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_style_shares_are_drawn_for_a_share_of_the_samples(share: float) -> None:
    """From 0 to 1, evenly but for the zeros, a sixth of them; all others are painted in full."""
    drawn = _style_shares([torch.Generator().manual_seed(seed) for seed in range(4000)], share)
    assert drawn.shape == (4000,) and drawn.dtype == torch.float32
    assert drawn.min() >= 0 and drawn.max() <= 1
    below = drawn[drawn < 1]
    assert len(below) / 4000 == pytest.approx(share, abs=0.03)
    if share:
        assert (below == 0).float().mean().item() == pytest.approx(1 / 6, abs=0.05)
        assert below[below > 0].mean().item() == pytest.approx(0.5, abs=0.03)


def test_without_style_shares_the_network_has_no_such_input() -> None:
    """A share of 0 trains a style that takes the picture alone."""
    assert not RealtimeMethod.network(RealtimeRecipe(channels=4, blocks=1, strength_share=0.0)).takes_strength
    assert RealtimeMethod.network(RealtimeRecipe(channels=4, blocks=1)).takes_strength


class Weighing(StyleNetwork):
    """Paints w times the picture and v times the painting before; keeps what it saw."""

    def __init__(self, w: float, v: float) -> None:
        super().__init__({"layer": nn.Identity()}, stride=1)
        self.w, self.v = nn.Parameter(torch.tensor(w)), v
        self.seen: list[tuple[torch.Tensor, torch.Tensor | None]] = []

    def forward(
        self, image: torch.Tensor, strength: torch.Tensor | None = None, previous: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.seen.append((image, previous))
        return self.w * image + (0 if previous is None else self.v * previous)


def recurrent(**settings: float) -> RealtimeMethod:
    """Of pairs as they are, painted in full, and white for a style."""
    plain = {"brightness": 0.0, "noise": 0.0, "strength_share": 0.0, "recurrent_past": 0}
    recipe = RealtimeRecipe(recurrent=True, **{**plain, **settings})  # type: ignore[arg-type]
    return RealtimeMethod(recipe, Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]


def gray(value: float) -> torch.Tensor:
    return torch.full((1, 3, SIDE, SIDE), value)


def test_a_recurrent_net_paints_in_turn() -> None:
    """By hand: a frame over nothing, again and again over its own painting, and over that the next frame; the loss of
    the last two, and the gradient through them."""
    weights = dict.fromkeys(("content_weight", "style_weight", "tv_weight", "grid_weight", "photograph_weight"), 0.0)
    network = Weighing(0.5, 0.5)
    losses = recurrent(consistency_weight=1.0, recurrent_past=2, **weights).losses(
        network, still(gray(0.8), gray(0.4)), 0, 100
    )
    fields, over, first, *again, following = network.seen
    assert fields[1] is None and over[1] is not None and torch.equal(over[1], 0.5 * fields[0])
    assert torch.equal(first[0], gray(0.4)) and first[1] is None
    expected = [(0.4, 0.2), (0.4, 0.3), (0.4, 0.35), (0.8, 0.375)]
    for (image, previous), values in zip([*again, following], expected, strict=True):
        assert previous is not None
        torch.testing.assert_close((image, previous), tuple(map(gray, values)))
    # y' − y₁ = w x + y₁ / 2 − y₁ = 0.2125, and with y₁ = w b + what is given, its derivative is x − b / 2 = 0.6.
    assert losses.total.item() == pytest.approx(0.2125**2, rel=1e-4)
    losses.total.backward()
    assert network.w.grad is not None and network.w.grad.item() == pytest.approx(2 * 0.2125 * 0.6, rel=1e-4)


def test_a_recurrent_net_owes_both_frames() -> None:
    """Content, style and smoothness of a frame over nothing and of the next over a painting, by hand, as means."""
    found = parts(recurrent(), Weighing(1.0, 0.0), still(gray(0.5), gray(0.25)))
    assert found["content"] == found["tv"] == found["grid"] == 0
    assert found["style"] == pytest.approx((0.75**2 + (1 - 0.25**2) ** 2) / 2)
    assert found["consistency"] == pytest.approx(0.25**2, rel=1e-4)
    assert parts(recurrent(), Weighing(0.5, 0.0), still(gray(0.5), gray(0.25)))["content"] == pytest.approx(0.25)
    # Over nothing: half of 0.25, and then half of 0.5 and half of (0.125 + 0.0625).
    found = parts(recurrent(), Weighing(0.5, 0.5), still(gray(0.5), gray(0.25)))
    assert found["content"] == pytest.approx((0.5**2 + (0.15625 / 0.5) ** 2) / 2)


def test_a_recurrent_net_follows_the_flow_where_it_is_known() -> None:
    """What is at x now was at x + 3 before; beyond the border, nothing is owed."""
    before = picture(1)
    flow = torch.zeros(1, 2, SIDE, SIDE)
    flow[:, 0] = 3.0
    valid = torch.ones(1, 1, SIDE, SIDE)
    valid[..., -3:] = 0
    now = torch.roll(before, -3, 3)
    now[..., -3:] = 0.5
    moved = Batch(now, torch.zeros(1, dtype=torch.int64), Motion(before, flow, valid))
    assert parts(recurrent(), Weighing(1.0, 0.0), moved)["consistency"] == pytest.approx(0, abs=1e-9)
    everywhere = replace(moved, motion=Motion(before, flow, torch.ones_like(valid)))
    assert parts(recurrent(), Weighing(1.0, 0.0), everywhere)["consistency"] > 0.003


def test_the_later_frame_is_shown_in_another_light() -> None:
    """Brighter or darker, and noisy; the earlier one is shown as it is, and content is asked of both as they are."""
    network = Weighing(1.0, 0.0)
    found = parts(recurrent(brightness=0.2, noise=0.05), network, still(gray(0.5), gray(0.5)))
    shown = network.seen[-1][0]
    assert not torch.equal(shown, gray(0.5)) and (shown - 0.5).abs().max() < 0.4
    assert torch.equal(network.seen[-2][0], gray(0.5))
    assert found["content"] > 0 and found["consistency"] > 0


def test_a_recurrent_net_needs_pairs() -> None:
    """Of which still pictures make some, moved as the recipe says."""
    image = picture()
    with pytest.raises(ValueError, match="no motion"):
        recurrent().losses(Weighing(1.0, 0.0), replace(still(image, image), motion=None), 0, 100)
    recipe = RealtimeRecipe(recurrent=True, shift=3.0, affine=0.1)
    assert RealtimeMethod.still_motion(recipe) == StillMotion(3.0, 0.1)


def test_polishing_weighs_the_grid_anew() -> None:
    """From the first polishing step on, and nothing else changes."""
    recipe = replace(RECIPES["realtime"], polish_grid_weight=1e4)
    method = RealtimeMethod(recipe, Colors(), picture(1, 7))  # type: ignore[arg-type]
    network = RealtimeMethod.network(recipe)
    assert recipe.polish_from(50) == 45
    before, polished = (method.losses(network, pairs(), step, 50) for step in (44, 45))
    grid = before.parts["grid"].item()
    assert polished.total.item() == pytest.approx(before.total.item() + (1e4 - 11.0) * grid, rel=1e-5)
    assert grid > 0 and polished.parts == before.parts


def test_realtime_draws_from_the_seeds() -> None:
    """The same seeds cost the same; others draw other views."""
    method = RealtimeMethod(RECIPES["realtime"], Colors(), picture(1, 7))  # type: ignore[arg-type]
    network, batch = RealtimeMethod.network(RECIPES["realtime"]), pairs()
    first, again, other = (
        parts(method, network, each) for each in (batch, batch, replace(batch, seeds=torch.tensor([5, 6])))
    )
    assert first == again
    assert first["consistency"] != other["consistency"] and first["grid"] != other["grid"]


def test_the_rate_of_realtime_falls_to_the_polish_and_again() -> None:
    """The whole schedule fits before the polish, which starts anew at its own rate."""
    recipe = RealtimeRecipe(learning_rate=0.8, warmup_steps=4, polish_steps=2, polish_learning_rate=0.1)
    method = RealtimeMethod(recipe, Colors(), picture(1, 7))  # type: ignore[arg-type]
    rates = [method.learning_rate(step, 28) for step in range(29)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[15] == pytest.approx(0.4)
    assert rates[26:] == pytest.approx([0.1, 0.05, 0.0])
    assert all(before >= after for before, after in pairwise(rates[4:26]))
