"""Multiply-adds and bytes by layer, against graphs small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest
from onnx import ModelProto

from allaprima.errors import EngineError
from allaprima.measure.speed.layers import Layer, multiply_adds, profile_model, profile_style

HEIGHT, WIDTH = 12, 10


def two_convolutions() -> ModelProto:
    """3 to 16 channels 3×3 with bias and ReLU, then 16 to 3 channels 5×5 without."""
    random = np.random.default_rng(0)
    return nets.graph(
        [
            nets.node("Conv", ["image", "w1", "b1"], ["inner"], name="first", kernel_shape=[3, 3], pads=[1] * 4),
            nets.node("Relu", ["inner"], ["active"]),
            nets.node("Conv", ["active", "w2"], ["stylized"], name="last", kernel_shape=[5, 5], pads=[2] * 4),
        ],
        [
            nets.weight("w1", random.normal(size=(16, 3, 3, 3))),
            nets.weight("b1", random.normal(size=16)),
            nets.weight("w2", random.normal(size=(3, 16, 5, 5))),
        ],
    )


def image(height: int = HEIGHT, width: int = WIDTH) -> dict[str, np.ndarray]:
    """A float picture for the graph as it is written."""
    return {"image": np.random.default_rng(1).random((1, 3, height, width), np.float32)}


@pytest.mark.parametrize(
    ("op", "inputs", "output", "expected"),
    [
        ("Conv", [(1, 8, 10, 10), (16, 8, 3, 3), (16,)], (1, 16, 5, 5), 16 * 25 * 8 * 9),
        ("Conv", [(1, 8, 10, 10), (8, 1, 3, 3)], (1, 8, 10, 10), 8 * 100 * 9),
        ("ConvTranspose", [(1, 8, 5, 5), (8, 16, 4, 4)], (1, 16, 10, 10), 8 * 25 * 16 * 16),
        ("QLinearConv", [(1, 8, 6, 6), (), (), (4, 8, 1, 1), (), (), (), ()], (1, 4, 6, 6), 4 * 36 * 8),
        ("MatMul", [(2, 5, 7), (7, 3)], (2, 5, 3), 2 * 5 * 7 * 3),
        ("Gemm", [(5, 7), (7, 3), (3,)], (5, 3), 5 * 7 * 3),
        ("Gemm", [(7, 5), (7, 3)], (5, 3), 5 * 7 * 3),
        ("Relu", [(1, 8, 10, 10)], (1, 8, 10, 10), 0),
    ],
)
def test_multiply_adds(op: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], expected: int) -> None:
    """Protects the formulas: strides, groups, transposed convolutions, transposed factors."""
    assert multiply_adds(op, inputs, output) == expected


def test_work_is_counted_as_written_whatever_the_optimizer_does() -> None:
    """Protects GMAC from padded channels and fused nodes: both convolutions bear their names and their own work."""
    profile = profile_model(two_convolutions(), image(), threads=1, runs=3)
    heavy = [layer for layer in profile.layers if layer.macs]
    assert profile.optimized
    assert [(layer.name, layer.op, layer.output) for layer in heavy] == [
        ("first", "Conv", (1, 16, HEIGHT, WIDTH)),
        ("last", "Conv", (1, 3, HEIGHT, WIDTH)),
    ]
    pixels = HEIGHT * WIDTH
    assert [layer.macs for layer in heavy] == [pixels * 16 * 3 * 9, pixels * 3 * 16 * 25]
    assert profile.gmac == pytest.approx(pixels * (16 * 3 * 9 + 3 * 16 * 25) / 1e9)
    assert all(layer.ms > 0 for layer in heavy)


def test_bytes_of_a_fused_convolution() -> None:
    """Protects MiB: picture, weights, bias and result are moved once, and the fused ReLU moves nothing."""
    first = profile_model(two_convolutions(), image(), threads=1, runs=1).layers[0]
    pixels = HEIGHT * WIDTH
    assert first.name == "first"
    assert first.floats == 3 * pixels + 16 * 3 * 9 + 16 + 16 * pixels
    assert first.other_bytes == 0


def test_floats_have_the_width_of_the_precision() -> None:
    """Protects the roofline of bf16 and int8, whose floats are narrower; 8-bit ends stay what they are."""
    layer = Layer("cast", "Cast", (1,), 0, floats=2**20, other_bytes=2**19, ms=1.0)
    assert [layer.mib(name) for name in ("f32", "bf16", "int8")] == [4.5, 2.5, 1.5]
    assert layer.to_dict() == {"name": "cast", "op": "Cast", "output": [1], "gmac": 0.0, "mib": 4.5, "ms": 1.0}


def test_a_style_is_profiled_with_its_ends(tmp_path: Path) -> None:
    """Protects the sum: conversions from and to 8 bits are layers like others, arithmetic on shapes is none."""
    profile = profile_style(nets.style_of(tmp_path, two_convolutions()), (64, 48), threads=1, runs=1)
    operators = [layer.op for layer in profile.layers]
    assert {name: operators.count(name) for name in ("Cast", "Conv", "QuantizeLinear")} == {
        "Cast": 1,
        "Conv": 2,
        "QuantizeLinear": 1,
    }
    assert "Shape" not in operators
    assert profile.gmac == pytest.approx(64 * 48 * (16 * 27 + 48 * 25) / 1e9)


def test_a_graph_that_cannot_run_is_one_line() -> None:
    """Protects the batch: a wrong picture is an error of ours, not a bare one of the runtime."""
    wrong = {"image": np.zeros((1, 5, 8, 8), np.float32)}
    with pytest.raises(EngineError, match="can't profile") as caught:
        profile_model(two_convolutions(), wrong, threads=1, runs=1)
    assert "\n" not in str(caught.value)
