"""What a method is: a network, and the losses it is trained by."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Generic, TypeVar

from torch import Tensor

from ..errors import TrainingError
from .batches import Batch
from .content import StillMotion
from .network import StyleNetwork
from .recipe import Recipe
from .recipes import RECIPES
from .vgg import VGG16Features

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The losses of one step, each a mean over samples, so that the mean over processes is that of the whole batch."""

    total: Tensor
    """Weighted sum, float32 scalar with a gradient."""
    parts: Mapping[str, Tensor]
    """Each loss as it is, unweighted, float32 scalars without a gradient."""


class Method(ABC, Generic[R]):
    """Losses of a method for one style picture.

    Args:
        recipe: every setting.
        vgg: the loss network, on the training device.
        style: the painting, float32 1×3×H×W in [0, 1], there too.
    """

    def __init__(self, recipe: R, vgg: VGG16Features, style: Tensor) -> None:
        self.recipe, self.vgg, self.style = recipe, vgg, style

    @staticmethod
    @abstractmethod
    def network(recipe: R) -> StyleNetwork:
        """A fresh network; its random weights are drawn from torch's generator."""

    @staticmethod
    def still_motion(recipe: R) -> StillMotion | None:
        """How a still picture moves to make a pair of frames; None: the method trains on single pictures."""
        return None

    @abstractmethod
    def losses(self, network: StyleNetwork, batch: Batch, step: int, steps: int) -> Losses:
        """Losses of one batch in step ``step`` of ``steps``; called under autocast where the precision is mixed.

        What must not be computed at low precision switches autocast off for itself.
        """

    def learning_rate(self, step: int, steps: int) -> float:
        """The optimizer's rate in step ``step`` of ``steps``."""
        return scheduled_rate(self.recipe, step, steps)


def scheduled_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then constant or half a cosine down to 0 (Loshchilov & Hutter 2017, equation 5)."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def method_class(name: str) -> type[Method[Recipe]]:
    """The class of a method by its name, from ``methods/``."""
    return import_module(f"{__package__}.methods.{name}").METHOD  # type: ignore[no-any-return]


def recipe_from_dict(table: Mapping[str, object]) -> Recipe:
    """The recipe that :meth:`~allaprima.train.recipe.Recipe.to_dict` wrote, of whatever method.

    Raises:
        TrainingError: no method of that name, or a field that can't be used.
    """
    name = str(table.get("method"))
    if name not in RECIPES:
        raise TrainingError(f"no method '{name}' to train by; there are {', '.join(RECIPES)}")
    return RECIPES[name].from_dict(dict(table))
