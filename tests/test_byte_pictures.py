"""8-bit pictures at both ends of a graph: the same numbers, and bytes for as long as pixels are only moved."""

from __future__ import annotations

import nets
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, version_converter
from onnx.reference import ReferenceEvaluator

from allaprima.byte_pictures import with_byte_pictures
from allaprima.errors import StyleError
from allaprima.graph import crop_like, pad_to_stride


@pytest.mark.parametrize("quantizer", [False, True])
@pytest.mark.parametrize("white", [1, 255])
def test_byte_ends(white: int, quantizer: bool) -> None:
    """Bytes in rows go in and come out; values outside the range are clipped, not wrapped."""
    brighter = nets.graph([nets.node("Add", ["image", "more"], ["stylized"])], [nets.weight("more", 0.6 * white)])
    model = with_byte_pictures(brighter, value_range=white, stride=1, quantizer=quantizer)
    checker.check_model(model, full_check=True)
    pixels = nets.photograph()[np.newaxis]
    (painting,) = ReferenceEvaluator(model).run(None, {"image": pixels})
    assert painting.dtype == np.uint8
    assert np.array_equal(painting, np.minimum(pixels.astype(int) + 153, 255))


@pytest.mark.parametrize("quantizer", [False, True])
def test_byte_ends_round_to_nearest(quantizer: bool) -> None:
    """Cutting the fraction off would darken every painting by half a step."""
    half = nets.graph([nets.node("Mul", ["image", "share"], ["stylized"])], [nets.weight("share", 0.25)])
    model = with_byte_pictures(half, value_range=255, stride=1, quantizer=quantizer)
    pixels = np.full((1, 16, 16, 3), 7, np.uint8)
    assert set(ReferenceEvaluator(model).run(None, {"image": pixels})[0].ravel()) == {2}


def test_the_given_model_is_left_alone() -> None:
    """A style stays what it is when an engine loads it."""
    model = nets.in_blocks(4)
    before = model.SerializeToString()
    with_byte_pictures(model, value_range=1, stride=4)
    assert model.SerializeToString() == before


def test_other_inputs_stay_as_they_are() -> None:
    """Strength and state are numbers, not pictures; a previous painting is a picture."""
    strength = with_byte_pictures(nets.with_strength(), value_range=1, stride=1)
    previous = with_byte_pictures(nets.with_previous(), value_range=1, stride=1)
    state = with_byte_pictures(nets.with_state(), value_range=1, stride=1)

    def kinds(model: object) -> list[int]:
        return [value.type.tensor_type.elem_type for value in model.graph.input]  # type: ignore[attr-defined]

    assert kinds(strength) == kinds(state) == [TensorProto.UINT8, TensorProto.FLOAT]
    assert kinds(previous) == [TensorProto.UINT8, TensorProto.UINT8]


def test_an_operator_set_beyond_rescue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be brought to a newer operator set is refused with the fix."""

    def convert(model: ModelProto, version: int) -> ModelProto:
        raise RuntimeError("no adapter")

    monkeypatch.setattr(version_converter, "convert_version", convert)
    with pytest.raises(StyleError, match="opset 15"):
        with_byte_pictures(nets.negative(opset=9), value_range=1, stride=1)


def _unshuffled(*, between: NodeProto | None = None, skip: bool = False) -> ModelProto:
    """Padded by a margin of 4 and to the stride of 2, less a half, unshuffled, mixed, shuffled, cropped."""
    pad, pad_weights = pad_to_stride("image", "padded", 2, margin=4)
    crop, crop_weights = crop_like("painted" if not skip else "mended", "stylized")
    mix = np.random.default_rng(1).random((12, 12, 1, 1), np.float32) / 6
    nodes = [
        *pad,
        nets.node("Sub", ["padded", "half"], ["centered"]),
        *([between] if between else []),
        nets.node("SpaceToDepth", ["centered" if between is None else "between"], ["unshuffled"], blocksize=2),
        nets.node("Conv", ["unshuffled", "mix"], ["mixed"]),
        nets.node("Add", ["mixed", "half"], ["lifted"]),
        nets.node("DepthToSpace", ["lifted"], ["painted"], blocksize=2),
        *([nets.node("Mul", ["painted", "padded"], ["mended"])] if skip else []),
        *crop,
    ]
    colors = nets.weight("colors", np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1))
    return nets.graph(nodes, [*pad_weights, *crop_weights, nets.weight("half", 0.5), nets.weight("mix", mix), colors])


def _by_floats(model: ModelProto, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = np.moveaxis(pixels, -1, 1).astype(np.float32) / 255
    (painting,) = ReferenceEvaluator(model).run(None, {"image": image})
    return np.moveaxis(np.clip(np.rint(painting * 255), 0, 255), 1, -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("net", "in_bytes"),
    [
        (_unshuffled(), {"Pad", "Concat", "Split", "Slice"}),
        (_unshuffled(between=nets.node("Mul", ["centered", "half"], ["between"])), {"Pad", "Concat", "Split"}),
        (_unshuffled(between=nets.node("Sub", ["centered", "colors"], ["between"])), {"Pad", "Split", "Slice"}),
        (_unshuffled(skip=True), {"Slice"}),
    ],
    ids=["plain", "two numbers", "a number for each color", "the padded picture is needed again"],
)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 18)])
def test_moving_bytes_paints_what_moving_floats_does(
    net: ModelProto, in_bytes: set[str], height: int, width: int
) -> None:
    """Padding, unshuffling, and cropping are done in bytes wherever that is the same, and only there."""
    model = with_byte_pictures(net, value_range=1, stride=1)
    checker.check_model(model, full_check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    (painting,) = ReferenceEvaluator(model).run(None, {"image": pixels})
    assert np.array_equal(painting, _by_floats(net, pixels))
    assert _kinds_in_bytes(model) & {"Pad", "Concat", "Split", "Slice"} >= in_bytes


def _kinds_in_bytes(model: ModelProto) -> set[str]:
    """What nodes work on the values that are bytes."""
    values, kinds = {"image"}, set()
    for node in model.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.UINT8:
            values.update(node.output)
        elif node.op_type not in ("Cast", "Shape") and values.intersection(node.input):
            values.update(node.output)
            kinds.add(node.op_type)
    return kinds


def test_a_stride_is_padded_in_bytes_too() -> None:
    """A foreign net that works in blocks gets its padding and its crop in bytes, around floats."""
    model = with_byte_pictures(nets.in_blocks(4), value_range=1, stride=4)
    checker.check_model(model, full_check=True)
    pixels = nets.photograph(22, 18)[np.newaxis]
    (painting,) = ReferenceEvaluator(model).run(None, {"image": pixels})
    assert np.array_equal(painting, 255 - pixels)
    assert _kinds_in_bytes(model) >= {"Pad", "Concat", "Slice"}
