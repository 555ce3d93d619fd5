"""From weights to a style file: the same painting in every engine, and the same weights back."""

# ruff: noqa: E402
from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn

from allaprima.engine import Placement, load_engine, silent_inputs
from allaprima.errors import EngineError, TrainingError
from allaprima.measure.quality.differences import painted_fully
from allaprima.painter import Painter, State
from allaprima.scenes import paint_scene
from allaprima.scenes.stage import shoot
from allaprima.source import open_source
from allaprima.style import Style, write_style
from allaprima.train.export import export_style, weights_from_style
from allaprima.train.methods.realtime import RealtimeMethod
from allaprima.train.network import StyleNetwork
from allaprima.train.networks.johnson import johnson_network
from allaprima.train.networks.normalization import SynchronizedBatchNorm
from allaprima.train.networks.realtime import MARGIN, STRIDE, realtime_network
from allaprima.train.networks.reconet import reconet_network
from allaprima.train.onnx_graph import build_graph
from allaprima.train.recipe import Licenses, Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe
from allaprima.train.trainer import TrainingResult

SETTINGS = {
    "style_image": "pictures/wave.jpg",
    "content": ("photos",),
    "title": "Great Wave",
    "artist": "Hokusai",
    "year": "1831",
    "licenses": Licenses(style_picture="public domain", weights="CC0"),
    "blocks": 1,
    "steps": 12,
    "seed": 4,
}
RECIPES: dict[str, Recipe] = {
    "realtime": RealtimeRecipe(**SETTINGS, channels=8),
    "realtime-plain": RealtimeRecipe(**SETTINGS, channels=8, strength_share=0.0),
    "realtime-recurrent": RealtimeRecipe(**SETTINGS, channels=8, recurrent=True),
    **{
        f"johnson-{name}": JohnsonRecipe(**SETTINGS, width=4, normalization=name)
        for name in ("instance", "batch", "frn")
    },
    **{f"reconet-{name}": ReconetRecipe(**SETTINGS, width=4, normalization=name) for name in ("instance", "frn")},
}
each_network = pytest.mark.parametrize("kind", RECIPES)
each_engine = pytest.mark.parametrize("engine_name", ["onnxruntime", "openvino"])
pytestmark = pytest.mark.usefixtures("one_thread")


def fresh(recipe: Recipe) -> StyleNetwork:
    if isinstance(recipe, RealtimeRecipe):
        return RealtimeMethod.network(recipe)
    make = johnson_network if isinstance(recipe, JohnsonRecipe) else reconet_network
    return make(recipe.width, recipe.blocks, recipe.normalization)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    """A piece of a painted scene whose sides are odd."""
    return np.ascontiguousarray(shoot(paint_scene("parallax"), 1.0).pixels[150:203, 200:247])


@pytest.fixture
def trained(frame: NDArray[np.uint8]) -> Callable[[str], TrainingResult]:
    """What a training might have made: random weights, with the contrast of a painting."""

    def make(kind: str) -> TrainingResult:
        torch.manual_seed(0)
        net = fresh(RECIPES[kind])
        with torch.no_grad():
            for name, layer in net.named_modules():
                if isinstance(layer, nn.Conv2d):
                    layer.weight += 0.05 * torch.randn_like(layer.weight) if "recall" in name else 0
                    layer.weight *= 4 if layer.in_channels == 48 else 1
                else:
                    for parameter in layer.parameters(recurse=False):
                        parameter += 0.3 * torch.randn_like(parameter)
            image = as_tensor(frame)
            painting = net(image)
            last: nn.Conv2d = net.get_submodule("tail" if kind.startswith("realtime") else "conv6")  # type: ignore[assignment]
            last.weight *= {"realtime": 12, "johnson": 0.2 / painting.std(), "reconet": 6}[kind.partition("-")[0]]
            if kind.startswith("johnson"):
                last.bias += 127 - 255 * net(image).mean()
            for layer in net.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.momentum = 1.0  # the running statistics of one batch
            net(image)
        return TrainingResult(
            net=net.eval(), recipe=RECIPES[kind], step=9, steps=12, seconds=3.2, picture=as_tensor(frame)
        )

    return make


@pytest.fixture
def result(trained: Callable[[str], TrainingResult]) -> TrainingResult:
    return trained("realtime")


def as_tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]


def painted_by_torch(net: StyleNetwork, pixels: NDArray[np.uint8], strength: float = 1.0) -> NDArray[np.uint8]:
    with torch.no_grad():
        return (
            (net(as_tensor(pixels), torch.tensor([strength]))[0].permute(1, 2, 0) * 255)
            .round()
            .clamp(0, 255)
            .byte()
            .numpy()
        )


