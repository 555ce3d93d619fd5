"""What each method asks of its network: the right sum of the right losses, whatever the split of the batch."""

# ruff: noqa: E402
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from allaprima.train.batches import Batch
from allaprima.train.content import Motion, StillMotion
from allaprima.train.losses.perceptual import CONTENT_LAYER, FEATURE_SCALE, STYLE_LAYERS
from allaprima.train.method import Method, method_class
from allaprima.train.methods.johnson import JohnsonMethod
from allaprima.train.methods.realtime import RealtimeMethod, _strengths
from allaprima.train.methods.reconet import ReconetMethod
from allaprima.train.network import StyleNetwork
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe
from allaprima.train.vgg import VGG16Features, load_weights

SIDE = 32
RECIPES: dict[str, Recipe] = {
    "realtime": RealtimeRecipe(
        channels=4,
        blocks=1,
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=5.0,
        consistency_weight=7.0,
        photograph_weight=13.0,
        grid_weight=11.0,
        polish_grid_weight=11.0,
        strength_share=1.0,
    ),
    "recurrent": RealtimeRecipe(
        channels=4,
        blocks=1,
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=5.0,
        consistency_weight=7.0,
        photograph_weight=13.0,
        grid_weight=11.0,
        polish_grid_weight=11.0,
        strength_share=1.0,
        recurrent=True,
        recurrent_past=1,
    ),
    "johnson": JohnsonRecipe(width=4, blocks=1, content_weight=2.0, style_weight=3e3, tv_weight=500.0),
    "reconet": ReconetRecipe(
        width=4,
        blocks=1,
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=5e-4,
        feature_temporal_weight=7.0,
        output_temporal_weight=11.0,
    ),
}
LOSSES = {
    "realtime": ("content", "style", "tv", "consistency", "photograph", "grid"),
    "recurrent": ("content", "style", "tv", "consistency", "photograph", "grid"),
    "johnson": ("content", "style", "tv"),
    "reconet": ("content", "style", "tv", "feature_temporal", "output_temporal"),
}
METHODS = pytest.mark.parametrize("name", list(RECIPES))


@pytest.fixture(scope="module")
def vgg(vgg_file: Path) -> VGG16Features:
    return VGG16Features(load_weights(vgg_file))


class Colors:
    """A loss network of one kind of feature: the picture's own colors."""

    def __call__(self, image: torch.Tensor, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        return dict.fromkeys(layers, image)


class Net(StyleNetwork):
    """One layer, whose output is the painting and the feature maps."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__({"layer": layer}, stride=1, features="layer")


def picture(count: int = 2, seed: int = 1, side: int = SIDE) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def pairs(count: int = 2) -> Batch:
    """Pictures, their seeds, and unrelated frames before them under a flow of a few pixels, a part of it not valid."""
    flow = 2 * torch.randn(count, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    valid = torch.ones(count, 1, SIDE, SIDE)
    valid[0, :, :12] = 0
    return Batch(picture(count), torch.arange(40, 40 + count), Motion(picture(count, 2), flow, valid))


def part_of(batch: Batch, sample: int) -> Batch:
    """A batch of one of its samples."""
    one, motion = slice(sample, sample + 1), batch.motion
    assert motion is not None
    own = Motion(motion.before[one], motion.flow[one], motion.valid[one])
    return Batch(batch.image[one], batch.seeds[one], own)


def made(name: str, vgg: Any) -> tuple[Method[Recipe], StyleNetwork]:
    torch.manual_seed(0)
    kind, recipe = method_class(RECIPES[name].method), RECIPES[name]
    return kind(recipe, vgg, picture(1, 7)), kind.network(recipe)


@METHODS
def test_the_total_is_the_weighted_sum_of_the_parts(name: str, vgg: VGG16Features) -> None:
    """Each weight of the recipe does its own work; parts carry no gradient."""
    method, network = made(name, vgg)
    losses = method.losses(network, pairs(), 0, 100)
    assert set(losses.parts) == {*LOSSES[name], *(f"style/{layer}" for layer in STYLE_LAYERS)}
    weighted = {loss: getattr(method.recipe, f"{loss}_weight") * losses.parts[loss].item() for loss in LOSSES[name]}
    assert losses.total.item() == pytest.approx(sum(weighted.values()), rel=1e-5)
    assert all(value > 1e-3 * losses.total.item() for value in weighted.values()), weighted
    layers = torch.stack([losses.parts[f"style/{layer}"] for layer in STYLE_LAYERS])
    assert losses.parts["style"].item() == pytest.approx(
        (layers.mean() if method.recipe.method == "realtime" else layers.sum()).item()
    )
    for value in (losses.total, *losses.parts.values()):
        assert value.dtype == torch.float32 and value.shape == ()
    assert not any(value.requires_grad for value in losses.parts.values())


@METHODS
def test_gradients_reach_every_weight_of_the_network_and_none_of_the_loss_network(
    name: str, vgg: VGG16Features
) -> None:
    """What isn't reached would stay random."""
    method, network = made(name, vgg)
    method.losses(network, pairs(), 0, 100).total.backward()
    for weight, value in network.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), weight
        if name != "johnson" or "conv" not in weight or "bias" not in weight:  # instance normalization takes it away
            assert value.grad.abs().max() > 0, weight
    assert all(value.grad is None for value in vgg.parameters())


