"""A chain of known layers as an ONNX graph, operator by operator.

The graph holds standard operators only and nothing that a tracing exporter would guess; its weights keep the names of
the network's parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from ..errors import TrainingError
from ..graph import constant, crop_like, pad_to_stride
from .network import StyleNetwork
from .networks.layers import Affine, ClampWhenPainting, DepthToSpace, Recall, Residual, SpaceToDepth, StrengthShift
from .networks.normalization import FilterResponseNorm, SynchronizedBatchNorm, ThresholdedLinear

OPSET = 18
_PRODUCER = "allaprima"
_PREVIOUS = "previous_padded"


class _Chain:
    """Nodes in order, and the constants they share."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node; the name of its output, which is its own name too."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: object, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant; its name, which has no dot, as the weights' names have."""
        name = name.replace(".", "_")
        self.constants[name] = constant(name, values, dtype)
        return name


def build_graph(network: StyleNetwork) -> ModelProto:
    """The network as it paints in eval mode, with the padding and the crop inside; ``image`` to ``stylized``.

    A network that can be told how strongly to paint has an input ``strength``: float32, 1, from 0 to 1. One that looks
    at the painting before has an input ``previous``, which is padded as the picture is.

    Raises:
        TrainingError: a layer, or a setting of one, that can't be written.
    """
    chain = _Chain()
    pad_nodes, pad_constants = pad_to_stride("image", "padded", network.stride, margin=network.margin)
    if network.takes_previous:
        nodes, constants = pad_to_stride(
            "previous", _PREVIOUS, network.stride, margin=network.margin, prefix="previous_"
        )
        pad_nodes, pad_constants = [*pad_nodes, *nodes], [*pad_constants, *constants]
    crop_nodes, crop_constants = crop_like(_write_all(network, chain, "", "padded"), "stylized")
    weights = [
        numpy_helper.from_array(value.detach().cpu().float().contiguous().numpy(), name)
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    ]
    shape: list[str | int | None] = ["N", 3, "H", "W"]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    if network.takes_strength:
        inputs.append(helper.make_tensor_value_info("strength", TensorProto.FLOAT, [1]))
    if network.takes_previous:
        inputs.append(helper.make_tensor_value_info("previous", TensorProto.FLOAT, shape))
    graph = helper.make_graph(
        [*pad_nodes, *chain.nodes, *crop_nodes],
        "style",
        inputs,
        [helper.make_tensor_value_info("stylized", TensorProto.FLOAT, shape)],
        [*weights, *pad_constants, *crop_constants, *chain.constants.values()],
    )
    model = helper.make_model(
        graph, producer_name=_PRODUCER, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _write_all(layers: nn.Module, chain: _Chain, prefix: str, x: str) -> str:
    for name, layer in layers.named_children():
        # By exact type: a subclass may compute something else.
        write = _WRITERS.get(type(layer))
        if write is None:
            raise TrainingError(f"layer '{prefix}{name}' ({type(layer).__name__}) can't be written to a style file")
        x = write(layer, chain, f"{prefix}{name}", x)
    return x


def _sequential(layer: nn.Sequential, chain: _Chain, name: str, x: str) -> str:
    return _write_all(layer, chain, f"{name}.", x)


def _residual(layer: Residual, chain: _Chain, name: str, x: str) -> str:
    return chain.node("Add", [x, _write_all(layer, chain, f"{name}.", x)], name)


def _recall(layer: Recall, chain: _Chain, name: str, x: str) -> str:
    return chain.node("Add", [x, _write_all(layer, chain, f"{name}.", _PREVIOUS)], name)


def _convolution(layer: nn.Conv2d, chain: _Chain, name: str, x: str) -> str:
    if isinstance(layer.padding, str) or layer.padding_mode not in {"zeros", "reflect"}:
        raise TrainingError(f"layer '{name}': padding '{layer.padding}', '{layer.padding_mode}' can't be written")
    pads = [*layer.padding, *layer.padding]
    if layer.padding_mode == "reflect" and any(pads):
        amounts = chain.constant(f"{name}_reflected", [0, 0, *layer.padding, 0, 0, *layer.padding], np.int64)
        x, pads = chain.node("Pad", [x, amounts], f"{name}.padded", mode="reflect"), [0, 0, 0, 0]
    return chain.node(
        "Conv",
        [x, f"{name}.weight", *([f"{name}.bias"] if layer.bias is not None else [])],
        name,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        group=layer.groups,
        pads=pads,
    )


def _instance_norm(layer: nn.InstanceNorm2d, chain: _Chain, name: str, x: str) -> str:
    if not layer.affine or layer.track_running_stats:
        raise TrainingError(f"layer '{name}': only an instance norm with weights and no statistics can be written")
    return chain.node("InstanceNormalization", [x, f"{name}.weight", f"{name}.bias"], name, epsilon=layer.eps)


def _batch_norm(layer: SynchronizedBatchNorm, chain: _Chain, name: str, x: str) -> str:
    inputs = [x, *(f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))]
    return chain.node("BatchNormalization", inputs, name, epsilon=layer.eps)


