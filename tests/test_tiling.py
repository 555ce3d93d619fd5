"""Large pictures painted in tiles: equal to painting the whole, or refused; and what that rests on, a graph's reach."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from allaprima.api import stylize_image
from allaprima.errors import StyleError
from allaprima.graph import crop_like, pad_to_stride
from allaprima.painter import Painter
from allaprima.style import Declaration, Style, open_style
from allaprima.tiling import tiles
from allaprima.tiling.operators import NotLocalError
from allaprima.tiling.sight import sight

FIXED = {"engine": "onnxruntime", "precision": "f32", "device": "cpu", "threads": 1}
SAME = [1, 1, 1, 1]
node = nets.node


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 64 pixels a side, and whatever is larger in tiles."""
    monkeypatch.setattr(tiles, "TILE_SIDE", 64)
    monkeypatch.setattr(tiles, "WHOLE_PIXELS", 64 * 64)


def kernel(name: str, out: int, channels: int, side: int) -> TensorProto:
    """Seeded weights, strong enough for the farthest pixel to show."""
    values = np.random.default_rng(len(name) + out + side).normal(size=(out, channels, side, side))
    return nets.weight(name, values * 1.5 / np.sqrt(channels * side * side))


def realtime_like(blocks: int = 2, *, strength: bool = False) -> ModelProto:
    """The layers of the realtime net, with random weights: 4 pixels of reach a block, and 3 for the pixel shuffle.

    With ``strength``, channels are moved by what is missing to 1.
    """
    pad, pad_weights = pad_to_stride("image", "padded", 4, margin=8)
    crop, crop_weights = crop_like("whole", "stylized")
    nodes = [*pad, node("SpaceToDepth", ["padded"], ["pixels" if strength else "x0"], blocksize=4)]
    if strength:
        nodes += [
            node("Sub", ["strength", "full"], ["missing"]),
            node("Mul", ["adjust", "missing"], ["shift"]),
            node("Add", ["pixels", "shift"], ["x0"]),
        ]
    for index in range(blocks):
        nodes += [
            node("Conv", [f"x{index}", f"w{index}"], [f"c{index}"], kernel_shape=[3, 3], pads=SAME),
            node("Tanh", [f"c{index}"], [f"t{index}"]),
            node("Add", [f"x{index}", f"t{index}"], [f"x{index + 1}"]),
        ]
    nodes += [
        node("Sigmoid", [f"x{blocks}"], ["bounded"]),
        node("DepthToSpace", ["bounded"], ["whole"], blocksize=4),
        *crop,
    ]
    weights = [kernel(f"w{index}", 48, 48, 3) for index in range(blocks)]
    weights += [nets.weight("full", [1.0]), nets.weight("adjust", np.linspace(-1, 1, 48).reshape(1, 48, 1, 1))]
    inputs: dict[str, nets.Shape] = {"image": nets.FREE, **({"strength": [1]} if strength else {})}
    return nets.graph(nodes, [*weights, *pad_weights, *crop_weights], inputs=inputs)


def encoder_decoder(mode: str = "reflect") -> ModelProto:
    """Stride 2 twice and nearest Resize twice, padded before every convolution: fails unless sides are multiples of 4.

    Reach, left and right: 1, then 1 more, then 2, then 4, and two nearest upsamplings of 4 and 2, then 2, then 1; and
    6 for the fold at the right border, where the last sample of the quarter size lies 3 pixels inside of the picture.
    """
    nodes, x = [], "image"
    weights = [nets.integers("amounts", [0, 0, 1, 1, 0, 0, 1, 1]), nets.weight("twice", [1, 1, 2, 2])]
    steps = [(1, 3, 6), (2, 6, 6), (2, 6, 6), (1, 6, 6), ("up", 6, 6), (1, 6, 6), ("up", 6, 6), (1, 6, 3)]
    for index, (step, channels, out) in enumerate(steps):
        if step == "up":
            sampling = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            nodes.append(node("Resize", [x, "", "twice"], [f"y{index}"], mode="nearest", **sampling))
        else:
            weights.append(kernel(f"w{index}", out, channels, 3))
            nodes += [
                node("Pad", [x, "amounts"], [f"p{index}"], mode=mode),
                node("Conv", [f"p{index}", f"w{index}"], [f"c{index}"], kernel_shape=[3, 3], strides=[step, step]),
                node("Sigmoid" if index == len(steps) - 1 else "Tanh", [f"c{index}"], [f"y{index}"]),
            ]
        x = f"y{index}"
    return nets.graph([*nodes, node("Identity", [x], ["stylized"])], weights)


