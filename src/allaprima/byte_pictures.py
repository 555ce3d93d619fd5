"""8-bit pictures at both ends of a style's graph.

They are added when an engine loads a style, so that the conversion runs inside the engine and nothing outside sees it.
What only moves pixels about, first and last in a graph, is done in bytes and pixel by pixel, as pictures come: with a
quarter of the memory, and without bringing colors into planes and back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from .graph import constant, crop_like, modernized, pad_to_stride, rename_uses

PICTURE_INPUTS = ("image", "previous", "style")
"""Graph inputs that are pictures; engines feed them as 8-bit RGB."""

_COLORS = 3
_TO_PLANES, _FROM_PLANES = [0, 3, 1, 2], [0, 2, 3, 1]
"""Axes of N×H×W×C in the order of N×C×H×W, and back."""
_PAIRS_FROM_PLANES = [*_FROM_PLANES, *(4 + axis for axis in _FROM_PLANES)]


def with_byte_pictures(model: ModelProto, *, value_range: int, stride: int, quantizer: bool = False) -> ModelProto:
    """A copy whose pictures are uint8 N×H×W×3 at both ends.

    Args:
        model: float pictures N×3×H×W; outputs' first entry is the painting.
        value_range: what white is inside the model, 1 or 255.
        stride: pad pictures to multiples of this and crop the painting; 1 where the model does so itself.
        quantizer: round the painting by one ``QuantizeLinear``, for engines in which each of the three operators that
            do the same goes over all pixels by itself.

    Raises:
        StyleError: the model is of an old operator set and can't be brought to a newer one.
    """
    model = modernized(ModelProto.FromString(model.SerializeToString()))
    pictures = [value for value in model.graph.input if value.name in PICTURE_INPUTS]
    if stride > 1:
        _pad(model, pictures, stride)
    for value in pictures:
        _take_bytes(model, value, value_range / 255.0)
    _give_bytes(model, 255.0 / value_range, quantizer)
    del model.graph.value_info[:]
    return model


def _pad(model: ModelProto, pictures: list[ValueInfoProto], stride: int) -> None:
    graph, painting = model.graph, model.graph.output[0].name
    body = list(graph.node)
    del graph.node[:]
    for value in pictures:
        nodes, constants = pad_to_stride(value.name, f"{value.name}_padded", stride, prefix=f"{value.name}_")
        rename_uses(body, value.name, f"{value.name}_padded")
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
    _rename_output(body, painting, f"{painting}_padded")
    nodes, constants = crop_like(f"{painting}_padded", painting, "image_")
    graph.node.extend([*body, *nodes])
    graph.initializer.extend(constants)


def _take_bytes(model: ModelProto, picture: ValueInfoProto, scale: float) -> None:
    """Let an input be bytes, which become floats times ``scale`` behind the first nodes that only move pixels.

    What is added to all pixels alike, or multiplies them, and stood between these nodes, comes behind them.
    """
    graph, name = model.graph, picture.name
    moves, scalars = _first_moves(model, name)
    end = moves[-1].output[0] if moves else f"{name}_float"
    factor = constant(f"{name}_scale", scale, np.float32)
    graph.initializer.append(factor)
    body = list(graph.node)
    del graph.node[:]
    current = name

    def floats() -> Iterator[NodeProto]:
        yield helper.make_node("Transpose", [current], [f"{name}_planes"], perm=_TO_PLANES)
        yield helper.make_node("Cast", [f"{name}_planes"], [f"{name}_cast"], to=TensorProto.FLOAT)
        values = [f"{name}_cast", *(f"{name}_adjusted_{i}" for i in range(len(scalars))), end]
        yield helper.make_node("Mul", [values[0], factor.name], [values[1]])
        for index, node in enumerate(scalars, start=1):
            yield helper.make_node(node.op_type, [values[index], node.input[1]], [values[index + 1]])

    if not moves:
        graph.node.extend(floats())
        rename_uses(body, name, end)
    for node in body:
        if moves and node.op_type == "Shape" and node.input[0] == name:
            graph.node.extend(_size_as_of_planes(graph.initializer, node))
        elif node in moves:
            following = f"{node.output[0]}_bytes"
            graph.node.extend(_of_bytes(graph.initializer, node, current, following))
            current = following
            if node is moves[-1]:
                graph.node.extend(floats())
        elif node not in scalars:
            graph.node.append(node)
    _declare_bytes(picture)


def _give_bytes(model: ModelProto, scale: float, quantizer: bool) -> None:
    """Let the painting be bytes: floats times ``scale``, rounded before the last nodes that only move pixels."""
    graph, painting = model.graph, model.graph.output[0]
    moves = _last_moves(model, painting.name)
    start = moves[0].input[0] if moves else f"{painting.name}_float"
    graph.initializer.append(constant("bytes_scale", scale, np.float32))
    body = list(graph.node)
    del graph.node[:]
    current = f"{start}_bytes" if moves else painting.name
    rounded = [
        helper.make_node("Mul", [start, "bytes_scale"], ["painting_scaled"]),
        *_rounded(graph.initializer, "painting_scaled", "painting_rounded", quantizer),
        helper.make_node("Transpose", ["painting_rounded"], [current], perm=_FROM_PLANES),
    ]
    if not moves:
        _rename_output(body, painting.name, start)
    for node in body:
        if node in moves:
            if node is moves[0]:
                graph.node.extend(rounded)
            following = painting.name if node is moves[-1] else f"{node.output[0]}_bytes"
            graph.node.extend(_of_bytes(graph.initializer, node, current, following))
            current = following
        else:
            graph.node.append(node)
    if not moves:
        graph.node.extend(rounded)
    _declare_bytes(painting)


def _rounded(constants: list[TensorProto], floats: str, made: str, quantizer: bool) -> Iterator[NodeProto]:
    """To the nearest byte, the even one of two."""
    if quantizer:
        constants.extend([constant("bytes_step", 1, np.float32), constant("bytes_zero", 0, np.uint8)])
        yield helper.make_node("QuantizeLinear", [floats, "bytes_step", "bytes_zero"], [made])
        return
    constants.extend(constant(f"bytes_{name}", value, np.float32) for name, value in (("low", 0), ("high", 255)))
    yield helper.make_node("Round", [floats], [f"{made}_whole"])
    yield helper.make_node("Clip", [f"{made}_whole", "bytes_low", "bytes_high"], [f"{made}_clipped"])
    yield helper.make_node("Cast", [f"{made}_clipped"], [made], to=TensorProto.UINT8)


def _first_moves(model: ModelProto, name: str) -> tuple[list[NodeProto], list[NodeProto]]:
    """The nodes right behind an input that only move pixels, and those between them that treat all numbers alike."""
    nodes, constants = model.graph.node, {tensor.name: tensor for tensor in model.graph.initializer}
    uses = _uses(model)
    moves: list[NodeProto] = []
    scalars: list[NodeProto] = []
    between: list[NodeProto] = []
    while True:
        users = [node for node in nodes if name in node.input and node.op_type != "Shape"]
        sizes = sum(name in node.input for node in nodes if node.op_type == "Shape")
        if len(users) != 1 or uses[name] != 1 + sizes or (sizes and (moves or between)):
            return moves, scalars
        node = users[0]
        if _is_move(node, constants) or _is_only(node, "SpaceToDepth", moves):
            moves, scalars, between = [*moves, node], [*scalars, *between], []
        elif node.op_type in ("Add", "Sub", "Mul", "Div") and node.input[0] == name and _is_number(node, constants):
            between = [*between, node]
        else:
            return moves, scalars
        name = node.output[0]


def _last_moves(model: ModelProto, name: str) -> list[NodeProto]:
    """The nodes right before an output that only move pixels."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    uses = _uses(model)
    moves: list[NodeProto] = []
    while name in makers and uses[name] == (1 if moves else 0):
        maker = makers[name]
        if not (_is_move(maker, constants) or _is_only(maker, "DepthToSpace", moves)):
            break
        moves = [maker, *moves]
        name = moves[0].input[0]
    return moves


