"""The styles of a live run, by name, and what the budget controller may choose from in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..frame import Pixels
from ..painter import Painter
from ..style import Style
from .budget import Setting, ladder

_LEAST_SIDE = 180
"""Pixels that the controller lets a style work at, at least."""
_MOST_EVERY = 3
"""Frames from a painted one to the next that it goes to, at most."""
_HEAVY = 1_000_000
"""Weights of nets that cost more than carrying their paintings along. Bundled ones have a quarter of that, and paint a
frame of 640x480 in half the time that carrying one along takes."""


@dataclass(frozen=True, slots=True)
class Styles:
    """Styles that can be changed to.

    Raises:
        UsageError: two of them bear one name, or a style picture is missing, or there is one and none takes it.
    """

    styles: Sequence[Style]
    style_image: Pixels | None = None
    """For those that take any picture as their model."""
    engine: str = "auto"
    precision: str = "auto"
    """What the user asked for."""
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise UsageError(f"two styles are called '{twice.pop()}': leave one out, or give its file another name")
        takers = [style.name for style in self.styles if _takes_picture(style)]
        if self.style_image is not None and not takers:
            raise UsageError("none of these styles takes a --style-image: leave it out")
        if self.style_image is None and takers:
            raise UsageError(f"style '{takers[0]}' needs --style-image")

    @property
    def names(self) -> list[str]:
        """In the order in which they are gone through."""
        return [style.name for style in self.styles]

    def open(self, name: str, precision: str) -> Painter:
        """A painter of one of them, at full strength."""
        style = self._named(name)
        return Painter(
            style,
            style_image=self.style_image if _takes_picture(style) else None,
            engine=self.engine,
            precision=precision,
            device=self.device,
            threads=self.threads,
        )

    def rungs(self, name: str, coherence: float, *, short_side: int, precise: bool) -> tuple[Setting, ...]:
        """What the controller may choose from: see :func:`~allaprima.live.budget.ladder`.

        ``auto`` is the fastest precision that looks the same, so nothing faster is left but a smaller picture; float32
        stands above it where it is asked for (``precise``), for machines that can afford it. A style of a fixed size
        takes no work size. One with a memory must paint each frame, and a light one does, since that costs less than
        carrying paintings along.
        """
        style = self._named(name)
        carries = _weights(style) >= _HEAVY and not self.open(name, self.precision).memory
        both = precise and self.precision == "auto" and not style.card.parent_sha256
        return ladder(
            short_side,
            coherence,
            ("f32", "auto") if both else (self.precision,),
            short_side + 1 if style.fixed_size else _LEAST_SIDE,
            most_every=_MOST_EVERY if carries else 1,
        )

    def _named(self, name: str) -> Style:
        return next(style for style in self.styles if style.name == name)


def _takes_picture(style: Style) -> bool:
    return "style" in style.card.inputs


def _weights(style: Style) -> int:
    return sum(math.prod(each.dims) for each in style.model.graph.initializer)
