"""Style files: what is written is read back, and everything else is refused in one line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nets
import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from allaprima import style as style_module
from allaprima.engine import Placement, load_engine
from allaprima.errors import StyleError
from allaprima.style import CARD_KEY, Card, Declaration, Style, weights_digest, write_style

CARD = Card(
    title="Große Welle",
    artist="Hokusai",
    year="1831",
    network="realtime",
    stride=4,
    recipe={"steps": 10, "seed": 3},
    licenses={"style_picture": "public domain", "content": "CC0", "loss_network": "CC BY", "weights": "CC0"},
    measurements={"style": 0.3},
)


def refusal(path: Path | str, declared: Declaration | None = None) -> str:
    """The message with which a style is refused."""
    with pytest.raises(StyleError) as caught:
        Style.open(path, declared)
    message = str(caught.value)
    assert "\n" not in message
    return message


def with_card(model: ModelProto, card: str) -> ModelProto:
    helper.set_model_props(model, {CARD_KEY: card})
    return model


def paint(style: Style, pixels: np.ndarray) -> np.ndarray:
    engine = load_engine(style, Placement("onnxruntime", "f32"), pixels.shape[:2], threads=1)
    return next(iter(engine.run({"image": pixels[np.newaxis]}).values()))[0]


def test_round_trip_keeps_the_card_and_the_weights(tmp_path: Path) -> None:
    """Everything said of a style comes back from its file; digest and parameters are filled in."""
    model = nets.textured()
    written = write_style(tmp_path / "wave.onnx", model, CARD)
    opened = Style.open(tmp_path / "wave.onnx")
    assert (
        opened.card
        == written.card
        == replace(CARD, weights_sha256=weights_digest(model), parameters=8 * 27 + 8 + 3 * 8 * 9 + 3)
    )
    assert opened.name == "wave"
    assert opened.fixed_size is None
    assert weights_digest(opened.model) == weights_digest(model)
    assert [path.name for path in tmp_path.iterdir()] == ["wave.onnx"]


def test_the_card_is_plain_json_with_every_field(tmp_path: Path) -> None:
    """Other programs read the card from ONNX metadata without this package."""
    style = write_style(tmp_path / "wave.onnx", nets.textured(), CARD)
    stored = {entry.key: entry.value for entry in style.model.metadata_props}
    table = json.loads(stored[CARD_KEY])
    assert set(table) == {
        "title", "artist", "year", "network", "stride", "inputs", "parameters", "recipe", "licenses",
        "weights_sha256", "parent_sha256", "measurements", "value_range", "pads",
    }  # fmt: skip
    assert table["title"] == "Große Welle"
    assert table["inputs"] == ["image"]


def test_the_digest_tells_weights_apart() -> None:
    """One changed number changes the digest; the order of the weights does not."""
    model, same, other = nets.textured(), nets.textured(), nets.textured()
    weights = list(same.graph.initializer)
    del same.graph.initializer[:]
    same.graph.initializer.extend(reversed(weights))
    other.graph.initializer[1].CopyFrom(nets.weight("b1", [1.0] * 8))
    assert weights_digest(model) == weights_digest(same) != weights_digest(other)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    """A card's measurements speak of the weights it was written with, and of no others."""
    style = write_style(tmp_path / "net.onnx", nets.negative(), Card(title="t"))
    other = ModelProto.FromString(style.model.SerializeToString())
    other.graph.initializer[0].CopyFrom(nets.weight("kernel", np.eye(3).reshape(3, 3, 1, 1)))
    (tmp_path / "net.onnx").write_bytes(other.SerializeToString())
    assert "other weights" in refusal(tmp_path / "net.onnx")


def test_unknown_fields_of_a_later_card_are_ignored(tmp_path: Path) -> None:
    """A style made by a later version opens."""
    model = with_card(nets.negative(), json.dumps({"title": "Later", "mood": "blue"}))
    assert Style.open(nets.write_foreign(tmp_path / "later.onnx", model)).card.title == "Later"