@METHODS
def test_two_halves_of_a_batch_cost_on_average_what_the_whole_does(name: str, vgg: VGG16Features) -> None:
    """So that it doesn't matter how many processes share a batch."""
    method, network = made(name, vgg)
    batch = pairs()
    whole = method.losses(network, batch, 0, 100)
    halves = [method.losses(network, part_of(batch, sample), 0, 100) for sample in range(2)]
    assert whole.total.item() == pytest.approx(sum(half.total.item() for half in halves) / 2, rel=1e-4)
    for part, value in whole.parts.items():
        assert value.item() == pytest.approx(sum(half.parts[part].item() for half in halves) / 2, rel=1e-4), part


@METHODS
def test_mixed_precision_stays_near(name: str, vgg: VGG16Features) -> None:
    """bfloat16 has 8 bits: under autocast no loss is off by more than a tenth."""
    method, network = made(name, vgg)
    exact = method.losses(network, pairs(1), 0, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = method.losses(network, pairs(1), 0, 100)
    assert mixed.total.dtype == torch.float32
    assert mixed.total.item() != exact.total.item()
    for part, value in exact.parts.items():
        assert mixed.parts[part].item() == pytest.approx(value.item(), rel=0.1), part
    mixed.total.backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())


@METHODS
def test_losses_are_summed_in_float32(name: str) -> None:
    """Under autocast too: of features and paintings that aren't rounded, exactly what they cost without."""
    method, network = made(name, Colors())[0], Net(nn.Identity())
    exact = method.losses(network, pairs(), 0, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = method.losses(network, pairs(), 0, 100)
    assert mixed.parts == exact.parts and mixed.total == exact.total


def test_the_grid_is_painted_in_float32() -> None:
    """It is fainter than bfloat16 resolves."""
    method, network = made("realtime", Colors())
    exact = method.losses(network, pairs(), 0, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = method.losses(network, pairs(), 0, 100)
    assert mixed.parts["grid"] == exact.parts["grid"] > 0
    assert mixed.parts["consistency"] != exact.parts["consistency"]


class Flicker(nn.Module):
    """Paints the second half of what it is given a little brighter."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        now, before = image.chunk(2)
        return torch.cat((now, before + 0.1))


def parts(method: Method[Any], network: StyleNetwork, batch: Batch) -> dict[str, float]:
    return {name: value.item() for name, value in method.losses(network, batch, 0, 100).parts.items()}


def reconet() -> ReconetMethod:
    return ReconetMethod(ReconetRecipe(), Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]


def still(image: torch.Tensor, before: torch.Tensor, valid: torch.Tensor | None = None) -> Batch:
    """A pair without motion."""
    count, _, height, width = image.shape
    ones = torch.ones(count, 1, height, width)
    motion = Motion(before, torch.zeros(count, 2, height, width), ones if valid is None else valid)
    return Batch(image, torch.zeros(count, dtype=torch.int64), motion)


def test_a_still_pair_painted_alike_costs_nothing_in_time() -> None:
    """The same frame twice, the same painting twice."""
    image = picture()
    found = parts(reconet(), Net(nn.Conv2d(3, 3, 1)), still(image, image))
    assert found["feature_temporal"] == pytest.approx(0, abs=1e-9)
    assert found["output_temporal"] == pytest.approx(0, abs=1e-9)


def test_a_flickering_painting_costs() -> None:
    """0.1 of 1 in all colors: 0.01 a feature, and for colors in [−1, 1] 3 · 0.2²."""
    image = picture()
    found = parts(reconet(), Net(Flicker()), still(image, image))
    assert found["feature_temporal"] == pytest.approx(0.01, rel=1e-4)
    assert found["output_temporal"] == pytest.approx(0.12, rel=1e-4)


def test_the_luminance_of_the_frames_is_in_the_range_of_the_paintings() -> None:
    """A gray frame that brightens, painted as it is, owes nothing to time but in its features."""
    dark, bright = torch.full((1, 3, SIDE, SIDE), 0.25), torch.full((1, 3, SIDE, SIDE), 0.75)
    found = parts(reconet(), Net(nn.Identity()), still(bright, dark))
    assert found["output_temporal"] == pytest.approx(0, abs=1e-9)
    assert found["feature_temporal"] == pytest.approx(0.25, rel=1e-4)


def test_what_is_not_valid_does_not_count_in_time() -> None:
    """Frames that have nothing in common on the left, where the mask is 0."""
    image, before, valid = picture(), picture(seed=9), torch.ones(2, 1, SIDE, SIDE)
    before[..., 16:] = image[..., 16:]
    valid[..., :16] = 0
    found = parts(reconet(), Net(nn.Identity()), still(image, before, valid))
    assert found["feature_temporal"] == pytest.approx(0, abs=1e-9)
    assert found["output_temporal"] == pytest.approx(0, abs=1e-9)
    seen = parts(reconet(), Net(nn.Identity()), still(image, before))
    assert seen["feature_temporal"] > 0.01 and seen["output_temporal"] > 0.01


def test_reconet_follows_the_flow_from_the_frame_to_the_one_before() -> None:
    """What is at x now was at x + 3 before."""
    before = picture(1)
    flow = torch.zeros(1, 2, SIDE, SIDE)
    flow[:, 0] = 3.0
    valid = torch.ones(1, 1, SIDE, SIDE)
    valid[..., -3:] = 0
    batch = Batch(torch.roll(before, -3, 3), torch.zeros(1, dtype=torch.int64), Motion(before, flow, valid))
    found = parts(reconet(), Net(nn.Identity()), batch)
    assert found["feature_temporal"] == pytest.approx(0, abs=1e-9)
    assert found["output_temporal"] == pytest.approx(0, abs=1e-9)


def test_reconet_asks_content_style_and_smoothness_of_both_frames() -> None:
    """Summed over the two: of a gray and a black frame painted as they are, and style as colors, worked out by hand."""
    gray, black = torch.full((1, 3, SIDE, SIDE), 0.5), torch.zeros(1, 3, SIDE, SIDE)
    found = parts(reconet(), Net(nn.Identity()), still(gray, black))
    assert found["content"] == found["tv"] == 0
    # All entries of a Gram matrix: (0.5² − 1) / 3 and (0 − 1) / 3 of the scale; nine of them.
    layer = 9 * ((0.75 / 3) ** 2 + (1 / 3) ** 2) / FEATURE_SCALE**4
    assert found["style/relu1_2"] == pytest.approx(layer)
    assert found["style"] == pytest.approx(4 * layer)

    step = gray.clone()
    step[..., 16:] = 1.0
    assert parts(reconet(), Net(nn.Identity()), still(step, black))["tv"] == pytest.approx(3 * SIDE * 1.0)
    assert parts(reconet(), Net(Flicker()), still(black, black))["content"] == pytest.approx(0.01 / FEATURE_SCALE**2)


def test_reconet_moves_still_pictures_as_its_recipe_says() -> None:
    """Others train on single pictures."""
    assert ReconetMethod.still_motion(ReconetRecipe(shift=3.0, affine=0.1)) == StillMotion(3.0, 0.1)
    assert JohnsonMethod.still_motion(JohnsonRecipe()) is None
    assert RealtimeMethod.still_motion(RealtimeRecipe()) is None


def test_reconet_refuses_what_it_cannot_train_on() -> None:
    """Single pictures, and a net whose features it can't see."""
    image = picture()
    with pytest.raises(ValueError, match="no motion"):
        reconet().losses(Net(nn.Identity()), replace(still(image, image), motion=None), 0, 100)
    with pytest.raises(ValueError, match="names no layer"):
        reconet().losses(StyleNetwork({"layer": nn.Identity()}, stride=1), still(image, image), 0, 100)


def test_johnson_by_hand() -> None:
    """Content 0 for the photograph itself; style as the mean over a Gram matrix's entries, summed over four layers."""
    method = JohnsonMethod(JohnsonRecipe(), Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]
    batch = Batch(torch.full((2, 3, SIDE, SIDE), 0.5), torch.arange(2))
    found = parts(method, Net(nn.Identity()), batch)
    assert found["content"] == found["tv"] == 0
    assert found["style"] == pytest.approx(4 * (0.75 / 3) ** 2 / FEATURE_SCALE**4)


def test_johnson_looks_for_content_nearer_to_the_pixels(vgg: VGG16Features) -> None:
    """At relu2_2, where the others look at relu3_3."""
    method, image = JohnsonMethod(JohnsonRecipe(), vgg, picture(1, 7)), picture()
    painted = 1 - image
    seen, target = vgg(painted, ("relu2_2",))["relu2_2"], vgg(image, ("relu2_2",))["relu2_2"]
    turned = nn.Conv2d(3, 3, 1)
    turned.weight.data, turned.bias.data = -torch.eye(3).view(3, 3, 1, 1), torch.ones(3)  # type: ignore[union-attr]
    found = parts(method, Net(turned), Batch(image, torch.arange(2)))
    assert found["content"] == pytest.approx((seen - target).square().mean().item() / FEATURE_SCALE**2, rel=1e-4)
    assert CONTENT_LAYER == "relu3_3"


def test_johnson_does_not_clamp_what_it_trains() -> None:
    """A painting brighter than white still has somewhere to go."""
    method = JohnsonMethod(JohnsonRecipe(), Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]
    layer = nn.Conv2d(3, 3, 1)
    layer.weight.data.zero_()
    layer.bias.data.fill_(1.5)  # type: ignore[union-attr]
    losses = method.losses(Net(layer), Batch(picture(), torch.arange(2)), 0, 100)
    losses.total.backward()
    assert losses.parts["style"].item() == pytest.approx(4 * (1.25 / 3) ** 2 / FEATURE_SCALE**4)
    assert layer.bias.grad is not None and (layer.bias.grad > 0).all()  # type: ignore[union-attr]


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
        monkeypatch.setattr("allaprima.train.methods.realtime._strengths", lambda *given, drawn=drawn: drawn)
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
    flat, first, _, second = network.given
    assert flat is None and first is not None and second is not None
    assert first.shape == (4,) and torch.equal(first[:2], first[2:])
    assert first[0] != first[1] and torch.equal(first[:2], second[:2].flip(0))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_strengths_are_drawn_for_a_share_of_the_samples(share: float) -> None:
    """From 0 to 1, evenly but for the zeros, a sixth of them; all others are painted in full."""
    drawn = _strengths([torch.Generator().manual_seed(seed) for seed in range(4000)], share)
    assert drawn.shape == (4000,) and drawn.dtype == torch.float32
    assert drawn.min() >= 0 and drawn.max() <= 1
    below = drawn[drawn < 1]
    assert len(below) / 4000 == pytest.approx(share, abs=0.03)
    if share:
        assert (below == 0).float().mean().item() == pytest.approx(1 / 6, abs=0.05)
        assert below[below > 0].mean().item() == pytest.approx(0.5, abs=0.03)


def test_without_strengths_the_network_has_no_such_input() -> None:
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
