"""The contract of every engine in every precision that runs here: the same picture, or a refusal with the fix."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nets
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from allaprima.engine import Engine, Placement, load_engine, mean_difference
from allaprima.engines import openvino_engine
from allaprima.engines.onnxruntime_engine import devices
from allaprima.errors import EngineError, MissingExtraError, UsageError
from allaprima.placement import open_engine
from allaprima.style import Card, Declaration, Style, write_style

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="needs the extra 'openvino'")
EXACT = [
    Placement("onnxruntime", "f32"),
    pytest.param(Placement("openvino", "f32"), marks=needs_openvino),
]
EVERY = [*EXACT, pytest.param(Placement("openvino", "bf16"), marks=needs_openvino)]


def name_of(placement: object) -> str:
    return f"{placement.engine}-{placement.precision}" if isinstance(placement, Placement) else ""


every = pytest.mark.parametrize("placement", EVERY, ids=name_of)
exact = pytest.mark.parametrize("placement", EXACT, ids=name_of)


@functools.cache
def capabilities() -> list[str]:
    import openvino

    return list(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def load(style: Style, placement: Placement, size: tuple[int, int] = nets.SIZE) -> Engine:
    if placement.precision == "bf16" and "BF16" not in capabilities():
        pytest.skip("this machine's CPU has no bf16")
    return load_engine(style, placement, size, threads=1)


def tolerance(placement: Placement) -> float:
    return 1.0 if placement.precision == "f32" else 2.0


@every
def test_paints_what_the_reference_paints(placement: Placement, tmp_path: Path) -> None:
    """Within 1/255 everywhere in f32, within 2/255 on average in bf16."""
    model = nets.textured()
    engine = load(nets.style_of(tmp_path, model), placement)
    pixels = nets.photograph()
    painting = engine.run({"image": pixels[np.newaxis]})["stylized"]
    expected = nets.painted_by_reference(model, pixels)
    assert painting.shape == (1, *pixels.shape)
    assert painting.dtype == np.uint8
    assert expected.std() > 20
    if placement.precision == "f32":
        assert nets.worst(painting[0], expected) <= 1
    else:
        assert mean_difference(painting[0], expected) <= 2
    assert engine.placement == placement


@every
def test_takes_another_size(placement: Placement, tmp_path: Path) -> None:
    """A change of size in the middle of a stream, and back."""
    model = nets.textured()
    engine = load(nets.style_of(tmp_path, model), placement)
    for height, width in (nets.SIZE, (37, 16), nets.SIZE):
        pixels = nets.photograph(height, width)
        painting = engine.run({"image": pixels[np.newaxis]})["stylized"][0]
        assert mean_difference(painting, nets.painted_by_reference(model, pixels)) <= tolerance(placement)


@every
def test_takes_several_pictures_at_once(placement: Placement, tmp_path: Path) -> None:
    """N is as free as H and W."""
    engine = load(nets.style_of(tmp_path, nets.textured()), placement)
    pixels = np.stack([nets.photograph(seed=1), nets.photograph(seed=2)])
    both = engine.run({"image": pixels})["stylized"]
    for picture, painting in zip(pixels, both, strict=True):
        assert mean_difference(painting, engine.run({"image": picture[np.newaxis]})["stylized"][0]) <= 0.1


@every
def test_results_are_the_callers_to_keep(placement: Placement, tmp_path: Path) -> None:
    """The next run overwrites nothing, and the input is only read."""
    engine = load(nets.style_of(tmp_path, nets.textured()), placement)
    pixels = nets.photograph(seed=1)[np.newaxis]
    pixels.flags.writeable = False
    first = engine.run({"image": pixels})["stylized"]
    before = first.copy()
    second = engine.run({"image": nets.photograph(seed=2)[np.newaxis]})["stylized"]
    assert np.array_equal(first, before)
    assert not np.array_equal(first, second)
    first[:] = 0
    assert np.array_equal(engine.run({"image": pixels})["stylized"], before)


@exact
def test_threads_run_an_engine_at_the_same_time(placement: Placement, tmp_path: Path) -> None:
    """Each thread gets the painting of its own picture."""
    engine = load_engine(nets.style_of(tmp_path, nets.negative()), placement, nets.SIZE, 2, 2)
    pictures = [nets.photograph(seed=seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        paintings = pool.map(lambda pixels: engine.run({"image": pixels[np.newaxis]})["stylized"][0], pictures)
        assert all(
            np.array_equal(painting, 255 - picture) for painting, picture in zip(paintings, pictures, strict=True)
        )


@exact
def test_takes_rows_that_are_not_contiguous(placement: Placement, tmp_path: Path) -> None:
    """A view with steps, as cropping and mirroring make it."""
    engine = load(nets.style_of(tmp_path, nets.negative()), placement)
    pixels = nets.photograph(48, 40)[::-2, ::2]
    assert np.array_equal(engine.run({"image": pixels[np.newaxis]})["stylized"][0], 255 - pixels)


@exact
@pytest.mark.parametrize("white", [1, 255])
def test_foreign_ranges(placement: Placement, white: int, tmp_path: Path) -> None:
    """A foreign net with a fixed batch, on its own range."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.negative(white, name="x", shape=(1, 3, "H", "W")))
    engine = load(Style.open(path, Declaration(white)), placement)
    pixels = nets.photograph()
    painting = next(iter(engine.run({"image": pixels[np.newaxis]}).values()))
    assert nets.worst(painting[0], 255 - pixels) <= 1


