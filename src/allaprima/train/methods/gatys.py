"""The gatys method: a painting made by optimizing its own pixels, no network of its own, one picture at a time.

Gatys, Ecker, Bethge 2016 (CVPR), "Image Style Transfer Using Convolutional Neural Networks": the weighted sum of
content and style (equation 7), content from feature maps (equation 1), style from their Gram matrices (equations 3-5).
What differs from the paper, and why:

- VGG16 up to relu4_3 in place of VGG19: the loss network of this package. Content at relu4_2 and style at the first
  layer of each block, as there, with relu4_3, which sees farthest, in place of relu5_1; max pooling, which the network
  was trained with.
- Each distance is divided by its target's squared norm, so that one set of weights serves any painting and size.
- Coarse to fine on a ladder of sizes a factor √2 apart, each begun from the enlarged result of the one before: strokes
  may be larger than what the network sees at the final size. The ladder, and Adam's settings, clamping and averaging,
  follow Katherine Crowson's style-transfer-pytorch.
- Total variation keeps down what the network doesn't see (Mahendran & Vedaldi 2015).

Needs torch, NumPy and Pillow only.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import TrainingError, UsageError
from ...frame import Pixels
from ..losses.perceptual import gram, relative_distance, style_distances
from ..pyramid import covering, enlarged, fitting, ladder, resized, split_steps, step_shares, to_pixels
from ..recipes.gatys import GatysRecipe
from ..session import has_fast_bf16, pick_device
from ..vgg import VGG16Features

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_3")

_ADAM_STEP, _ADAM_BETAS = 0.02, (0.9, 0.99)
_LONGEST_AVERAGE = 100
"""Steps that Adam's average reaches back: a decay of 0.99."""
_AVERAGED_SHARE = 0.2
"""The same as a share of a scale's steps, for short runs, whose average would be of blurred beginnings."""
_LBFGS_HISTORY = 20
_LONGEST_MOVE, _SHORTENED_MOVE = 0.1, 0.02
"""Mean change of a color value by one move of L-BFGS, in [0, 1]: what is allowed, and what is made of more."""
_RUNAWAY = 100.0
"""By what factor the loss may grow over its first value, or over 1, before it counts as diverged."""


@dataclass(frozen=True, slots=True, eq=False)
class GatysStep:
    """Where a painting is after a step."""

    step: int
    losses: Mapping[str, float]
    """As :attr:`GatysResult.losses`, at the scale that is being painted."""
    image: Tensor
    """Float 1×3×H×W at that scale; :func:`~allaprima.train.pyramid.to_pixels` makes a picture of it."""


@dataclass(frozen=True, slots=True, eq=False)
class GatysResult:
    """What was painted, and how far it got."""

    pixels: Pixels
    """uint8 H×W×3, of the content picture's size."""
    losses: Mapping[str, float]
    """The losses of the painting, in float32: ``content``, ``style/LAYER``, ``style`` (their mean) and ``tv`` as they
    are, ``total`` weighted."""
    recipe: GatysRecipe
    """With the number of steps that a budget came to."""
    step: int
    """Steps that were made."""
    seconds: float
    device: str
    """Where it was painted."""
    error: TrainingError | None = None
    """What ended it before its time; the painting is the last good one."""

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before its last step."""
        return self.error is None and self.step < self.recipe.steps


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, both directions: N×3×H×W to a scalar.

    Mahendran & Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", equation 6 with β = 2, as a
    mean. Smooth, unlike the absolute difference, as L-BFGS needs it.
    """
    down, right = image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]
    return down.square().mean() + right.square().mean()


def loss_network(weights: dict[str, Tensor]) -> VGG16Features:
    """VGG16 that sees every feature map mirrored beyond its edge.

    With zeros there, as it was trained, it sees a gray frame around the picture, and a frame gets painted.
    """
    vgg = VGG16Features(weights)
    for convolution in vgg.convolutions.values():
        convolution.padding_mode = "reflect"  # type: ignore[assignment]
    return vgg


