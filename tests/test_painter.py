"""Painting pictures: strength, style pictures, memory from frame to frame, and sizes that a style can't take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest

from allaprima import painter as painter_module
from allaprima.engine import initial_state
from allaprima.errors import StyleError, UsageError
from allaprima.frame import Pixels
from allaprima.painter import Painter
from allaprima.style import Declaration, Style

FIXED = {"engine": "onnxruntime", "precision": "f32", "device": "cpu", "threads": 1}


def painter(style: Style, **options: Any) -> Painter:
    return Painter(style, **{**FIXED, **options})


def paint(style: Style, pixels: Pixels, **options: Any) -> Pixels:
    return painter(style, **options).paint(pixels, {})[0]


@pytest.mark.parametrize(("strength", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_strength_blends_photograph_and_painting(tmp_path: Path, strength: float, share: float) -> None:
    """0 is the photograph bit for bit, 1 the painting, between them the mixture."""
    pixels = nets.photograph()
    before = pixels.copy()
    painting = paint(nets.style_of(tmp_path, nets.negative()), pixels, strength=strength)
    expected = (255 - pixels.astype(float)) * share + pixels * (1 - share)
    assert painting.dtype == np.uint8
    assert np.abs(painting - expected).max() <= (0.5 if share == 0.5 else 0)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_strength_input_takes_the_place_of_blending(tmp_path: Path, strength: float) -> None:
    """A style that knows strength gets it, and its painting is left alone."""
    pixels = nets.photograph()
    painting = paint(nets.style_of(tmp_path, nets.with_strength()), pixels, strength=strength)
    assert np.abs(painting - pixels * (1 - strength / 2)).max() <= 0.51


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_outside_its_range(tmp_path: Path, strength: float) -> None:
    """Beyond the dial is a usage error."""
    with pytest.raises(UsageError, match="between 0 and 1"):
        painter(nets.style_of(tmp_path, nets.negative()), strength=strength)


def test_a_style_picture_reaches_the_graph(tmp_path: Path) -> None:
    """An any-style net paints in the color of the given picture, whatever its size."""
    color = np.tile(np.uint8([10, 200, 90]), (31, 47, 1))
    painting = paint(nets.style_of(tmp_path, nets.with_style()), nets.photograph(), style_image=color)
    assert nets.worst(painting, np.tile(np.uint8([10, 200, 90]), (*nets.SIZE, 1))) <= 1


def test_a_style_picture_missing_or_not_wanted(tmp_path: Path) -> None:
    """Each of the two is a usage error that names the flag."""
    with pytest.raises(UsageError, match="needs --style-image"):
        painter(nets.style_of(tmp_path, nets.with_style()))
    with pytest.raises(UsageError, match="takes no --style-image"):
        painter(nets.style_of(tmp_path, nets.negative()), style_image=nets.photograph())


def test_the_previous_painting_is_carried(tmp_path: Path) -> None:
    """(picture + previous) / 2: half the light at first, three quarters next, and half again after a reset."""
    memory = painter(nets.style_of(tmp_path, nets.with_previous()))
    white = np.full((*nets.SIZE, 3), 255, np.uint8)
    values = []
    state: Any = {}
    for reset in (False, False, False, True):
        state = {} if reset else state
        painting, state = memory.paint(white, state)
        values.append(int(painting[0, 0, 0]))
        assert np.ptp(painting) == 0
    assert values == [128, 192, 224, 128]


def test_the_previous_painting_is_the_full_one(tmp_path: Path) -> None:
    """Blending by strength is for the viewer; the net sees what it painted."""
    memory = painter(nets.style_of(tmp_path, nets.with_previous()), strength=0.0)
    white = np.full((*nets.SIZE, 3), 255, np.uint8)
    painting, state = memory.paint(white, {})
    assert np.all(painting == 255)
    assert np.all(state["previous"] == 128)


def test_states_are_carried_and_start_at_zero(tmp_path: Path) -> None:
    """A net that is one picture late: black, first picture, second picture; black after a reset."""
    late = painter(nets.style_of(tmp_path, nets.with_state()))
    pictures = [nets.photograph(seed=seed) for seed in range(3)]
    first, state = late.paint(pictures[0], {})
    second, state = late.paint(pictures[1], state)
    third, state = late.paint(pictures[2], state)
    again, _ = late.paint(pictures[0], {})
    assert not first.any()
    assert np.array_equal(second, pictures[0])
    assert np.array_equal(third, pictures[1])
    assert not again.any()


def test_a_given_state_is_not_changed(tmp_path: Path) -> None:
    """The same state can be continued twice."""
    late = painter(nets.style_of(tmp_path, nets.with_state()))
    _, state = late.paint(nets.photograph(seed=1), {})
    kept = {name: values.copy() for name, values in state.items()}
    once, _ = late.paint(nets.photograph(seed=2), state)
    twice, _ = late.paint(nets.photograph(seed=3), state)
    assert np.array_equal(once, twice)
    assert all(np.array_equal(values, kept[name]) for name, values in state.items())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("N", 5, "H", "W"), (1, 5, 24, 20)),
        (("N", 2, "H/8", "W/8"), (1, 2, 3, 3)),
        ((1, 7), (1, 7)),
    ],
)
def test_shapes_of_states(tmp_path: Path, shape: tuple[Any, ...], expected: tuple[int, ...]) -> None:
    """A state at a fraction of the picture's size is rounded up, as padding does."""
    state = initial_state(nets.style_of(tmp_path, nets.with_state(shape)), nets.SIZE)
    assert state["state.0"].shape == expected
    assert state["state.0"].dtype == np.float32
    assert not state["state.0"].any()


