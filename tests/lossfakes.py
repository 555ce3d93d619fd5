"""What the tests of the methods' losses share: recipes, pictures, pairs, and networks that can be reckoned with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from allaprima.train.batches import Batch
from allaprima.train.content import Motion
from allaprima.train.method import Method
from allaprima.train.network import StyleNetwork
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe

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
RECIPES["recurrent"] = replace(RECIPES["realtime"], recurrent=True, recurrent_past=1)  # type: ignore[call-arg]


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


def parts(method: Method[Any], network: StyleNetwork, batch: Batch) -> dict[str, float]:
    return {name: value.item() for name, value in method.losses(network, batch, 0, 100).parts.items()}


def still(image: torch.Tensor, before: torch.Tensor, valid: torch.Tensor | None = None) -> Batch:
    """A pair without motion."""
    count, _, height, width = image.shape
    ones = torch.ones(count, 1, height, width)
    motion = Motion(before, torch.zeros(count, 2, height, width), ones if valid is None else valid)
    return Batch(image, torch.zeros(count, dtype=torch.int64), motion)
