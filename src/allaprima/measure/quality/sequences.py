"""Steadiness along true flow: the built-in scenes that every style is measured on, and the painting of a sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from ...dataset.sequences import EXACT, FlowSequence, Step, TrueFlow
from ...frame import Pixels
from ...sources.scene import RATE, SceneSource
from .warping import StabilityError, StabilityResult, Stylize, without_motion

SUITE = ("pan", "zoom", "rotation", "parallax", "objects", "light")
"""The built-in scenes that every style is measured on."""


def measure_stability(stylize: Stylize, sequence: FlowSequence) -> StabilityResult:
    """Paint a sequence in order, every frame once, and measure e_stab along its true flow.

    Args:
        stylize: the painter; it gets frames without motion and mask, as files give them.
        sequence: what to paint.

    Raises:
        SourceError: the sequence can't be read or has nothing to compare.
        StyleError: the painter returns another size.
    """
    meter = StabilityError(sequence.mask)
    before: tuple[Pixels, Pixels] | None = None
    for step in sequence.steps():
        now = (step.frame.pixels, stylize(step.frame).pixels)
        if before is not None and step.truth is not None:
            reference, other = (now, before) if step.truth.backward else (before, now)
            meter.add_pair(reference, other, step.truth.flow, step.truth.mask)
        before = now
    return meter.result()


def scene_suite(names: Iterable[str] = SUITE, frames: int = 24) -> list[FlowSequence]:
    """Built-in scenes with their exact flow, backward, and exact occlusions; named ``scene:pan`` and so on.

    Args:
        names: of scenes.
        frames: how many from the start, 2 to 96.
    """
    return [
        FlowSequence(f"scene:{name}", EXACT, frames, frames - 1, partial(_scene_steps, name, frames)) for name in names
    ]


def _scene_steps(name: str, frames: int) -> Iterator[Step]:
    with SceneSource(name, end=frames / RATE) as source:
        for index, frame in enumerate(source.frames()):
            truth = None
            if index and frame.motion is not None and frame.mask is not None:
                truth = TrueFlow(-frame.motion, frame.mask, backward=True)
            yield Step(without_motion(frame), truth)
