"""Losses against numbers worked out by hand, and the exactness of known motion."""

# ruff: noqa: E402
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import torch.nn.functional as F

from allaprima.train.losses.consistency import View, consistency_loss, second_view, warp
from allaprima.train.losses.grid import FIELD, flat_fields, grid_loss
from allaprima.train.losses.perceptual import (
    FEATURE_SCALE,
    content_errors,
    gram,
    relative_distance,
    style_distances,
    style_errors,
    total_variation,
    variation_sums,
)
from allaprima.train.losses.temporal import (
    feature_temporal_loss,
    luminance,
    output_temporal_loss,
    resized_motion,
    warp_by_flow,
)

STILL = {"shift": 0.0, "affine": 0.0, "brightness": 0.0, "noise": 0.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [generator(seed * 1000 + sample) for sample in range(count)]


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


def test_variation_sums_by_hand() -> None:
    """Every step down and right, added up picture by picture."""
    image = torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]], [[[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]]])
    assert variation_sums(image).tolist() == [(2 + 1 + 1) + (1 + 2 + 0 + 0), 1 + 1]


def test_content_errors_by_hand() -> None:
    """Mean square over channels and positions, on the scale of published weights."""
    target = torch.zeros(2, 2, 1, 2)
    features = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]], [[[0.0, 0.0]], [[2.0, 0.0]]]]) * FEATURE_SCALE
    torch.testing.assert_close(content_errors(features, target), torch.tensor([14 / 4, 4 / 4]))


def test_style_errors_match_the_equation() -> None:
    """Johnson's equations 3 and 4 in float64, per picture, of features far from the style's and near them."""
    style = torch.rand(1, 4, 5, 7, generator=generator()) * 100
    features = torch.cat((style[..., :6] + 1, torch.rand(1, 4, 5, 6, generator=generator(1)) * 300))
    found = style_errors({"a": features}, {"a": gram(style)})["a"]

    def normalized(maps: torch.Tensor) -> torch.Tensor:
        flat = maps.double().flatten(1) / FEATURE_SCALE
        return flat @ flat.T / flat.numel()

    expected = [(normalized(each) - normalized(style[0])).square().sum().item() for each in features]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert style_errors({"a": style}, {"a": gram(style)})["a"].item() == 0


def test_a_view_without_motion_is_the_picture() -> None:
    """All ranges at 0: the same pixels, valid everywhere."""
    image = picture()
    view = second_view(image, generators(2), **STILL)
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
    view = second_view(flat, generators(64), **{**STILL, "brightness": 0.1})
    levels = view.image.mean((1, 2, 3))
    assert 0.45 - 1e-5 <= levels.min() < 0.46
    assert 0.54 < levels.max() <= 0.55 + 1e-5

    moves = second_view(flat, generators(64), **{**STILL, "shift": 3.0}).grid - shifted_grid(16, 16, 0, 0)
    assert moves.flatten(1).std(1).min() < moves.abs().max() <= 3.0 * 2 / 16 + 1e-5
    assert moves.abs().max() > 2.5 * 2 / 16

    grain = (second_view(flat, generators(64), **{**STILL, "noise": 0.02}).image - 0.5).std((1, 2, 3))
    assert grain.max() < 0.022
    assert grain.max() > 0.015


def test_views_are_seeded() -> None:
    """The same generators draw the same views; others draw others."""
    image, ranges = picture(), {"shift": 4.0, "affine": 0.05, "brightness": 0.05, "noise": 0.02}
    first, same, other = (second_view(image, generators(2, seed), **ranges) for seed in (5, 5, 6))
    assert torch.equal(first.image, same.image)
    assert torch.equal(first.grid, same.grid)
    assert not torch.equal(first.grid, other.grid)


def test_a_view_does_not_depend_on_the_rest_of_the_batch() -> None:
    """Two processes with a sample each draw what one draws for both."""
    image, ranges = picture(), {"shift": 4.0, "affine": 0.05, "brightness": 0.05, "noise": 0.02}
    both = second_view(image, generators(2), **ranges)
    for sample, own in enumerate(generators(2)):
        alone = second_view(image[sample : sample + 1], [own], **ranges)
        torch.testing.assert_close(alone.image[0], both.image[sample])
        torch.testing.assert_close(alone.grid[0], both.grid[sample])


