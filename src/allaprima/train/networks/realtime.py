"""The real-time network: everything happens at a quarter of the picture's size.

Pixel unshuffle by 4, a residual trunk of 3×3 convolutions, pixel shuffle by 4, sigmoid. No normalization looks at the
picture at run time, so a frame's statistics can't make the next frame flicker and tiles agree with the whole.
Unshuffle as the first layer: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", section 3, run in both directions.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from ..network import StyleNetwork
from .layers import Affine, DepthToSpace, Recall, Residual, SpaceToDepth, StrengthShift

STRIDE = 4
MARGIN = 12
"""Pixels of reflection around the picture, as many as the smallest picture has room for. Convolutions take what lies
beyond them for gray, which styles paint as a frame; the more lies between, the less of it is seen."""


def realtime_network(channels: int, blocks: int, *, strength: bool, recurrent: bool = False) -> StyleNetwork:
    """A fresh network with random weights.

    Args:
        channels: width of the trunk.
        blocks: number of residual layers x + conv(relu(conv(x))): He et al. 2016 without normalization and without the
            activation after the sum.
        strength: whether it is told how strongly to paint.
        recurrent: whether it sees the painting before, by a convolution beside the first one.
    """
    pixels = 3 * STRIDE * STRIDE
    layers = {
        "center": Affine(1.0, -0.5),
        "unshuffle": SpaceToDepth(STRIDE),
        "head": nn.Conv2d(pixels, channels, 3, padding=1),
        **({"adjust": StrengthShift(channels)} if strength else {}),
        **({"recall": Recall(STRIDE, channels)} if recurrent else {}),
        "blocks": nn.Sequential(*(_block(channels) for _ in range(blocks))),
        "tail": nn.Conv2d(channels, pixels, 3, padding=1),
        "sigmoid": nn.Sigmoid(),
        "shuffle": DepthToSpace(STRIDE),
    }
    return StyleNetwork(layers, stride=STRIDE, margin=MARGIN)


def _block(channels: int) -> Residual:
    conv1, conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
    return Residual(OrderedDict(conv1=conv1, act1=nn.ReLU(), conv2=conv2))
