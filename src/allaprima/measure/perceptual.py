"""How much of a painting's style a result has, by VGG16. The one instrument that imports torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..frame import Pixels
from ..train.losses.perceptual import STYLE_LAYERS, gram, style_distances
from ..train.vgg import VGG16Features, load_weights

PAINTING_SIDE = 512
"""Short side, in pixels, at which a painting is looked at."""
CROP_SIZE = (384, 512)
"""(height, width) of the painting's own crops, and of the pictures."""
_CROPS_EACH_WAY = 3


@dataclass(frozen=True)
class StyleScore:
    """How far a result is from a painting, in numbers that compare between paintings."""

    score: float
    """(distance − own) / (untouched − own): 0 paints like the painting's own crops, 1 like the photograph."""
    distance: float
    """Mean over the style layers of ‖G(y) − G(s)‖² / ‖G(s)‖²."""
    layers: dict[str, float]


class StyleMeter:
    """Measures pictures against one painting.

    Args:
        painting: uint8 H×W×3 RGB, with a short side of :data:`PAINTING_SIDE`.
        vgg: weights file; see :func:`~allaprima.train.vgg.load_weights`.
    """

    def __init__(self, painting: Pixels, vgg: str | os.PathLike[str] | None = None) -> None:
        self._vgg = VGG16Features(load_weights(vgg))
        with torch.no_grad():
            self._grams = {name: gram(f) for name, f in self._vgg(_tensor(painting), STYLE_LAYERS).items()}
        crops = list(own_crops(painting))
        self.own = float(np.mean([self._distance(crop)[0] for crop in crops]))
        """Mean distance of the painting's own crops: what no result can be expected to beat."""

    def _distance(self, picture: Pixels) -> tuple[float, dict[str, float]]:
        with torch.no_grad():
            distances = style_distances(self._vgg(_tensor(picture), STYLE_LAYERS), self._grams)
        layers = {name: float(value) for name, value in distances.items()}
        return float(np.mean(list(layers.values()))), layers

    def measure(self, untouched: Pixels, painted: Pixels) -> StyleScore:
        """Score one result beside the picture it was made from; both uint8 H×W×3 RGB of the same size."""
        reference, _ = self._distance(untouched)
        distance, layers = self._distance(painted)
        return StyleScore((distance - self.own) / (reference - self.own), distance, layers)


def own_crops(painting: Pixels) -> list[Pixels]:
    """Crops of :data:`CROP_SIZE` on a 3×3 grid over the painting (fewer where it is hardly larger than one)."""
    height, width = min(CROP_SIZE[0], painting.shape[0]), min(CROP_SIZE[1], painting.shape[1])
    tops = np.unique(np.linspace(0, painting.shape[0] - height, _CROPS_EACH_WAY).astype(int))
    lefts = np.unique(np.linspace(0, painting.shape[1] - width, _CROPS_EACH_WAY).astype(int))
    return [painting[top : top + height, left : left + width] for top in tops for left in lefts]


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).unsqueeze(0).float() / 255


def resize_painting(path: Path) -> Pixels:
    """A painting as :class:`StyleMeter` wants it."""
    from ..train.data import load_picture, resize_short_side

    return np.array(resize_short_side(load_picture(path), PAINTING_SIDE))
