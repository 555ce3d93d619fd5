"""Styles whose weights were trained for being rounded: nearer to their parents in int8."""

# ruff: noqa: E402
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import numpy_helper

torch = pytest.importorskip("torch")

from test_quantize import CARD, small_net, smooth_picture

from allaprima.cli import run
from allaprima.errors import MissingExtraError, TrainingError
from allaprima.shrink.quantize import Quantized, quantize_style
from allaprima.style import Style, write_style
from allaprima.train.export import network_from_style
from allaprima.train.methods.realtime import RealtimeMethod
from allaprima.train.onnx_graph import build_graph
from allaprima.train.recipes.realtime import RealtimeRecipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def content(tmp_path: Path) -> str:
    folder = tmp_path / "content"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), smooth_picture(number))
    return str(folder)


@pytest.fixture
def style(tmp_path: Path) -> Style:
    """A realtime style of random weights, some of them so large that the others are lost in rounding."""
    torch.manual_seed(0)
    recipe = RealtimeRecipe(channels=8, blocks=1, style_image="wave.jpg", content=("photos",))
    network = RealtimeMethod.network(recipe)
    with torch.no_grad():
        network.get_submodule("head").weight[:, ::7] *= 8
        network.get_submodule("tail").weight *= 6
    card = replace(CARD, recipe={**recipe.to_dict(), "steps_done": 3, "versions": {}})
    return write_style(tmp_path / "wave.onnx", build_graph(network), card)


def mean_of(made: Quantized) -> float:
    return float(made.differences["onnxruntime int8 on cpu"]["mean"])  # type: ignore[index]


def test_fine_tuned_weights_paint_nearer_to_the_float_style(style: Style, content: str, tmp_path: Path) -> None:
    """On frames that weren't trained on; the parent is the float style, which stays as it is."""
    before = style.path.read_bytes()
    plain = quantize_style(style, [content], short_side=40)
    tuned = quantize_style(style, [content], short_side=40, fine_tune=300, overwrite=True)
    assert mean_of(tuned) < 0.9 * mean_of(plain)
    assert style.path.read_bytes() == before
    assert tuned.style.card.parent_sha256 == style.card.weights_sha256
    assert style.quantized() is not None
    assert tuned.style.card.recipe["quantization"]["fine_tuned_steps"] == 300


def test_the_network_comes_back_from_the_style(style: Style) -> None:
    """Layers and weights by the recipe on the card, whatever else stands there."""
    network = network_from_style(style)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in style.model.graph.initializer}
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), weights[name])


def test_a_network_of_others_is_refused(content: str, tmp_path: Path) -> None:
    """There is nothing to rebuild it by: one line, and nothing is written."""
    foreign = write_style(tmp_path / "net.onnx", small_net(), CARD)
    with pytest.raises(TrainingError, match="no network that is trained here"):
        quantize_style(foreign, [content], short_side=40, fine_tune=1)
    assert not (tmp_path / "net.int8.onnx").exists()


def test_without_torch_the_extra_is_named(
    style: Style, content: str, uninstall: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 7, and the line that installs it."""
    uninstall("torch")
    command = ["shrink", "quantize", str(style.path), "--content", content, "--size", "40", "--fine-tune", "5"]
    assert run(command) == MissingExtraError.exit_code
    assert "[train]" in capsys.readouterr().err
