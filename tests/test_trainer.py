"""The training loop: the same numbers however often it is interrupted, and nothing lost when something fails."""

# ruff: noqa: E402
from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from allaprima.errors import AllaprimaError, SinkError, TrainingError, UsageError
from allaprima.train import session, trainer
from allaprima.train.data import find_content
from allaprima.train.methods.realtime import RealtimeMethod, StepLosses
from allaprima.train.networks.realtime import RealtimeNet
from allaprima.train.recipe import RealtimeRecipe
from allaprima.train.trainer import (
    Trainer,
    TrainingResult,
    TrainingRun,
    learning_rate,
    load_checkpoint,
    network_from_checkpoint,
    save_checkpoint,
)

RECIPE = RealtimeRecipe(
    style_image="style.png",
    content=("photos",),
    channels=8,
    blocks=1,
    batch=1,
    crop=64,
    style_size=64,
    steps=6,
    warmup_steps=2,
    learning_rate=1e-2,
    ema=0.9,
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in the same order; no TensorBoard, whose import is slow; no lookups outside of the test's folder."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    monkeypatch.delenv("ALLAPRIMA_DATA", raising=False)
    monkeypatch.setattr(session, "has_fast_bf16", lambda device: False)
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


class Colors:
    """A loss network that is quick: the picture's colors and their squares are its only features."""

    def __call__(self, image: torch.Tensor, layers: Any) -> dict[str, torch.Tensor]:
        return {layer: torch.cat((image, image.square()), 1) for layer in layers}


def make_trainer(data: Path, folder: Path, recipe: RealtimeRecipe = RECIPE, **run: Any) -> Trainer:
    torch.manual_seed(recipe.seed)
    style = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    method = RealtimeMethod(recipe, Colors(), style)  # type: ignore[arg-type]
    preview = torch.full((1, 3, 32, 48), 0.5)
    net = RealtimeNet(recipe.channels, recipe.blocks)
    return Trainer(net, method, recipe, find_content([data / "photos"]), TrainingRun(folder, preview, **run))


def stop_after(steps: int) -> dict[str, Callable[..., Any]]:
    done: list[int] = []
    return {"on_step": lambda progress: done.append(progress.step), "stop": lambda: len(done) >= steps}


def same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_polishing_has_a_rate_and_a_weight_of_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last steps start again at their own rate, and only there the grid's own weight rules; a tenth at most."""
    assert replace(RECIPE, polish_steps=200).polish_from(50) == 45
    recipe = replace(RECIPE, learning_rate=0.8, warmup_steps=4, steps=20, polish_steps=2, polish_learning_rate=0.1)
    assert [learning_rate(recipe, step, 28) for step in (25, 26, 27)] == pytest.approx(
        [0.4 * (1 + math.cos(math.pi * 21 / 22)), 0.1, 0.05]
    )
    polished: list[bool] = []
    step = RealtimeMethod.step

    def watch(self: RealtimeMethod, *given: Any) -> StepLosses:
        polished.append(given[-1])
        return step(self, *given)

    monkeypatch.setattr(RealtimeMethod, "step", watch)
    make_trainer(data, tmp_path / "run", recipe).train()
    assert polished == [False] * 18 + [True] * 2


def test_resuming_equals_never_stopping(data: Path, tmp_path: Path) -> None:
    """Six steps, or three and three: the same weights, averages and losses, bit by bit."""
    whole = make_trainer(data, tmp_path / "whole").train()
    first = make_trainer(data, tmp_path / "parts", **stop_after(3)).train()
    assert (first.step, first.steps) == (3, 6)
    second = make_trainer(data, tmp_path / "parts", replace(RECIPE, steps=0, seed=RECIPE.seed))
    second.resume(tmp_path / "parts" / "checkpoint.pt")
    rest = second.train()
    assert (rest.step, rest.steps) == (whole.step, whole.steps) == (6, 6)
    assert [*first.history, *rest.history] == whole.history
    assert same_weights(rest.net.state_dict(), whole.net.state_dict())
    states = [load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts")]
    assert same_weights(states[0]["net"], states[1]["net"])
    assert same_weights(states[0]["ema"], states[1]["ema"])


def test_the_seed_decides(data: Path, tmp_path: Path) -> None:
    """The same recipe makes the same style; another seed another."""
    first, same, other = (
        make_trainer(data, tmp_path / str(i), replace(RECIPE, seed=seed, steps=2)).train()
        for i, seed in enumerate((3, 3, 4))
    )
    assert same_weights(first.net.state_dict(), same.net.state_dict())
    assert not same_weights(first.net.state_dict(), other.net.state_dict())


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    """It learns: the last steps cost clearly less than the first."""
    history = make_trainer(data, tmp_path / "run", replace(RECIPE, steps=60)).train().history
    totals = [losses["total"] for losses in history]
    assert len(totals) == 60
    assert np.mean(totals[-10:]) < 0.7 * np.mean(totals[:5])


def test_weights_are_averaged(data: Path, tmp_path: Path) -> None:
    """The result is the running mean, by the rule min(ema, (1 + step) / (10 + step))."""
    start = make_trainer(data, tmp_path / "x")._net.state_dict()
    before = {name: value.clone() for name, value in start.items()}
    make_trainer(data, tmp_path / "run", replace(RECIPE, steps=1)).train()
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    for name, value in state["ema"].items():
        torch.testing.assert_close(value, before[name] * 0.1 + state["net"][name] * 0.9)
        assert not torch.equal(value, state["net"][name])


def test_a_stop_keeps_what_is_there(data: Path, tmp_path: Path) -> None:
    """Ctrl-C after two steps: a checkpoint of two steps, a preview, and a network."""
    result = make_trainer(data, tmp_path / "run", **stop_after(2)).train()
    assert (result.step, result.steps) == (2, 6)
    assert len(result.history) == 2
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 2
    with Image.open(tmp_path / "run" / "preview-000002.png") as preview:
        assert preview.size == (48, 32)


def breaking_method(monkeypatch: pytest.MonkeyPatch, at: int, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    original, calls = RealtimeMethod.step, []

    def step(self: RealtimeMethod, *given: Any, **options: Any) -> StepLosses:
        losses = original(self, *given, **options)
        calls.append(1)
        return replace(losses, total=change(losses.total)) if len(calls) == at + 1 else losses

    monkeypatch.setattr(RealtimeMethod, "step", step)


@pytest.mark.parametrize(
    "change",
    [lambda total: total * float("nan"), lambda total: total * float("inf"), lambda total: (total - total).sqrt()],
    ids=["nan", "infinite", "gradient"],
)
def test_a_loss_that_is_not_finite_stops(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """The step is named, and the last good checkpoint is left, also when only the gradient is broken."""
    breaking_method(monkeypatch, 3, change)
    with pytest.raises(TrainingError, match=r"not finite at step 3.*learning_rate.*checkpoint\.pt") as caught:
        make_trainer(data, tmp_path / "run", replace(RECIPE, steps=100), checkpoint_seconds=0.0).train()
    # While the error is held, as a caller does who reports it, no reader may be left waiting.
    assert caught.tb is not None
    assert "allaprima-crops" not in {thread.name for thread in threading.enumerate()}
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert state["step"] == 3
    assert all(torch.isfinite(value).all() for value in (*state["net"].values(), *state["ema"].values()))


def test_a_loss_broken_from_the_start_names_no_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is none to go back to."""
    breaking_method(monkeypatch, 0, lambda total: total * float("nan"))
    with pytest.raises(TrainingError, match=r"at step 0: lower learning_rate$"):
        make_trainer(data, tmp_path / "run").train()


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a checkpoint never takes the place of a whole one."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 1})
    before = path.read_bytes()

    def save(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(TrainingError, match="No space left"):
        save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 2})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_new_checkpoint_takes_the_place_of_the_old_at_once(tmp_path: Path) -> None:
    """Who has the old one open, a copy in progress, reads it to its end."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 1})
    before = path.read_bytes()
    with path.open("rb") as reader:
        save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 2, "more": "x" * 999})
        assert reader.read() == before
    assert load_checkpoint(path)["step"] == 2


def test_a_destination_that_cannot_be_written(data: Path, tmp_path: Path) -> None:
    """Told before the first step, in one line."""
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="choose another --out"):
        make_trainer(data, tmp_path / "file" / "run").train()


@pytest.mark.parametrize("content", [b"", b"text\n" * 99, None])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Empty, text, missing, or somebody else's weights: one line, and no pickle is run."""
    path = tmp_path / "checkpoint.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match="checkpoint"):
        load_checkpoint(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(TrainingError, match="not a checkpoint of allaprima"):
        load_checkpoint(path)
    torch.save({"recipe": Path("/"), "ema": print}, path)
    with pytest.raises(TrainingError, match="can't be read"):
        load_checkpoint(path)


def test_minutes_become_steps_by_the_measured_pace(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a second a step, a minute is 60 steps less the 12 that measured; the pace steps leave no trace."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(trainer.time, "perf_counter", lambda: float(next(ticks)))
    open_recipe = replace(RECIPE, steps=0)
    start = make_trainer(data, tmp_path / "x", open_recipe)._net.state_dict()
    result = make_trainer(data, tmp_path / "run", open_recipe, minutes=1.0, stop=lambda: True).train()
    assert (result.step, result.steps) == (0, 48)
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert state["steps"] == 48
    assert state["optimizer"]["state"] == {}
    assert same_weights(state["net"], start)
    assert same_weights(state["ema"], start)
    resumed = make_trainer(data, tmp_path / "run", open_recipe, stop=lambda: True)
    resumed.resume(tmp_path / "run" / "checkpoint.pt")
    assert resumed.train().steps == 48


def test_neither_minutes_nor_steps(data: Path, tmp_path: Path) -> None:
    """Without an end, training doesn't begin."""
    with pytest.raises(TrainingError, match="--minutes"):
        make_trainer(data, tmp_path / "run", replace(RECIPE, steps=0)).train()


def test_without_tensorboard_the_run_says_so(data: Path, tmp_path: Path) -> None:
    """Losses that are not logged are told, once."""
    said: list[str] = []
    make_trainer(data, tmp_path / "run", replace(RECIPE, steps=1), say=said.append).train()
    assert [line for line in said if "TensorBoard" in line] == said
    assert len(said) == 1


def test_tensorboard_gets_losses_and_pictures(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ten steps, with the preview at the end."""
    logged: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            logged.append((Path(folder).name, -1))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            logged.append((name, step))

        def add_image(self, name: str, pixels: torch.Tensor, step: int) -> None:
            assert pixels.shape == (3, 32, 48)
            logged.append((name, step))

        def close(self) -> None:
            logged.append(("closed", -1))

    module = type(trainer)("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", module)
    make_trainer(data, tmp_path / "run", replace(RECIPE, steps=12)).train()
    assert logged[0] == ("tensorboard", -1)
    assert {("total", 10), ("content", 10), ("style/relu1_2", 10), ("preview", 12)} <= set(logged)
    assert logged[-1] == ("closed", -1)


def train(data: Path, folder: Path, vgg: Path, recipe: RealtimeRecipe = RECIPE, **options: Any) -> TrainingResult:
    return session.train_realtime(recipe, folder, data=data, vgg=vgg, device="cpu", threads=1, **options)


def test_a_session_from_recipe_to_network_and_on(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """With VGG16's shapes: two steps, a stop, the rest; the same as in one go, and then a new start from it."""
    recipe = replace(RECIPE, steps=3)
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    whole = train(
        data,
        tmp_path / "whole",
        vgg_file,
        recipe,
        say=said.append,
        on_start=lambda total, done: steps.append((total, done)),
    )
    assert said[0] == "3 pictures; training on cpu"
    assert steps == [(3, 0)]
    assert {"content", "style", "tv", "consistency", "style/relu4_3"} <= set(whole.history[0])
    train(data, tmp_path / "parts", vgg_file, recipe, **stop_after(1))
    rest = train(data, tmp_path / "parts", vgg_file, RealtimeRecipe(), resume=True)
    assert same_weights(whole.net.state_dict(), rest.net.state_dict())
    assert rest.recipe == recipe

    checkpoint = tmp_path / "whole" / "checkpoint.pt"
    net, stored, step = network_from_checkpoint(checkpoint)
    assert (stored, step) == (recipe, 3)
    started = session.starting_network(replace(RECIPE, init=str(checkpoint)), None)
    assert same_weights(started.state_dict(), net.state_dict())
    with pytest.raises(TrainingError, match="another size"):
        session.starting_network(replace(RECIPE, init=str(checkpoint), channels=12), None)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"style_image": ""}, (UsageError, "--style-image")),
        ({"content": ()}, (UsageError, "--content")),
        ({"steps": 0}, (UsageError, "--minutes")),
        ({"content": ("nowhere",)}, (TrainingError, "no such folder")),
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


def test_resuming_without_what_it_began_from(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """The checkpoint has the weights; the ``init`` file may be gone by then."""
    train(data, tmp_path / "first", vgg_file, replace(RECIPE, steps=1))
    begin = (tmp_path / "first" / "checkpoint.pt").rename(tmp_path / "begin.pt")
    recipe = replace(RECIPE, steps=2, init=str(begin))
    train(data, tmp_path / "run", vgg_file, recipe, **stop_after(1))
    begin.unlink()
    assert train(data, tmp_path / "run", vgg_file, resume=True).step == 2


def test_pictures_that_break_off_are_told(data: Path, tmp_path: Path) -> None:
    """A file that turned out broken on the way is named at the end."""
    picture = Image.open(data / "style.png").resize((300, 300))
    picture.save(data / "photos" / "0.jpg")
    whole = (data / "photos" / "0.jpg").read_bytes()
    (data / "photos" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    said: list[str] = []
    make_trainer(data, tmp_path / "run", replace(RECIPE, steps=3, batch=4), say=said.append).train()
    assert [line for line in said if "0.jpg" in line and line.startswith("1 pictures could not be decoded")]


def test_broken_pictures_are_counted(data: Path, tmp_path: Path, vgg_file: Path) -> None:
    """The first line says how many files were skipped."""
    (data / "photos" / "bad.jpg").write_text("not a picture")
    said: list[str] = []
    train(data, tmp_path / "run", vgg_file, replace(RECIPE, steps=1), say=said.append)
    assert said[0].startswith("3 pictures, 1 files skipped")
