"""Consistency under small known motion: what keeps strokes in place when the camera moves.

A second view of the same picture, moved by an exact sub-pixel affine warp, a little brighter or darker and noisy, must
come out as the first painting moved by the same warp. The warp is known, so no optical-flow data set is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A second view of a batch of pictures."""

    image: Tensor
    """The moved, re-lit and noisy pictures, N×3×H×W in [0, 1]."""
    grid: Tensor
    """Where each pixel came from, N×H×W×2 in the coordinates of ``grid_sample`` (half-pixel centers)."""
    valid: Tensor
    """1 where the pixel came from inside the picture, N×1×H×W."""


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """Move pictures by a sampling grid; bicubic, since bilinear sampling would teach the net to blur."""
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def second_view(
    image: Tensor, generator: torch.Generator, *, shift: float, affine: float, brightness: float, noise: float
) -> View:
    """Draw a random view of each picture.

    Args:
        image: float N×3×H×W in [0, 1].
        generator: CPU generator that all random numbers come from.
        shift: largest translation in pixels, each axis.
        affine: largest change of each entry of the 2×2 linear part; applied to half of the pictures, since a pure pan
            is what cameras do most.
        brightness: largest relative change of brightness.
        noise: standard deviation of the largest Gaussian noise, of 1.
    """
    count, _, height, width = image.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    theta = torch.eye(2, 3).repeat(count, 1, 1)
    theta[:, :, 2] = uniform(count, 2) * shift * torch.tensor([2.0 / width, 2.0 / height])
    bend = (torch.rand(count, 1, 1, generator=generator) < 0.5).float()
    theta[:, :, :2] += uniform(count, 2, 2) * affine * bend
    gain = 1 + uniform(count, 1, 1, 1) * brightness
    sigma = torch.rand(count, 1, 1, 1, generator=generator) * noise
    grain = torch.randn(image.shape, generator=generator) * sigma

    grid = F.affine_grid(theta, [count, 3, height, width], align_corners=False).to(image.device)
    moved = warp(image, grid) * gain.to(image.device) + grain.to(image.device)
    valid = (grid.abs() <= 1).all(-1).unsqueeze(1).to(image.dtype)
    return View(moved.clamp(0, 1), grid, valid)


def consistency_loss(first: Tensor, second: Tensor, view: View) -> Tensor:
    """Mean squared difference between the second painting and the moved first one, inside the picture; a scalar."""
    difference = (second - warp(first, view.grid)).square().mean(1, keepdim=True)
    return (difference * view.valid).sum() / view.valid.sum().clamp_min(1)