@pytest.mark.parametrize("dimension", ["X", "H/x", "H/0", None])
def test_states_of_unknown_shape(tmp_path: Path, dimension: str | None) -> None:
    """A shape that can't be told is an error with the input's name."""
    style = nets.style_of(tmp_path, nets.with_state(("N", 3, dimension, "W")))
    with pytest.raises(StyleError, match=r"state\.0"):
        initial_state(style, nets.SIZE)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (15, 15), (15, 33), (16, 16), (17, 16)])
def test_small_pictures_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """Below 16 pixels the picture is extended for the net and cropped again."""
    pixels = nets.photograph(*size)
    assert np.array_equal(paint(nets.style_of(tmp_path, nets.negative()), pixels), 255 - pixels)


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (40, 31), (33, 70)])
def test_pictures_smaller_than_a_foreign_stride(tmp_path: Path, size: tuple[int, int]) -> None:
    """A net with stride 32 paints a picture that is smaller than that."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.in_blocks(32))
    pixels = nets.photograph(*size)
    assert np.array_equal(paint(Style.open(path, Declaration(1, 32)), pixels), 255 - pixels)


@pytest.mark.parametrize("side", [8, 24])
def test_nets_of_one_size(tmp_path: Path, side: int) -> None:
    """A net for one size paints its own size exactly, and others by scaling there and back."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.negative(shape=(1, 3, side, side)))
    fixed = painter(Style.open(path, Declaration(1)))
    exact = nets.photograph(side, side)
    assert np.array_equal(fixed.paint(exact, {})[0], 255 - exact)
    rows, columns = np.mgrid[0:40, 0:60]
    smooth = np.stack([rows * 3, columns * 2, rows + columns], -1).astype(np.uint8)
    painting = fixed.paint(smooth, {})[0]
    assert painting.shape == smooth.shape
    assert np.abs(painting[4:-4, 4:-4].astype(int) - (255 - smooth[4:-4, 4:-4])).mean() <= 3


def test_a_net_that_makes_another_size_is_an_error(tmp_path: Path) -> None:
    """The message says what came out and what may help."""
    path = nets.write_foreign(tmp_path / "f.onnx", nets.half_size())
    with pytest.raises(StyleError, match=r"10x12 of 20x24.*--stride"):
        paint(Style.open(path, Declaration(1)), nets.photograph())


def test_the_engine_is_loaded_once_a_size(tmp_path: Path) -> None:
    """Frames of one size don't load again; another size does, and paints right."""
    both = painter(nets.style_of(tmp_path, nets.negative()))
    engine = both.load(24, 20)
    assert both.load(24, 20) is engine
    for size in ((24, 20), (30, 18), (24, 20)):
        pixels = nets.photograph(*size)
        assert np.array_equal(both.paint(pixels, {})[0], 255 - pixels)


@pytest.mark.parametrize("inner", [False, True])
def test_another_strength_shares_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: bool) -> None:
    """A dial that is turned while frames go on loads nothing, and leaves the painter that it came from as it was."""
    style = nets.style_of(tmp_path, nets.with_strength() if inner else nets.negative())
    pixels = nets.photograph()
    expected = {strength: paint(style, pixels, strength=strength) for strength in (0.5, 1.0)}
    whole = painter(style, strength=1.0)
    whole.load(*nets.SIZE)
    monkeypatch.setattr(painter_module, "open_engine", lambda *given, **options: pytest.fail("it loads an engine"))
    assert np.array_equal(whole.with_strength(0.5).paint(pixels, {})[0], expected[0.5])
    assert np.array_equal(whole.paint(pixels, {})[0], expected[1.0])
    with pytest.raises(UsageError, match="between 0 and 1"):
        whole.with_strength(1.5)


def test_another_size_is_painted_where_the_first_one_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured once isn't measured for each size; and the first painter keeps its engine."""
    first = Painter(nets.style_of(tmp_path, nets.negative()), engine="onnxruntime")
    first.load(24, 20)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(painter_module, "open_engine", lambda style, size, **options: asked.append(options))
    first.for_another_size().load(48, 40)
    first.load(24, 20)
    assert len(asked) == 1
    assert (asked[0]["engine"], asked[0]["device"]) == ("onnxruntime", "cpu")
    assert asked[0]["precision"] == "f32"