class Objective:
    """The loss of a picture at one scale.

    Args:
        vgg: the loss network.
        recipe: weights.
        content: float 1×3×H×W in [0, 1].
        styles: the style pictures, float 1×3×h×w in [0, 1], each of its own size.
        autocast: run the loss network in bfloat16.
    """

    def __init__(
        self, vgg: VGG16Features, recipe: GatysRecipe, content: Tensor, styles: Sequence[Tensor], autocast: bool = False
    ) -> None:
        self._vgg, self._recipe, self._autocast = vgg, recipe, autocast
        with torch.no_grad():
            self._content = self._look(content, (CONTENT_LAYER,))[CONTENT_LAYER]
            looks = [self._look(style, STYLE_LAYERS) for style in styles]
            shares = recipe.blend(len(styles))
            # Σ wᵢ‖G − Gᵢ‖² is ‖G − Σ wᵢGᵢ‖² but for a constant: one blended target serves for all style pictures.
            self._grams = {
                name: torch.stack([share * gram(look[name]) for share, look in zip(shares, looks, strict=True)]).sum(0)
                for name in STYLE_LAYERS
            }

    def _look(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            features: dict[str, Tensor] = self._vgg(image, layers)
        return features

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """The losses of a picture, float 1×3×H×W, as :attr:`GatysResult.losses` names them; scalars."""
        features = self._look(image, (*STYLE_LAYERS, CONTENT_LAYER))
        layers = {name: distance.mean() for name, distance in style_distances(features, self._grams).items()}
        content = relative_distance(features[CONTENT_LAYER], self._content).mean()
        style = torch.stack(list(layers.values())).mean()
        tv = total_variation(image)
        recipe = self._recipe
        total = recipe.content_weight * content + recipe.style_weight * style + recipe.tv_weight * tv
        by_layer = {f"style/{name}": value for name, value in layers.items()}
        return {"total": total, "content": content, "style": style, **by_layer, "tv": tv}


class Average:
    """Exponential moving average of pictures without the bias to its start (Kingma & Ba 2015, "Adam", section 3)."""

    def __init__(self, decay: float) -> None:
        self._decay, self._sum, self._weight = decay, torch.zeros(()), 0.0

    def add(self, image: Tensor) -> None:
        """One more picture, a float tensor of the same shape each time."""
        self._sum = self._decay * self._sum + (1 - self._decay) * image.detach()
        self._weight = self._decay * self._weight + (1 - self._decay)

    def value(self) -> Tensor:
        """The average of one picture or more."""
        return self._sum / self._weight


class Diverged(Exception):
    """The loss isn't finite any more, or has run away."""


class Descent:
    """The optimization at one scale.

    Args:
        objective: the loss.
        start: what the pixels are at first, float 1×3×H×W.
        optimizer: ``adam`` or ``lbfgs``.
        steps: how many there will be.
    """

    def __init__(self, objective: Objective, start: Tensor, optimizer: str, steps: int) -> None:
        self.result = start
        """The painting so far: with Adam the average, with L-BFGS the picture of the lowest loss."""
        self._objective = objective
        self._image = start.clone(memory_format=torch.contiguous_format).requires_grad_()
        self._limit = self._lowest = math.inf
        self._average = Average(1 - 1 / max(1.0, min(_LONGEST_AVERAGE, _AVERAGED_SHARE * steps)))
        self._adam = optimizer == "adam"
        self._optimizer = self._fresh_optimizer()

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        if self._adam:
            return torch.optim.Adam([self._image], lr=_ADAM_STEP, betas=_ADAM_BETAS)
        return torch.optim.LBFGS(
            [self._image], max_iter=1, history_size=_LBFGS_HISTORY, tolerance_grad=0.0, tolerance_change=0.0
        )

    def step(self) -> dict[str, float]:
        """One evaluation and one move; the losses from before the move.

        Raises:
            Diverged: nothing was moved, and ``result`` is the last good one.
        """
        losses: dict[str, float] = {}

        def evaluate() -> float:
            losses.update(self._evaluate())
            return losses["total"]

        before = self._image.detach().clone()
        self._optimizer.step(evaluate)
        with torch.no_grad():
            if self._adam:
                self._image.clamp_(0, 1)
            else:
                self._hold(before)
        return losses

    def _hold(self, before: Tensor) -> None:
        """Shorten a move of L-BFGS that is out of all proportion: its first curvature is from a very small step."""
        move = self._image - before
        length = move.abs().mean()
        if length > _LONGEST_MOVE:
            self._image.copy_(before + move * (_SHORTENED_MOVE / length))
            self._optimizer = self._fresh_optimizer()

    def _evaluate(self) -> dict[str, float]:
        self._image.grad = None
        losses = self._objective(self._image)
        # Per color value instead of per picture brings gradients to about 1: both optimizers hold them against
        # absolute constants, Adam an epsilon and L-BFGS a least curvature.
        (losses["total"] * self._image.numel()).backward()  # type: ignore[no-untyped-call]
        found = {name: value.item() for name, value in losses.items()}
        total = found["total"]
        if self._limit == math.inf:
            self._limit = _RUNAWAY * max(total, 1.0)
        if not total <= self._limit:
            raise Diverged
        if self._adam:
            self._average.add(self._image)
            self.result = self._average.value()
        elif total < self._lowest:
            # Without a line search, a move may lead astray.
            self._lowest, self.result = total, self._image.detach().clone()
        return found


def paint(
    content: Pixels,
    styles: Sequence[Pixels],
    recipe: GatysRecipe,
    weights: dict[str, Tensor],
    *,
    minutes: float = 0.0,
    device: str = "auto",
    threads: int = 0,
    on_start: Callable[[int], None] = lambda steps: None,
    on_step: Callable[[GatysStep], None] = lambda step: None,
    stop: Callable[[], bool] = lambda: False,
) -> GatysResult:
    """Paint one picture in the style of others; the same picture for the same arguments, device and threads.

    Args:
        content: uint8 H×W×3, of the size to paint at.
        styles: uint8 h×w×3, one or more, scaled as the recipe says.
        recipe: every setting.
        weights: of the loss network, as :func:`allaprima.train.vgg.load_weights` reads them.
        minutes: above 0, a budget in place of the recipe's steps: their number is fixed by the measured pace.
        device: auto, cpu, cuda, mps or xpu.
        threads: of the CPU; 0 takes all cores.
        on_start: called with the number of steps.
        on_step: called after each.
        stop: asked before each; true ends the painting and keeps what is there.

    Returns:
        The painting, whole or as far as it got.

    Raises:
        UsageError: a picture that is too small, or weights that don't fit the pictures.
        TrainingError: the loss network or the device can't be used, or the very first loss isn't finite.
    """
    if not styles:
        raise UsageError("say what to paint like: one style picture or more")
    recipe.blend(len(styles))
    torch.set_num_threads(threads or os.cpu_count() or 1)
    chosen = pick_device(device)
    work = _Work(content, styles, recipe, loss_network(weights), chosen)
    started = time.perf_counter()
    if minutes > 0:
        recipe = replace(recipe, steps=work.affordable_steps(minutes * 60))
    on_start(recipe.steps)
    step, image, error = 0, work.first_image(), None
    for size, steps in zip(work.sizes, split_steps(recipe.steps, len(work.sizes)), strict=True):
        if stop() or error or not steps:
            continue
        descent = work.descent(size, enlarged(image, size), steps)
        try:
            for _ in range(steps):
                if stop():
                    break
                losses = descent.step()
                step += 1
                on_step(GatysStep(step, losses, descent.result))
        except Diverged:
            error = TrainingError(f"the loss is not finite or runs away at step {step + 1}: lower the weights")
            if not step:
                raise error from None
        image = descent.result
    image = enlarged(image, work.sizes[-1])
    losses = work.losses(image)
    return GatysResult(to_pixels(image), losses, recipe, step, time.perf_counter() - started, chosen, error)


class _Work:
    """The pictures and the loss network, at whatever scale is asked for."""

    def __init__(
        self, content: Pixels, styles: Sequence[Pixels], recipe: GatysRecipe, vgg: VGG16Features, device: str
    ) -> None:
        self.sizes = ladder(content.shape[1], content.shape[0])
        self._content, self._styles, self._recipe = content, styles, recipe
        self._vgg, self._device = vgg.to(device), device
        # L-BFGS takes curvature from differences of gradients, which bfloat16 drowns.
        self._autocast = recipe.optimizer == "adam" and has_fast_bf16(device)

    def first_image(self) -> Tensor:
        """What the coarsest scale starts from: float 1×3×H×W in [0, 1]."""
        width, height = self.sizes[0]
        match self._recipe.init:
            case "content":
                image = resized(self._content, (width, height))
            case "style":
                image = covering(self._styles[0], (width, height))
            case _:
                generator = torch.Generator().manual_seed(self._recipe.seed)
                image = torch.rand((1, 3, height, width), generator=generator)
        return image.to(self._device)

    def descent(self, size: tuple[int, int], start: Tensor, steps: int) -> Descent:
        """The optimization at one scale, ``size`` being (width, height)."""
        return Descent(self._objective(size, self._autocast), start, self._recipe.optimizer, steps)

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture of the final size."""
        with torch.no_grad():
            return {name: value.item() for name, value in self._objective(self.sizes[-1], False)(image).items()}

    def affordable_steps(self, seconds: float) -> int:
        """How many steps a budget allows, from the pace of a throw-away step at every scale."""
        begun = time.perf_counter()
        paces = []
        for size in self.sizes:
            descent = self.descent(size, resized(self._content, size).to(self._device), 2)
            descent.step()
            before = time.perf_counter()
            descent.step()
            paces.append(time.perf_counter() - before)
        shares = step_shares(len(paces))
        pace = sum(share * each for share, each in zip(shares, paces, strict=True)) / sum(shares)
        return max(1, int((seconds - (time.perf_counter() - begun)) / pace))

    def _objective(self, size: tuple[int, int], autocast: bool) -> Objective:
        side = max(size) * self._recipe.style_scale
        styles = [resized(style, fitting(style, side)).to(self._device) for style in self._styles]
        return Objective(self._vgg, self._recipe, resized(self._content, size).to(self._device), styles, autocast)
