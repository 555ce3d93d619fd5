"""How near every engine here paints to what a style should paint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...engine import Engine, load_engine, silent_inputs
from ...errors import EngineError
from ...frame import Pixels
from ...placement import candidates
from ...style import Style


def engine_differences(
    style: Style, pictures: Sequence[Pixels], expected: Sequence[Pixels]
) -> dict[str, dict[str, float] | str]:
    """By how much the painting of a style file differs from the expected one, by engine and precision, on the CPU.

    Args:
        style: takes the picture, and how strongly to paint, if anything: that is 1 here.
        pictures: uint8 H×W×3, at least one; sizes may differ.
        expected: their paintings, uint8 H×W×3.

    Returns:
        Over all pictures: ``mean`` and ``max`` of the absolute difference, of 255, and ``psnr``, the peak
        signal-to-noise ratio in dB, which is left out where nothing differs; or why it can't run here.
    """
    found: dict[str, dict[str, float] | str] = {}
    for placement in candidates(style, device="cpu"):
        try:
            engine = load_engine(style, placement, pictures[0].shape[:2])
            painted = [painted_fully(style, engine, picture) for picture in pictures]
        except EngineError as error:  # a precision that this machine doesn't compute
            found[str(placement)] = str(error)
            continue
        pairs = zip(painted, expected, strict=True)
        distance = np.concatenate([np.abs(one.astype(np.float32) - other).ravel() for one, other in pairs])
        figures = {"mean": round(float(distance.mean()), 3), "max": float(distance.max())}
        square = float(np.square(distance, dtype=np.float64).mean())
        if square:
            figures["psnr"] = round(float(10 * np.log10(255**2 / square)), 2)
        found[str(placement)] = figures
    return found


def painted_fully(style: Style, engine: Engine, picture: Pixels) -> Pixels:
    """A picture, uint8 H×W×3, painted at full strength by an engine that holds the style."""
    feeds = {**silent_inputs(style, picture.shape[:2]), "image": picture[np.newaxis]}
    painting: Pixels = next(iter(engine.run(feeds).values()))[0]
    return painting
