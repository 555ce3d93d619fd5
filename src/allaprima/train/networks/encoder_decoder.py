"""What Johnson's and Gao's networks share: down to a quarter of the size, residual layers, and up again."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from .layers import Residual, reflecting_convolution
from .normalization import normalization_and_activation

STRIDE = 4


def encoder_decoder(width: int, blocks: int, normalization: str, *, active_sums: bool) -> dict[str, nn.Module]:
    """The layers by name, from three channels to three, the last a plain convolution.

    Every convolution reflects its input at the borders. The result of the last residual layer is that of ``blocks``.

    Args:
        width: channels of the first layer; the residual layers have four times as many.
        blocks: number of residual layers.
        normalization: see :func:`~allaprima.train.networks.normalization.normalization_and_activation`.
        active_sums: whether an activation follows the addition in a residual layer.
    """
    layers: dict[str, nn.Module] = {}

    def convolve(number: int, inner: int, outer: int, size: int, stride: int = 1) -> None:
        layers[f"conv{number}"] = reflecting_convolution(inner, outer, size, stride)
        layers[f"norm{number}"], layers[f"act{number}"] = normalization_and_activation(normalization, outer)

    convolve(1, 3, width, 9)
    convolve(2, width, 2 * width, 3, 2)
    convolve(3, 2 * width, 4 * width, 3, 2)
    layers["blocks"] = nn.Sequential(*(_block(4 * width, normalization, active_sums) for _ in range(blocks)))
    layers["up1"] = nn.Upsample(scale_factor=2, mode="nearest")
    convolve(4, 4 * width, 2 * width, 3)
    layers["up2"] = nn.Upsample(scale_factor=2, mode="nearest")
    convolve(5, 2 * width, width, 3)
    layers["conv6"] = reflecting_convolution(width, 3, 9)
    return layers


def _block(channels: int, normalization: str, active_sum: bool) -> nn.Module:
    norm1, act1 = normalization_and_activation(normalization, channels)
    norm2, act2 = normalization_and_activation(normalization, channels)
    conv1, conv2 = (reflecting_convolution(channels, channels, 3) for _ in range(2))
    residual = Residual(OrderedDict(conv1=conv1, norm1=norm1, act1=act1, conv2=conv2, norm2=norm2))
    return nn.Sequential(OrderedDict(residual=residual, act=act2)) if active_sum else residual
