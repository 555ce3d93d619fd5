"""The settings of the gatys method. Without torch, so that the command line can show their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...errors import UsageError
from ..recipe import About

OPTIMIZERS = ("lbfgs", "adam")
STARTS = ("content", "style", "noise")


@dataclass(frozen=True)
class GatysRecipe:
    """Every setting that decides what is painted, beside the pictures and their size.

    Raises:
        UsageError: a setting that can't be painted with.
    """

    method: ClassVar[str] = "gatys"
    about: ClassVar[About] = About(
        needs="a painting and one picture",
        takes="three to four minutes at 512 pixels on two cores",
        good_for="one picture, as near to the painting as it gets: the yardstick; makes no style file",
    )

    steps: int = 500
    """Evaluations of the loss over all scales, the coarsest of which gets twice the share of each other."""
    optimizer: str = "lbfgs"
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 5.0
    style_weights: tuple[float, ...] = ()
    """One for each style picture, scaled to sum to 1; empty weighs all alike."""
    style_scale: float = 1.0
    """Long side of a style picture over that of the painting: larger makes larger strokes. Never enlarged."""
    init: str = "content"
    """What the pixels are at first: the content picture, the first style picture, or noise."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"the optimizer is {' or '.join(OPTIMIZERS)}, not '{self.optimizer}'")
        if self.init not in STARTS:
            raise UsageError(f"a painting starts from {', '.join(STARTS[:-1])} or {STARTS[-1]}, not '{self.init}'")
        if self.steps < 1:
            raise UsageError(f"it takes at least 1 step, not {self.steps}")
        for name in ("content_weight", "style_weight", "tv_weight", "style_scale"):
            if not _is_weight(getattr(self, name)):
                raise UsageError(f"{name} must be 0 or more, not {getattr(self, name):g}")
        if not self.style_scale:
            raise UsageError("style_scale must be above 0")
        if not self.content_weight + self.style_weight:
            raise UsageError("content_weight and style_weight can't both be 0")
        if self.style_weights and not (all(map(_is_weight, self.style_weights)) and any(self.style_weights)):
            raise UsageError("style weights must be 0 or more, and not all 0")

    def blend(self, pictures: int) -> tuple[float, ...]:
        """The share of each of so many style pictures, summing to 1.

        Raises:
            UsageError: there are more or fewer weights than pictures.
        """
        weights = self.style_weights or (1.0,) * pictures
        if len(weights) != pictures:
            raise UsageError(f"{pictures} style pictures need as many style weights, not {len(weights)}")
        return tuple(weight / sum(weights) for weight in weights)


def _is_weight(value: float) -> bool:
    return math.isfinite(value) and value >= 0