@exact
@pytest.mark.parametrize("stride", [8, 64])
def test_foreign_stride(placement: Placement, stride: int, tmp_path: Path) -> None:
    """Padding and cropping around a net that takes only multiples of its stride, also of a large one."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.in_blocks(stride))
    engine = load(Style.open(path, Declaration(1, stride)), placement, (66, 75))
    pixels = nets.photograph(66, 75)
    painting = next(iter(engine.run({"image": pixels[np.newaxis]}).values()))
    assert nets.worst(painting[0], 255 - pixels) <= 1


@exact
def test_a_size_that_the_net_cannot_paint_is_an_engine_error(placement: Placement, tmp_path: Path) -> None:
    """A foreign net whose stride was declared wrongly gets a message, not a crash."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.in_blocks(8))
    with pytest.raises(EngineError) as caught:
        engine = load(Style.open(path, Declaration(1, 1)), placement, (25, 31))
        engine.run({"image": nets.photograph(25, 31)[np.newaxis]})
    assert "\n" not in str(caught.value)


def test_onnxruntime_takes_every_kind_of_input(tmp_path: Path) -> None:
    """Strength, style, previous and state of any shape: loading tries the graph with all of them."""
    models = (nets.with_strength(), nets.with_style(), nets.with_previous(), nets.with_state(), nets.with_state())
    for model in models:
        assert load(nets.style_of(tmp_path, model), Placement("onnxruntime", "f32")).placement.precision == "f32"


def quantized_negative() -> ModelProto:
    """A QDQ convolution that ONNX Runtime fuses to an integer one: 1 − picture in steps of 1/255."""
    import onnx

    kernel = -np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 127
    weights = [
        nets.weight("x_scale", 1 / 255),
        onnx.numpy_helper.from_array(np.uint8(0), "x_zero"),
        onnx.numpy_helper.from_array(kernel, "k"),
        nets.weight("k_scale", 1 / 127),
        onnx.numpy_helper.from_array(np.int8(0), "k_zero"),
        onnx.numpy_helper.from_array(np.full(3, 255 * 127, np.int32), "b"),
        nets.weight("b_scale", 1 / 255 / 127),
        onnx.numpy_helper.from_array(np.int32(0), "b_zero"),
    ]
    node = nets.node
    return nets.graph(
        [
            node("QuantizeLinear", ["image", "x_scale", "x_zero"], ["xq"]),
            node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["x"]),
            node("DequantizeLinear", ["k", "k_scale", "k_zero"], ["kernel"]),
            node("DequantizeLinear", ["b", "b_scale", "b_zero"], ["bias"]),
            node("Conv", ["x", "kernel", "bias"], ["y"], kernel_shape=[1, 1]),
            node("QuantizeLinear", ["y", "x_scale", "x_zero"], ["yq"]),
            node("DequantizeLinear", ["yq", "x_scale", "x_zero"], ["stylized"]),
        ],
        weights,
    )