def _uses(model: ModelProto) -> Counter[str]:
    """How often each value is taken by a node, inside of branches and loops too, or given as a further output."""

    def taken(nodes: Iterator[NodeProto]) -> Iterator[str]:
        for node in nodes:
            yield from node.input
            for attribute in node.attribute:
                for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    yield from taken(iter(inner.node))
                    yield from (value.name for value in inner.output)

    return Counter([*taken(iter(model.graph.node)), *(value.name for value in model.graph.output[1:])])


def _is_number(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Whether its second input is one number, known beforehand."""
    tensor = constants.get(node.input[1])
    return tensor is not None and np.prod(tensor.dims, dtype=int) == 1 and len(tensor.dims) <= len(_TO_PLANES)


def _is_move(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Whether it pads or cuts pictures in a way that :func:`_of_bytes` knows."""
    if node.op_type == "Pad":
        return _attribute(node, "mode") in (b"reflect", b"edge") and len(node.input) == 2
    axes = constants.get(node.input[3]) if node.op_type == "Slice" and len(node.input) == 4 else None
    return axes is not None and {2, 3}.issuperset(numpy_helper.to_array(axes).tolist())


def _is_only(node: NodeProto, kind: str, moves: list[NodeProto]) -> bool:
    """Whether it is the first of a kind that trades pixels for channels: then the pictures' channels are colors."""
    alone = all(move.op_type != kind for move in moves)
    return node.op_type == kind and alone and _attribute(node, "mode") in (None, b"DCR")


def _attribute(node: NodeProto, name: str) -> object:
    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), None)


