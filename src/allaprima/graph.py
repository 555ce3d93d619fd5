"""Pieces of ONNX graphs: reflection padding to a stride, and 8-bit pictures at both ends.

The padding stands in the style file itself; the 8-bit ends are added when an engine loads a style, so that the
conversion runs inside the engine and nothing outside sees it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper, version_converter

from .errors import StyleError

PICTURE_INPUTS = ("image", "previous", "style")
"""Graph inputs that are pictures; engines feed them as 8-bit RGB."""


def constant(name: str, values: object, dtype: type[np.generic] = np.int64) -> TensorProto:
    """A named initializer."""
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def pad_to_stride(
    image: str, padded: str, stride: int, *, margin: int = 0, prefix: str = ""
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes that reflect ``image`` (N×C×H×W) at its borders until H and W are multiples of ``stride``.

    Args:
        image, padded: names of the values.
        stride: what the padded sides are multiples of.
        margin: pixels to add on every side, a multiple of ``stride``; what is missing to the stride comes on top, to
            the right and below. The picture must be larger than what is added to a side.
        prefix: of the names of everything in between; :func:`crop_like` with the same prefix undoes the padding.
    """
    p = f"{prefix}pad_"
    nodes = [
        helper.make_node("Shape", [image], [f"{p}size"], start=2),
        helper.make_node("Neg", [f"{p}size"], [f"{p}negative"]),
        helper.make_node("Mod", [f"{p}negative", f"{p}stride"], [f"{p}missing"]),
        helper.make_node("Add", [f"{p}missing", f"{p}margin"], [f"{p}ends"]),
        helper.make_node("Concat", [f"{p}begins", f"{p}ends"], [f"{p}amounts"], axis=0),
        helper.make_node("Pad", [image, f"{p}amounts"], [padded], mode="reflect"),
    ]
    return nodes, [
        constant(f"{p}stride", [stride]),
        constant(f"{p}margin", [margin, margin]),
        constant(f"{p}begins", [0, 0, margin, margin, 0, 0]),
    ]


def crop_like(painted: str, cropped: str, prefix: str = "") -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes that cut ``painted`` back to the picture that :func:`pad_to_stride` padded."""
    p = f"{prefix}pad_"
    nodes = [
        helper.make_node("Add", [f"{p}size", f"{p}margin"], [f"{p}stop"]),
        helper.make_node("Slice", [painted, f"{p}margin", f"{p}stop", f"{p}axes"], [cropped]),
    ]
    return nodes, [constant(f"{p}axes", [2, 3])]


_Size = str | int | None

_OLDEST_OPSET = 15
"""The first operator set in which every node made here means what it should."""


def modernized(model: ModelProto) -> ModelProto:
    """The model itself, or one of an old operator set brought to a newer one."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if opset >= _OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, _OLDEST_OPSET)
    except Exception as error:  # the converter raises bare types of its own
        raise StyleError(
            f"the style's operator set {opset} is too old and can't be converted: export it with opset"
            f" {_OLDEST_OPSET} or newer"
        ) from error


def _declare_bytes(value: ValueInfoProto) -> None:
    """Turn a declared N×3×H×W float picture into N×H×W×3 bytes."""
    batch, height, width = _sizes(value)
    value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.UINT8, [batch, height, width, 3]))


def with_byte_pictures(model: ModelProto, *, value_range: int, stride: int) -> ModelProto:
    """A copy whose pictures are uint8 N×H×W×3 at both ends.

    Args:
        model: float pictures N×3×H×W; outputs' first entry is the painting.
        value_range: what white is inside the model, 1 or 255.
        stride: pad pictures to multiples of this and crop the painting; 1 where the model does so itself.

    Raises:
        StyleError: the model is of an old operator set and can't be brought to a newer one.
    """
    model = modernized(onnx.ModelProto.FromString(model.SerializeToString()))
    graph = model.graph
    before: list[NodeProto] = []
    after: list[NodeProto] = []
    extra: list[TensorProto] = [
        constant("bytes_in_scale", value_range / 255.0, np.float32),
        constant("bytes_out_scale", 255.0 / value_range, np.float32),
        constant("bytes_low", 0.0, np.float32),
        constant("bytes_high", 255.0, np.float32),
    ]
    pictures = [value for value in graph.input if value.name in PICTURE_INPUTS]
    for value in pictures:
        name, inner = value.name, f"{value.name}_float"
        rename_uses(graph.node, name, inner)
        _declare_bytes(value)
        before += [
            helper.make_node("Cast", [name], [f"{name}_cast"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", [f"{name}_cast"], [f"{name}_planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Mul", [f"{name}_planes", "bytes_in_scale"], [f"{name}_scaled" if stride > 1 else inner]),
        ]
        if stride > 1:
            nodes, constants = pad_to_stride(f"{name}_scaled", inner, stride, prefix=f"{name}_")
            before += nodes
            extra += constants
    painting = graph.output[0]
    inner = f"{painting.name}_float"
    for node in graph.node:
        node.output[:] = [inner if output == painting.name else output for output in node.output]
    rename_uses(graph.node, painting.name, inner)
    _declare_bytes(painting)
    if stride > 1:
        nodes, constants = crop_like(inner, f"{painting.name}_cropped", "image_")
        after += nodes
        extra += constants
        inner = f"{painting.name}_cropped"
    after += [
        helper.make_node("Mul", [inner, "bytes_out_scale"], ["painting_scaled"]),
        helper.make_node("Round", ["painting_scaled"], ["painting_round"]),
        helper.make_node("Clip", ["painting_round", "bytes_low", "bytes_high"], ["painting_clip"]),
        helper.make_node("Transpose", ["painting_clip"], ["painting_rows"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["painting_rows"], [painting.name], to=TensorProto.UINT8),
    ]
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend([*before, *body, *after])
    graph.initializer.extend(extra)
    del graph.value_info[:]
    return model


def rename_uses(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    """Let every node that takes ``old`` take ``new``, also inside of branches and loops."""
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                rename_uses(inner.node, old, new)


def _sizes(value: ValueInfoProto) -> tuple[_Size, _Size, _Size]:
    batch, _, height, width = (d.dim_param or d.dim_value or None for d in value.type.tensor_type.shape.dim)
    return batch, height, width