def transposed() -> ModelProto:
    """Down by a convolution of stride 2, dilated in between, and up by a transposed one."""
    return nets.graph(
        [
            node("Conv", ["image", "down"], ["a"], kernel_shape=[4, 4], strides=[2, 2], pads=SAME),
            node("Conv", ["a", "wide"], ["b"], kernel_shape=[3, 3], dilations=[3, 3], pads=[3, 3, 3, 3]),
            node("Tanh", ["b"], ["c"]),
            node("ConvTranspose", ["c", "up"], ["d"], kernel_shape=[4, 4], strides=[2, 2], pads=SAME),
            node("Sigmoid", ["d"], ["stylized"]),
        ],
        [kernel("down", 5, 3, 4), kernel("wide", 5, 5, 3), kernel("up", 5, 3, 4)],
    )


def averaged(operator: str, *, over: Sequence[int] = (2, 3), **attributes: Any) -> ModelProto:
    """The picture's brightness, as one operator sums it up, taken off the picture."""
    inputs = ["image", "axes"] if operator.startswith("Reduce") else ["image"]
    if operator == "InstanceNormalization":
        inputs += ["scale", "scale"]
    return nets.graph(
        [node(operator, inputs, ["mean"], **attributes), node("Sub", ["image", "mean"], ["stylized"])],
        [nets.integers("axes", over), nets.weight("scale", [1.0] * 3)],
    )


def chain(*nodes: NodeProto, weights: Sequence[TensorProto] = ()) -> ModelProto:
    """A graph of the nodes in a row; they need no names of values."""
    names = ["image", *(f"v{index}" for index in range(1, len(nodes))), "stylized"]
    for each, (before, after) in zip(nodes, itertools.pairwise(names), strict=True):
        each.input[0], each.output[0] = before, after
    return nets.graph(nodes, weights)


def step(operator: str, *inputs: str, **attributes: Any) -> NodeProto:
    return node(operator, ["", *inputs], [""], **attributes)


def conv(side: int, **attributes: Any) -> tuple[NodeProto, TensorProto]:
    name = f"w{side}"
    return step("Conv", name, **attributes), kernel(name, 3, 3, side)


def test_the_reach_of_single_operators() -> None:
    """By hand: half a kernel, spread by its dilation; 0 for what is done to each pixel; all of an uneven window."""
    amounts = nets.integers("amounts", [0, 0, 2, 2, 0, 0, 2, 2])
    twice, half = nets.weight("twice", [1, 1, 2, 2]), nets.weight("half", [1, 1, 0.5, 0.5])
    five, five_weight = conv(5, pads=[2] * 4)
    wide, wide_weight = conv(3, pads=[3] * 4, dilations=[3, 3])
    late, _ = conv(5, pads=[0, 0, 4, 4])
    same, same_weight = conv(4, auto_pad="SAME_UPPER")
    valid, _ = conv(5)
    expected = [
        (chain(step("Relu")), 0),
        (averaged("ReduceMean", over=[1]), 0),
        (chain(five, weights=[five_weight]), 2),
        (chain(wide, weights=[wide_weight]), 3),
        (chain(late, weights=[five_weight]), 4),
        (chain(same, weights=[same_weight]), 2),
        (chain(step("Pad", "amounts", mode="reflect"), valid, weights=[amounts, five_weight]), 2),
        (chain(step("MaxPool", kernel_shape=[3, 3], pads=SAME)), 1),
        (nets.in_blocks(4), 3),
        (chain(step("Resize", "", "twice"), step("Resize", "", "half"), weights=[twice, half]), 2),
    ]
    for model, reach in expected:
        assert sight(model, 64, 96).reach == reach, model


