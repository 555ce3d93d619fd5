"""Pieces of graphs: padding by reflection to a stride, and cropping back."""

from __future__ import annotations

import nets
import numpy as np
import pytest
from onnx import checker
from onnx.reference import ReferenceEvaluator

from allaprima.graph import crop_like, pad_to_stride


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
