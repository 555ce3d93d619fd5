"""The training loop: the same numbers however often it is interrupted, and nothing lost when something fails."""

# ruff: noqa: E402
from __future__ import annotations

import errno
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from PIL import Image
from trainfakes import REALTIME, RECIPES, NoiseBatches, make_trainer, same, stop_after

from allaprima.errors import TrainingError
from allaprima.train import trainer as loop
from allaprima.train.checkpoint import load_checkpoint, network_from_checkpoint, save_checkpoint
from allaprima.train.method import Losses
from allaprima.train.methods.realtime import RealtimeMethod
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.realtime import RealtimeRecipe

MODERATE = replace(REALTIME, strength_share=0.0)
"""Without the photograph's large gradients, whose first step overflows in float16 and is left out."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in the same order; no TensorBoard, whose import is slow; noise for content."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.summary_pb2", None)
    monkeypatch.setattr(loop, "Batches", NoiseBatches)
    yield
    torch.set_num_threads(before)


def states(*folders: Path) -> list[dict[str, Any]]:
    found = [load_checkpoint(folder / "checkpoint.pt") for folder in folders]
    for state in found:
        del state["seconds"]
    return found


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_resuming_equals_never_stopping(tmp_path: Path, recipe: Recipe) -> None:
    """Six steps, or three and three: the same weights, averages, buffers, optimizer and losses, bit by bit."""
    whole = make_trainer(tmp_path / "whole", recipe).train()
    first = make_trainer(tmp_path / "parts", recipe, **stop_after(3)).train()
    assert (first.step, first.steps) == (3, 6)
    second = make_trainer(tmp_path / "parts", recipe)
    second.resume(tmp_path / "parts" / "checkpoint.pt")
    rest = second.train()
    assert (rest.step, rest.steps) == (whole.step, whole.steps) == (6, 6)
    assert [*first.history, *rest.history] == whole.history
    assert same(rest.net.state_dict(), whole.net.state_dict())
    assert same(*states(tmp_path / "whole", tmp_path / "parts"))


def test_resuming_at_float16_keeps_the_scale(tmp_path: Path) -> None:
    """A scaler that had backed off goes on from there, and skips the same steps."""
    recipe = replace(REALTIME, precision="f16", gradient_clip=0.0)
    whole = make_trainer(tmp_path / "whole", recipe).train()
    make_trainer(tmp_path / "parts", recipe, **stop_after(2)).train()
    second = make_trainer(tmp_path / "parts", recipe)
    second.resume(tmp_path / "parts" / "checkpoint.pt")
    second.train()
    assert whole.step == 6
    one, other = states(tmp_path / "whole", tmp_path / "parts")
    assert same(one, other)
    assert one["scaler"]["scale"] > 0


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same recipe makes the same style; another seed another."""
    first, again, other = (
        make_trainer(tmp_path / str(i), replace(REALTIME, seed=seed, steps=2)).train()
        for i, seed in enumerate((3, 3, 4))
    )
    assert same(first.net.state_dict(), again.net.state_dict())
    assert not same(first.net.state_dict(), other.net.state_dict())


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    """It learns: the last steps cost clearly less than the first."""
    history = make_trainer(tmp_path / "run", replace(REALTIME, steps=60, learning_rate=1e-2)).train().history
    totals = [losses["total"] for losses in history]
    assert len(totals) == 60
    assert np.mean(totals[-10:]) < 0.7 * np.mean(totals[:5])


def test_weights_are_averaged_and_buffers_copied(tmp_path: Path) -> None:
    """The result is the running mean, by the rule min(ema, (1 + step) / (10 + step)); statistics are the last ones."""
    recipe = replace(RECIPES["johnson, batch"], steps=2)
    start = {name: value.clone() for name, value in make_trainer(tmp_path / "x", recipe)._network.state_dict().items()}
    make_trainer(tmp_path / "run", recipe, **stop_after(1)).train()
    first = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    second_half = make_trainer(tmp_path / "run", recipe)
    second_half.resume(tmp_path / "run" / "checkpoint.pt")
    second_half.train()
    second = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    buffers = 0
    for name, value in second["ema"].items():
        if "running" in name or "tracked" in name:
            buffers += 1
            assert torch.equal(value, second["net"][name]), name
            continue
        after_one = 0.1 * start[name] + 0.9 * first["net"][name]
        torch.testing.assert_close(first["ema"][name], after_one)
        torch.testing.assert_close(value, 2 / 11 * after_one + 9 / 11 * second["net"][name])
    assert buffers