def test_the_reach_of_whole_nets() -> None:
    """By hand: blocks of 4 add 3 to what 3×3 convolutions see, 4 pixels each; the bundled nets have 12 of those."""
    assert (sight(realtime_like(blocks=2), 64, 64).reach, sight(realtime_like(blocks=5), 61, 67).reach) == (11, 23)
    found = sight(open_style("great-wave").model, 999, 1001)
    assert (found.reach, found.grid) == (51, 4)
    assert sight(transposed(), 64, 64).reach == 1.5 + 3 * 2 + 1.5
    assert sight(encoder_decoder("constant"), 64, 64).reach == 1 + 1 + 2 + 4 + 4 + 2 + 2 + 1
    assert sight(encoder_decoder(), 64, 64).reach == sight(encoder_decoder("constant"), 64, 64).reach + 6


@pytest.mark.parametrize("model", [realtime_like(), encoder_decoder(), transposed()], ids=["blocks", "decoder", "up"])
def test_no_pixel_depends_on_more_than_the_reach(tmp_path: Path, model: ModelProto) -> None:
    """Changing a pixel changes nothing farther away, wherever it lies; and something does change nearby."""
    style = nets.style_of(tmp_path, model)
    painter = Painter(style, **FIXED)
    pixels = nets.photograph(64, 80)
    painting = painter.paint(pixels, {})[0]
    reach = sight(model, 64, 80).reach
    for row, column in itertools.product((0, 1, 30, 62, 63), (0, 37, 78, 79)):
        changed = pixels.copy()
        changed[row, column] ^= 255
        rows, columns = np.nonzero((painter.paint(changed, {})[0] != painting).any(-1))
        assert len(rows)
        assert max(np.abs(rows - row).max(), np.abs(columns - column).max()) <= reach


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("size", [(65, 67), (64, 131), (203, 150), (17, 301), (129, 66)])
def test_tiles_make_up_the_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    """The same picture, to the last bit, at sizes that are no multiples and a little larger than a tile."""
    style = nets.style_of(tmp_path, realtime_like(), stride=4)
    pixels = nets.photograph(*size)
    painter = Painter(style, **FIXED)
    plan = tiles.plan_tiles([style], *size)
    assert plan is not None
    assert len(plan.rows) * len(plan.columns) > 1
    assert nets.worst(painter.paint_still(pixels), painter.paint(pixels, {})[0]) <= 1


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("mode", ["reflect", "edge", "constant"])
@pytest.mark.parametrize("size", [(130, 201), (67, 90)])
def test_foreign_nets_with_strides(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    """Padded to their stride from outside, and by reflection, repetition or zeros before every convolution within."""
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", encoder_decoder(mode)), Declaration(1, 4))
    pixels = nets.photograph(*size)
    painter = Painter(style, **FIXED)
    assert nets.worst(painter.paint_still(pixels), painter.paint(pixels, {})[0]) <= 1


@pytest.mark.usefixtures("small_tiles")
def test_strength_colors_and_one_compiled_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else is done to paintings is done to tiled ones; the engine is loaded for one size."""
    style = nets.style_of(tmp_path, realtime_like(), stride=4)
    pixels = nets.photograph(150, 203)
    sizes = []
    load = Painter.load
    monkeypatch.setattr(Painter, "load", lambda self, *size: sizes.append(size) or load(self, *size))
    tiled = stylize_image(pixels, style, keep_colors=True, strength=0.5, **FIXED)
    assert len(set(sizes)) == 1
    assert max(*sizes[0]) <= 64
    monkeypatch.setattr(tiles, "WHOLE_PIXELS", pixels.size)
    assert nets.worst(tiled, stylize_image(pixels, style, keep_colors=True, strength=0.5, **FIXED)) <= 1


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_every_tile_is_painted_as_strongly(tmp_path: Path, strength: float) -> None:
    """A style with that input is tiled as others are, and each tile is told."""
    style = nets.style_of(tmp_path, realtime_like(strength=True), stride=4)
    pixels = nets.photograph(130, 97)
    painter = Painter(style, strength=strength, **FIXED)
    assert tiles.plan_tiles([style], 130, 97) is not None
    tiled = painter.paint_still(pixels)
    assert nets.worst(tiled, painter.paint(pixels, {})[0]) <= 1
    assert nets.worst(tiled, Painter(style, **FIXED).paint(pixels, {})[0]) > 20


@pytest.mark.parametrize("name", ["great-wave", "starry-night"])
def test_bundled_styles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both bundled styles paint a picture of odd size in tiles as in one go."""
    monkeypatch.setattr(tiles, "TILE_SIDE", 256)
    monkeypatch.setattr(tiles, "WHOLE_PIXELS", 256 * 256)
    painter = Painter(open_style(name), **FIXED)
    pixels = nets.photograph(291, 353)
    assert nets.worst(painter.paint_still(pixels), painter.paint(pixels, {})[0]) <= 1


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (averaged("InstanceNormalization"), "InstanceNormalization"),
        (averaged("GlobalAveragePool"), "GlobalAveragePool"),
        (averaged("ReduceMean"), "ReduceMean"),
        (averaged("Softmax", axis=3), "Softmax"),
        (nets.with_previous(), "memory"),
        (nets.with_state(), "memory"),
        (chain(step("Pad", "a", mode="wrap"), weights=[nets.integers("a", [0] * 8)]), "Pad"),
        (chain(step("Add", "ramp"), weights=[nets.weight("ramp", np.zeros((1, 1, 1, 9)))]), "every place"),
        (nets.half_size(), "size"),
    ],
)
def test_what_sees_all_is_refused_beyond_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ModelProto, cause: str
) -> None:
    """One line says which operator it is and what to do; up to the limit, the picture is painted in one go."""
    style = Style.open(nets.write_foreign(tmp_path / "f.onnx", model), Declaration(1))
    with pytest.raises(StyleError, match=rf"'f'.*6000x5000.*{cause}.*25 megapixels") as caught:
        tiles.plan_tiles([style], 5000, 6000)
    assert "\n" not in str(caught.value)
    assert tiles.plan_tiles([style], 4000, 6000) is None


