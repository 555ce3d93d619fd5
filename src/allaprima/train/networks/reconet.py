"""ReCoNet's network: Gao et al. 2018, "ReCoNet: Real-time Coherent Video Style Transfer Network", section 3.1."""

from __future__ import annotations

from torch import nn

from ..network import StyleNetwork
from .encoder_decoder import STRIDE, encoder_decoder
from .layers import Affine


def reconet_network(width: int, blocks: int, normalization: str) -> StyleNetwork:
    """A fresh network with random weights; it works on [−1, 1] inside, and tanh bounds the painting.

    The second convolution of a residual layer is normalized without an activation, and an activation follows the
    addition; in the test code of the paper's authors none does. The encoder's features are the maps after the last of
    these activations.

    Args:
        width: channels of the first layer, 48 in the paper; the residual layers have four times as many.
        blocks: number of residual layers, 4 in the paper.
        normalization: ``instance`` as in the paper, or ``frn``.
    """
    layers = {
        "to_signed": Affine(2.0, -1.0),
        **encoder_decoder(width, blocks, normalization, active_sums=True),
        "tanh": nn.Tanh(),
        "from_signed": Affine(0.5, 0.5),
    }
    return StyleNetwork(layers, stride=STRIDE, features="blocks")
