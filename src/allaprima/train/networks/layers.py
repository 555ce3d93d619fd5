"""Layers without weights, and the residual layer: what the networks need beside torch's own layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpaceToDepth(nn.Module):
    """(N, C, H, W) to (N, block²·C, H/block, W/block) in ONNX ``SpaceToDepth`` channel order: row, column, channel."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        block = self.block
        x = x.view(n, c, h // block, block, w // block, block)
        return x.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block * block, h // block, w // block)


class DepthToSpace(nn.Module):
    """Inverse of :class:`SpaceToDepth`; ONNX ``DepthToSpace`` in its ``DCR`` mode."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        block = self.block
        x = x.view(n, block, block, c // (block * block), h, w)
        return x.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (block * block), h * block, w * block)


class Affine(nn.Module):
    """scale·x + offset, with fixed numbers: a change of range, such as from [0, 1] to [−1, 1]."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


class Residual(nn.Sequential):
    """x + layers(x): He et al. 2016, "Deep Residual Learning for Image Recognition", equation 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)  # type: ignore[no-any-return, no-untyped-call]


class StrengthShift(nn.Module):
    """x − (1 − strength)³·weight, one weight a channel: how strongly to paint, told to all that follows.

    In a residual trunk it travels along to every layer. At full strength it is nothing: a net trained without it can go
    on with it. It begins as random numbers, large enough for the layers to learn from; from zero it had hardly
    been learned after 600 steps. Told evenly, a net keeps most of the way from the photograph to the style for the
    last third; cubed, half the strength is about half the way.
    """

    POWER = 3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 1, 1))

    def forward(self, x: Tensor, strength: Tensor) -> Tensor:
        """Float N×C×H×W and N."""
        return x - (1 - strength.view(-1, 1, 1, 1)) ** self.POWER * self.weight


class Recall(nn.Module):
    """x + conv(unshuffle(previous)): the painting before, told to all that follows.

    The convolution has no bias and begins at 0. So black adds nothing, which stands for no painting before; and a net
    that was trained without it can go on with it.
    """

    def __init__(self, block: int, channels: int) -> None:
        super().__init__()
        self.unshuffle = SpaceToDepth(block)
        self.conv = nn.Conv2d(3 * block * block, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        """Float N×C×H/block×W/block and N×3×H×W in [0, 1]."""
        maps: Tensor = self.conv(self.unshuffle(previous))
        return x + maps


class ClampWhenPainting(nn.Module):
    """Clamps to [0, 1] in eval mode; while training, what is out of range passes, and so does its gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x.clamp(0, 1)


def reflecting_convolution(inner: int, outer: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution over a picture that is reflected at its borders by half a kernel (``size`` // 2 pixels)."""
    return nn.Conv2d(inner, outer, size, stride, padding=size // 2, padding_mode="reflect")
