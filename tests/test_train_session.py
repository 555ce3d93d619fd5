"""Sessions: from a recipe and pictures to a network, on again, and what they can't start with."""

# ruff: noqa: E402
from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from PIL import Image
from trainfakes import JOHNSON, REALTIME, RECIPES, same, stop_after

from allaprima.errors import AllaprimaError, SinkError, TrainingError, UsageError
from allaprima.train import session
from allaprima.train.checkpoint import load_checkpoint, network_from_checkpoint
from allaprima.train.export import export_style
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.trainer import TrainingResult

RECIPE = replace(REALTIME, batch=1, steps=2, strength_share=1.0)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in the same order; no TensorBoard, whose import is slow; no lookups outside of the test's folder."""
    before = torch.get_num_threads()
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.summary_pb2", None)
    monkeypatch.delenv("ALLAPRIMA_DATA", raising=False)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a style picture and three photographs, seeded."""
    folder = tmp_path / "data"
    (folder / "photos").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ("style.png", "photos/a.png", "photos/b.png", "photos/c.png"):
        coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8))
        coarse.resize((96, 72), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def train(data: Path, folder: Path, vgg: Path, recipe: Recipe = RECIPE, **options: Any) -> TrainingResult:
    return session.train(recipe, folder, **{"data": data, "vgg": vgg, "device": "cpu", "threads": 1, **options})


def test_a_session_from_recipe_to_network_and_on(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """With VGG16's shapes: a step, a stop, the rest; the same as in one go, and then a new start from it."""
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    options: dict[str, Any] = {"say": said.append, "on_start": lambda total, done: steps.append((total, done))}
    whole = train(data, tmp_path / "whole", vgg_file, **options)
    assert said[0].startswith("3 pictures in 1 folder")
    assert said[0].endswith("; training on cpu, f32")
    assert steps == [(2, 0)]
    assert {"content", "style", "tv", "consistency", "style/relu4_3"} <= set(whole.history[0])
    assert RealtimeRecipe.read(tmp_path / "whole" / "recipe.toml") == RECIPE
    train(data, tmp_path / "parts", vgg_file, **stop_after(1))
    rest = train(data, tmp_path / "parts", vgg_file, RealtimeRecipe(), resume=True, **options)
    assert any(f"by the recipe that {tmp_path / 'parts' / 'checkpoint.pt'} holds" in line for line in said)
    assert same(whole.net.state_dict(), rest.net.state_dict())
    assert rest.recipe == RECIPE

    checkpoint = tmp_path / "whole" / "checkpoint.pt"
    net, stored, step = network_from_checkpoint(checkpoint)
    assert (stored, step) == (RECIPE, 2)
    started = session.starting_network(replace(RECIPE, init=str(checkpoint)), None)
    assert same(started.state_dict(), net.state_dict())
    with pytest.raises(TrainingError, match="another size"):
        session.starting_network(replace(RECIPE, init=str(checkpoint), channels=12), None)
    with pytest.raises(TrainingError, match="'realtime', not 'johnson'"):
        session.starting_network(replace(JOHNSON, init=str(checkpoint)), None)
    with pytest.raises(TrainingError, match=r"method 'realtime'.*train realtime"):
        train(data, tmp_path / "whole", vgg_file, JohnsonRecipe(), resume=True)


