"""The realtime method: perceptual losses and known-motion consistency on single pictures.

One step: a batch of crops x and a second view x' of each; y = net(x), y' = net(x'). Content and style are asked of y,
consistency of the pair; flat fields must come out without a grid.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..batches import Batch
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
from ..method import Losses, Method, scheduled_rate
from ..network import StyleNetwork
from ..networks.realtime import realtime_network
from ..recipes.realtime import RealtimeRecipe
from ..vgg import VGG16Features


class RealtimeMethod(Method[RealtimeRecipe]):
    """Losses of the realtime method for one style picture.

    Parts: ``content``; ``style``, the mean of ``style/LAYER``; ``tv``, ``consistency`` and ``grid``.
    """

    def __init__(self, recipe: RealtimeRecipe, vgg: VGG16Features, style: Tensor) -> None:
        super().__init__(recipe, vgg, style)
        with torch.no_grad():
            self._style_grams = {layer: gram(maps) for layer, maps in vgg(style, STYLE_LAYERS).items()}

    @staticmethod
    def network(recipe: RealtimeRecipe) -> StyleNetwork:
        """A fresh network; its random weights are drawn from torch's generator."""
        return realtime_network(recipe.channels, recipe.blocks)

    def losses(self, network: StyleNetwork, batch: Batch, step: int, steps: int) -> Losses:
        """Losses of one batch; from the step on at which polishing begins, the grid has a weight of its own."""
        recipe, image = self.recipe, batch.image
        generators = [torch.Generator().manual_seed(seed) for seed in batch.seeds.tolist()]
        with torch.autocast(image.device.type, enabled=False):
            view = second_view(
                image,
                generators,
                shift=recipe.shift,
                affine=recipe.affine,
                brightness=recipe.brightness,
                noise=recipe.noise,
            )
            # In float32: the grid is fainter than bfloat16 resolves.
            flat = network(flat_fields(generators).to(image.device))
        first, second = network(torch.cat((image, view.image))).float().chunk(2)
        features = self.vgg(first, STYLE_LAYERS)
        with torch.no_grad():
            target = self.vgg(image, (CONTENT_LAYER,))[CONTENT_LAYER]
        with torch.autocast(image.device.type, enabled=False):
            layers = {name: d.mean() for name, d in style_distances(features, self._style_grams).items()}
            losses = {
                "content": relative_distance(features[CONTENT_LAYER], target).mean(),
                "style": torch.stack(list(layers.values())).mean(),
                "tv": total_variation(first),
                "consistency": consistency_loss(first, second, view),
                "grid": grid_loss(flat, network.stride),
            }
        polish = step >= recipe.polish_from(steps)
        total = (
            recipe.content_weight * losses["content"]
            + recipe.style_weight * losses["style"]
            + recipe.tv_weight * losses["tv"]
            + recipe.consistency_weight * losses["consistency"]
            + (recipe.polish_grid_weight if polish else recipe.grid_weight) * losses["grid"]
        )
        parts = losses | {f"style/{name}": loss for name, loss in layers.items()}
        return Losses(total, {name: loss.detach() for name, loss in parts.items()})

    def learning_rate(self, step: int, steps: int) -> float:
        """The optimizer's rate in step ``step`` of ``steps``: the schedule runs to the polish, which has its own."""
        polish = self.recipe.polish_from(steps)
        if polish <= step < steps:
            recipe = replace(self.recipe, learning_rate=self.recipe.polish_learning_rate, warmup_steps=0)
            return scheduled_rate(recipe, step - polish, steps - polish)
        return scheduled_rate(self.recipe, step, polish)


METHOD = RealtimeMethod