def _of_bytes(constants: list[TensorProto], node: NodeProto, taken: str, made: str) -> Iterator[NodeProto]:
    """What a node that moves pixels does to N×C×H×W, done to N×H×W×C."""

    def number(name: str, values: object) -> str:
        constants.append(constant(f"{made}_{name}", values))
        return f"{made}_{name}"

    def value(name: str) -> str:
        return f"{made}_{name}"

    if node.op_type == "Pad":
        order = number("order", _PAIRS_FROM_PLANES)
        yield helper.make_node("Gather", [node.input[1], order], [value("amounts")])
        yield helper.make_node("Pad", [taken, value("amounts")], [made], mode=_attribute(node, "mode"))
        return
    if node.op_type == "Slice":
        one = number("one", 1)
        yield helper.make_node("Sub", [node.input[3], one], [value("axes")])
        yield helper.make_node("Slice", [taken, node.input[1], node.input[2], value("axes")], [made])
        return
    block = next(attribute.i for attribute in node.attribute if attribute.name == "blocksize")
    parts = [value(f"part_{index}") for index in range(block)]
    rows = [value(f"row_{index}") for index in range(block)]
    if node.op_type == "SpaceToDepth":
        # Of every ``block`` rows each by itself, whose every ``block`` pixels become the channels of one.
        for index, (part, row) in enumerate(zip(parts, rows, strict=True)):
            bounds = [number(f"{name}_{index}", [n]) for name, n in (("from", index), ("to", 2**31 - 1))]
            steps = [number(f"{name}_{index}", [n]) for name, n in (("axis", 1), ("step", block))]
            yield helper.make_node("Slice", [taken, *bounds, *steps], [row])
            shape = number(f"shape_{index}", [0, 0, -1, block * _COLORS])
            yield helper.make_node("Reshape", [row, shape], [part])
        yield helper.make_node("Concat", parts, [made], axis=3)
        return
    # Each pixel's channels become ``block`` pixels of ``block`` rows, which are put in turn.
    yield helper.make_node("Reshape", [taken, number("blocks", [0, 0, 0, block, -1])], [value("blocks_of")])
    yield helper.make_node("Split", [value("blocks_of"), number("each", [1] * block)], parts, axis=3)
    for index, (part, row) in enumerate(zip(parts, rows, strict=True)):
        yield helper.make_node("Reshape", [part, number(f"shape_{index}", [0, 0, 1, -1])], [row])
    yield helper.make_node("Concat", rows, [value("rows")], axis=2)
    yield helper.make_node("Shape", [taken], [value("size")], start=0, end=2)
    yield helper.make_node("Mul", [value("size"), number("block", [1, block])], [value("grown")])
    yield helper.make_node("Concat", [value("grown"), number("pixels", [-1, _COLORS])], [value("shape")], axis=0)
    yield helper.make_node("Reshape", [value("rows"), value("shape")], [made])


def _size_as_of_planes(constants: list[TensorProto], node: NodeProto) -> Iterator[NodeProto]:
    """The size N, C, H, W, or what a node takes of it, of N×H×W×C."""
    name, size = node.output[0], f"{node.output[0]}_of_bytes"
    span = {attribute.name: attribute.i for attribute in node.attribute}
    order = constant(f"{name}_order", _TO_PLANES[slice(span.get("start"), span.get("end"))])
    constants.append(order)
    yield helper.make_node("Shape", [node.input[0]], [size])
    yield helper.make_node("Gather", [size, order.name], [name])


def _rename_output(nodes: list[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        node.output[:] = [new if output == old else output for output in node.output]
    rename_uses(nodes, old, new)


def _declare_bytes(value: ValueInfoProto) -> None:
    """Turn a declared N×3×H×W float picture into N×H×W×3 bytes."""
    batch, _, height, width = (d.dim_param or d.dim_value or None for d in value.type.tensor_type.shape.dim)
    value.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.UINT8, [batch, height, width, _COLORS]))
