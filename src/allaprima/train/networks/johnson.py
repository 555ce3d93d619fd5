"""Johnson's network, in the form of PyTorch's ``fast_neural_style`` example.

Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", supplementary material.
The example differs from the paper: instance normalization, reflection at every convolution, nearest upsampling and
convolution in place of transposed convolutions, and a linear output.
"""

from __future__ import annotations

from ..network import StyleNetwork
from .encoder_decoder import STRIDE, encoder_decoder
from .layers import Affine, ClampWhenPainting


def johnson_network(width: int, blocks: int, normalization: str) -> StyleNetwork:
    """A fresh network with random weights; it works on 0 to 255 inside.

    Args:
        width: channels of the first layer, 32 in the example; the residual layers have four times as many.
        blocks: number of residual layers, 5 in the example; no activation follows their additions.
        normalization: ``instance`` as in the example, ``batch`` as in the paper, or ``frn``.
    """
    layers = {
        "to_255": Affine(255.0, 0.0),
        **encoder_decoder(width, blocks, normalization, active_sums=False),
        "from_255": Affine(1 / 255, 0.0),
        "clamp": ClampWhenPainting(),
    }
    return StyleNetwork(layers, stride=STRIDE)
