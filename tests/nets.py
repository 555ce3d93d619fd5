"""Tiny hand-made ONNX graphs: their arithmetic can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from allaprima.style import Card, Style, write_style

Shape = Sequence[str | int | None]
FREE: Shape = ("N", 3, "H", "W")
SIZE = (24, 20)
"""(height, width) of :func:`photograph`: not square, no multiple of 8 in width."""

node = helper.make_node


def weight(name: str, values: object) -> TensorProto:
    """A float32 initializer."""
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def integers(name: str, values: object) -> TensorProto:
    """An int64 initializer."""
    return numpy_helper.from_array(np.asarray(values, np.int64), name)


def graph(
    nodes: Sequence[NodeProto],
    weights: Sequence[TensorProto] = (),
    *,
    inputs: dict[str, Shape] | None = None,
    outputs: dict[str, Shape] | None = None,
    opset: int = 18,
) -> ModelProto:
    """A model from ``image`` to ``stylized``, both N×3×H×W, unless said otherwise."""
    tensor = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            list(nodes),
            "net",
            [tensor(name, TensorProto.FLOAT, list(shape)) for name, shape in (inputs or {"image": FREE}).items()],
            [tensor(name, TensorProto.FLOAT, list(shape)) for name, shape in (outputs or {"stylized": FREE}).items()],
            list(weights),
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )


def negative(white: float = 1.0, *, name: str = "image", shape: Shape = FREE, opset: int = 18) -> ModelProto:
    """The photographic negative, as a 1×1 convolution: ``white`` − picture."""
    kernel = -np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    return graph(
        [node("Conv", [name, "kernel", "bias"], ["stylized"], kernel_shape=[1, 1])],
        [weight("kernel", kernel), weight("bias", [white] * 3)],
        inputs={name: shape},
        outputs={"stylized": shape},
        opset=opset,
    )


def textured(channels: int = 8) -> ModelProto:
    """Two 3×3 convolutions with seeded weights and a sigmoid: values on the whole range."""
    random = np.random.default_rng(0)
    return graph(
        [
            node("Conv", ["image", "w1", "b1"], ["inner"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Relu", ["inner"], ["active"]),
            node("Conv", ["active", "w2", "b2"], ["pixels"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Sigmoid", ["pixels"], ["stylized"]),
        ],
        [
            weight("w1", random.normal(size=(channels, 3, 3, 3)) * 0.5),
            weight("b1", random.normal(size=channels) * 0.1),
            weight("w2", random.normal(size=(3, channels, 3, 3)) * 0.3),
            weight("b2", random.normal(size=3) * 0.1),
        ],
    )


def in_blocks(block: int) -> ModelProto:
    """The negative of 0-1 pictures, by way of blocks: fails where a side is no multiple of ``block``."""
    return graph(
        [
            node("SpaceToDepth", ["image"], ["blocks"], blocksize=block),
            node("DepthToSpace", ["blocks"], ["whole"], blocksize=block),
            node("Conv", ["whole", "kernel", "bias"], ["stylized"], kernel_shape=[1, 1]),
        ],
        [weight("kernel", -np.eye(3).reshape(3, 3, 1, 1)), weight("bias", [1.0] * 3)],
    )


def with_strength() -> ModelProto:
    """Half the light, in so far as ``strength`` says: picture × (1 − strength / 2)."""
    return graph(
        [
            node("Mul", ["strength", "half"], ["share"]),
            node("Sub", ["one", "share"], ["factor"]),
            node("Mul", ["image", "factor"], ["stylized"]),
        ],
        [weight("half", 0.5), weight("one", 1.0)],
        inputs={"image": FREE, "strength": [1]},
    )


def with_style() -> ModelProto:
    """The mean color of ``style``, everywhere."""
    return graph(
        [
            node("ReduceMean", ["style", "axes"], ["color"], keepdims=1),
            node("Mul", ["image", "zero"], ["black"]),
            node("Add", ["black", "color"], ["stylized"]),
        ],
        [integers("axes", [2, 3]), weight("zero", 0.0)],
        inputs={"image": FREE, "style": ["N", 3, "h", "w"]},
    )


def with_previous() -> ModelProto:
    """(picture + previous painting) / 2."""
    return graph(
        [node("Add", ["image", "previous"], ["sum"]), node("Mul", ["sum", "half"], ["stylized"])],
        [weight("half", 0.5)],
        inputs={"image": FREE, "previous": FREE},
    )


def with_state(shape: Shape = FREE) -> ModelProto:
    """One frame late: paints ``state.0``, which is the picture before."""
    return graph(
        [node("Identity", ["state.0"], ["stylized"]), node("Identity", ["image"], ["next.0"])],
        inputs={"image": FREE, "state.0": shape},
        outputs={"stylized": FREE, "next.0": shape},
    )


def half_size() -> ModelProto:
    """A painting of half the size: what no style may do."""
    return graph([node("AveragePool", ["image"], ["stylized"], kernel_shape=[2, 2], strides=[2, 2])])


def write_foreign(path: Path, model: ModelProto) -> Path:
    """A file as other programs write them: without a card."""
    path.write_bytes(model.SerializeToString())
    return path


def style_of(folder: Path, model: ModelProto, **card: object) -> Style:
    """The graph as a style file."""
    return write_style(folder / "net.onnx", model, Card(**{"title": "Net", **card}))  # type: ignore[arg-type]


def photograph(height: int = SIZE[0], width: int = SIZE[1], seed: int = 0) -> NDArray[np.uint8]:
    """Seeded pixels, uint8 H×W×3."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def painted_by_reference(model: ModelProto, pixels: NDArray[np.uint8], white: float = 1.0) -> NDArray[np.uint8]:
    """What ONNX's own reference implementation paints in float32."""
    image = pixels.astype(np.float32).transpose(2, 0, 1)[np.newaxis] * np.float32(white / 255)
    painting = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: image})[0]
    return np.clip(np.rint(painting[0].transpose(1, 2, 0) * (255 / white)), 0, 255).astype(np.uint8)


def worst(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """Largest difference of two pictures, of 255."""
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())
