"""What each operator of a graph does to the samples of a picture: where they lie, and how far they see.

An operator that isn't here may look at the whole picture, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper


class NotLocalError(ValueError):
    """A painting whose pixels may depend on the whole picture; the message is why, as a part of a sentence."""


@dataclass(frozen=True)
class Samples:
    """The samples of a plane along one side of the picture, in pixels."""

    count: int
    step: Fraction = Fraction(1)
    first: Fraction = Fraction(0)
    radius: Fraction = Fraction(0)

    def after(self, side: int) -> Fraction:
        """From the last sample's center to the picture's last pixel."""
        return side - 1 - self.first - (self.count - 1) * self.step


@dataclass(frozen=True)
class Plane:
    """A value of the graph, 1×C×rows×columns, that stems from the picture."""

    channels: int
    rows: Samples
    columns: Samples

    @property
    def sides(self) -> tuple[Samples, Samples]:
        return self.rows, self.columns


Known = NDArray[Any]
Value = Plane | Known | None
"""A plane, an array that is known now, or something unknown that doesn't stem from the picture."""


class _Node:
    """A node's attributes and inputs."""

    def __init__(self, node: NodeProto, given: list[Value]) -> None:
        self.operator, self.given = node.op_type, given
        self._attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}

    def attribute(self, name: str, otherwise: Any = None) -> Any:
        return self._attributes.get(name, otherwise)

    def plane(self) -> Plane:
        if not isinstance(self.given[0], Plane):
            raise self.refusal()
        return self.given[0]

    def planes(self) -> list[Plane]:
        return [value for value in self.given if isinstance(value, Plane)]

    def known(self, index: int) -> Known | None:
        value = self.given[index] if index < len(self.given) else None
        if isinstance(value, Plane):
            raise self.refusal()
        return value

    def numbers(self, index: int, name: str = "") -> list[int] | None:
        """Whole numbers, from an input or from the attribute that holds them in older operator sets."""
        value = self.known(index)
        found = self.attribute(name) if value is None else np.ravel(value)
        return None if found is None else [int(number) for number in found]

    def refusal(self) -> NotLocalError:
        return NotLocalError(f"its {self.operator} may look at the whole picture")


def follow(node: NodeProto, given: list[Value]) -> tuple[Value, bool]:
    """What a node makes of its inputs, at least one of which is a plane, and whether it mirrors it at its borders.

    Raises:
        NotLocalError: the operator looks at the whole picture, or isn't known to look at a neighborhood only.
    """
    rule = _RULES.get(node.op_type)
    # What a second output holds (a pooling's indices, new statistics) isn't followed.
    known = _Node(node, given)
    if rule is None or any(node.output[1:]):
        raise known.refusal()
    return rule(known), node.op_type == "Pad" and known.attribute("mode", b"constant") != b"constant"


def _joined(node: _Node, planes: list[Plane], channels: int) -> Plane:
    """Planes laid over each other, or side by side as channels."""
    sides = []
    for samples in zip(*(plane.sides for plane in planes), strict=True):
        if len({(each.count, each.step) for each in samples}) > 1:
            raise node.refusal()
        radius = max(each.radius + abs(each.first - samples[0].first) for each in samples)
        sides.append(replace(samples[0], radius=radius))
    return Plane(channels, *sides)


def _pointwise(node: _Node) -> Plane:
    for value in node.given:
        if isinstance(value, np.ndarray) and math.prod(value.shape[-2:]) > 1:
            raise NotLocalError(f"its {node.operator} has a number for every place")
    planes = node.planes()
    return _joined(node, planes, max(plane.channels for plane in planes))


def _by_channel(node: _Node) -> Plane:
    if node.attribute("training_mode", 0):
        raise node.refusal()
    return node.plane()


def _concat(node: _Node) -> Plane:
    planes = node.planes()
    if node.attribute("axis") not in (1, -3) or len(planes) < len(node.given):
        raise node.refusal()
    return _joined(node, planes, sum(plane.channels for plane in planes))


