"""Losses against numbers worked out by hand, and the exactness of known motion."""

# ruff: noqa: E402
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from allaprima.train.losses.consistency import View, consistency_loss, second_view, warp
from allaprima.train.losses.grid import FIELD, flat_fields, grid_loss
from allaprima.train.losses.perceptual import gram, relative_distance, style_distances, total_variation
from allaprima.train.methods.realtime import RealtimeMethod
from allaprima.train.networks.realtime import STRIDE, RealtimeNet, depth_to_space, space_to_depth
from allaprima.train.recipe import RealtimeRecipe

STILL = {"shift": 0.0, "affine": 0.0, "brightness": 0.0, "noise": 0.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int = 24, width: int = 32, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=generator(1))


def shifted_grid(height: int, width: int, right: float, down: float) -> torch.Tensor:
    """Each pixel takes the one ``right`` pixels to its right and ``down`` below."""
    theta = torch.eye(2, 3).unsqueeze(0)
    theta[0, :, 2] = torch.tensor([2.0 * right / width, 2.0 * down / height])
    return F.affine_grid(theta, [1, 3, height, width], align_corners=False)


def test_gram_by_hand() -> None:
    """Two channels, two positions: products averaged over positions."""
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert torch.equal(gram(features), torch.tensor([[[2.5, 0.5], [0.5, 5.0]]]))


def test_gram_does_not_depend_on_size() -> None:
    """The same texture, four times as much of it, has the same Gram matrix."""
    features = torch.rand(1, 4, 6, 6, generator=generator())
    torch.testing.assert_close(gram(features), gram(features.repeat(1, 1, 2, 2)))


def test_gram_is_float32_under_bfloat16() -> None:
    """Sums over a picture lose everything in eight bits."""
    assert gram(torch.ones(1, 2, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_relative_distance_by_hand() -> None:
    """‖v − t‖² / ‖t‖², one number a picture."""
    value = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    target = torch.tensor([[1.0, 1.0], [3.0, 4.0]])
    assert torch.equal(relative_distance(value, target), torch.tensor([0.5, 1.0]))


def test_relative_distance_to_nothing_is_finite() -> None:
    """A black layer divides by nothing."""
    assert torch.isfinite(relative_distance(torch.ones(1, 3), torch.zeros(1, 3))).all()


def test_style_distances_compare_each_picture_with_the_one_style() -> None:
    """0 for the style's own features, 1 for none, layer by layer."""
    features = torch.rand(1, 4, 5, 5, generator=generator())
    both = torch.cat((features, torch.zeros_like(features)))
    found = style_distances({"a": both, "b": both * 2}, {"a": gram(features), "b": gram(features * 2)})
    assert set(found) == {"a", "b"}
    for distances in found.values():
        torch.testing.assert_close(distances, torch.tensor([0.0, 1.0]))


def test_total_variation_by_hand() -> None:
    """Mean step down plus mean step right."""
    image = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]])
    assert total_variation(image).item() == pytest.approx((2 + 1 + 1) / 3 + (1 + 2 + 0 + 0) / 4)
    assert total_variation(torch.full((1, 3, 8, 8), 0.4)).item() == 0


def test_a_view_without_motion_is_the_picture() -> None:
    """All ranges at 0: the same pixels, valid everywhere."""
    image = picture()
    view = second_view(image, generator(), **STILL)
    torch.testing.assert_close(view.image, image, atol=1e-5, rtol=0)
    assert view.valid.shape == (2, 1, 24, 32)
    assert view.valid.min() == 1


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2), (-4, 5)])
def test_whole_pixels_move_exactly(right: int, down: int) -> None:
    """No half-pixel slip: a shift by whole pixels copies pixels."""
    image = picture(count=1)
    moved = warp(image, shifted_grid(24, 32, right, down))
    inner = (slice(6, -6), slice(6, -6))
    expected = torch.roll(image, (-down, -right), (2, 3))
    torch.testing.assert_close(moved[..., *inner], expected[..., *inner], atol=2e-5, rtol=0)


def test_views_stay_within_their_ranges() -> None:
    """Shift, brightness and noise are drawn anew for each picture, and never beyond what was asked."""
    flat = torch.full((64, 3, 16, 16), 0.5)
    view = second_view(flat, generator(), **{**STILL, "brightness": 0.1})
    levels = view.image.mean((1, 2, 3))
    assert 0.45 - 1e-5 <= levels.min() < 0.46
    assert 0.54 < levels.max() <= 0.55 + 1e-5

    moves = second_view(flat, generator(), **{**STILL, "shift": 3.0}).grid - shifted_grid(16, 16, 0, 0)
    assert moves.flatten(1).std(1).min() < moves.abs().max() <= 3.0 * 2 / 16 + 1e-5
    assert moves.abs().max() > 2.5 * 2 / 16

    grain = (second_view(flat, generator(), **{**STILL, "noise": 0.02}).image - 0.5).std((1, 2, 3))
    assert grain.max() < 0.022
    assert grain.max() > 0.015


def test_views_are_seeded() -> None:
    """The same generator state draws the same view; another draws another."""
    image, ranges = picture(), {"shift": 4.0, "affine": 0.05, "brightness": 0.05, "noise": 0.02}
    first, same, other = (second_view(image, generator(seed), **ranges) for seed in (5, 5, 6))
    assert torch.equal(first.image, same.image)
    assert torch.equal(first.grid, same.grid)
    assert not torch.equal(first.grid, other.grid)


