"""Weights that bear being rounded to 8 bits: the network is trained to paint, rounded, what it paints in float.

Quantization-aware training: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 3. Weights and activations are rounded on the way forward, and gradients
pass as if they weren't. The size of an activation's steps is learned, too, as in Esser et al. 2020, "Learned Step Size
Quantization", equation 1, from what calibration found; its logarithm, so that it stays above 0. What is learned is the
float network's own painting, which takes neither a loss network nor the style picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import StyleError
from ..frame import Pixels
from ..style import Style
from ..train.export import network_from_style
from ..train.network import StyleNetwork

_BATCH, _CROP = 4, 128
"""Crops a step, and the side of each in pixels, or the frame's where that is less."""
_RATE, _STEP_RATE = 2e-4, 5e-3
"""Adam's for weights and for steps' logarithms, after :data:`_WARMUP`; they fall to 0 along half a cosine."""
_WARMUP = 30
"""Steps in which the rates rise from 0."""
_WEAKER = 0.4
"""Share of the crops that are painted at a random strength, as in training."""


@dataclass(frozen=True)
class Tuned:
    """What :func:`fine_tune` learned."""

    model: ModelProto
    """The style's float graph, with other weights."""
    steps: dict[str, tuple[float, int]]
    """Of each rounded activation, by the name of its tensor: the size of one step, and which of them stands for 0."""


def fine_tune(style: Style, rounded: ModelProto, frames: Sequence[Pixels], steps: int, seed: int = 0) -> Tuned:
    """Train a style's weights, and the steps of its activations, for being rounded.

    Args:
        style: in float, of a network that allaprima trains.
        rounded: its graph with QuantizeLinear nodes.
        frames: uint8 H×W×3, to train on.
        steps: how many.
        seed: of the crops and strengths.

    Raises:
        TrainingError: the style is of another network.
        StyleError: something is rounded that is no layer of it.
    """
    teacher, student = network_from_style(style).eval(), network_from_style(style)
    activations = _round(student, rounded, style.path.name)
    groups = (list(student.parameters()), _RATE), ([each.log for each in activations.values()], _STEP_RATE)
    optimizer = torch.optim.Adam([{"params": parameters, "lr": rate} for parameters, rate in groups])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for _, (crops, strength) in zip(range(steps), _samples(frames, seed), strict=False):
        with torch.no_grad():
            expected = teacher(crops, strength)
        loss = F.l1_loss(student(crops, strength), expected)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    learned = {name: (float(each.log.detach().exp()), each.zero) for name, each in activations.items()}
    return Tuned(_with_weights(style.model, student), learned)


def _round(network: StyleNetwork, rounded: ModelProto, name: str) -> dict[str, _Activations]:
    """Round what the graph rounds: outputs of layers, which bear their names, and weights of convolutions."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in rounded.graph.initializer}
    layers, activations = dict(network.named_modules()), {}
    for node in rounded.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        tensor = node.input[0]
        if tensor not in layers:
            raise StyleError(f"{name} can't be fine-tuned: '{tensor}' is rounded, which is no layer's output")
        scale, zero = (values[each].item() for each in node.input[1:3])
        activations[tensor] = _Activations(scale, zero)
        layers[tensor].register_forward_hook(activations[tensor])
    for layer_name, layer in layers.items():
        if f"{layer_name}.weight_quantized" in values:
            parametrize.register_parametrization(layer, "weight", _Weights())
    return activations


class _Activations:
    """Rounds a layer's output to its 256 steps, of a size that is learned."""

    def __init__(self, scale: float, zero: int) -> None:
        self.log = nn.Parameter(torch.tensor(math.log(scale)))
        self.zero = zero

    def __call__(self, layer: nn.Module, given: object, output: Tensor) -> Tensor:
        scale = self.log.exp()
        steps = (output / scale + self.zero).clamp(0, 255)
        return (steps + (steps.round() - steps).detach() - self.zero) * scale


class _Weights(nn.Module):
    """Rounds weights to −127 to 127 steps, which each output channel has of its own."""

    def forward(self, weight: Tensor) -> Tensor:
        scale = weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(1e-12) / 127
        zeros = torch.zeros(len(weight), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)


def _samples(frames: Sequence[Pixels], seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops, float32 N×3×H×W in [0, 1], and strengths, float32 N, without end."""
    random = np.random.default_rng(seed)
    side = min(_CROP, *(min(frame.shape[:2]) for frame in frames))
    while True:
        crops: list[NDArray[np.uint8]] = []
        for index in random.integers(len(frames), size=_BATCH):
            top, left = (random.integers(length - side + 1) for length in frames[index].shape[:2])
            crops.append(frames[index][top : top + side, left : left + side])
        weaker = random.random(_BATCH) < _WEAKER
        strengths = np.where(weaker, random.random(_BATCH), 1.0).astype(np.float32)
        yield torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255, torch.from_numpy(strengths)


def _with_weights(model: ModelProto, network: StyleNetwork) -> ModelProto:
    """A copy of a network's float graph with the weights that it has now."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    weights, changed = network.state_dict(), ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].numpy(), tensor.name))
    return changed