@pytest.mark.parametrize(
    "content", [b"", b"This is a text, not a graph.\n" * 40, b"\x00" * 64], ids=["empty", "text", "zeros"]
)
def test_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind under an .onnx name gets one clear line."""
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    assert "not an ONNX file" in refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_is_refused(tmp_path: Path, share: float) -> None:
    """A download that broke off is never half a style."""
    style = write_style(tmp_path / "whole.onnx", nets.textured(), CARD)
    data = style.path.read_bytes()
    path = tmp_path / "part.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    assert "part.onnx" in refusal(path)


def external(tensor: TensorProto) -> TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def branching(then_nodes: list, otherwise_nodes: list) -> ModelProto:
    output = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    return nets.graph(
        [
            nets.node("Constant", [], ["condition"], value=condition),
            nets.node(
                "If",
                ["condition"],
                ["color"],
                then_branch=helper.make_graph(then_nodes, "then", [], output),
                else_branch=helper.make_graph(otherwise_nodes, "else", [], output),
            ),
            nets.node("Add", ["image", "color"], ["stylized"]),
        ]
    )


def external_weight() -> ModelProto:
    model = nets.negative()
    external(model.graph.initializer[0])
    return model


def external_constant() -> ModelProto:
    value = external(nets.weight("v", [0.5]))
    return nets.graph(
        [nets.node("Constant", [], ["gray"], value=value), nets.node("Add", ["image", "gray"], ["stylized"])]
    )


def external_in_branch() -> ModelProto:
    value = external(nets.weight("v", [0.5]))
    constant = nets.node("Constant", [], ["out"], value=value)
    return branching([nets.node("Constant", [], ["out"], value=nets.weight("u", [0.5]))], [constant])


def external_sparse_constant() -> ModelProto:
    sparse = helper.make_sparse_tensor(external(nets.weight("v", [0.5])), nets.integers("i", [0]), [1])
    return nets.graph(
        [nets.node("Constant", [], ["gray"], sparse_value=sparse), nets.node("Add", ["image", "gray"], ["stylized"])]
    )


def external_untyped_constant() -> ModelProto:
    model = external_constant()
    model.graph.node[0].attribute[0].type = 0
    return model


@pytest.mark.parametrize(
    "build",
    [external_weight, external_constant, external_in_branch, external_sparse_constant, external_untyped_constant],
)
def test_external_data_is_refused_wherever_it_hides(tmp_path: Path, build: Callable[[], ModelProto]) -> None:
    """A style may not read other files of the machine."""
    path = nets.write_foreign(tmp_path / "thief.onnx", build())
    assert "in other files" in refusal(path, Declaration(1))


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    """A declared domain outside the standard is named and refused."""
    model = nets.graph([nets.node("Magic", ["image"], ["stylized"], domain="com.example")])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    path = nets.write_foreign(tmp_path / "custom.onnx", model)
    assert "com.example" in refusal(path, Declaration(1))


def test_custom_operators_in_a_branch_are_refused(tmp_path: Path) -> None:
    """Also without a declared domain, and inside a subgraph."""
    magic = nets.node("Magic", ["image"], ["out"], domain="com.example")
    model = branching([magic], [magic])
    path = nets.write_foreign(tmp_path / "custom.onnx", model)
    assert "com.example::Magic" in refusal(path, Declaration(1))


def test_functions_are_refused(tmp_path: Path) -> None:
    """Model-local functions could hide anything of the above."""
    model = nets.negative()
    body = [nets.node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("", "Same", ["x"], ["y"], body, [helper.make_opsetid("", 18)]))
    assert "functions" in refusal(nets.write_foreign(tmp_path / "f.onnx", model), Declaration(1))


def test_unknown_operators_are_refused(tmp_path: Path) -> None:
    """A name that the standard domain doesn't have is named."""
    model = nets.graph([nets.node("Impasto", ["image"], ["stylized"])])
    assert "Impasto" in refusal(nets.write_foreign(tmp_path / "u.onnx", model), Declaration(1))


def test_a_missing_card_names_the_flag(tmp_path: Path) -> None:
    """The user of a foreign file learns what to say."""
    assert "--range" in refusal(nets.write_foreign(tmp_path / "foreign.onnx", nets.negative()))


def test_a_declaration_beside_a_card_is_refused(tmp_path: Path) -> None:
    """Two accounts of the same file could differ."""
    style = nets.style_of(tmp_path, nets.negative())
    assert "--range" in refusal(style.path, Declaration(1))


@pytest.mark.parametrize(
    "card",
    [
        "{", "[]", "3", "null", '"title"', "{}", '{"title": "t", "stride": 0}', '{"title": "t", "stride": "4"}',
        '{"title": "t", "value_range": 2}', '{"title": "t", "inputs": 5}', '{"title": 5}',
        '{"title": "t", "licenses": []}', '{"title": "t", "recipe": 1}', '{"title": "t", "pads": "yes"}',
        '{"title": "t", "parent_sha256": null}',
    ],
)  # fmt: skip
def test_a_damaged_card_is_refused(tmp_path: Path, card: str) -> None:
    """Whatever stands in the metadata, the answer is one line."""
    path = nets.write_foreign(tmp_path / "damaged.onnx", with_card(nets.negative(), card))
    assert "damaged" in refusal(path)


