"""The settings of the realtime method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...errors import TrainingError
from ..recipe import About, Recipe


@dataclass(frozen=True, kw_only=True)
class RealtimeRecipe(Recipe):
    """Every setting of ``allaprima train realtime``."""

    method: ClassVar[str] = "realtime"
    about: ClassVar[About] = About(
        needs="a painting, and photographs or clips",
        takes="half an hour on two cores",
        good_for="live video: fast and steady at once; the bundled styles are made by it",
    )
    POSITIVE: ClassVar[tuple[str, ...]] = (*Recipe.POSITIVE, "channels", "blocks")

    channels: int = 48
    blocks: int = 5

    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup_steps: int = 50
    weight_decay: float = 0.01
    ema: float = 0.995

    content_weight: float = 1.5
    style_weight: float = 10.0
    tv_weight: float = 0.05
    consistency_weight: float = 100.0
    grid_weight: float = 2000.0
    recurrent: bool = False
    """Whether the net sees its painting of the frame before; it is then trained on pairs of frames with true flow."""
    recurrent_past: int = 6
    """How often a recurrent net paints a frame over its own painting before it is asked about the next one."""
    strength_share: float = 0.4
    """Share of the samples that are painted at a random strength below 1; 0 trains a style without that input."""
    photograph_weight: float = 300.0
    """Of the squared distance from the photograph, where the strength is 0."""

    polish_steps: int = 200
    """How many of ``steps``, the last ones, a tenth at most, go at a rate of their own under ``polish_grid_weight``."""
    polish_learning_rate: float = 5e-4
    polish_grid_weight: float = 1e5

    shift: float = 6.0
    affine: float = 0.05
    brightness: float = 0.05
    noise: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength_share > 1:
            raise TrainingError(f"recipe field 'strength_share' must be 0 to 1, not {self.strength_share}")

    def polish_from(self, steps: int) -> int:
        """The step at which polishing begins in a run of ``steps``."""
        return steps - min(self.polish_steps, steps // 10)