def test_half_of_the_views_are_plain_pans() -> None:
    """A pan is what cameras do most: without bend, every pixel moves alike."""
    view = second_view(picture(16, 16, 200), generators(200), **{**STILL, "shift": 2.0, "affine": 0.05})
    moves = view.grid - shifted_grid(16, 16, 0, 0)
    pans = (moves.flatten(1, 2).std(1).amax(1) < 1e-6).float().mean().item()
    assert 0.35 < pans < 0.65


def test_pixels_from_outside_are_not_valid() -> None:
    """What the shift brings in from beyond the border is left out of the loss."""
    grid = shifted_grid(16, 16, 4, 0)
    view = second_view(picture(16, 16, 40), generators(40), **{**STILL, "shift": 6.0})
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
    view = second_view(soft, generators(2, 3), **{**STILL, "shift": 5.0})
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


def test_consistency_is_a_mean_over_samples() -> None:
    """A sample of which little stayed inside counts as much as one that stayed whole."""
    still = shifted_grid(8, 8, 0, 0).repeat(2, 1, 1, 1)
    valid = torch.ones(2, 1, 8, 8)
    valid[1, :, 1:] = 0
    first, second = torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)
    second[1] = 1.0
    assert consistency_loss(first, second, View(first, still, valid)).item() == pytest.approx(0.5)


def test_consistency_punishes_strokes_that_stay_put() -> None:
    """A painting that doesn't move with the picture is what the loss is there for."""
    image = picture(48, 48, 1)
    grid = shifted_grid(48, 48, 2, 0)
    view = View(warp(image, grid), grid, (grid.abs() <= 1).all(-1).unsqueeze(1).float())
    strokes = picture(48, 48, 1)
    assert consistency_loss(strokes, strokes, view).item() > 0.05
    assert consistency_loss(strokes, warp(strokes, grid), view).item() == 0


def flow_field(x: float, y: float, height: int, width: int, count: int = 1) -> torch.Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).repeat(count, 1, height, width)


def test_warp_by_hand() -> None:
    """Half a pixel to the right is the mean of two neighbors; a whole one is the neighbor; beyond, the border's."""
    row = torch.tensor([[[[1.0, 3.0, 9.0, 5.0]]]])
    torch.testing.assert_close(warp_by_flow(row, flow_field(0.5, 0, 1, 4)), torch.tensor([[[[2.0, 6.0, 7.0, 5.0]]]]))
    torch.testing.assert_close(warp_by_flow(row, flow_field(-1, 0, 1, 4)), torch.tensor([[[[1.0, 1.0, 3.0, 9.0]]]]))
    torch.testing.assert_close(warp_by_flow(row, flow_field(0, 0.5, 1, 4)), row)


def test_warp_takes_each_pixel_from_where_its_flow_leads() -> None:
    """Against interpolation of every pixel by itself in float64, by a flow that differs everywhere."""
    height, width = 6, 9
    image = torch.rand(1, 2, height, width, generator=generator())
    flow = torch.randn(1, 2, height, width, generator=generator(1)) * 2
    found = warp_by_flow(image, flow)
    for y in range(height):
        for x in range(width):
            at_x = min(max(x + flow[0, 0, y, x].item(), 0), width - 1)
            at_y = min(max(y + flow[0, 1, y, x].item(), 0), height - 1)
            left, top = min(int(at_x), width - 2), min(int(at_y), height - 2)
            part_x, part_y = at_x - left, at_y - top
            cell = image[0, :, top : top + 2, left : left + 2].double()
            rows = cell[..., 0] * (1 - part_x) + cell[..., 1] * part_x
            expected = rows[:, 0] * (1 - part_y) + rows[:, 1] * part_y
            torch.testing.assert_close(found[0, :, y, x].double(), expected, atol=1e-5, rtol=0)


def test_warp_of_a_ramp_is_exact_below_the_pixel() -> None:
    """On a ramp of slope 0.1 and 0.2, a shift by (0.3, −0.7) changes every inner pixel by 0.03 − 0.14."""
    ramp = (0.1 * torch.arange(12.0) + 0.2 * torch.arange(8.0).unsqueeze(1)).view(1, 1, 8, 12)
    moved = warp_by_flow(ramp, flow_field(0.3, -0.7, 8, 12))
    torch.testing.assert_close((moved - ramp)[..., 1:, :-1], torch.full((1, 1, 7, 11), -0.11), atol=1e-5, rtol=0)


