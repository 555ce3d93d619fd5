"""The realtime method: perceptual losses and known-motion consistency on single pictures.

One step: a batch of crops x and a second view x' of each; y = net(x), y' = net(x'). Content and style are asked of y,
consistency of the pair; flat fields must come out without a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses.consistency import consistency_loss, second_view
from ..losses.grid import flat_fields, grid_loss
from ..losses.perceptual import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    gram,
    relative_distance,
    style_distances,
    total_variation,
)
from ..networks.realtime import STRIDE, RealtimeNet
from ..recipe import RealtimeRecipe
from ..vgg import VGG16Features

_FLAT_FIELDS = 4


@dataclass(frozen=True)
class StepLosses:
    """Unweighted losses of one step, and their weighted sum."""

    total: Tensor
    parts: dict[str, float]


class RealtimeMethod:
    """Losses of the realtime method for one style picture.

    Args:
        recipe: weights and sizes.
        vgg: the loss network, on the training device.
        style: the painting, float 1×3×H×W in [0, 1].
    """

    def __init__(self, recipe: RealtimeRecipe, vgg: VGG16Features, style: Tensor) -> None:
        self._recipe, self._vgg = recipe, vgg
        with torch.no_grad():
            self._style_grams = {name: gram(f) for name, f in vgg(style, STYLE_LAYERS).items()}

    def step(
        self, net: RealtimeNet, image: Tensor, generator: torch.Generator, autocast: bool, polish: bool = False
    ) -> StepLosses:
        """Losses of one batch; ``image`` float N×3×H×W in [0, 1]. Gradients flow into ``net`` only."""
        recipe = self._recipe
        view = second_view(
            image,
            generator,
            shift=recipe.shift,
            affine=recipe.affine,
            brightness=recipe.brightness,
            noise=recipe.noise,
        )
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=autocast):
            first, second = net(torch.cat((image, view.image))).float().split(len(image))
            features = self._vgg(first, STYLE_LAYERS)
            with torch.no_grad():
                target = self._vgg(image, (CONTENT_LAYER,))[CONTENT_LAYER]
        # In float32: the grid is fainter than bfloat16 resolves.
        flat = net(flat_fields(_FLAT_FIELDS, generator).to(image.device))
        style = {name: d.mean() for name, d in style_distances(features, self._style_grams).items()}
        losses = {
            "content": relative_distance(features[CONTENT_LAYER], target).mean(),
            "style": torch.stack(list(style.values())).mean(),
            "tv": total_variation(first),
            "consistency": consistency_loss(first, second, view),
            "grid": grid_loss(flat, STRIDE),
        }
        total = (
            recipe.content_weight * losses["content"]
            + recipe.style_weight * losses["style"]
            + recipe.tv_weight * losses["tv"]
            + recipe.consistency_weight * losses["consistency"]
            + (recipe.polish_grid_weight if polish else recipe.grid_weight) * losses["grid"]
        )
        parts = {name: value.item() for name, value in losses.items()}
        parts |= {f"style/{name}": value.item() for name, value in style.items()}
        return StepLosses(total, parts)