def test_a_style_learns_new_inputs_from_where_it_is(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """Trained without strength and memory and continued with them, it begins with what it paints; nothing else may be
    missing, and nothing be left over."""
    plain = train(data, tmp_path / "run", vgg_file, replace(RECIPE, strength_share=0.0)).net
    export_style(
        TrainingResult(plain, replace(RECIPE, strength_share=0.0), 2, 2, 1.0, torch.zeros(1, 3, 16, 16)),
        tmp_path / "plain.onnx",
    )
    image, strength = torch.rand(2, 3, 17, 22), torch.ones(2)
    for name in ("run/checkpoint.pt", "plain.onnx"):
        for recurrent in (False, True):
            recipe = replace(RECIPE, init=str(tmp_path / name), recurrent=recurrent)
            begun = session.starting_network(recipe, None)
            assert begun.takes_strength and begun.takes_previous == recurrent and not plain.takes_strength
            torch.testing.assert_close(begun(image, strength, image), plain(image))
            torch.testing.assert_close(begun(image), plain(image))
        with pytest.raises(TrainingError, match="another size"):
            session.starting_network(replace(RECIPE, init=str(tmp_path / name), blocks=2), None)
    result = train(data, tmp_path / "more", vgg_file, replace(RECIPE, init=str(tmp_path / "plain.onnx")))
    assert result.net.takes_strength
    more = str(tmp_path / "more" / "checkpoint.pt")
    with pytest.raises(TrainingError, match="more inputs"):
        session.starting_network(replace(RECIPE, init=more, strength_share=0.0), None)


def test_a_recurrent_session_and_on(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """From still pictures, which move: a stop, and the rest, as in one go; the memory is trained from the start."""
    recipe = replace(RECIPE, recurrent=True)
    whole = train(data, tmp_path / "whole", vgg_file, recipe)
    train(data, tmp_path / "parts", vgg_file, recipe, **stop_after(1))
    rest = train(data, tmp_path / "parts", vgg_file, resume=True)
    assert rest.recipe == recipe and rest.net.takes_previous
    assert same(whole.net.state_dict(), rest.net.state_dict())
    assert whole.net.get_submodule("recall.conv").weight.abs().max() > 0  # type: ignore[union-attr,operator]


@pytest.mark.parametrize("name", ["johnson, batch", "reconet, frn"])
def test_a_session_of_the_other_methods(data: Path, tmp_path: Path, vgg_file: Path, name: str) -> None:
    """The same from still pictures, alone or in pairs."""
    recipe = replace(RECIPES[name], batch=2, steps=1)
    result = train(data, tmp_path / "run", vgg_file, recipe)
    assert (result.step, result.recipe) == (1, recipe)
    assert all(np.isfinite(value) for value in result.history[0].values())


@pytest.mark.parametrize("fast", [True, False])
def test_the_precision_is_chosen_and_kept(
    data: Path, tmp_path: Path, vgg_file: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """``auto`` is what is fast here; a resumed run keeps it, though it be slow there."""
    chosen = "bf16" if fast else "f32"
    monkeypatch.setattr(session, "has_fast_bf16", lambda device: fast)
    recipe = replace(RECIPE, precision="auto")
    assert train(data, tmp_path / "run", vgg_file, recipe, **stop_after(1)).recipe.precision == chosen
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["recipe"]["precision"] == chosen
    monkeypatch.setattr(session, "has_fast_bf16", lambda device: not fast)
    assert train(data, tmp_path / "run", vgg_file, recipe, resume=True).recipe.precision == chosen


def test_a_device_that_is_not_here() -> None:
    """Named, with what is; the CPU always is."""
    assert session.pick_device("cpu") == "cpu"
    with pytest.raises(TrainingError, match=r"no 'tpu'.*--device"):
        session.pick_device("tpu")


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"style_image": ""}, (UsageError, "--style-image")),
        ({"content": ()}, (UsageError, "--content")),
        ({"steps": 0}, (UsageError, "--minutes")),
        ({"content": ("nowhere",)}, (TrainingError, "nowhere")),
        ({"style_image": "nothing.png"}, (TrainingError, "nothing.png")),
        ({"init": "nothing.pt"}, (TrainingError, "nothing.pt")),
        ({"init": "nothing.onnx"}, (AllaprimaError, "nothing.onnx")),
    ],
)
def test_what_a_session_cannot_start_with(
    data: Path, tmp_path: Path, vgg_file: Path, change: dict[str, Any], refused: tuple[type[AllaprimaError], str]
) -> None:
    """One line each, and nothing is left behind."""
    with pytest.raises(refused[0], match=refused[1]) as caught:
        train(data, tmp_path / "run", vgg_file, replace(RECIPE, **change))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_session_does_not_overwrite_another(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """A checkpoint in the way is forty minutes of somebody's work."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_text("mine")
    with pytest.raises(SinkError, match="--resume"):
        train(data, tmp_path / "run", vgg_file)
    assert (tmp_path / "run" / "checkpoint.pt").read_text() == "mine"


def test_resuming_from_nothing(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """No checkpoint to go on from is a training error, not a traceback."""
    with pytest.raises(TrainingError, match=r"checkpoint\.pt"):
        train(data, tmp_path / "run", vgg_file, resume=True)


def test_resuming_what_this_program_cannot_train(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """A checkpoint of a method that isn't here is a training error, too."""
    torch.save({"recipe": {"method": "oils"}, "ema": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="oils"):
        train(data, tmp_path, vgg_file, resume=True)


def test_resuming_without_what_it_began_from(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """The checkpoint has the weights; the ``init`` file may be gone by then."""
    train(data, tmp_path / "first", vgg_file, replace(RECIPE, steps=1))
    begin = (tmp_path / "first" / "checkpoint.pt").rename(tmp_path / "begin.pt")
    train(data, tmp_path / "run", vgg_file, replace(RECIPE, init=str(begin)), **stop_after(1))
    begin.unlink()
    assert train(data, tmp_path / "run", vgg_file, resume=True).step == 2
