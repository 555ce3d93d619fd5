"""Perceptual losses on VGG16 features (Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer").

Unlike the paper, every layer's distance is divided by the squared norm of its target, so that one set of weights serves
any painting and no layer rules by the size of its activations alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu3_3"


def gram(features: Tensor) -> Tensor:
    """Gram matrices per picture, F·Fᵀ/(H·W): N×C×H×W to float32 N×C×C (Gatys et al. 2016, equation 3, per position).

    Divided by the number of positions, so that pictures of different size compare.
    """
    flat = features.flatten(2).float()
    return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2]


def relative_distance(value: Tensor, target: Tensor) -> Tensor:
    """‖value − target‖² / ‖target‖² per picture: shape (N,), float32."""
    value, target = value.flatten(1).float(), target.flatten(1).float()
    return (value - target).square().sum(1) / target.square().sum(1).clamp_min(1e-12)


def style_distances(features: Mapping[str, Tensor], style_grams: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Relative Gram distance per style layer, each of shape (N,)."""
    return {
        layer: relative_distance(gram(features[layer]), style_grams[layer].expand(len(features[layer]), -1, -1))
        for layer in style_grams
    }


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels, both directions; a scalar."""
    return (image[..., 1:, :] - image[..., :-1, :]).abs().mean() + (image[..., 1:] - image[..., :-1]).abs().mean()
