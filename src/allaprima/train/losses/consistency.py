"""Consistency under small known motion: what keeps strokes in place when the camera moves.

A second view of the same picture, moved by an exact sub-pixel affine warp, a little brighter or darker and noisy, must
come out as the first painting moved by the same warp. The warp is known, so no optical-flow data set is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    image: Tensor,
    generators: Sequence[torch.Generator],
    *,
    shift: float,
    affine: float,
    brightness: float,
    noise: float,
) -> View:
    """Draw a random view of each picture.

    Args:
        image: float N×3×H×W in [0, 1].
        generators: one on the CPU for each picture, that its random numbers come from: with whom it shares a batch
            makes no difference.
        shift: largest translation in pixels, each axis.
        affine: largest change of each entry of the 2×2 linear part; applied to half of the pictures, since a pure pan
            is what cameras do most.
        brightness: largest relative change of brightness.
        noise: standard deviation of the largest Gaussian noise, of 1.
    """
    count, _, height, width = image.shape
    theta = torch.eye(2, 3).repeat(count, 1, 1)
    unit = torch.tensor([2.0 / width, 2.0 / height])
    for sample, generator in enumerate(generators):
        theta[sample, :, 2] = _uniform(generator, 2) * shift * unit
        bend = _uniform(generator, 2, 2) * affine
        if torch.rand((), generator=generator) < 0.5:
            theta[sample, :, :2] += bend
    grid = F.affine_grid(theta, [count, 3, height, width], align_corners=False).to(image.device)
    moved = relit(warp(image, grid), generators, brightness=brightness, noise=noise)
    valid = (grid.abs() <= 1).all(-1).unsqueeze(1).to(image.dtype)
    return View(moved, grid, valid)


def relit(image: Tensor, generators: Sequence[torch.Generator], *, brightness: float, noise: float) -> Tensor:
    """Pictures, N×3×H×W, a little brighter or darker and noisy, in [0, 1]; arguments as for :func:`second_view`."""
    gain, grain = torch.ones(len(image), 1, 1, 1), torch.empty(image.shape)
    for sample, generator in enumerate(generators):
        gain[sample] += _uniform(generator, 1, 1, 1) * brightness
        sigma = torch.rand((), generator=generator) * noise
        grain[sample] = torch.randn(image.shape[1:], generator=generator) * sigma
    return (image * gain.to(image.device) + grain.to(image.device)).clamp(0, 1)


def consistency_loss(first: Tensor, second: Tensor, view: View) -> Tensor:
    """Squared difference of the second painting and the moved first one; a scalar.

    Per picture the mean over colors and the pixels that came from inside; of these the mean.
    """
    difference = (second - warp(first, view.grid)).square().mean(1, keepdim=True)
    inside = view.valid.sum((1, 2, 3)).clamp_min(1)
    return ((difference * view.valid).sum((1, 2, 3)) / inside).mean()


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator) * 2 - 1