def test_numbers_made_of_the_size_are_not_mixed_into_colors() -> None:
    """A net that divides by the picture's size would paint each tile differently."""
    nodes = [
        node("Shape", ["image"], ["size"], start=3),
        node("Cast", ["size"], ["width"], to=TensorProto.FLOAT),
        node("Div", ["image", "width"], ["stylized"]),
    ]
    with pytest.raises(NotLocalError, match="Div depends on the picture's size"):
        sight(nets.graph(nodes), 64, 64)


def test_a_style_picture_may_be_summed_up(tmp_path: Path) -> None:
    """What is seen as a whole is the style picture, the same for every tile."""
    assert tiles.plan_tiles([nets.style_of(tmp_path, nets.with_style())], 9000, 9000) is not None


def test_what_is_painted_in_one_go(tmp_path: Path) -> None:
    """Small pictures, and nets of a fixed size, whatever the picture."""
    free = nets.style_of(tmp_path, nets.negative())
    fixed = Style.open(nets.write_foreign(tmp_path / "f.onnx", nets.negative(shape=(1, 3, 64, 64))), Declaration(1))
    assert tiles.plan_tiles([free], 2048, 4096) is None
    assert tiles.plan_tiles([free], 2049, 4096) is not None
    assert tiles.plan_tiles([fixed], 20000, 20000) is None


def test_cuts() -> None:
    """For every length: on the grid, of one length with the picture's remainder, whole, and with room to cut away."""
    for margin, grid, longest in [(0, 1, 50), (3, 1, 50), (8, 4, 64), (12, 4, 20), (16, 16, 64)]:
        for side in range(1, 400):
            length, found = tiles.cuts(side, margin, grid, longest)
            assert length == side or (length <= max(longest, 4 * margin, 4 * grid) and length % grid == side % grid)
            assert [each.begin for each in found] == [0, *(cut.end for cut in found[:-1])]
            assert found[-1].end == side == found[-1].start + length
            for cut in found:
                assert cut.start % grid == 0
                assert cut.begin < cut.end
                assert cut.begin - cut.start >= (margin if cut.start else 0)
                assert cut.start + length - cut.end >= (margin if cut.end < side else 0)


def test_tiles_grow_with_the_reach() -> None:
    """A tile that would be cut away whole is made larger instead."""
    length, found = tiles.cuts(1000, margin=100, grid=4, longest=64)
    assert length > 2 * 100
    assert len(found) > 1
