"""How much of a painting's style a result has, and of the photograph's content, by VGG16.

The one instrument that imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import StyleError
from ...frame import Pixels
from ...train.losses.perceptual import CONTENT_LAYER, STYLE_LAYERS, gram, relative_distance
from ...train.pictures import resize_short_side
from ...train.vgg import VGG16Features, load_weights

PAINTING_SIDE = 512
"""Short side, in pixels, at which a painting is looked at."""
CROP_SIZE = (384, 512)
"""(height, width) of the painting's own crops, and of the pictures."""
_CROPS_EACH_WAY = 3


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """What :class:`PerceptualMeter` keeps of a painting that others are measured against."""

    grams: Mapping[str, Tensor]
    """Gram matrices by style layer, float32 1×C×C."""
    own: float
    """Mean distance of the painting's own crops: what no result can be expected to beat."""


@dataclass(frozen=True, slots=True)
class PerceptualResult:
    """One result, measured."""

    content: float
    """‖F(y) − F(x)‖² / ‖F(x)‖² at relu3_3, of the result y and the untouched picture x: 0 for the picture itself."""
    score: float | None = None
    """(distance − own) / (untouched − own): 0 paints like the painting's own crops, 1 like the photograph. It compares
    between paintings. None where no painting was given, as the two below, and where the photograph is as near to the
    painting as its own crops, so that there is no scale."""
    distance: float | None = None
    """Mean over the style layers of ‖G(y) − G(s)‖² / ‖G(s)‖²."""
    layers: Mapping[str, float] | None = None
    """The same by layer."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is kept of one pass through VGG16."""

    pixels: Pixels
    content: Tensor
    grams: Mapping[str, Tensor]


class PerceptualMeter:
    """Measures painted pictures against paintings and against the untouched pictures.

    What VGG16 makes of an untouched picture is computed once and kept, 14 MB for 512×384, so that many styles can be
    measured over the same pictures with one meter.

    Args:
        vgg: weights file; see :func:`~allaprima.train.vgg.load_weights`.

    Raises:
        TrainingError: there are no weights.
    """

    def __init__(self, vgg: str | os.PathLike[str] | None = None) -> None:
        self._vgg = VGG16Features(load_weights(vgg))
        self._untouched: dict[str, _Seen] = {}

    def painting(self, pixels: Pixels) -> Painting:
        """A painting to measure against: uint8 H×W×3 RGB, as :func:`resize_painting` makes it."""
        grams = self._look(pixels).grams
        crops = [_mean(_distances(self._look(crop).grams, grams)) for crop in own_crops(pixels)]
        return Painting(grams, float(np.mean(crops)))

    def measure(
        self, name: str, picture: Pixels, painted: Pixels, painting: Painting | None = None
    ) -> PerceptualResult:
        """Measure one result.

        Args:
            name: the picture's; what is known of it is kept under this name until another picture comes under it.
            picture: the untouched picture, uint8 H×W×3 RGB.
            painted: the result, of the same size.
            painting: what it should be painted like, if style is to be measured.

        Raises:
            StyleError: the sizes differ.
        """
        if painted.shape != picture.shape:
            raise StyleError(
                f"{picture.shape[1]}×{picture.shape[0]} came back as {painted.shape[1]}×{painted.shape[0]}:"
                " only styles that keep the size can be measured"
            )
        untouched = self._untouched.get(name)
        if untouched is None or not np.array_equal(untouched.pixels, picture):
            untouched = self._untouched[name] = self._look(picture)
        result = self._look(painted)
        content = float(relative_distance(result.content, untouched.content))
        if painting is None:
            return PerceptualResult(content)
        layers = _distances(result.grams, painting.grams)
        distance, reference = _mean(layers), _mean(_distances(untouched.grams, painting.grams))
        scale = reference - painting.own
        score = (distance - painting.own) / scale if scale > 0 else None
        return PerceptualResult(content, score, distance, layers)

    def _look(self, pixels: Pixels) -> _Seen:
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).unsqueeze(0).float() / 255
        with torch.inference_mode():
            features = self._vgg(image, (*STYLE_LAYERS, CONTENT_LAYER))
            grams = {layer: gram(features[layer]) for layer in STYLE_LAYERS}
        return _Seen(pixels, features[CONTENT_LAYER], grams)


def resize_painting(pixels: Pixels) -> Pixels:
    """A painting, uint8 H×W×3, at a short side of :data:`PAINTING_SIDE` (Lanczos)."""
    return np.array(resize_short_side(Image.fromarray(pixels), PAINTING_SIDE))


def own_crops(painting: Pixels) -> list[Pixels]:
    """Crops of :data:`CROP_SIZE` on a 3×3 grid over the painting (fewer where it is hardly larger than one)."""
    height, width = min(CROP_SIZE[0], painting.shape[0]), min(CROP_SIZE[1], painting.shape[1])
    tops = np.unique(np.linspace(0, painting.shape[0] - height, _CROPS_EACH_WAY).astype(int))
    lefts = np.unique(np.linspace(0, painting.shape[1] - width, _CROPS_EACH_WAY).astype(int))
    return [painting[top : top + height, left : left + width] for top in tops for left in lefts]


def _distances(grams: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, float]:
    return {layer: float(relative_distance(grams[layer], target[layer])) for layer in target}


def _mean(layers: Mapping[str, float]) -> float:
    return float(np.mean(list(layers.values())))