def test_luminance_by_hand() -> None:
    """Rec. 709; white has 1."""
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.5, 0.25, 1]]).view(5, 3, 1, 1)
    expected = torch.tensor([0.2126, 0.7152, 0.0722, 1.0, 0.1063 + 0.1788 + 0.0722])
    torch.testing.assert_close(luminance(colors).flatten(), expected)


def test_light_that_changes_in_both_costs_nothing() -> None:
    """The luminance warping constraint: a painting may brighten as its picture does."""
    image, painted = picture(8, 8, 1) * 0.5, picture(8, 8, 1).flip(2) * 0.5
    still = {"flow": flow_field(0, 0, 8, 8), "valid": torch.ones(1, 1, 8, 8)}
    costs = [
        output_temporal_loss(painted + change, painted, image + 0.2, image, **still).item() for change in (0.2, 0, -0.2)
    ]
    assert costs == pytest.approx([0, 3 * 0.2**2, 3 * 0.4**2], abs=1e-6)


def test_output_temporal_loss_by_hand() -> None:
    """One pixel of 2×2 valid: its three squares, over all four pixels; the flow leads to the left neighbor."""
    before, image_before = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    before[0, :, 0, 0] = torch.tensor([0.1, 0.2, 0.3])
    image_before[0, :, 0, 0] = torch.tensor([0.0, 1.0, 0.0])
    painted, image, valid = torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)
    valid[0, 0, 0, 1] = 1
    found = output_temporal_loss(painted, before, image, image_before, flow=flow_field(-1, 0, 2, 2), valid=valid)
    light = -0.7152
    assert found.item() == pytest.approx(sum((0.5 - each - light) ** 2 for each in (0.1, 0.2, 0.3)) / 4)


def test_flow_and_mask_on_the_feature_grid() -> None:
    """Averaged over a cell and measured in cells, each axis by its own ratio; valid where every pixel is."""
    flow = torch.zeros(1, 2, 4, 8)
    flow[0, 0, :2, :4] = torch.tensor([[0.0, 4.0, 8.0, 12.0], [4.0, 8.0, 12.0, 16.0]])
    flow[0, 1, 2:, 4:] = 3.0
    valid = torch.ones(1, 1, 4, 8)
    valid[0, 0, 3, 0] = 0
    coarse, mask = resized_motion(flow, valid, 2, 2)
    assert coarse.tolist() == [[[[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.5]]]]
    assert mask.tolist() == [[[[1.0, 1.0], [0.0, 1.0]]]]


def test_feature_temporal_loss_by_hand() -> None:
    """Maps that move as the flow says cost nothing; else squares of valid cells over all of C·h·w."""
    maps_before = torch.rand(1, 3, 4, 4, generator=generator())
    maps = torch.roll(maps_before, 1, 3)
    flow, valid = flow_field(-4, 0, 16, 16), torch.ones(1, 1, 16, 16)
    valid[..., :4] = 0
    assert feature_temporal_loss(maps, maps_before, flow=flow, valid=valid).item() == pytest.approx(0, abs=1e-10)
    maps[0, 2, 1, 3] += 0.5
    maps[0, 0, 0, 0] += 9.0
    assert feature_temporal_loss(maps, maps_before, flow=flow, valid=valid).item() == pytest.approx(0.25 / 48, rel=1e-4)


def test_a_grid_is_found_with_its_variance() -> None:
    """A known pattern in every cell costs its variance; plain color costs nothing."""
    flat, block = flat_fields(generators(1)), 4
    assert flat.shape == (2, 3, FIELD, FIELD)
    assert grid_loss(flat, block).item() == pytest.approx(0, abs=1e-12)
    pattern = torch.randn(block, block, generator=generator())
    grid = flat + 0.1 * pattern.repeat(FIELD // block, FIELD // block)
    assert grid_loss(grid, block).item() == pytest.approx(0.01 * pattern.var(correction=0).item(), rel=1e-4)


def test_flat_fields_are_drawn_sample_by_sample() -> None:
    """Two a sample, the same whatever the batch."""
    both = flat_fields(generators(2))
    assert both.shape[0] == 4
    assert torch.equal(both, torch.cat([flat_fields([each]) for each in generators(2)]))
    assert len(both[:, :, 0, 0].unique(dim=0)) == 4