def painted_in_float(
    engine_name: str, style: Style, image: NDArray[np.float32], strength: float = 1.0
) -> NDArray[np.float32]:
    """By the style's own graph, as other programs run it, without the 8-bit ends."""
    data = style.model.SerializeToString()
    given = {"image": image, "strength": np.array([strength], np.float32), "previous": np.zeros_like(image)}
    feeds = {name: given[name] for name in style.card.inputs}
    if engine_name == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(data, options).run(None, feeds)[0]
    from allaprima.engines.openvino_engine import core

    compiled = core().compile_model(core().read_model(data, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(feeds)[0]


@each_engine
@each_network
def test_every_engine_paints_what_training_saw(
    kind: str,
    engine_name: str,
    trained: Callable[[str], TrainingResult],
    frame: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    """A frame with odd sides, fed as bytes and as floats, comes out as the PyTorch network paints it."""
    pytest.importorskip(engine_name, reason="needs the extra 'openvino'")
    made = trained(kind)
    style = export_style(made, tmp_path / "wave.onnx")
    expected = painted_by_torch(made.net, frame)
    assert expected.std() > 15
    engine = load_engine(style, Placement(engine_name, "f32"), frame.shape[:2], threads=1)
    assert nets.worst(painted_fully(style, engine, frame), expected) <= 1
    image = as_tensor(frame)
    with torch.no_grad():
        worst = np.abs(painted_in_float(engine_name, style, image.numpy()) - made.net(image).numpy()).max()
    assert worst < 1e-3


@each_engine
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_every_engine_paints_as_strongly_as_it_is_told(
    strength: float, engine_name: str, result: TrainingResult, frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    """The graph's own input, and the painter's setting: as the PyTorch network paints it, and unlike in full."""
    pytest.importorskip(engine_name, reason="needs the extra 'openvino'")
    style = export_style(result, tmp_path / "wave.onnx")
    assert style.card.inputs == ("image", "strength")
    image = as_tensor(frame)
    with torch.no_grad():
        expected = result.net(image, torch.tensor([strength])).numpy()
    assert np.abs(painted_in_float(engine_name, style, image.numpy(), strength) - expected).max() < 1e-3
    painter = Painter(style, strength=strength, engine=engine_name, precision="f32", device="cpu", threads=1)
    painted = painter.paint(frame, {})[0]
    assert nets.worst(painted, painted_by_torch(result.net, frame, strength)) <= 1
    assert (nets.worst(painted, painted_by_torch(result.net, frame)) > 10) == (strength < 1)


@each_engine
def test_every_engine_remembers_as_the_network_does(
    engine_name: str, trained: Callable[[str], TrainingResult], tmp_path: Path
) -> None:
    """Frames of odd sizes in a row, each painted over the painting before, which is padded as the frame is; and anew
    after a reset."""
    pytest.importorskip(engine_name, reason="needs the extra 'openvino'")
    made = trained("realtime-recurrent")
    style = export_style(made, tmp_path / "wave.onnx")
    assert style.card.inputs == ("image", "strength", "previous")
    painter = Painter(style, engine=engine_name, precision="f32", device="cpu", threads=1)
    assert painter.stride == 1
    for height, width in ((18, 23), (21, 17)):
        state: State = {}
        previous = None
        for number in (0, 1, 2, 0):
            if number == 0:
                state, previous = {}, None
            pixels = nets.photograph(height, width, seed=number)
            painting, state = painter.paint(pixels, state)
            with torch.no_grad():
                expected = made.net(as_tensor(pixels), previous=previous)
            previous = as_tensor(painting)
            assert np.abs(painting / 255 - expected[0].permute(1, 2, 0).numpy()).max() < 1.5 / 255, number
            alone = painted_by_torch(made.net, pixels)
            assert (nets.worst(painting, alone) > 5) == (number > 0)


@pytest.mark.data
@each_engine
@each_network
def test_real_frames_are_painted_as_training_saw(
    kind: str, engine_name: str, trained: Callable[[str], TrainingResult], tmp_path: Path
) -> None:
    """A recorded game and a filmed street, whole: statistics over a large picture must agree as well."""
    pytest.importorskip(engine_name, reason="needs the extra 'openvino'")
    clips = Path(os.environ.get("ALLAPRIMA_DATA", ""), "clips")
    if not clips.is_dir():
        pytest.skip("ALLAPRIMA_DATA names no folder with clips")
    made = trained(kind)
    style = export_style(made, tmp_path / "wave.onnx")
    for name in ("game-openarena-island.mp4", "intel-cars.mp4"):
        with open_source(str(clips / name)) as source:
            pixels = next(source.frames()).pixels
        engine = load_engine(style, Placement(engine_name, "f32"), pixels.shape[:2], threads=1)
        painting = painted_fully(style, engine, pixels)
        assert nets.worst(painting, painted_by_torch(made.net, pixels)) <= 1, name


def test_the_card_tells_how_engines_differ(
    result: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far from the trained network, engine by engine: mean, worst, PSNR; why, where one can't run here."""
    wrong = EngineError("no such unit here")

    class OffByThree:
        def run(self, feeds: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
            pixels = feeds["image"]
            painted = painted_by_torch(result.net, pixels[0])[np.newaxis].astype(np.int16)
            painted[0, 0, 0, 0] += 3 if painted[0, 0, 0, 0] < 128 else -3
            return {"stylized": painted.astype(np.uint8)}

    def load(style: Style, placement: Placement, size: tuple[int, int]) -> OffByThree:
        if placement.precision == "bf16":
            raise wrong
        return OffByThree()

    places = [Placement("onnxruntime", "f32"), Placement("openvino", "bf16")]
    monkeypatch.setattr("allaprima.measure.quality.differences.candidates", lambda style, device: places)
    monkeypatch.setattr("allaprima.measure.quality.differences.load_engine", load)
    found = export_style(result, tmp_path / "wave.onnx").card.measurements["differences"]
    values = result.picture.numel()
    assert found == {
        "onnxruntime f32 on cpu": {
            "mean": round(3 / values, 3),
            "max": 3.0,
            "psnr": round(10 * np.log10(255**2 * values / 9), 2),
        },
        "openvino bf16 on cpu": str(wrong),
    }


@each_engine
@pytest.mark.parametrize("kind", ["realtime", "reconet-frn"])
def test_every_size_is_padded_and_cropped_alike(
    kind: str, engine_name: str, trained: Callable[[str], TrainingResult], tmp_path: Path
) -> None:
    """Each remainder to the stride, on both sides: padding, reflection and crop are those of the PyTorch network."""
    pytest.importorskip(engine_name, reason="needs the extra 'openvino'")
    made = trained(kind)
    style = export_style(made, tmp_path / "a.onnx")
    engine = load_engine(style, Placement(engine_name, "f32"), (16, 16), threads=1)
    for height, width in ((16, 17), (17, 16), (18, 19), (19, 18)):
        pixels = nets.photograph(height, width, seed=height * width)
        painting = painted_fully(style, engine, pixels)
        assert nets.worst(painting, painted_by_torch(made.net, pixels)) <= 1, (height, width)


@each_network
def test_the_exported_graph_is_plain_onnx(
    kind: str, trained: Callable[[str], TrainingResult], frame: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Opset 18, the standard operators, one float picture in and out, N, H and W free, any batch; and the strength."""
    made = trained(kind)
    style = export_style(made, tmp_path / "wave.onnx")
    model = style.model
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    free = ["N", 3, "H", "W"]
    strength = {"strength": [1]} if kind in ("realtime", "realtime-recurrent") else {}
    previous = {"previous": free} if kind == "realtime-recurrent" else {}
    assert shapes == {"image": free, **strength, **previous, "stylized": free}
    engine = load_engine(style, Placement("onnxruntime", "f32"), frame.shape[:2], threads=1)
    pixels = np.stack([frame, frame[::-1], frame[:, ::-1]])
    feeds = {**silent_inputs(style, frame.shape[:2]), "image": pixels}
    if "previous" in feeds:
        feeds["previous"] = np.zeros_like(pixels)
    for picture, painting in zip(pixels, engine.run(feeds)["stylized"], strict=True):
        assert nets.worst(painting, painted_by_torch(made.net, picture)) <= 1


def test_a_bundled_style_is_this_network(frame: NDArray[np.uint8]) -> None:
    """Its weights go into the network by their names, which paints as the file does and writes the same operators."""
    style = Style.open("great-wave")
    net = realtime_network(48, 5, strength="strength" in style.card.inputs)
    net.load_state_dict(weights_from_style("great-wave", "realtime"))
    engine = load_engine(style, Placement("onnxruntime", "f32"), frame.shape[:2], threads=1)
    assert nets.worst(painted_fully(style, engine, frame), painted_by_torch(net, frame)) <= 1
    assert (net.stride, net.margin) == (STRIDE, MARGIN)
    assert [n.op_type for n in build_graph(net).graph.node] == [n.op_type for n in style.model.graph.node]


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
    stated = {"title", "artist", "year", "licenses"}
    assert set(result.recipe.to_dict()) - stated <= set(card.recipe)
    assert not stated & set(card.recipe)
    assert card.parameters >= sum(parameter.numel() for parameter in result.net.parameters())
    json.dumps(card.to_dict())


@each_network
def test_the_card_names_the_method(kind: str, trained: Callable[[str], TrainingResult], tmp_path: Path) -> None:
    """A style says which network it holds, and with which settings."""
    card = export_style(trained(kind), tmp_path / "wave.onnx").card
    assert card.network == card.recipe["method"] == kind.partition("-")[0]
    assert card.recipe.get("normalization", "") == ("" if "realtime" in kind else kind.partition("-")[2])


def test_a_style_without_title_is_named_after_its_picture(result: TrainingResult, tmp_path: Path) -> None:
    """No empty line in the list of styles."""
    untitled = replace(result, recipe=replace(result.recipe, title=""))
    assert export_style(untitled, tmp_path / "x.onnx").card.title == "wave"


@each_network
def test_weights_come_back_from_a_style(kind: str, trained: Callable[[str], TrainingResult], tmp_path: Path) -> None:
    """Exactly the weights, and the running statistics of a batch norm; only its count of batches begins anew."""
    made = trained(kind)
    export_style(made, tmp_path / "wave.onnx")
    torch.manual_seed(1)
    net = fresh(made.recipe)
    weights = weights_from_style(str(tmp_path / "wave.onnx"), made.recipe.method)
    net.load_state_dict(weights)
    counts = {name for name in net.state_dict() if name.endswith("num_batches_tracked")}
    assert bool(counts) == (kind == "johnson-batch")
    assert set(weights) == set(net.state_dict()) - counts
    for name, value in weights.items():
        assert torch.equal(made.net.state_dict()[name], value), name


def test_starting_from_another_network_is_an_error(tmp_path: Path) -> None:
    """A style of another kind, or a quantized one, holds no weights to start from."""
    nets.style_of(tmp_path, nets.negative(), network="other")
    with pytest.raises(TrainingError, match="realtime"):
        weights_from_style(str(tmp_path / "net.onnx"), "realtime")
    nets.style_of(tmp_path, nets.negative(), network="johnson", parent_sha256="0" * 64)
    with pytest.raises(TrainingError, match="johnson"):
        weights_from_style(str(tmp_path / "net.onnx"), "johnson")
    with pytest.raises(TrainingError, match="great-wave"):
        weights_from_style("great-wave", "reconet")


class _Doubling(nn.ReLU):
    """Computes something else than its base class."""


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.GELU(), r"'odd\.0' \(GELU\)"),
        (_Doubling(), r"'odd\.0' \(_Doubling\)"),
        (nn.Conv2d(3, 3, 3, padding="same"), "padding 'same'"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), "circular"),
        (nn.InstanceNorm2d(3), "instance norm"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "nearest"),
    ],
)
def test_what_cannot_be_written_is_an_error(layer: nn.Module, message: str) -> None:
    """Better no file than one that paints something else; the message says which layer."""
    with pytest.raises(TrainingError, match=message):
        build_graph(StyleNetwork({"odd": nn.Sequential(layer)}, stride=1))


def test_any_convolution_is_written_with_its_settings(frame: NDArray[np.uint8], tmp_path: Path) -> None:
    """Stride, dilation, groups, different sides and no bias; and a batch norm by itself."""
    torch.manual_seed(0)
    layers = {
        "conv1": nn.Conv2d(3, 6, (3, 5), padding=(2, 4), dilation=2, groups=3, padding_mode="reflect", bias=False),
        "norm": SynchronizedBatchNorm(6),
        "conv2": nn.Conv2d(6, 3, 3, stride=2, padding=1),
        "up": nn.Upsample(scale_factor=2),
        "sigmoid": nn.Sigmoid(),
    }
    net = StyleNetwork(layers, stride=2).eval()
    card = replace(Style.open("great-wave").card, network="other")
    image = as_tensor(frame)
    painting = painted_in_float("onnxruntime", write_style(tmp_path / "a.onnx", build_graph(net), card), image.numpy())
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(painting), net(image), rtol=1e-4, atol=1e-5)
