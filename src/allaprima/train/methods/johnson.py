"""The johnson method: perceptual losses on single pictures.

Johnson, Alahi, Fei-Fei 2016 (ECCV), "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", as PyTorch's
``fast_neural_style`` example has it: content at relu2_2, the style distances averaged over a Gram matrix's entries and
summed over four layers, no total variation, the painting not clamped. The example's weights are 1e5 and 1e10, for
torchvision's VGG16. Ours are 1 and 1e4, for the Oxford weights: with them, content and style are of one size for the
nets that were published with the example (107 and 67 for its mosaic, 52 and 187 for its candy), as they are there.

Losses are means over samples, which is the mean over the batch unless the network normalizes over the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..batches import Batch
from ..losses.perceptual import STYLE_LAYERS, content_errors, gram, style_errors, total_variation
from ..method import Losses, Method
from ..network import StyleNetwork
from ..networks.johnson import johnson_network
from ..recipes.johnson import JohnsonRecipe
from ..vgg import VGG16Features

CONTENT_LAYER = "relu2_2"


class JohnsonMethod(Method[JohnsonRecipe]):
    """Losses of the johnson method for one style picture.

    Parts: ``content``; ``style``, the sum of ``style/LAYER``; ``tv``, the mean absolute difference of neighbors.
    """

    def __init__(self, recipe: JohnsonRecipe, vgg: VGG16Features, style: Tensor) -> None:
        super().__init__(recipe, vgg, style)
        with torch.no_grad():
            self._style_grams = {layer: gram(maps) for layer, maps in vgg(style, STYLE_LAYERS).items()}

    @staticmethod
    def network(recipe: JohnsonRecipe) -> StyleNetwork:
        """A fresh network; its random weights are drawn from torch's generator."""
        return johnson_network(recipe.width, recipe.blocks, recipe.normalization)

    def losses(self, network: StyleNetwork, batch: Batch, step: int, steps: int) -> Losses:
        """Losses of one batch: the same in every step."""
        painted = network(batch.image).float()
        features = self.vgg(painted, STYLE_LAYERS)
        with torch.no_grad():
            target = self.vgg(batch.image, (CONTENT_LAYER,))[CONTENT_LAYER]
        with torch.autocast(painted.device.type, enabled=False):
            content = content_errors(features[CONTENT_LAYER], target).mean()
            layers = {
                layer: errors.mean() / self._style_grams[layer].numel()
                for layer, errors in style_errors(features, self._style_grams).items()
            }
            style = torch.stack(list(layers.values())).sum()
            tv = total_variation(painted)
        recipe = self.recipe
        total = recipe.content_weight * content + recipe.style_weight * style + recipe.tv_weight * tv
        parts = {
            "content": content,
            "style": style,
            **{f"style/{name}": loss for name, loss in layers.items()},
            "tv": tv,
        }
        return Losses(total, {name: loss.detach() for name, loss in parts.items()})


METHOD = JohnsonMethod
