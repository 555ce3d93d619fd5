"""Perceptual losses on VGG16 features (Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer").

In two forms. The relative one, unlike the paper, divides every layer's distance by the squared norm of its target, so
that one set of weights serves any painting and no layer rules by the size of its activations alone. The absolute one is
the paper's, on the scale of features that published loss weights are for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT_LAYER = "relu3_3"
FEATURE_SCALE = 57.6
"""What the absolute forms divide the loss network's features by: 255 times the mean standard deviation of ImageNet's
colors, (0.229 + 0.224 + 0.225) / 3.

Published weights are mostly for torchvision's VGG16, which sees pictures in units of that deviation; ours sees them in
0…255. Since features grow about in proportion to the picture's contrast, published weights mean about the same here
after the division, and only about: the two networks were trained apart.
"""


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


def content_errors(features: Tensor, target: Tensor) -> Tensor:
    """‖F − T‖² / (C·H·W) per picture (Johnson et al. 2016, equation 2), of features divided by :data:`FEATURE_SCALE`.

    N×C×H×W each, of any float dtype, to float32 of shape (N,).
    """
    return (features.float() - target.float()).square().flatten(1).mean(1) / FEATURE_SCALE**2


def style_errors(features: Mapping[str, Tensor], style_grams: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """‖G − S‖² per style layer (Johnson et al. 2016, equation 4), each float32 of shape (N,).

    G and S are Gram matrices divided by C·H·W (equation 3), of features divided by :data:`FEATURE_SCALE`; the squares
    are summed over the C² entries.

    Args:
        features: N×C×H×W by layer, as the loss network gives them.
        style_grams: what :func:`gram` gives for the painting, 1×C×C by layer.
    """
    return {
        layer: ((gram(features[layer]) - target) / (target.shape[-1] * FEATURE_SCALE**2)).square().sum((1, 2))
        for layer, target in style_grams.items()
    }


def total_variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels, both directions; a scalar."""
    return (image[..., 1:, :] - image[..., :-1, :]).abs().mean() + (image[..., 1:] - image[..., :-1]).abs().mean()


def variation_sums(image: Tensor) -> Tensor:
    """Sum of absolute differences of neighboring pixels, both directions, per picture: N×C×H×W to shape (N,)."""
    down, right = image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]
    return down.abs().sum((1, 2, 3)) + right.abs().sum((1, 2, 3))
