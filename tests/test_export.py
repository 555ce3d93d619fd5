"""From weights to a style file: the same painting in every engine, and the same weights back."""

# ruff: noqa: E402
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from allaprima.engine import Placement, load_engine
from allaprima.errors import TrainingError
from allaprima.style import Style, write_style
from allaprima.train.export import build_graph, export_style, weights_from_style
from allaprima.train.networks.realtime import RealtimeNet
from allaprima.train.recipe import Licenses, RealtimeRecipe
from allaprima.train.session import starting_network
from allaprima.train.trainer import TrainingResult

RECIPE = RealtimeRecipe(
    style_image="pictures/wave.jpg",
    content=("photos",),
    title="Great Wave",
    artist="Hokusai",
    year="1831",
    licenses=Licenses(style_picture="public domain", weights="CC0"),
    channels=8,
    blocks=1,
    steps=12,
    seed=4,
)


@pytest.fixture
def result() -> TrainingResult:
    torch.manual_seed(0)
    net = RealtimeNet(RECIPE.channels, RECIPE.blocks)
    with torch.no_grad():
        net.head.weight *= 4
        net.tail.weight *= 12
    return TrainingResult(net, RECIPE, step=9, steps=12, seconds=3.2)


def painted_by_torch(net: RealtimeNet, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        image = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]
        return (net(image)[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()


@pytest.mark.parametrize("engine_name", ["onnxruntime", "openvino"])
def test_every_engine_paints_what_training_saw(engine_name: str, result: TrainingResult, tmp_path: Path) -> None:
    """Each size from 16 to 21 on both sides: padding, reflection and crop are those of the PyTorch network."""
    if engine_name == "openvino":
        pytest.importorskip("openvino")
    style = export_style(result, tmp_path / "wave.onnx")
    engine = load_engine(style, Placement(engine_name, "f32"), (16, 16), threads=1)
    for height in range(16, 22):
        for width in range(16, 22):
            pixels = nets.photograph(height, width, seed=height * width)
            painting = engine.run({"image": pixels[np.newaxis]})["stylized"][0]
            expected = painted_by_torch(result.net, pixels)
            assert expected.std() > 15
            assert nets.worst(painting, expected) <= 1, (height, width)


def test_the_exported_graph_is_plain_onnx(result: TrainingResult, tmp_path: Path) -> None:
    """Opset 18, the standard operators, one float picture in and out, N, H and W free, any batch."""
    style = export_style(result, tmp_path / "wave.onnx")
    model = style.model
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)
    for value, name in ((model.graph.input, "image"), (model.graph.output, "stylized")):
        assert [entry.name for entry in value] == [name]
        assert [d.dim_param or d.dim_value for d in value[0].type.tensor_type.shape.dim] == ["N", 3, "H", "W"]
    engine = load_engine(style, Placement("onnxruntime", "f32"), (17, 19), threads=1)
    pixels = np.stack([nets.photograph(17, 19, seed) for seed in range(3)])
    for picture, painting in zip(pixels, engine.run({"image": pixels})["stylized"], strict=True):
        assert nets.worst(painting, painted_by_torch(result.net, picture)) <= 1


def test_the_card_tells_how_it_was_made(result: TrainingResult, tmp_path: Path) -> None:
    """Title, artist, licenses, and the whole recipe with seed, steps and versions, as JSON."""
    card = export_style(result, tmp_path / "wave.onnx").card
    assert (card.title, card.artist, card.year) == ("Great Wave", "Hokusai", "1831")
    assert (card.network, card.stride, card.value_range, card.pads) == ("realtime", 4, 1, True)
    assert set(card.licenses) == {"style_picture", "content", "loss_network", "weights"}
    assert card.licenses["style_picture"] == "public domain"
    assert card.recipe["seed"] == 4
    assert (card.recipe["steps"], card.recipe["steps_done"], card.recipe["seconds"]) == (12, 9, 3)
    assert card.recipe["versions"]["torch"] == torch.__version__
    assert set(RECIPE.to_dict()) - {"title", "artist", "year", "licenses"} <= set(card.recipe)
    assert card.parameters >= sum(parameter.numel() for parameter in result.net.parameters())
    json.dumps(card.to_dict())


def test_a_style_without_title_is_named_after_its_picture(result: TrainingResult, tmp_path: Path) -> None:
    """No empty line in the list of styles."""
    untitled = replace(result, recipe=replace(RECIPE, title=""))
    assert export_style(untitled, tmp_path / "x.onnx").card.title == "wave"


def test_weights_come_back_from_a_style(result: TrainingResult, tmp_path: Path) -> None:
    """Training starts from a style file with exactly its weights."""
    export_style(result, tmp_path / "wave.onnx")
    net = starting_network(replace(RECIPE, init="wave.onnx"), tmp_path)
    for name, value in result.net.state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name


@pytest.mark.parametrize("size", [{"channels": 12}, {"blocks": 2}])
def test_starting_from_another_size_is_an_error(result: TrainingResult, tmp_path: Path, size: dict[str, int]) -> None:
    """The message names the file and what was expected."""
    export_style(result, tmp_path / "wave.onnx")
    with pytest.raises(TrainingError, match="another size"):
        starting_network(replace(RECIPE, init="wave.onnx", **size), tmp_path)


def test_starting_from_another_network_is_an_error(tmp_path: Path) -> None:
    """A style of another kind, or a quantized one, holds no weights to start from."""
    nets.style_of(tmp_path, nets.negative(), network="other")
    with pytest.raises(TrainingError, match="realtime"):
        weights_from_style(str(tmp_path / "net.onnx"))
    nets.style_of(tmp_path, nets.negative(), network="realtime", parent_sha256="0" * 64)
    with pytest.raises(TrainingError, match="realtime"):
        weights_from_style(str(tmp_path / "net.onnx"))


def test_a_built_graph_is_a_style(result: TrainingResult, tmp_path: Path) -> None:
    """What is built passes the same checks as what comes from outside."""
    card = export_style(result, tmp_path / "a.onnx").card
    again = write_style(tmp_path / "b.onnx", build_graph(result.net), card)
    assert again.card == Style.open(tmp_path / "a.onnx").card