def _over_channels(node: _Node) -> Plane:
    if node.numbers(1, "axes") not in ([1], [-3]) or not node.attribute("keepdims", 1):
        raise node.refusal()
    return replace(node.plane(), channels=1)


def _windows(node: _Node, kernel: Iterable[int]) -> list[tuple[Samples, int, int, int, int, int]]:
    """For rows and columns: samples, kernel, stride, dilation, and padding before and after."""
    strides, dilations = node.attribute("strides", [1, 1]), node.attribute("dilations", [1, 1])
    pads, way = node.attribute("pads", [0, 0, 0, 0]), node.attribute("auto_pad", b"NOTSET")
    if node.attribute("ceil_mode", 0) or node.attribute("output_shape") or len(strides) != 2:
        raise node.refusal()
    found = []
    for axis, (samples, size) in enumerate(zip(node.plane().sides, kernel, strict=True)):
        stride, dilation, begin, end = strides[axis], dilations[axis], pads[axis], pads[axis + 2]
        if way in (b"SAME_UPPER", b"SAME_LOWER"):
            missing = (-(-samples.count // stride) - 1) * stride + (size - 1) * dilation + 1 - samples.count
            begin, end = max(0, missing) // 2, max(0, missing) - max(0, missing) // 2
            if way == b"SAME_LOWER":
                begin, end = end, begin
        found.append((samples, size, stride, dilation, begin, end))
    return found


def _gathered(node: _Node, kernel: Iterable[int], channels: int) -> Plane:
    sides = []
    for samples, size, stride, dilation, begin, end in _windows(node, kernel):
        extent = (size - 1) * dilation
        count = (samples.count + begin + end - extent - 1) // stride + 1
        half = Fraction(extent, 2)
        first = samples.first + (half - begin) * samples.step
        sides.append(Samples(count, samples.step * stride, first, samples.radius + half * samples.step))
    return Plane(channels, *sides)


def _convolution(node: _Node) -> Plane:
    weights = node.known(3 if node.operator == "QLinearConv" else 1)
    if weights is None or weights.ndim != 4:
        raise node.refusal()
    return _gathered(node, weights.shape[2:], weights.shape[0])


def _pooling(node: _Node) -> Plane:
    return _gathered(node, node.attribute("kernel_shape"), node.plane().channels)


def _transposed_convolution(node: _Node) -> Plane:
    weights = node.known(1)
    if weights is None or weights.ndim != 4 or node.attribute("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise node.refusal()
    extra, sides = node.attribute("output_padding", [0, 0]), []
    for axis, (samples, size, stride, dilation, begin, end) in enumerate(_windows(node, weights.shape[2:])):
        extent, step = (size - 1) * dilation, samples.step / stride
        count = (samples.count - 1) * stride + extent + 1 - begin - end + extra[axis]
        half = Fraction(extent, 2)
        sides.append(Samples(count, step, samples.first + (begin - half) * step, samples.radius + half * step))
    return Plane(weights.shape[1] * node.attribute("group", 1), *sides)


def _space_to_depth(node: _Node) -> Plane:
    block, sides = node.attribute("blocksize"), []
    for samples in node.plane().sides:
        half = Fraction(block - 1, 2) * samples.step
        step, first = samples.step * block, samples.first + half
        sides.append(Samples(samples.count // block, step, first, samples.radius + half))
    return Plane(node.plane().channels * block**2, *sides)


def _depth_to_space(node: _Node) -> Plane:
    block, sides = node.attribute("blocksize"), []
    for samples in node.plane().sides:
        step = samples.step / block
        half = Fraction(block - 1, 2) * step
        sides.append(Samples(samples.count * block, step, samples.first - half, samples.radius + half))
    return Plane(node.plane().channels // block**2, *sides)


def _resize(node: _Node) -> Plane:
    plane, way = node.plane(), node.attribute("coordinate_transformation_mode", b"half_pixel")
    known = way in (b"half_pixel", b"pytorch_half_pixel", b"asymmetric")
    sizes, scales = node.numbers(3), node.known(2)
    if sizes:
        factors = [Fraction(size, each.count) for size, each in zip(sizes[2:], plane.sides, strict=True)]
    elif scales is not None and scales.size == 4:
        factors = [Fraction(float(scale)).limit_denominator(64) for scale in scales[2:]]
    else:
        raise node.refusal()
    if not known or node.attribute("antialias") or node.attribute("axes"):
        raise node.refusal()
    # Between one and two samples of a linear mixture, and between two and three of a cubic one, count on either side.
    taps, sides = 2 if node.attribute("mode") == b"cubic" else 1, []
    for samples, factor in zip(plane.sides, factors, strict=True):
        if 1 not in (factor.numerator, factor.denominator):
            raise node.refusal()
        shift = Fraction(0) if way == b"asymmetric" else (1 / factor - 1) / 2
        first = samples.first + shift * samples.step
        radius = samples.radius + (taps * samples.step if factor != 1 else 0)
        sides.append(Samples(int(samples.count * factor), samples.step / factor, first, radius))
    return replace(plane, rows=sides[0], columns=sides[1])


def _per_axis(numbers: list[int], axes: list[int] | None) -> dict[int, int]:
    return {axis % 4: number for axis, number in zip(range(4) if axes is None else axes, numbers, strict=False)}


def _pad(node: _Node) -> Plane:
    plane, amounts, axes = node.plane(), node.numbers(1, "pads"), node.numbers(3)
    if amounts is None or node.attribute("mode", b"constant") == b"wrap":
        raise node.refusal()
    half = len(amounts) // 2
    begins, ends = _per_axis(amounts[:half], axes), _per_axis(amounts[half:], axes)
    if begins.get(0) or ends.get(0):
        raise node.refusal()
    sides = []
    for axis, samples in enumerate(plane.sides, 2):
        begin, end = begins.get(axis, 0), ends.get(axis, 0)
        sides.append(replace(samples, count=samples.count + begin + end, first=samples.first - begin * samples.step))
    return Plane(plane.channels + begins.get(1, 0) + ends.get(1, 0), *sides)


def _slice(node: _Node) -> Plane:
    plane, axes, steps = node.plane(), node.numbers(3, "axes"), node.numbers(4)
    starts, stops = node.numbers(1, "starts"), node.numbers(2, "ends")
    if starts is None or stops is None or (steps is not None and set(steps) != {1}):
        raise node.refusal()
    begins, ends = _per_axis(starts, axes), _per_axis(stops, axes)
    if 0 in begins:
        raise node.refusal()
    counts = {1: plane.channels, 2: plane.rows.count, 3: plane.columns.count}
    spans = {axis: range(*slice(begins.get(axis), ends.get(axis)).indices(count)) for axis, count in counts.items()}
    rows, columns = (
        replace(samples, count=len(spans[axis]), first=samples.first + spans[axis].start * samples.step)
        for axis, samples in enumerate(plane.sides, 2)
    )
    return Plane(len(spans[1]), rows, columns)


def _shape(node: _Node) -> Known:
    plane = node.plane()
    whole = [1, plane.channels, plane.rows.count, plane.columns.count]
    return np.array(whole[node.attribute("start", 0) : node.attribute("end")], np.int64)


_POINTWISE = (
    {"Abs", "Add", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu"}
    | {"HardSigmoid", "HardSwish", "Identity", "LRN", "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg"}
    | {"PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt"}
    | {"Sub", "Sum", "Tanh", "ThresholdedRelu", "Where"}
)
_REDUCTIONS = {f"Reduce{kind}" for kind in ("L1", "L2", "Max", "Mean", "Min", "Sum", "SumSquare")}

_RULES: dict[str, Callable[[_Node], Value]] = {
    **dict.fromkeys(_POINTWISE, _pointwise),
    **dict.fromkeys(_REDUCTIONS, _over_channels),
    **dict.fromkeys(("BatchNormalization", "QuantizeLinear", "DequantizeLinear"), _by_channel),
    **dict.fromkeys(("Conv", "QLinearConv"), _convolution),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pooling),
    "Concat": _concat,
    "ConvTranspose": _transposed_convolution,
    "DepthToSpace": _depth_to_space,
    "Pad": _pad,
    "Resize": _resize,
    "Shape": _shape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
}
