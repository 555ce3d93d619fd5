"""Int8 files: near their parents, truly in integers, and found beside them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import nets
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from test_cli import write_clip

from allaprima.cli import run
from allaprima.engine import Placement, load_engine, mean_difference
from allaprima.errors import AllaprimaError, SinkError, SourceError, StyleError, UsageError
from allaprima.graph import crop_like, pad_to_stride
from allaprima.shrink.frames import gather_frames
from allaprima.shrink.quantize import Quantized, quantize_style
from allaprima.style import Card, Style, write_style

LAYERS = ["head", "conv1", "conv2", "tail"]
CARD = Card(title="Große Welle", network="realtime", stride=4, recipe={"steps": 3}, measurements={"warp": 1.0})


def small_net(*, strength: bool = False) -> ModelProto:
    """Like a realtime style: 4×4 blocks, a convolution in, one residual block, one out, and a sigmoid; 8 channels.

    With ``strength``, what the first convolution gives is moved by up to ±1: values that full strength never has.
    """
    random = np.random.default_rng(0)
    padding, padding_constants = pad_to_stride("image", "padded", 4, margin=4)
    crop, crop_constants = crop_like("painted", "stylized")
    weights = [nets.weight("gray", 0.5)]
    for name, shape in zip(LAYERS, [(8, 48), (8, 8), (8, 8), (48, 8)], strict=True):
        # Channels of very different size, which one scale for all would serve badly.
        size = np.geomspace(0.02, 1.0, shape[0]).reshape(-1, 1, 1, 1) * (9 * shape[1]) ** -0.5 * 3
        weights.append(nets.weight(f"{name}.weight", random.normal(size=(*shape, 3, 3)) * size))
        weights.append(nets.weight(f"{name}.bias", random.normal(size=shape[0]) * 0.2))
    told = "told" if strength else "trunk"
    ends = zip(LAYERS, ["blocks", told, "active", "sum"], ["trunk", "inner", "branch", "pixels"], strict=True)
    convolutions = {
        name: nets.node("Conv", [x, f"{name}.weight", f"{name}.bias"], [y], name, kernel_shape=[3, 3], pads=[1] * 4)
        for name, x, y in ends
    }
    telling = [
        nets.node("Sub", ["strength", "full"], ["missing"]),
        nets.node("Mul", ["adjust.weight", "missing"], ["shift"]),
        nets.node("Add", ["trunk", "shift"], [told]),
    ]
    if strength:
        weights += [nets.weight("full", [1.0]), nets.weight("adjust.weight", np.linspace(-1, 1, 8).reshape(1, 8, 1, 1))]
    nodes = [
        *padding,
        nets.node("Sub", ["padded", "gray"], ["centered"]),
        nets.node("SpaceToDepth", ["centered"], ["blocks"], blocksize=4),
        convolutions["head"],
        *(telling if strength else []),
        convolutions["conv1"],
        nets.node("Relu", ["inner"], ["active"]),
        convolutions["conv2"],
        nets.node("Add", [told, "branch"], ["sum"]),
        convolutions["tail"],
        nets.node("Sigmoid", ["pixels"], ["bounded"]),
        nets.node("DepthToSpace", ["bounded"], ["painted"], blocksize=4),
        *crop,
    ]
    inputs: dict[str, nets.Shape] = {"image": nets.FREE, **({"strength": [1]} if strength else {})}
    return nets.graph(nodes, [*weights, *padding_constants, *crop_constants], inputs=inputs)


def smooth_picture(seed: int, height: int = 40, width: int = 52) -> NDArray[np.uint8]:
    """Seeded colors that run into each other."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def style(tmp_path: Path) -> Style:
    return write_style(tmp_path / "wave.onnx", small_net(), CARD)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pictures") / "content"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), smooth_picture(number))
    return str(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, content: str) -> tuple[Style, Quantized]:
    """A style and what was made of it, for tests that only look."""
    style = write_style(tmp_path_factory.mktemp("pair") / "wave.onnx", small_net(), CARD)
    return style, quantize_style(style, [content], frames=5, short_side=40)


