"""The settings of the reconet method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..recipe import About, Recipe, check_choice

NORMALIZATIONS = ("instance", "frn")


@dataclass(frozen=True, kw_only=True)
class ReconetRecipe(Recipe):
    """Every setting of ``allaprima train reconet``."""

    method: ClassVar[str] = "reconet"
    about: ClassVar[About] = About(
        needs="a painting, and any mix of photographs, clips, scenes and data sets with true flow",
        takes="an hour or more on two cores",
        good_for="steadiness learned from motion; slow",
    )
    POSITIVE: ClassVar[tuple[str, ...]] = (*Recipe.POSITIVE, "width", "blocks")

    width: int = 48
    """Channels of the first layer; the trunk has four times as many. The work grows with the square."""
    blocks: int = 4
    normalization: str = "frn"
    """``instance`` as in the paper, which tends to bubbles, or ``frn``, which doesn't."""

    warmup_steps: int = 50
    gradient_clip: float = 0.0
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 1e-3
    feature_temporal_weight: float = 1e3
    output_temporal_weight: float = 2e3

    shift: float = 6.0
    affine: float = 0.05
    """Of the second view of a still picture: largest translation in pixels, and change of the linear part's entries."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("normalization", self.normalization, NORMALIZATIONS)