def two_pictures() -> ModelProto:
    return nets.graph(
        [nets.node("Add", ["image", "mask"], ["stylized"])], inputs={"image": nets.FREE, "mask": nets.FREE}
    )


def gray() -> ModelProto:
    shape = ["N", 1, "H", "W"]
    return nets.graph(
        [nets.node("Identity", ["image"], ["stylized"])], inputs={"image": shape}, outputs={"stylized": shape}
    )


def flat_output() -> ModelProto:
    return nets.graph([nets.node("Flatten", ["image"], ["stylized"])], outputs={"stylized": ["N", "P"]})


def half_floats() -> ModelProto:
    model = nets.graph([nets.node("Identity", ["image"], ["stylized"])])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


def no_input() -> ModelProto:
    model = nets.graph([nets.node("Constant", [], ["stylized"], value=nets.weight("v", np.zeros((1, 3, 16, 16))))])
    del model.graph.input[:]
    return model


def state_without_next() -> ModelProto:
    return nets.graph(
        [nets.node("Add", ["image", "state.0"], ["stylized"])], inputs={"image": nets.FREE, "state.0": nets.FREE}
    )


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (two_pictures, "'mask'"),
        (gray, "'image'"),
        (flat_output, "'stylized'"),
        (half_floats, "float32"),
        (no_input, "image"),
        (state_without_next, "next.0"),
    ],
)
def test_wrong_inputs_and_outputs_are_refused(tmp_path: Path, build: Callable[[], ModelProto], word: str) -> None:
    """A graph that no engine could be fed with is refused before any engine sees it."""
    path = nets.write_foreign(tmp_path / "ends.onnx", with_card(build(), '{"title": "t"}'))
    assert word in refusal(path)


def test_an_unknown_name_gets_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake costs one line."""
    paths = [tmp_path / "great-wave.onnx", tmp_path / "starry-night.onnx"]
    monkeypatch.setattr(style_module, "bundled_styles", lambda: paths)
    assert "did you mean 'great-wave'?" in refusal("graet-wave")
    assert "great-wave, starry-night" in refusal("xyzzy")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    """A path to nothing, or to a folder, is no style."""
    assert "no style file" in refusal(tmp_path / "nothing.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "no style file" in refusal(tmp_path / "folder.onnx")


@pytest.mark.parametrize("place", ["missing/wave.onnx", "file/wave.onnx"])
def test_writing_where_nothing_can_be_written(tmp_path: Path, place: str) -> None:
    """An unwritable destination is one line and leaves nothing behind."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StyleError, match="can't write"):
        write_style(tmp_path / place, nets.negative(), CARD)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_graph_that_is_no_style_is_not_written(tmp_path: Path) -> None:
    """A refused graph leaves the old file as it was."""
    path = tmp_path / "net.onnx"
    before = write_style(path, nets.negative(), CARD).digest
    with pytest.raises(StyleError):
        write_style(path, two_pictures(), CARD)
    assert Style.open(path).digest == before


def test_the_int8_file_is_found_by_name_and_checked_by_parent(tmp_path: Path) -> None:
    """An int8 file of other weights is never taken for this style's."""
    style = write_style(tmp_path / "wave.onnx", nets.textured(), CARD)
    assert style.quantized() is None
    child = replace(CARD, parent_sha256=style.card.weights_sha256)
    int8 = write_style(tmp_path / "wave.int8.onnx", nets.negative(), child)
    found = style.quantized()
    assert found is not None
    assert found.digest == int8.digest
    assert found.name == "wave"
    write_style(tmp_path / "wave.onnx", nets.textured(channels=4), CARD)
    with pytest.raises(StyleError, match="other weights"):
        Style.open(tmp_path / "wave.onnx").quantized()


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("opset", [9, 11, 13, 18])
def test_foreign_ranges(tmp_path: Path, white: int, opset: int) -> None:
    """A foreign net that works on 0-1 or on 0-255, in the operator sets people have, paints what it means."""
    model = nets.negative(white, shape=(1, 3, "H", "W"), opset=opset)
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", model), Declaration(white))
    pixels = nets.photograph()
    assert np.array_equal(paint(style, pixels), 255 - pixels)