@pytest.mark.parametrize("engine_name", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_int8_runs_the_sibling_file(engine_name: str, tmp_path: Path) -> None:
    """Asked for int8, the quantized file of the same name runs, in integers."""
    style = nets.style_of(tmp_path, nets.negative())
    child = Card(title="Net", parent_sha256=style.card.weights_sha256)
    write_style(tmp_path / "net.int8.onnx", quantized_negative(), child)
    engine = load(style, Placement(engine_name, "int8"))
    pixels = nets.photograph()
    assert engine.placement.precision == "int8"
    assert nets.worst(engine.run({"image": pixels[np.newaxis]})["stylized"][0], 255 - pixels) <= 2


def refusal(style: Style, **asked: str) -> str:
    with pytest.raises((EngineError, UsageError)) as caught:
        open_engine(style, nets.SIZE, threads=1, **asked)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("asked", "fix"),
    [
        ({"engine": "onnxruntime", "precision": "bf16"}, "--precision f32"),
        ({"engine": "onnxruntime", "precision": "f16"}, "--precision f32"),
        ({"engine": "onnxruntime", "precision": "int8"}, "--precision f32"),
        ({"engine": "onnxruntime", "device": "abacus"}, "cpu"),
        ({"engine": "onnxruntime", "precision": "f32", "device": "abacus"}, "cpu"),
        pytest.param({"engine": "openvino", "precision": "f32", "device": "abacus"}, "cpu", marks=needs_openvino),
        ({"engine": "onnx"}, "onnxruntime"),
        ({"precision": "fp32"}, "f32"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_fix(tmp_path: Path, asked: dict[str, str], fix: str) -> None:
    """Never a silent fallback: the reason and the way out stand in the message."""
    assert fix in refusal(nets.style_of(tmp_path, nets.negative()), **asked)


@pytest.mark.skipif("cuda" in devices(), reason="this machine's ONNX Runtime has CUDA")
def test_a_missing_provider_names_its_package(tmp_path: Path) -> None:
    """Asked for CUDA on a build without it, the user learns what to install."""
    message = refusal(nets.style_of(tmp_path, nets.negative()), engine="onnxruntime", device="cuda")
    assert "pip install onnxruntime-gpu" in message
    assert "--device cpu" in message


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_gives_way_to_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime may say that it has CUDA and then take the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    style = nets.style_of(tmp_path, nets.negative())
    with pytest.raises(EngineError, match=r"not on CUDAExecutionProvider.*--device cpu"):
        load(style, Placement("onnxruntime", "f32", "cuda"))


def test_convolutions_that_fall_back_to_the_cpu_are_found_in_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session may name CUDA first and still run the work on the CPU; arithmetic on shapes there is fine."""

    class Session:
        def __init__(self, *given: object, **options: object) -> None:
            pass

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

        def get_inputs(self) -> list[object]:
            return []

        def get_outputs(self) -> list[object]:
            return []

        def run(self, names: list[str], feeds: object) -> list[np.ndarray]:
            return []

        def end_profiling(self) -> str:
            ran = [("Shape", "CPUExecutionProvider"), ("Conv", convolutions)]
            events = [{"args": {"op_name": name, "provider": provider}} for name, provider in ran]
            (tmp_path / "profile.json").write_text(json.dumps([{"name": "session"}, *events]))
            return str(tmp_path / "profile.json")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    style = nets.style_of(tmp_path, nets.negative())
    convolutions = "CUDAExecutionProvider"
    assert load(style, Placement("onnxruntime", "f32", "cuda")).placement.device == "cuda"
    convolutions = "CPUExecutionProvider"
    with pytest.raises(EngineError, match=r"convolutions.*not on CUDAExecutionProvider.*--device cpu"):
        load(style, Placement("onnxruntime", "f32", "cuda"))


@needs_openvino
def test_openvino_does_not_pass_bf16_for_f16(tmp_path: Path) -> None:
    """Where the CPU has no f16, OpenVINO runs something else when asked for it; that is an error here."""
    if "FP16" in capabilities():
        pytest.skip("this machine's CPU has f16")
    message = refusal(nets.style_of(tmp_path, nets.textured()), engine="openvino", precision="f16")
    assert "not f16" in message
    assert "--precision" in message


@needs_openvino
def test_openvino_adds_a_strength_without_moving_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brought into planes and back for it, they took up to a tenth of an int8 net's time; the painting is the same."""
    style = Style.open("great-wave")
    feeds = {"image": nets.photograph(64, 64)[None], "strength": np.array([0.5], np.float32)}

    def painted() -> tuple[NDArray[np.uint8], bool]:
        engine = load_engine(style, Placement("openvino", "int8"), (64, 64))
        assert isinstance(engine, openvino_engine.OpenVinoEngine)
        request = engine._free.get()
        engine._free.put(request)
        nodes = request.get_compiled_model().get_runtime_model().get_ops()
        moves = [node for node in nodes if node.get_rt_info()["layerType"].astype(str) == "Reorder"]
        names = [node.get_friendly_name() for node in moves]
        return engine.run(feeds)["stylized"], any("head" in name and "adjust" in name for name in names)

    painting, moved = painted()
    assert not moved
    monkeypatch.setattr(openvino_engine, "_with_wide_strength", lambda model: model)
    assert np.array_equal(painting, painted()[0])


@needs_openvino
def test_openvino_runs_nets_that_do_something_else_with_the_strength(tmp_path: Path) -> None:
    """As to put it beside another number, where more axes than one don't fit: the net stays as it is."""
    value = helper.make_tensor_value_info("strength", TensorProto.FLOAT, [1])
    image, painting = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "height", "width"])
        for name in ("image", "stylized")
    )
    nodes = [
        helper.make_node("Concat", ["strength", "half"], ["both"], axis=0),
        helper.make_node("ReduceMin", ["both"], ["least"], keepdims=1),
        helper.make_node("Conv", ["image", "same"], ["alike"]),
        helper.make_node("Mul", ["alike", "least"], ["stylized"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0.5], np.float32), "half"),
        numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "same"),
    ]
    graph = helper.make_graph(nodes, "net", [image, value], [painting], constants)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    style = nets.style_of(tmp_path, model, inputs=("image", "strength"))
    engine = load_engine(style, Placement("openvino", "f32"), (32, 32))
    picture = np.full((1, 32, 32, 3), 200, np.uint8)
    assert (engine.run({"image": picture, "strength": np.ones(1, np.float32)})["stylized"] == 100).all()


