"""The realtime method: perceptual losses and known-motion consistency on single pictures.

One step: a batch of crops x and a second view x' of each; y = net(x), far from its borders, and y' = net(x').
Content and style are asked of y, consistency of the pair; flat fields must come out without a grid.

A recurrent net also sees the painting before, and is trained on frames with true flow, which it doesn't need in use:
Gupta et al. 2017, "Characterizing and Improving Stability in Neural Style Transfer". Of two frames x and x',
y = net(x, nothing) is painted; x again and again, each time over the last painting; and at the end y₁ = net(x, the last
one) and y' = net(x', y₁), with the gradient through these two. Content and style are asked of y and y', consistency of
y' and of y₁ moved along the flow. Unlike there, a frame that stands still is the past, since what a net does to a
painting it does again in every frame; and x' is re-lit and noisy, so that a change of light alone changes no strokes.

A share of the samples is painted with less of the style: its weight is multiplied by s below 1, drawn at random, and
the net is told the strength that its curve makes s of: Babaeizadeh and Ghiasi 2018, "Adjustable Real-time Style
Transfer", in one number instead of one for each layer. Beside the style stands the photograph itself, by 1 − s, so
that 0 leads to the photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batches import Batch
from ..content import StillMotion
from ..losses.consistency import View, consistency_loss, relit, second_view
from ..losses.grid import flat_fields, grid_loss
from ..losses.perceptual import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    gram,
    relative_distance,
    style_distances,
    total_variation,
)
from ..losses.temporal import flow_grid
from ..method import Losses, Method, scheduled_rate
from ..network import StyleNetwork
from ..networks.layers import StrengthShift
from ..networks.realtime import realtime_network
from ..recipes.realtime import RealtimeRecipe
from ..vgg import VGG16Features

_BEYOND = 24
"""Pixels of reflection around a picture: beyond these the default network sees hardly anything."""


class RealtimeMethod(Method[RealtimeRecipe]):
    """Losses of the realtime method for one style picture.

    Parts: ``content``; ``style``, the mean of ``style/LAYER``, each times s; ``tv``, ``consistency``, ``photograph``
    (times 1 − s) and ``grid``.
    """

    def __init__(self, recipe: RealtimeRecipe, vgg: VGG16Features, style: Tensor) -> None:
        super().__init__(recipe, vgg, style)
        with torch.no_grad():
            self._style_grams = {layer: gram(maps) for layer, maps in vgg(style, STYLE_LAYERS).items()}

    @staticmethod
    def network(recipe: RealtimeRecipe) -> StyleNetwork:
        """A fresh network; its random weights are drawn from torch's generator."""
        return realtime_network(
            recipe.channels, recipe.blocks, strength=recipe.strength_share > 0, recurrent=recipe.recurrent
        )

    @staticmethod
    def still_motion(recipe: RealtimeRecipe) -> StillMotion | None:
        """How a still picture moves to make a pair of frames; None: a net without memory needs no pairs."""
        return StillMotion(recipe.shift, recipe.affine) if recipe.recurrent else None

    def losses(self, network: StyleNetwork, batch: Batch, step: int, steps: int) -> Losses:
        """Losses of one batch; from the step on at which polishing begins, the grid has a weight of its own.

        Raises:
            ValueError: the net is recurrent, and the batch has no motion.
        """
        recipe, image = self.recipe, batch.image
        generators = [torch.Generator().manual_seed(seed) for seed in batch.seeds.tolist()]
        with torch.autocast(image.device.type, enabled=False):
            seen, view = self._two_views(batch, generators)
            # In float32: the grid is fainter than bfloat16 resolves.
            fields = flat_fields(generators).to(image.device)
            flat = network(fields)
            share = _style_shares(generators, recipe.strength_share).to(image.device)
            strength = 1 - (1 - share) ** (1 / StrengthShift.POWER)
            if recipe.recurrent:
                flat = torch.cat((flat, network(fields, previous=flat)))
        if recipe.recurrent:
            painted = network(seen, strength).float()
            past = painted.detach()
            for _ in range(recipe.recurrent_past):
                # Not under no_grad: autocast would keep its copies of the weights, which have no gradient then.
                past = network(seen, strength, past).float().detach()
            first = network(seen, strength, past).float()
            second = network(view.image, strength, first).float()
            image, painted, share = torch.cat((seen, image)), torch.cat((painted, second)), share.repeat(2)
        else:
            first = painted = _far_from_borders(network, seen, strength).float()
            second = network(view.image, strength).float()
        features = self.vgg(painted, STYLE_LAYERS)
        with torch.no_grad():
            target = self.vgg(image, (CONTENT_LAYER,))[CONTENT_LAYER]
        with torch.autocast(image.device.type, enabled=False):
            layers = {name: (share * d).mean() for name, d in style_distances(features, self._style_grams).items()}
            losses = {
                "content": relative_distance(features[CONTENT_LAYER], target).mean(),
                "style": torch.stack(list(layers.values())).mean(),
                "tv": total_variation(painted),
                "consistency": consistency_loss(first, second, view),
                "grid": grid_loss(flat, network.stride),
                "photograph": ((1 - share) * (painted - image).square().mean((1, 2, 3))).mean(),
            }
        polish = step >= recipe.polish_from(steps)
        total = (
            recipe.content_weight * losses["content"]
            + recipe.style_weight * losses["style"]
            + recipe.tv_weight * losses["tv"]
            + recipe.consistency_weight * losses["consistency"]
            + recipe.photograph_weight * losses["photograph"]
            + (recipe.polish_grid_weight if polish else recipe.grid_weight) * losses["grid"]
        )
        parts = losses | {f"style/{name}": loss for name, loss in layers.items()}
        return Losses(total, {name: loss.detach() for name, loss in parts.items()})

    def _two_views(self, batch: Batch, generators: Sequence[torch.Generator]) -> tuple[Tensor, View]:
        """What is painted first, and then: the crops and their moved copies, or the frames before and the crops."""
        recipe, image, motion = self.recipe, batch.image, batch.motion
        if not recipe.recurrent:
            return image, second_view(
                image,
                generators,
                shift=recipe.shift,
                affine=recipe.affine,
                brightness=recipe.brightness,
                noise=recipe.noise,
            )
        if motion is None:
            raise ValueError("a recurrent net trains on pairs of frames; this batch has no motion")
        now = relit(image, generators, brightness=recipe.brightness, noise=recipe.noise)
        return motion.before, View(now, flow_grid(motion.flow), motion.valid)

    def learning_rate(self, step: int, steps: int) -> float:
        """The optimizer's rate in step ``step`` of ``steps``: the schedule runs to the polish, which has its own."""
        polish = self.recipe.polish_from(steps)
        if polish <= step < steps:
            recipe = replace(self.recipe, learning_rate=self.recipe.polish_learning_rate, warmup_steps=0)
            return scheduled_rate(recipe, step - polish, steps - polish)
        return scheduled_rate(self.recipe, step, polish)


def _far_from_borders(network: StyleNetwork, image: Tensor, strength: Tensor) -> Tensor:
    """The painting of a picture that goes on beyond its borders: N×3×H×W, as the picture.

    Left to itself, a net paints a frame where it feels a border, since paintings have frames, and needs less of the
    style elsewhere. So style is asked of this painting alone; that of the other view, with borders, must agree with it.
    """
    painted: Tensor = network(F.pad(image, (_BEYOND,) * 4, mode="reflect"), strength)
    return painted[..., _BEYOND:-_BEYOND, _BEYOND:-_BEYOND]


def _style_shares(generators: Sequence[torch.Generator], share: float) -> Tensor:
    """How much the style counts in each picture, float32 N: 1, or for a share of them 0 to 1, a sixth exactly 0."""
    return torch.cat(
        [
            torch.where(
                torch.rand(1, generator=generator) < share,
                (torch.rand(1, generator=generator) * 1.2 - 0.2).clamp_min(0),
                1.0,
            )
            for generator in generators
        ]
    )


METHOD = RealtimeMethod