def painted(
    style: Style, pixels: NDArray[np.uint8], engine: str, precision: str, **feeds: NDArray[np.float32]
) -> NDArray[np.uint8]:
    loaded = load_engine(style, Placement(engine, precision), pixels.shape[:2], threads=1)
    assert loaded.placement.precision == precision
    return loaded.run({"image": pixels[np.newaxis], **feeds})["stylized"][0]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_int8_runs_in_int8_near_its_parent_at_any_size(engine: str, pair: tuple[Style, Quantized]) -> None:
    """Both engines find the file, compute in integers, and paint nearly the same, whatever the size."""
    pytest.importorskip(engine, reason="needs the extra 'openvino'")
    style, _ = pair
    for height, width in ((40, 52), (17, 31), (64, 16)):
        pixels = smooth_picture(99, height, width)
        exact = painted(style, pixels, "onnxruntime", "f32")
        difference = mean_difference(painted(style, pixels, engine, "int8"), exact)
        assert 0 < difference < 2, (height, width)
        assert exact.std() > 10


def test_a_style_is_quantized_for_every_strength(content: str, tmp_path: Path) -> None:
    """The int8 file has the input too, and stays near its parent over the whole range: it was calibrated for it."""
    style = write_style(tmp_path / "wave.onnx", small_net(strength=True), CARD)
    made = quantize_style(style, [content], frames=5, short_side=40)
    assert made.style.card.inputs == style.card.inputs == ("image", "strength")
    assert made.differences["onnxruntime int8 on cpu"]["mean"] < 2  # type: ignore[index]
    pixels = smooth_picture(99)
    full = painted(style, pixels, "onnxruntime", "f32", strength=np.ones(1, np.float32))
    for strength in (0.0, 0.5, 1.0):
        told = np.array([strength], np.float32)
        exact = painted(style, pixels, "onnxruntime", "f32", strength=told)
        assert (mean_difference(exact, full) > 10) == (strength < 1)
        for engine in ("onnxruntime", "openvino"):
            painting = painted(style, pixels, engine, "int8", strength=told)
            assert 0 < mean_difference(painting, exact) < 2, (engine, strength)


def test_every_convolution_becomes_an_integer_one(style: Style, content: str, tmp_path: Path) -> None:
    """Not one of them is left in float by ONNX Runtime's fusions, except what was named."""
    for keep in ([], ["tail"]):
        made = quantize_style(style, [content], keep=keep, short_side=40, overwrite=True)
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 4
        ort.InferenceSession(str(made.style.path), options, providers=["CPUExecutionProvider"])
        ran = Counter(
            node.op_type for node in ModelProto.FromString((tmp_path / "optimized.onnx").read_bytes()).graph.node
        )
        assert ran["QLinearConv"] == 4 - len(keep)
        assert ran["Conv"] + ran["FusedConv"] == len(keep)
        assert made.kept == keep
        assert made.style.card.recipe["quantization"]["float_layers"] == keep


def test_weights_are_rounded_channel_by_channel(pair: tuple[Style, Quantized]) -> None:
    """Each output channel's largest weight becomes 127, and every weight lies within half a step of its parent's."""
    style, made = pair
    new, old = (
        {t.name: numpy_helper.to_array(t) for t in each.model.graph.initializer} for each in (made.style, style)
    )
    exact, rounded, step = old["conv1.weight"], new["conv1.weight_quantized"], new["conv1.weight_scale"]
    assert rounded.dtype == np.int8
    assert step == pytest.approx(np.abs(exact).max(axis=(1, 2, 3)) / 127, rel=1e-5)
    assert (np.abs(rounded).max(axis=(1, 2, 3)) == 127).all()
    assert not new["conv1.weight_zero_point"].any()
    steps = step.reshape(-1, 1, 1, 1)
    assert (np.abs(rounded * steps - exact) <= steps * 0.5001).all()
    assert new["trunk_zero_point"].dtype == np.uint8


def test_the_card_names_the_parent_and_how_it_was_made(pair: tuple[Style, Quantized]) -> None:
    """Who gets the file learns what it is; figures that were measured of the float weights are not repeated."""
    style, made = pair
    found = style.quantized()
    assert found is not None and found.digest == made.style.digest
    card = found.card
    assert (card.title, card.stride, card.parent_sha256) == (CARD.title, 4, style.card.weights_sha256)
    assert card.recipe["steps"] == 3
    assert card.recipe["quantization"]["content"] == ["content"]
    assert card.recipe["quantization"]["frames"] == 5
    assert set(card.measurements) == {"differences", "frames"}
    assert card.measurements["frames"] == ["2.png", "6.png"]
    figures = card.measurements["differences"]["onnxruntime int8 on cpu"]
    assert 0 < figures["mean"] < 2 and figures["max"] < 40 and figures["psnr"] > 35
    assert {node.domain for node in found.model.graph.node} == {""}


