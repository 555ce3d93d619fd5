"""What every network here is: a chain of layers that pads a picture, paints it and crops the painting.

A chain of known layers can be written as an ONNX graph operator by operator (``export.py``); its children's names are
the names of the weights, in checkpoints and in style files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from .networks.layers import Recall, StrengthShift


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

    @property
    def takes_strength(self) -> bool:
        """Whether it paints as strongly as it is told."""
        return any(isinstance(layer, StrengthShift) for layer in self.children())

    @property
    def takes_previous(self) -> bool:
        """Whether it looks at the painting before."""
        return any(isinstance(layer, Recall) for layer in self.children())

    def optional_weights(self) -> dict[str, Tensor]:
        """By name, those of the layers that take something beside the picture.

        In a fresh network they change no painting of full strength from nothing before, so that a net trained without
        such a layer can go on with it.
        """
        return {
            f"{name}.{weight}": value
            for name, layer in self.named_children()
            if isinstance(layer, StrengthShift | Recall)
            for weight, value in layer.state_dict().items()
        }

    def forward(self, image: Tensor, strength: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
        """The painting. What the network doesn't take, it doesn't look at.

        Args:
            image: the picture.
            strength: how strongly to paint each picture, float N, 0 to 1; None: in full.
            previous: the paintings before, like the picture; black, or None, where there was none.
        """
        return self.paint_with_features(image, strength, previous)[0]

    def paint_with_features(
        self, image: Tensor, strength: Tensor | None = None, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The painting, and the encoder's feature maps, N×C×H/stride×W/stride; None where no layer is named for them.

        The maps are of the padded picture: for sides that are multiples of the stride, and no margin, of the picture.
        """
        height, width = image.shape[-2:]
        x, maps = self._pad(image), None
        for name, layer in self.named_children():
            if isinstance(layer, StrengthShift):
                x = x if strength is None else layer(x, strength)
            elif isinstance(layer, Recall):
                x = x if previous is None else layer(x, self._pad(previous))
            else:
                x = layer(x)
            if name == self._features:
                maps = x
        before = self.margin
        return x[..., before : before + height, before : before + width], maps

    def _pad(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        before, stride = self.margin, self.stride
        amounts = (before, before + -width % stride, before, before + -height % stride)
        return F.pad(image, amounts, mode="reflect") if any(amounts) else image
