"""The real-time network: everything happens at a quarter of the picture's size.

Pixel unshuffle by 4, a residual trunk of 3×3 convolutions, pixel shuffle by 4, sigmoid. No normalization looks at the
picture at run time, so a frame's statistics can't make the next frame flicker and tiles agree with the whole.
Unshuffle as the first layer: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", section 3, run in both directions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4
MARGIN = 8
"""Pixels reflected on every side and cropped again: what a net paints where it feels the border is never seen."""


def space_to_depth(x: Tensor, block: int) -> Tensor:
    """(N, C, H, W) to (N, block²·C, H/block, W/block) in ONNX ``SpaceToDepth`` channel order (row, column, channel)."""
    n, c, h, w = x.shape
    x = x.view(n, c, h // block, block, w // block, block)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block * block, h // block, w // block)


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Inverse of :func:`space_to_depth`; ONNX ``DepthToSpace`` in its ``DCR`` mode."""
    n, c, h, w = x.shape
    x = x.view(n, block, block, c // (block * block), h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (block * block), h * block, w * block)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))): He et al. 2016 without normalization and without the activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))  # type: ignore[no-any-return]


class RealtimeNet(nn.Module):
    """Picture in, painting out: float N×3×H×W RGB in [0, 1], any H and W ≥ 16.

    Args:
        channels: width of the trunk.
        blocks: number of residual blocks.
    """

    def __init__(self, channels: int = 48, blocks: int = 5) -> None:
        super().__init__()
        pixels = 3 * STRIDE * STRIDE
        self.head = nn.Conv2d(pixels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, pixels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padding = (MARGIN, MARGIN + -width % STRIDE, MARGIN, MARGIN + -height % STRIDE)
        x = self.head(space_to_depth(F.pad(image, padding, mode="reflect") - 0.5, STRIDE))
        for block in self.blocks:
            x = block(x)
        painting = torch.sigmoid(depth_to_space(self.tail(x), STRIDE))
        return painting[..., MARGIN : MARGIN + height, MARGIN : MARGIN + width]
