"""The settings of the johnson method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..recipe import About, Recipe, check_choice

NORMALIZATIONS = ("instance", "batch", "frn")


@dataclass(frozen=True, kw_only=True)
class JohnsonRecipe(Recipe):
    """Every setting of ``allaprima train johnson``; defaults as in PyTorch's ``fast_neural_style`` example, but for the
    weights of the losses, which depend on the loss network."""

    method: ClassVar[str] = "johnson"
    about: ClassVar[About] = About(
        needs="a painting, and photographs or clips",
        takes="an hour or more on two cores",
        good_for="single pictures, and a net that every engine knows; slow, and it flickers",
    )
    POSITIVE: ClassVar[tuple[str, ...]] = (*Recipe.POSITIVE, "width", "blocks")

    width: int = 32
    """Channels of the first layer; the trunk has four times as many. The work grows with the square."""
    blocks: int = 5
    normalization: str = "instance"
    """``instance`` as in fast_neural_style, ``batch`` as in the paper of 2016, or ``frn``."""

    batch: int = 4
    gradient_clip: float = 0.0
    content_weight: float = 1.0
    style_weight: float = 1e4
    tv_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("normalization", self.normalization, NORMALIZATIONS)