@pytest.mark.parametrize("opset", [11, 18])
def test_foreign_stride_pads_and_crops(tmp_path: Path, opset: int) -> None:
    """Where sides must be multiples of 8, other sizes paint too, and keep their size."""
    model = nets.in_blocks(8)
    model.opset_import[0].version = opset
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", model), Declaration(1, stride=8))
    pixels = nets.photograph(25, 31)
    assert np.array_equal(paint(style, pixels), 255 - pixels)


def sampled(*steps: NodeProto, opset: int = 18) -> ModelProto:
    """Nodes in a row from the picture to the painting; weights ``down``, ``up`` of 3 maps and 4×4, and scales."""
    names = ["image", *(f"v{index}" for index in range(1, len(steps))), "stylized"]
    for step, (before, after) in zip(steps, itertools.pairwise(names), strict=True):
        step.input[0], step.output[0] = before, after
    kernel = np.full((3, 3, 4, 4), 0.02)
    weights = [nets.weight("down", kernel), nets.weight("up", kernel), nets.weight("twice", [1, 1, 2, 2])]
    return nets.graph(steps, [*weights, nets.weight("maps", [1.0] * 3)], opset=opset)


def step(operator: str, *inputs: str, **attributes: object) -> NodeProto:
    return nets.node(operator, ["", *inputs], [""], **attributes)


def halved() -> NodeProto:
    return step("Conv", "down", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])


def doubled() -> NodeProto:
    return step("ConvTranspose", "up", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])


@pytest.mark.parametrize(
    ("model", "stride"),
    [
        (nets.negative(), 1),
        (nets.in_blocks(8), 8),
        (sampled(halved(), halved(), doubled(), doubled()), 4),
        (sampled(step("AveragePool", kernel_shape=[3, 3], strides=[3, 3]), step("Resize", "", "third")), 3),
        (sampled(halved(), step("Upsample", "twice", mode="nearest"), opset=9), 2),
        (sampled(halved(), step("InstanceNormalization", "maps", "maps"), halved(), doubled(), doubled()), 4),
        (sampled(step("Softmax", axis=1), halved(), doubled()), 2),
        (sampled(halved(), doubled(), step("CumSum", "axis")), 1),
        (nets.negative(shape=(1, 3, 24, 20)), 1),
    ],
    ids=["1", "blocks", "transposed", "thirds", "opset 9", "instance norm", "softmax", "unknown", "fixed"],
)
def test_foreign_stride_from_the_graph(tmp_path: Path, model: ModelProto, stride: int) -> None:
    """Where nobody says it: what a picture must move by, by the operators; 1 where one of them isn't known."""
    model.graph.initializer.extend([nets.weight("third", [1, 1, 3, 3]), nets.integers("axis", 2)])
    path = nets.write_foreign(tmp_path / "f.onnx", model)
    assert Style.open(path, Declaration(1)).card.stride == stride
    assert Style.open(path, Declaration(1, stride=16)).card.stride == 16


def test_a_card_without_a_stride_takes_the_graphs(tmp_path: Path) -> None:
    """A card that others wrote may leave it out; one that states a stride is believed."""
    for card, stride in (('{"title": "t"}', 4), ('{"title": "t", "stride": 8}', 8)):
        path = nets.write_foreign(tmp_path / "card.onnx", with_card(nets.in_blocks(4), card))
        assert Style.open(path).card.stride == stride


def test_foreign_fixed_size_and_batch(tmp_path: Path) -> None:
    """A net for one size says so."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.negative(shape=(1, 3, 24, 20)))
    style = Style.open(path, Declaration(1))
    assert style.fixed_size == (24, 20)
    pixels = nets.photograph(24, 20)
    assert np.array_equal(paint(style, pixels), 255 - pixels)


def test_foreign_input_of_another_name(tmp_path: Path) -> None:
    """The only input is the picture, whatever it is called."""
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", nets.negative(name="input1")), Declaration(1))
    assert style.card.inputs == ("image",)
    pixels = nets.photograph()
    assert np.array_equal(paint(style, pixels), 255 - pixels)


def test_foreign_input_that_a_branch_uses(tmp_path: Path) -> None:
    """A subgraph that takes the picture from outside still gets it."""
    use = nets.node("Mul", ["photo", "photo"], ["out"])
    model = branching([use], [use])
    model.graph.input[0].name = model.graph.node[2].input[0] = "photo"
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", model), Declaration(1))
    values = np.float32([0, 51, 102]) / 255
    pixels = np.tile(np.uint8([0, 51, 102]), (24, 20, 1))
    assert nets.worst(paint(style, pixels), np.tile(np.uint8(np.rint((values + values**2) * 255)), (24, 20, 1))) == 0