def test_without_averaging_the_last_weights_are_the_result(tmp_path: Path) -> None:
    """An average of decay 0 is exactly what was trained."""
    make_trainer(tmp_path / "run", replace(REALTIME, ema=0.0, steps=3)).train()
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert same(state["ema"], state["net"])


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_gradients_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """To the recipe's norm, unscaled; 0 leaves them as they are."""
    norms: list[float] = []

    def watch(self: Any, *given: Any, **options: Any) -> None:
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    for name, clip in {"small": 1e-3, "smaller": 1e-4, "none": 0.0}.items():
        make_trainer(tmp_path / name, replace(MODERATE, gradient_clip=clip, steps=1, precision=precision)).train()
    assert norms[:2] == pytest.approx([1e-3, 1e-4], rel=1e-3)
    assert norms[2] > 1e-2


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("f16", 0.01)])
def test_lower_precision_stays_near_float32(tmp_path: Path, precision: str, tolerance: float) -> None:
    """Losses of six steps, relative to those at float32; the weights stay float32."""
    exact = make_trainer(tmp_path / "f32", MODERATE).train()
    mixed = make_trainer(tmp_path / precision, replace(MODERATE, precision=precision)).train()
    for one, other in zip(exact.history, mixed.history, strict=True):
        assert one["total"] != other["total"]
        assert other["total"] == pytest.approx(one["total"], rel=tolerance)
    assert {value.dtype for value in mixed.net.state_dict().values()} == {torch.float32}


def test_a_stop_keeps_what_is_there(tmp_path: Path) -> None:
    """Ctrl-C after two steps: the recipe, a checkpoint of two steps, previews, and a network."""
    result = make_trainer(tmp_path / "run", **stop_after(2)).train()
    assert (result.step, result.steps) == (2, 6)
    assert len(result.history) == 2
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 2
    assert RealtimeRecipe.read(tmp_path / "run" / "recipe.toml") == REALTIME
    with Image.open(tmp_path / "run" / "preview-000002.png") as preview:
        assert preview.size == (48, 32)
    with Image.open(tmp_path / "run" / "preview-000002.gif") as clip:
        assert (clip.n_frames, clip.size) == (4, (48, 32))  # type: ignore[attr-defined]
    assert not result.net.training


def break_losses(monkeypatch: pytest.MonkeyPatch, at: int, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    original = RealtimeMethod.losses

    def losses(self: RealtimeMethod, network: Any, batch: Any, step: int, steps: int) -> Losses:
        made = original(self, network, batch, step, steps)
        return replace(made, total=change(made.total)) if step == at else made

    monkeypatch.setattr(RealtimeMethod, "losses", losses)


NAN: Callable[[torch.Tensor], torch.Tensor] = lambda total: total * math.nan  # noqa: E731
INFINITE: Callable[[torch.Tensor], torch.Tensor] = lambda total: total * math.inf  # noqa: E731
GRADIENT: Callable[[torch.Tensor], torch.Tensor] = lambda total: total + (total - total).sqrt()  # noqa: E731


@pytest.mark.parametrize(
    ("change", "precision"),
    [(NAN, "f32"), (INFINITE, "f32"), (GRADIENT, "f32"), (GRADIENT, "bf16"), (NAN, "f16")],
    ids=["nan", "infinite", "gradient", "gradient, bf16", "nan, f16"],
)
def test_a_loss_that_is_not_finite_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor], precision: str
) -> None:
    """The step is named, and the last good checkpoint is left, also when only the gradient is broken."""
    break_losses(monkeypatch, 3, change)
    recipe = replace(REALTIME, steps=100, precision=precision)
    with pytest.raises(TrainingError, match=r"not finite at step 3.*learning_rate.*checkpoint\.pt"):
        make_trainer(tmp_path / "run", recipe, checkpoint_seconds=0.0).train()
    state = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert state["step"] == 3
    assert all(torch.isfinite(value).all() for value in (*state["net"].values(), *state["ema"].values()))


def test_a_gradient_that_overflows_float16_skips_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scaler does what it is for: weights stay, and the scale halves."""
    recipe = replace(REALTIME, steps=4, precision="f16")
    break_losses(monkeypatch, 1, GRADIENT)
    scales, weights = [], []
    running = make_trainer(tmp_path / "run", recipe, on_step=lambda progress: remember())

    def remember() -> None:
        scales.append(running._fabric.strategy.precision.scaler.get_scale())
        weights.append([value.clone() for value in running._network.state_dict().values()])

    running.train()
    assert scales[1] == scales[0] / 2
    assert same(weights[0], weights[1])
    assert not same(weights[1], weights[2])


def test_gradients_that_overflow_at_any_scale_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that skips every step would end with the weights it began with."""
    original = RealtimeMethod.losses

    def losses(*given: Any) -> Losses:
        made = original(*given)
        return replace(made, total=GRADIENT(made.total))

    monkeypatch.setattr(RealtimeMethod, "losses", losses)
    with pytest.raises(TrainingError, match="not finite at step 41"):
        make_trainer(tmp_path / "run", replace(REALTIME, steps=99, precision="f16")).train()