def test_half_of_the_views_are_plain_pans() -> None:
    """A pan is what cameras do most: without bend, every pixel moves alike."""
    view = second_view(picture(16, 16, 200), generator(), **{**STILL, "shift": 2.0, "affine": 0.05})
    moves = view.grid - shifted_grid(16, 16, 0, 0)
    pans = (moves.flatten(1, 2).std(1).amax(1) < 1e-6).float().mean().item()
    assert 0.35 < pans < 0.65


def test_pixels_from_outside_are_not_valid() -> None:
    """What the shift brings in from beyond the border is left out of the loss."""
    grid = shifted_grid(16, 16, 4, 0)
    view = second_view(picture(16, 16, 40), generator(), **{**STILL, "shift": 6.0})
    inside = (view.grid.abs() <= 1).all(-1)
    assert torch.equal(view.valid[:, 0].bool(), inside)
    assert 0.5 < inside.float().mean() < 0.98
    assert (grid.abs() <= 1).all(-1).sum() == 16 * 12


def test_consistency_of_a_net_that_moves_with_the_picture() -> None:
    """A net that works pixel by pixel owes nothing: painting the moved picture is moving the painting."""
    image = picture(48, 48)

    def mixed(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x.flip(1) + 0.25

    # Clamping to [0, 1] is the one thing in a view that isn't linear; a soft picture stays clear of it.
    soft = F.avg_pool2d(image, 5, 1, 2) * 0.5 + 0.25
    view = second_view(soft, generator(3), **{**STILL, "shift": 5.0})
    assert consistency_loss(mixed(soft), mixed(view.image), view).item() < 1e-9


def test_consistency_by_hand() -> None:
    """Mean square of the difference, over channels and valid pixels only."""
    still = shifted_grid(16, 16, 0, 0)
    valid = torch.zeros(1, 1, 16, 16)
    valid[..., :8, :] = 1
    first, second = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    second[..., 8:, :] = 100.0
    assert consistency_loss(first, second, View(first, still, valid)).item() == pytest.approx(0.25)
    assert consistency_loss(first, second, View(first, still, valid * 0)).item() == 0


def test_consistency_punishes_strokes_that_stay_put() -> None:
    """A painting that doesn't move with the picture is what the loss is there for."""
    image = picture(48, 48, 1)
    grid = shifted_grid(48, 48, 2, 0)
    view = View(warp(image, grid), grid, (grid.abs() <= 1).all(-1).unsqueeze(1).float())
    strokes = picture(48, 48, 1)
    assert consistency_loss(strokes, strokes, view).item() > 0.05
    assert consistency_loss(strokes, warp(strokes, grid), view).item() == 0


class Identity(torch.nn.Module):
    """Paints the picture itself."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


class Colors:
    """A loss network of one kind of feature: the picture's own colors."""

    def __call__(self, image: torch.Tensor, layers: tuple[str, ...]) -> dict[str, torch.Tensor]:
        return dict.fromkeys(layers, image)


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    """Each weight of the recipe does its own work."""
    weights = {"content": 2.0, "style": 3.0, "tv": 5.0, "consistency": 7.0, "grid": 11.0}
    recipe = RealtimeRecipe(**{f"{name}_weight": value for name, value in weights.items()})
    method = RealtimeMethod(recipe, Colors(), torch.full((1, 3, 16, 16), 0.7))  # type: ignore[arg-type]
    net = RealtimeNet(4, 1)
    losses = method.step(net, picture(32, 32), generator(), autocast=False)
    assert losses.total.item() == pytest.approx(sum(w * losses.parts[name] for name, w in weights.items()), rel=1e-5)
    assert all(losses.parts[name] > 0 for name in weights)
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    polished = method.step(net, picture(32, 32), generator(), autocast=False, polish=True)
    assert polished.total.item() == pytest.approx(
        losses.total.item() + (recipe.polish_grid_weight - 11.0) * losses.parts["grid"], rel=1e-4
    )


def test_painting_the_photograph_costs_style_only() -> None:
    """Content 0, consistency 0, and as style the distance of colors, worked out by hand."""
    recipe = RealtimeRecipe(shift=0.0, affine=0.0, brightness=0.0, noise=0.0)
    gray, white = torch.full((1, 3, 32, 32), 0.5), torch.ones(1, 3, 16, 16)
    method = RealtimeMethod(recipe, Colors(), white)  # type: ignore[arg-type]
    parts = method.step(Identity(), gray, generator(), autocast=False).parts  # type: ignore[arg-type]
    assert parts["content"] == parts["tv"] == 0
    assert parts["consistency"] == pytest.approx(0, abs=1e-10)
    assert parts["style"] == pytest.approx(0.75**2)


@pytest.mark.parametrize("block", [2, 4])
def test_blocks_go_there_and_back(block: int) -> None:
    """Unshuffling and shuffling lose nothing, in ONNX's order: row, column, channel."""
    image = picture(8 * block, 4 * block)
    packed = space_to_depth(image, block)
    assert packed.shape == (2, 3 * block * block, 8, 4)
    assert torch.equal(packed[:, 3 * (1 * block + 0) + 2, 3, 1], image[:, 2, 3 * block + 1, block])
    assert torch.equal(depth_to_space(packed, block), image)


def test_a_grid_is_found_with_its_variance() -> None:
    """A known pattern in every cell costs its variance; plain color costs nothing."""
    flat = flat_fields(2, generator())
    assert flat.shape == (2, 3, FIELD, FIELD) and grid_loss(flat, STRIDE).item() == pytest.approx(0, abs=1e-12)
    pattern = torch.randn(STRIDE, STRIDE, generator=generator())
    grid = flat + 0.1 * pattern.repeat(FIELD // STRIDE, FIELD // STRIDE)
    assert grid_loss(grid, STRIDE).item() == pytest.approx(0.01 * pattern.var(correction=0).item(), rel=1e-4)
