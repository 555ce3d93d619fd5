"""What every network here is: a chain of layers that pads a picture, paints it and crops the painting.

A chain of known layers can be written as an ONNX graph operator by operator (``export.py``); its children's names are
the names of the weights, in checkpoints and in style files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class StyleNetwork(nn.Sequential):
    """Picture in, painting out: float N×3×H×W RGB in [0, 1], any H and W ≥ 16.

    Args:
        layers: by name, in order.
        stride: the sides of what the layers see are multiples of it, by reflection at the right and below.
        margin: pixels reflected on every side and cropped again, a multiple of ``stride``: what a net paints where it
            feels the border is never seen.
        features: name of the layer whose output are the encoder's feature maps, for methods that look at them.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], *, stride: int, margin: int = 0, features: str | None = None
    ) -> None:
        super().__init__(OrderedDict(layers))
        self.stride, self.margin = stride, margin
        self._features = features

    def forward(self, image: Tensor) -> Tensor:
        """The painting."""
        return self.paint_with_features(image)[0]

    def paint_with_features(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """The painting, and the encoder's feature maps, N×C×H/stride×W/stride; None where no layer is named for them.

        The maps are of the padded picture: for sides that are multiples of the stride, and no margin, of the picture.
        """
        height, width = image.shape[-2:]
        before, stride = self.margin, self.stride
        after_x, after_y = before + -width % stride, before + -height % stride
        x = F.pad(image, (before, after_x, before, after_y), mode="reflect") if before or after_x or after_y else image
        maps = None
        for name, layer in self.named_children():
            x = layer(x)
            if name == self._features:
                maps = x
        return x[..., before : before + height, before : before + width], maps
