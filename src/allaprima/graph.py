"""Pieces of ONNX graphs: reflection padding to a stride, names, operator sets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

from .errors import StyleError


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


def rename_uses(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    """Let every node that takes ``old`` take ``new``, also inside of branches and loops."""
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                rename_uses(inner.node, old, new)
