"""The reconet method: perceptual losses on pairs of frames, and steadiness along the motion between them.

Gao, Gu, Zhang, Wang 2018, "ReCoNet: Real-time Coherent Video Style Transfer Network", section 3.3. The paper's weights
are 1 (content), 10 (style), 1e-3 (total variation), 1e7 (features) and 2e3 (output), without the range, the loss
network and the reductions they are for. The reductions here are those of EmptySamurai's ``pytorch-reconet``, as means
over samples, so that the weights are for any batch. With them, style counts 1, by which content and style are of one
size for well-trained nets (131 and 208, 84 and 675 for ``fast_neural_style``'s mosaic and candy), and features 1e3,
with which the two temporal losses count alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..batches import Batch
from ..content import StillMotion
from ..losses.perceptual import CONTENT_LAYER, STYLE_LAYERS, content_errors, gram, style_errors, variation_sums
from ..losses.temporal import feature_temporal_loss, output_temporal_loss
from ..method import Losses, Method
from ..network import StyleNetwork
from ..networks.reconet import reconet_network
from ..recipes.reconet import ReconetRecipe
from ..vgg import VGG16Features


class ReconetMethod(Method[ReconetRecipe]):
    """Losses of the reconet method for one style picture.

    Parts, the first four summed over a sample's two frames:

    - ``content`` at relu3_3; ``style``, the sum of ``style/LAYER``.
    - ``tv``: absolute differences of neighbors, summed over colors and pixels: the one loss that grows with the crop.
    - ``feature_temporal``, of the network's own encoder, and ``output_temporal``.

    ``tv`` and ``output_temporal`` are of colors in [−1, 1], the range that the weights are for.
    """

    def __init__(self, recipe: ReconetRecipe, vgg: VGG16Features, style: Tensor) -> None:
        super().__init__(recipe, vgg, style)
        with torch.no_grad():
            self._style_grams = {layer: gram(maps) for layer, maps in vgg(style, STYLE_LAYERS).items()}

    @staticmethod
    def network(recipe: ReconetRecipe) -> StyleNetwork:
        """A fresh network; its random weights are drawn from torch's generator."""
        return reconet_network(recipe.width, recipe.blocks, recipe.normalization)

    @staticmethod
    def still_motion(recipe: ReconetRecipe) -> StillMotion:
        """How a still picture moves to make a pair of frames."""
        return StillMotion(recipe.shift, recipe.affine)

    def losses(self, network: StyleNetwork, batch: Batch, step: int, steps: int) -> Losses:
        """Losses of one batch of pairs: the same in every step.

        Raises:
            ValueError: the batch has no motion, or the network names no layer for its features.
        """
        motion = batch.motion
        if motion is None:
            raise ValueError("the reconet method trains on pairs of frames; this batch has no motion")
        frames = torch.cat((batch.image, motion.before))
        painted, maps = network.paint_with_features(frames)
        if maps is None:
            raise ValueError("the reconet method looks at the encoder's features; this network names no layer for them")
        painted, maps = painted.float(), maps.float()
        features = self.vgg(painted, STYLE_LAYERS)
        with torch.no_grad():
            target = self.vgg(frames, (CONTENT_LAYER,))[CONTENT_LAYER]
        with torch.autocast(frames.device.type, enabled=False):
            # Twice the mean over 2N frames is the mean over N samples of the sum of two.
            content = 2 * content_errors(features[CONTENT_LAYER], target).mean()
            layers = {layer: 2 * errors.mean() for layer, errors in style_errors(features, self._style_grams).items()}
            style = torch.stack(list(layers.values())).sum()
            now, before = maps.chunk(2)
            feature_temporal = feature_temporal_loss(now, before, flow=motion.flow, valid=motion.valid)
            now, before = (2 * painted - 1).chunk(2)
            tv = (variation_sums(now) + variation_sums(before)).mean()
            output_temporal = output_temporal_loss(
                now, before, 2 * batch.image - 1, 2 * motion.before - 1, flow=motion.flow, valid=motion.valid
            )
        recipe = self.recipe
        total = (
            recipe.content_weight * content
            + recipe.style_weight * style
            + recipe.tv_weight * tv
            + recipe.feature_temporal_weight * feature_temporal
            + recipe.output_temporal_weight * output_temporal
        )
        parts = {
            "content": content,
            "style": style,
            **{f"style/{name}": loss for name, loss in layers.items()},
            "tv": tv,
            "feature_temporal": feature_temporal,
            "output_temporal": output_temporal,
        }
        return Losses(total, {name: loss.detach() for name, loss in parts.items()})


METHOD = ReconetMethod
