"""Against the grid of pixel shuffle: the pixels of one cell must not differ where the picture doesn't.

A pixel-shuffle net can paint each of the block² places of a cell a little differently everywhere, which shows as a
faint grid in flat areas (Odena, Dumoulin, Olah 2016, "Deconvolution and Checkerboard Artifacts", on the same fault of
strided layers). The perceptual losses don't see it, since strokes hide it in photographs; flat fields show it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FIELD = 64
"""Side of a flat field in pixels; the outer quarter on each side is left out, for what happens at borders."""


def flat_fields(generators: Sequence[torch.Generator]) -> Tensor:
    """Pictures of one random color each, two from each sample's generator: float32 2N×3×FIELD×FIELD in [0, 1]."""
    colors = torch.cat([torch.rand(2, 3, 1, 1, generator=generator) for generator in generators])
    return colors.expand(-1, -1, FIELD, FIELD)


def grid_loss(painted: Tensor, block: int) -> Tensor:
    """Variance of a cell's block² mean values, averaged over colors and pictures; a scalar.

    Args:
        painted: paintings of flat fields, N×3×FIELD×FIELD.
        block: side of a cell in pixels, a divisor of FIELD / 4.
    """
    border = FIELD // 4
    inner = painted[..., border:-border, border:-border]
    count, colors, height, width = inner.shape
    cells = inner.reshape(count, colors, height // block, block, width // block, block)
    return cells.mean((2, 4)).flatten(2).var(2, correction=0).mean()