def _filter_response_norm(layer: FilterResponseNorm, chain: _Chain, name: str, x: str) -> str:
    squares = chain.node("Mul", [x, x], f"{name}.squares")
    width, height = chain.constant("width", [3], np.int64), chain.constant("height", [2], np.int64)
    eps = chain.constant(f"{name}_eps", layer.eps)
    # By rows, since a million squares added up in one go lose more than 1/255 of the painting; and with a root between
    # the two means, since OpenVINO makes one of two that follow each other.
    rows = chain.node("Sqrt", [chain.node("ReduceMean", [squares, width], f"{name}.rows", keepdims=1)], f"{name}.rms")
    power = chain.node(
        "ReduceMean", [chain.node("Mul", [rows, rows], f"{name}.mean_squares"), height], f"{name}.power", keepdims=1
    )
    root = chain.node("Sqrt", [chain.node("Add", [power, eps], f"{name}.above_zero")], f"{name}.root")
    normal = chain.node("Div", [x, root], f"{name}.normal")
    return chain.node("Add", [chain.node("Mul", [normal, f"{name}.weight"], f"{name}.scaled"), f"{name}.bias"], name)


def _thresholded_linear(_: ThresholdedLinear, chain: _Chain, name: str, x: str) -> str:
    return chain.node("Max", [x, f"{name}.threshold"], name)


def _upsample(layer: nn.Upsample, chain: _Chain, name: str, x: str) -> str:
    if layer.mode != "nearest" or layer.scale_factor != 2:
        raise TrainingError(f"layer '{name}': only nearest upsampling by 2 can be written")
    scales = chain.constant("twice_as_large", [1, 1, 2, 2])
    sampling = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return chain.node("Resize", [x, "", scales], name, **sampling)


def _affine(layer: Affine, chain: _Chain, name: str, x: str) -> str:
    if layer.scale != 1:
        x = chain.node("Mul", [x, chain.constant(f"{name}_scale", layer.scale)], f"{name}.scaled")
    if layer.offset:
        operator = "Sub" if layer.offset < 0 else "Add"
        x = chain.node(operator, [x, chain.constant(f"{name}_offset", abs(layer.offset))], name)
    return x


def _strength_shift(layer: StrengthShift, chain: _Chain, name: str, x: str) -> str:
    missing = chain.node("Sub", [chain.constant("full_strength", [1.0]), "strength"], f"{name}.missing")
    curve = chain.node("Pow", [missing, chain.constant("strength_power", [layer.POWER])], f"{name}.curve")
    return chain.node("Sub", [x, chain.node("Mul", [f"{name}.weight", curve], f"{name}.shift")], name)


def _space_to_depth(layer: SpaceToDepth, chain: _Chain, name: str, x: str) -> str:
    return chain.node("SpaceToDepth", [x], name, blocksize=layer.block)


def _depth_to_space(layer: DepthToSpace, chain: _Chain, name: str, x: str) -> str:
    return chain.node("DepthToSpace", [x], name, blocksize=layer.block, mode="DCR")


def _clamp(_: ClampWhenPainting, chain: _Chain, name: str, x: str) -> str:
    return chain.node("Clip", [x, chain.constant("black", 0.0), chain.constant("white", 1.0)], name)


def _plain(operator: str) -> Callable[[nn.Module, _Chain, str, str], str]:
    return lambda _, chain, name, x: chain.node(operator, [x], name)


_WRITERS: Mapping[type[nn.Module], Callable[[Any, _Chain, str, str], str]] = {
    nn.Sequential: _sequential,
    Residual: _residual,
    Recall: _recall,
    nn.Conv2d: _convolution,
    nn.InstanceNorm2d: _instance_norm,
    SynchronizedBatchNorm: _batch_norm,
    FilterResponseNorm: _filter_response_norm,
    nn.ReLU: _plain("Relu"),
    ThresholdedLinear: _thresholded_linear,
    nn.Sigmoid: _plain("Sigmoid"),
    nn.Tanh: _plain("Tanh"),
    nn.Upsample: _upsample,
    Affine: _affine,
    StrengthShift: _strength_shift,
    SpaceToDepth: _space_to_depth,
    DepthToSpace: _depth_to_space,
    ClampWhenPainting: _clamp,
}
