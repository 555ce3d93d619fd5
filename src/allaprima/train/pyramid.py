"""A picture on a ladder of sizes: which sizes, how much work each gets, and pictures on their way between them."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import UsageError
from ..frame import Pixels
from .pictures import to_tensor

MIN_SIDE = 32
"""Shortest side, in pixels, that a scale may have: VGG16's relu4 sees it at an eighth."""
_COARSEST = 128


def ladder(width: int, height: int) -> list[tuple[int, int]]:
    """(width, height) of every scale, coarse to fine: a factor √2 apart, as long as the long side has 128 px or more.

    Raises:
        UsageError: a side is shorter than :data:`MIN_SIDE`.
    """
    if min(width, height) < MIN_SIDE:
        raise UsageError(f"{width}×{height} is too small to paint: each side needs {MIN_SIDE} pixels")
    sizes = [(width, height)]
    while True:
        factor = 2 ** (-len(sizes) / 2)
        size = (round(width * factor), round(height * factor))
        if max(size) < _COARSEST or min(size) < MIN_SIDE:
            return sizes[::-1]
        sizes.append(size)


def step_shares(scales: int) -> list[int]:
    """How the steps go to the scales, coarse to fine: the coarsest, which lays out the picture, gets double."""
    return [2, *[1] * (scales - 1)]


def split_steps(steps: int, scales: int) -> list[int]:
    """Whole steps for each scale, coarse to fine, by :func:`step_shares`; what doesn't divide goes to the finer."""
    shares = step_shares(scales)
    left, counts = steps, []
    for number in range(scales):
        counts.append(left * shares[number] // sum(shares[number:]))
        left -= counts[-1]
    return counts


def to_pixels(image: Tensor) -> Pixels:
    """Float 1×3×H×W to uint8 H×W×3; values are clamped to [0, 1]."""
    levels = (image[0].detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(levels.cpu().numpy())


def resized(pixels: Pixels, size: tuple[int, int]) -> Tensor:
    """uint8 H×W×3 to float32 1×3×height×width in [0, 1], ``size`` being (width, height) (Lanczos)."""
    picture = Image.fromarray(pixels)
    return to_tensor(picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)).unsqueeze(0)


def covering(pixels: Pixels, size: tuple[int, int]) -> Tensor:
    """As :func:`resized`, but the proportions stay and what sticks out is cut off."""
    width, height = size
    factor = max(width / pixels.shape[1], height / pixels.shape[0])
    whole = (max(width, round(pixels.shape[1] * factor)), max(height, round(pixels.shape[0] * factor)))
    left, top = (whole[0] - width) // 2, (whole[1] - height) // 2
    return resized(pixels, whole)[..., top : top + height, left : left + width]


def fitting(pixels: Pixels, side: float) -> tuple[int, int]:
    """(width, height) of a picture with a long side of ``side`` at most; never below :data:`MIN_SIDE`."""
    height, width = pixels.shape[:2]
    factor = min(1.0, side / max(width, height))
    return max(MIN_SIDE, round(width * factor)), max(MIN_SIDE, round(height * factor))


def enlarged(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Float 1×3×H×W to (width, height), bicubic, clamped to [0, 1]."""
    if (image.shape[3], image.shape[2]) != size:
        image = F.interpolate(image, (size[1], size[0]), mode="bicubic", align_corners=False)
    return image.detach().clamp(0, 1)
