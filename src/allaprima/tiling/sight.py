"""How far a style's graph sees: what a pixel of the painting depends on, told from the operators alone.

Each value of the graph that stems from the picture is a plane of samples. Along each side, sample i has its center at
``first + i · step`` pixels of the picture and depends on nothing farther from there than ``radius``. A convolution over
k samples adds (k − 1) / 2 samples to the radius, a stride multiplies the step (Araujo et al. 2019, "Computing Receptive
Fields of Convolutional Neural Networks", section 3). Arithmetic on sizes is carried out, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from onnx import ModelProto, NodeProto, numpy_helper

from ..graph import modernized
from .operators import NotLocalError, Plane, Samples, Value, follow

_TAKE_SIZES = frozenset({"Pad", "Resize", "Shape", "Slice"})
"""Operators that may take numbers made of the picture's size: what comes of them is seen in where samples lie."""


@dataclass(frozen=True)
class Sight:
    """What a painting's pixels depend on."""

    reach: int
    """No pixel depends on the picture farther away than this many pixels, in rows or in columns."""
    grid: int
    """A picture that begins this many pixels later, or a multiple of it, is painted by the same arithmetic."""
    borders: tuple[object, ...]
    """Where every value of the graph begins and ends, seen from the picture's borders: two sizes for which this is the
    same are painted alike at their borders."""


Rule = Callable[[NodeProto, list[Value], bool], Value]
"""What a node makes of its inputs, at least one of which is a plane; told whether one is made of the picture's size."""


def trace(model: ModelProto, height: int, width: int, rule: Rule) -> dict[str, Value]:
    """Every value of a graph, by name.

    Args:
        model: a style's graph, float pictures ``image`` N×3×H×W at the input.
        height, width: of the picture, in pixels.
        rule: for the nodes that take planes. The others are carried out where all of their inputs are known.

    Raises:
        NotLocalError: the rule's, and where a branch or a loop depends on known values.
        StyleError: the model is of an old operator set and can't be brought to a newer one.
    """
    from onnx.reference import ReferenceEvaluator

    model = modernized(model)
    values: dict[str, Value] = {"": None}
    values |= {value.name: None for value in model.graph.input}
    values |= {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values["image"] = Plane(3, Samples(height), Samples(width))
    sized: set[str] = set()
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in model.graph.node:
        given = [values.get(name) for name in node.input]
        of_size = not sized.isdisjoint(node.input)
        if any(isinstance(value, Plane) for value in given):
            values[node.output[0]] = rule(node, given, of_size)
            # A plane holds sizes in where its samples lie; what Shape says of it holds them in its values.
            of_size = node.op_type == "Shape"
        elif all(value is not None for name, value in zip(node.input, given, strict=True) if name):
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise NotLocalError(f"its {node.op_type} can't be followed")
            feeds = {name: value for name, value in zip(node.input, given, strict=True) if name}
            try:
                results = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)
            except Exception as error:  # the reference implementation raises bare types of its own
                raise NotLocalError(f"its {node.op_type} can't be followed") from error
            values |= dict(zip(node.output, results, strict=True))
        else:
            values |= dict.fromkeys(node.output)
        if of_size:
            sized.update(node.output)
    return values


def sight(model: ModelProto, height: int, width: int) -> Sight:
    """What the painting of a picture of this size depends on.

    Args:
        model: a style's graph, float pictures ``image`` N×3×H×W at the input, the painting as the first output.
        height, width: of the picture, in pixels, a multiple of what the graph asks for.

    Raises:
        NotLocalError: an operator looks at the whole picture, or isn't known to look at a neighborhood only.
        StyleError: the model is of an old operator set and can't be brought to a newer one.
    """
    walls = [Fraction(0), Fraction(0)]

    def rule(node: NodeProto, given: list[Value], of_size: bool) -> Value:
        if of_size and node.op_type not in _TAKE_SIZES:
            raise NotLocalError(f"its {node.op_type} depends on the picture's size")
        made, mirrored = follow(node, given)
        source = given[0]
        if mirrored and isinstance(source, Plane):
            for axis, (samples, side) in enumerate(zip(source.sides, (height, width), strict=True)):
                walls[axis] = max(walls[axis], samples.first, samples.after(side))
        return made

    values = trace(model, height, width, rule)
    painting = values.get(model.graph.output[0].name)
    if not isinstance(painting, Plane) or any(
        (samples.count, samples.step) != (side, Fraction(1))
        for samples, side in zip(painting.sides, (height, width), strict=True)
    ):
        raise NotLocalError("its painting isn't of the picture's size")
    planes = {name: value for name, value in values.items() if isinstance(value, Plane)}
    steps = [samples.step for plane in planes.values() for samples in plane.sides]
    return Sight(
        reach=max(_reach(samples, wall) for samples, wall in zip(painting.sides, walls, strict=True)),
        grid=math.lcm(*(step.numerator for step in steps)),
        borders=tuple(
            (name, samples.step, samples.first, samples.radius, samples.after(side))
            for name, plane in planes.items()
            for samples, side in zip(plane.sides, (height, width), strict=True)
        ),
    )


def _reach(painting: Samples, wall: Fraction) -> int:
    """The radius, and the detour of what is mirrored at a wall inside of the picture.

    No fold moves a sample away from the innermost wall, so folds take it at most twice the wall's depth farther,
    however many there are.
    """
    offset = abs(painting.first)
    inside = 2 * (wall + offset) if wall > 0 else Fraction(0)
    return math.ceil(painting.radius + offset + inside)
