"""The stride of a style's graph: by how many pixels a picture must move for its painting to move along."""

from __future__ import annotations

import math

from onnx import ModelProto, NodeProto

from .operators import NotLocalError, Plane, Value, follow
from .sight import trace

_SIDE = 960
"""Of the picture that is followed through the graph, in pixels: a multiple of the strides that nets have."""
_IN_PLACE = frozenset(
    {"GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization"}
    | {"MeanVarianceNormalization", "RMSNormalization", "Softmax"}
)
"""Operators that look at the whole picture and leave its samples where they lie."""


def stride_of(model: ModelProto) -> int | None:
    """The stride of a graph, told from its operators.

    It is the least distance that every value's samples lie apart a whole number of times. A value that is no plane of
    samples any more, such as a mean over the picture, has none.

    Args:
        model: a style's graph, float pictures ``image`` N×3×H×W at the input, H and W free.

    Returns:
        Pixels; None where an operator on the way to the painting isn't known.

    Raises:
        StyleError: the model is of an old operator set and can't be brought to a newer one.
    """
    try:
        values = trace(model, _SIDE, _SIDE, _rule)
    except NotLocalError:
        return None
    if not isinstance(values.get(model.graph.output[0].name), Plane):
        return None
    planes = [value for value in values.values() if isinstance(value, Plane)]
    return math.lcm(*(samples.step.numerator for plane in planes for samples in plane.sides))


def _rule(node: NodeProto, given: list[Value], of_size: bool) -> Value:
    del of_size
    if node.op_type in _IN_PLACE:
        return given[0]
    try:
        return follow(node, given)[0]
    except ValueError:  # not local, or of shapes that don't fit
        return None
