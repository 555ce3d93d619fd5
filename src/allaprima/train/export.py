"""From trained weights to a style file and back."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor

from .. import __version__
from ..errors import TrainingError
from ..graph import constant, crop_like, pad_to_stride
from ..style import Card, Style, write_style
from .networks.realtime import MARGIN, STRIDE, RealtimeNet
from .trainer import TrainingResult

OPSET = 18
_PRODUCER = "allaprima"


def build_graph(net: RealtimeNet) -> ModelProto:
    """The network as an ONNX graph that carries its own padding, normalization and crop.

    Written operator by operator: the graph holds nothing that a tracing exporter would guess, and its weights keep the
    names of the network's parameters, so that :func:`weights_from_style` reads them back.
    """
    weights = {name: value.detach().cpu().float() for name, value in net.state_dict().items()}
    pad_nodes, pad_constants = pad_to_stride("image", "padded", STRIDE, margin=MARGIN)
    nodes = [
        *pad_nodes,
        helper.make_node("Sub", ["padded", "gray"], ["centered"]),
        helper.make_node("SpaceToDepth", ["centered"], ["unshuffled"], blocksize=STRIDE),
    ]

    def convolve(name: str, x: str, y: str) -> None:
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [y], name=name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))

    convolve("head", "unshuffled", "trunk.0")
    for i in range(len(net.blocks)):
        convolve(f"blocks.{i}.conv1", f"trunk.{i}", f"inner.{i}")
        nodes.append(helper.make_node("Relu", [f"inner.{i}"], [f"active.{i}"]))
        convolve(f"blocks.{i}.conv2", f"active.{i}", f"branch.{i}")
        nodes.append(helper.make_node("Add", [f"trunk.{i}", f"branch.{i}"], [f"trunk.{i + 1}"]))
    convolve("tail", f"trunk.{len(net.blocks)}", "pixels")
    nodes += [
        helper.make_node("Sigmoid", ["pixels"], ["bounded"]),
        helper.make_node("DepthToSpace", ["bounded"], ["painted"], blocksize=STRIDE, mode="DCR"),
    ]
    crop_nodes, crop_constants = crop_like("painted", "stylized")
    nodes += crop_nodes

    shape: list[str | int | None] = ["N", 3, "H", "W"]
    graph = helper.make_graph(
        nodes,
        "realtime",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("stylized", TensorProto.FLOAT, shape)],
        [
            *(numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()),
            *pad_constants,
            *crop_constants,
            constant("gray", 0.5, np.float32),
        ],
    )
    model = helper.make_model(
        graph, producer_name=_PRODUCER, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def weights_from_style(name: str) -> dict[str, Tensor]:
    """The network's parameters by name, read from a float style (bundled name or file).

    Raises:
        TrainingError: the style holds another network.
    """
    style = Style.open(name)
    if style.card.network != "realtime" or style.card.parent_sha256:
        raise TrainingError(f"--init takes a float style of the realtime network, which {name} is not")
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in style.model.graph.initializer}
    return {
        name: torch.from_numpy(value.copy()) for name, value in tensors.items() if name.endswith(("weight", "bias"))
    }


def export_style(result: TrainingResult, path: Path) -> Style:
    """Write what a training made as a style file with its card."""
    recipe = result.recipe
    settings = recipe.to_dict()
    for stated in ("title", "artist", "year", "licenses"):
        settings.pop(stated)
    versions = {"allaprima": __version__, "torch": torch.__version__, "python": platform.python_version()}
    done = {"steps": result.steps, "steps_done": result.step, "seconds": round(result.seconds), "versions": versions}
    card = Card(
        title=recipe.title or Path(recipe.style_image).stem,
        artist=recipe.artist,
        year=recipe.year,
        network="realtime",
        stride=STRIDE,
        recipe={"method": "realtime", **settings, **done},
        licenses=recipe.to_dict()["licenses"],
    )
    return write_style(path, build_graph(result.net), card)