def test_a_loss_broken_from_the_start_names_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none to go back to."""
    break_losses(monkeypatch, 0, NAN)
    with pytest.raises(TrainingError, match=r"at step 0: lower learning_rate$"):
        make_trainer(tmp_path / "run").train()


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


def test_the_preview_of_a_recurrent_net_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its frames is painted over the painting of the one before, as in use."""
    shown: list[torch.Tensor] = []
    monkeypatch.setattr(loop.Logbook, "preview", lambda self, step, frames: shown.append(frames))
    trainer = make_trainer(tmp_path / "run", replace(RECIPES["realtime, recurrent"], steps=1))
    weight = trainer._network.get_submodule("recall.conv").weight
    weight.data[:] = 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr,operator]
    result = trainer.train()
    frames, net, previous = torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(8)), result.net, None
    assert len(shown) == 1
    with torch.no_grad():
        for frame, painted in zip(frames.split(1), shown[0].split(1), strict=True):
            previous = net(frame, previous=previous)
            torch.testing.assert_close(painted, previous, rtol=1e-4, atol=1e-5)
        assert (net(frames[3:]) - shown[0][3:]).abs().max() > 0.01


def test_a_full_disk_at_the_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told in one line; the checkpoint was written before."""

    def write(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(TrainingError, match=r"No space left.*--out"):
        make_trainer(tmp_path / "run", **stop_after(1)).train()
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 1


def test_a_new_checkpoint_takes_the_place_of_the_old_at_once(tmp_path: Path) -> None:
    """Who has the old one open, a copy in progress, reads it to its end."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 1})
    before = path.read_bytes()
    with path.open("rb") as reader:
        save_checkpoint(path, {"recipe": {}, "ema": {}, "step": 2, "more": "x" * 999})
        assert reader.read() == before
    assert load_checkpoint(path)["step"] == 2


def test_a_destination_that_cannot_be_written(tmp_path: Path) -> None:
    """Told before the first step, in one line."""
    (tmp_path / "file").touch()
    steps: list[object] = []
    with pytest.raises(TrainingError, match="choose another --out"):
        make_trainer(tmp_path / "file" / "run", on_step=steps.append).train()
    assert not steps


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


def test_a_checkpoint_gives_its_network(tmp_path: Path) -> None:
    """Of any method: the averaged weights, ready to paint."""
    for name, recipe in RECIPES.items():
        result = make_trainer(tmp_path / name, replace(recipe, steps=1)).train()
        network, stored, step = network_from_checkpoint(tmp_path / name / "checkpoint.pt")
        assert (stored, step, network.training) == (result.recipe, 1, False)
        assert same(network.state_dict(), result.net.state_dict())


@pytest.mark.parametrize(("name", "precision"), [("realtime", "f16"), ("johnson, batch", "f32")])
def test_minutes_become_steps_by_the_measured_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    """At a second a step, a minute is 60 steps less the 12 that measured; the pace steps leave no trace."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(ticks)))
    recipe = replace(RECIPES[name], steps=0, precision=precision)
    start = make_trainer(tmp_path / "x", recipe)._state()
    random = torch.get_rng_state()
    written: list[int] = []
    path = tmp_path / "run" / "checkpoint.pt"
    options = {"stop": lambda: True, "on_start": lambda steps, done: written.append(load_checkpoint(path)["step"])}
    result = make_trainer(tmp_path / "run", recipe, minutes=1.0, **options).train()
    assert written == [0]
    assert torch.equal(torch.get_rng_state(), random)
    assert (result.step, result.steps, result.recipe.steps) == (0, 48, 48)
    state = load_checkpoint(path)
    assert same({key: state[key] for key in start}, start)
    assert type(recipe).read(tmp_path / "run" / "recipe.toml").steps == 48
    resumed = make_trainer(tmp_path / "run", recipe, stop=lambda: True)
    resumed.resume(path)
    assert resumed.train().steps == 48


def test_neither_minutes_nor_steps(tmp_path: Path) -> None:
    """Without an end, training doesn't begin."""
    with pytest.raises(TrainingError, match="--minutes"):
        make_trainer(tmp_path / "run", replace(REALTIME, steps=0)).train()


def test_without_tensorboard_the_run_says_so(tmp_path: Path) -> None:
    """Losses that are not logged are told, once."""
    said: list[str] = []
    make_trainer(tmp_path / "run", replace(REALTIME, steps=1), say=said.append).train()
    assert [line for line in said if "TensorBoard" in line] == said
    assert len(said) == 1


def test_pictures_that_break_off_are_told(tmp_path: Path) -> None:
    """A file that turned out broken on the way is named at the end."""
    said: list[str] = []
    running = make_trainer(tmp_path / "run", replace(REALTIME, steps=1), say=said.append)
    running._content.broken.add(Path("half.jpg"))
    running.train()
    assert said[-1] == "1 pictures could not be decoded: half.jpg"


def test_checkpoints_come_every_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At twenty seconds a step, every sixth step has a preview."""
    clock = {"now": 0.0}

    def tick(progress: object) -> None:
        clock["now"] += 20.0

    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    make_trainer(tmp_path / "run", replace(REALTIME, steps=13), on_step=tick).train()
    assert sorted(path.name for path in (tmp_path / "run").glob("*.png")) == [
        f"preview-{step:06d}.png" for step in (6, 12, 13)
    ]
