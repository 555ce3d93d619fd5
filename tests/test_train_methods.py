"""What each method asks of its network: the right sum of the right losses, whatever the split of the batch."""

# ruff: noqa: E402
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from lossfakes import RECIPES, SIDE, Colors, Net, pairs, parts, picture, still
from torch import nn

from allaprima.train.batches import Batch
from allaprima.train.content import Motion, StillMotion
from allaprima.train.losses.perceptual import CONTENT_LAYER, FEATURE_SCALE, STYLE_LAYERS
from allaprima.train.method import Method, method_class
from allaprima.train.methods import realtime
from allaprima.train.methods.johnson import JohnsonMethod
from allaprima.train.methods.realtime import RealtimeMethod
from allaprima.train.methods.reconet import ReconetMethod
from allaprima.train.network import StyleNetwork
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe
from allaprima.train.vgg import VGG16Features, load_weights

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


def reconet() -> ReconetMethod:
    return ReconetMethod(ReconetRecipe(), Colors(), torch.ones(1, 3, 16, 16))  # type: ignore[arg-type]


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


def test_the_realtime_net_is_shown_pictures_without_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects against painted frames: the painting to agree with is as if the picture went on, even at its edge."""
    torch.manual_seed(0)
    network = RealtimeMethod.network(RealtimeRecipe())
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        far = realtime._far_from_borders(network, image, torch.ones(1))
        monkeypatch.setattr(realtime, "_BEYOND", 64)
        farther = realtime._far_from_borders(network, image, torch.ones(1))
        near = network(image, torch.ones(1))
    assert far.shape == image.shape
    assert (far - farther).abs().max() < 0.1 * (near - farther).abs().max()
    torch.testing.assert_close(far[..., 40:-40, 40:-40], near[..., 40:-40, 40:-40], rtol=0, atol=1e-4)


class Framed(nn.Module):
    """Paints the picture as it is, in a white frame."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        inside = torch.zeros_like(image)
        inside[..., 4:-4, 4:-4] = 1
        return torch.where(inside > 0, image, 1.0)


def test_a_frame_earns_nothing_and_costs_consistency() -> None:
    """Protects against painted frames: style and content are asked of what is far from borders alone."""
    method, batch = made("realtime", Colors())[0], pairs()
    plain, framed = (parts(method, Net(layer), batch) for layer in (nn.Identity(), Framed()))
    for name in ("content", "style", "photograph"):
        assert framed[name] == plain[name], name
    assert framed["consistency"] > 2 * plain["consistency"]
