"""Pieces of graphs: padding by reflection to a stride, cropping back, 8-bit pictures at both ends."""

from __future__ import annotations

import nets
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, version_converter
from onnx.reference import ReferenceEvaluator

from allaprima.errors import StyleError
from allaprima.graph import crop_like, pad_to_stride, with_byte_pictures


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 18), (19, 16), (21, 23)])
def test_padding_reflects_right_and_below(height: int, width: int) -> None:
    """The border pixel is not repeated, the padding stands right and below, and cropping undoes it."""
    pad, pad_weights = pad_to_stride("image", "padded", 4)
    crop, crop_weights = crop_like("padded", "stylized")
    shape = ["N", 3, "P", "Q"]
    model = nets.graph([*pad, *crop], [*pad_weights, *crop_weights], outputs={"padded": shape, "stylized": nets.FREE})
    checker.check_model(model, full_check=True)
    image = np.random.default_rng(0).random((2, 3, height, width), np.float32)
    padded, back = ReferenceEvaluator(model).run(None, {"image": image})
    expected = np.pad(image, ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4)), mode="reflect")
    assert np.array_equal(padded, expected)
    assert np.array_equal(back, image)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 18)])
def test_a_margin_stands_on_every_side(height: int, width: int) -> None:
    """With a margin, the picture lies inside of its own reflection, and cropping finds it again."""
    pad, pad_weights = pad_to_stride("image", "padded", 4, margin=8, prefix="p_")
    crop, crop_weights = crop_like("padded", "stylized", "p_")
    outputs = {"padded": ["N", 3, "P", "Q"], "stylized": nets.FREE}
    model = nets.graph([*pad, *crop], [*pad_weights, *crop_weights], outputs=outputs)
    image = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    padded, back = ReferenceEvaluator(model).run(None, {"image": image})
    below, right = 8 + -height % 4, 8 + -width % 4
    assert np.array_equal(padded, np.pad(image, ((0, 0), (0, 0), (8, below), (8, right)), mode="reflect"))
    assert np.array_equal(back, image)


@pytest.mark.parametrize("white", [1, 255])
def test_byte_ends(white: int) -> None:
    """Bytes in rows go in and come out; values outside the range are clipped, not wrapped."""
    brighter = nets.graph([nets.node("Add", ["image", "more"], ["stylized"])], [nets.weight("more", 0.6 * white)])
    model = with_byte_pictures(brighter, value_range=white, stride=1)
    checker.check_model(model, full_check=True)
    pixels = nets.photograph()[np.newaxis]
    (painting,) = ReferenceEvaluator(model).run(None, {"image": pixels})
    assert painting.dtype == np.uint8
    assert np.array_equal(painting, np.minimum(pixels.astype(int) + 153, 255))


def test_byte_ends_round_to_nearest() -> None:
    """Cutting the fraction off would darken every painting by half a step."""
    half = nets.graph([nets.node("Mul", ["image", "share"], ["stylized"])], [nets.weight("share", 0.25)])
    model = with_byte_pictures(half, value_range=255, stride=1)
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