def test_frames_are_spread_over_all_content(content: str, tmp_path: Path) -> None:
    """Folders and clips give alike; what can't be read is skipped and counted; sizes follow the short side."""
    folder = Path(shutil.copytree(content, tmp_path / "copy"))
    (folder / "4.png").write_bytes(b"no picture")
    clip = write_clip(tmp_path / "clip.mp4", 12)
    frames = gather_frames([str(folder), str(clip)], count=8, short_side=24)
    assert [failure.name for failure in frames.skipped] == [str(folder / "4.png")]
    assert len(frames.calibration) == 8
    assert len(frames.held_out) == 2
    assert frames.held_out_names[0] == "3.png"
    assert frames.held_out_names[1].endswith("clip.mp4 frame 6")
    assert {min(frame.shape[:2]) for frame in frames.calibration + frames.held_out} == {24}


def test_a_long_clip_is_thinned_evenly(tmp_path: Path) -> None:
    """Its length need not be known, nor all of its frames be held."""
    frames = gather_frames([str(write_clip(tmp_path / "clip.mp4", 60))], count=2, short_side=16)
    assert frames.held_out_names == [f"{tmp_path / 'clip.mp4'} frame 32"]
    assert len(frames.calibration) == 2


def refuses(kind: type[AllaprimaError], words: str, style: Style, content: str, **options: object) -> None:
    before = sorted(path.name for path in style.path.parent.iterdir())
    with pytest.raises(kind, match=words):
        quantize_style(style, [content], **{"short_side": 40, **options})  # type: ignore[arg-type]
    assert sorted(path.name for path in style.path.parent.iterdir()) == before


def test_what_cannot_be_quantized_is_refused(style: Style, content: str, tmp_path: Path) -> None:
    """One line each, before anything is written."""
    refuses(StyleError, "no memory", nets.style_of(tmp_path, nets.with_previous()), content)
    refuses(StyleError, "of any size", nets.style_of(tmp_path, nets.negative(shape=(1, 3, 24, 20))), content)
    refuses(StyleError, "no named convolution", nets.style_of(tmp_path, nets.textured()), content)
    refuses(UsageError, "'nose'; it|'nose' to keep", style, content, keep=["nose"])
    refuses(UsageError, "end in .int8.onnx", style, content, out=tmp_path / "small.onnx")
    refuses(SinkError, "no folder", style, content, out=tmp_path / "nowhere" / "wave.int8.onnx")
    (tmp_path / "empty").mkdir()
    refuses(SourceError, "no picture", style, str(tmp_path / "empty"))
    made = quantize_style(style, [content], short_side=40)
    refuses(StyleError, "already", made.style, content)
    refuses(SinkError, "--overwrite", style, content)


def test_content_that_is_too_little_is_refused(style: Style, tmp_path: Path) -> None:
    """One picture can't be calibrated with and measured with at once."""
    (tmp_path / "one").mkdir()
    cv2.imwrite(str(tmp_path / "one" / "a.png"), smooth_picture(0))
    (tmp_path / "one" / "b.png").write_bytes(b"no picture")
    refuses(SourceError, r"1 frames .*\(1 can't be read\)", style, str(tmp_path / "one"))


def test_the_verb_writes_the_file_and_says_what_it_is(
    style: Style, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Size, layers and differences in one line, or as JSON; a second time only with --overwrite."""
    command = ["shrink", "quantize", str(style.path), "--content", content, "--size", "40", "--keep-float", "tail"]
    assert run(command) == 0
    out, told = capsys.readouterr()
    assert out == ""
    last = told.strip().splitlines()[-1]
    assert "wave.int8.onnx" in last and "3 layers in int8, tail in float" in last and "onnxruntime int8" in last
    assert (tmp_path / "wave.int8.onnx").is_file()
    assert run(command) == 4
    assert "--overwrite" in capsys.readouterr().err
    assert run([*command, "--overwrite", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["quantized"] == ["head", "conv1", "conv2"]
    assert result["bytes"] == (tmp_path / "wave.int8.onnx").stat().st_size