@needs_openvino
def test_openvino_does_not_pass_a_float_file_for_int8(tmp_path: Path) -> None:
    """An int8 file without integer convolutions is not int8, whatever its card says."""
    style = nets.style_of(tmp_path, nets.textured())
    child = Card(title="Net", parent_sha256=style.card.weights_sha256)
    write_style(tmp_path / "net.int8.onnx", nets.textured(), child)
    for engine in ("openvino", "onnxruntime"):
        assert "f32" in refusal(style, engine=engine, precision="int8")


def test_a_quantized_file_is_not_run_as_float(tmp_path: Path) -> None:
    """f32 of an int8 file would not be what was asked."""
    style = nets.style_of(tmp_path, nets.negative(), parent_sha256="0" * 64)
    assert "--precision int8" in refusal(style, engine="onnxruntime", precision="f32")


def test_unknown_names_without_auto(tmp_path: Path) -> None:
    """Loading directly checks what opening checks."""
    style = nets.style_of(tmp_path, nets.negative())
    with pytest.raises(UsageError, match="onnxruntime"):
        load_engine(style, Placement("onnx", "f32"), nets.SIZE)
    for engine in ("onnxruntime", "openvino"):
        with pytest.raises(UsageError, match="f32"):
            load_engine(style, Placement(engine, "f64"), nets.SIZE)


def test_openvino_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the message is the line that installs it."""
    monkeypatch.setattr(openvino_engine, "core", openvino_engine.core.__wrapped__)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'allaprima\[openvino\]'"):
        load_engine(nets.style_of(tmp_path, nets.negative()), Placement("openvino", "f32"), nets.SIZE)


@needs_openvino
def test_signals_are_handled_after_engines_have_gone(tmp_path: Path) -> None:
    """Ctrl-C after engines were tried and let go, first made first gone, is handled and ends nothing by a crash."""
    style = nets.style_of(tmp_path, nets.negative())
    code = f"""
import os, signal
from allaprima.engine import Placement, load_engine
from allaprima.style import Style
style = Style.open({str(style.path)!r})
engines = [load_engine(style, Placement("openvino", "f32"), (32, 32)) for _ in range(2)]
while engines:
    del engines[0]
signal.signal(signal.SIGTERM, lambda number, frame: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
