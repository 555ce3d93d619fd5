"""The training loop: pace, averaging, checkpoints, previews, and a stop that keeps what is there."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ..errors import TrainingError
from .batches import Batch, Batches
from .checkpoint import load_checkpoint, save_checkpoint
from .content import Content, Motion
from .logbook import Logbook
from .method import Losses, Method
from .network import StyleNetwork
from .processes import any_process, average
from .recipe import Recipe

_PACE_STEPS = 12
_PACE_SKIP = 4
_LOG_STEPS = 10
_LEAST_SCALE = 2.0**-24
"""Of a float16 loss: gradients that overflow even then aren't finite."""


@dataclass(frozen=True)
class Progress:
    """Where a run is; handed to the caller after every step."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass
class TrainingRun:
    """What a run needs beside its method.

    Attributes:
        folder: the recipe, checkpoints, previews and TensorBoard files go here.
        preview: float T×3×H×W clip in [0, 1], painted every few minutes.
        minutes: time budget that fixes the number of steps when the recipe leaves it open.
        stop: asked before each step, in each process; true in any ends the run and keeps what is there.
    """

    folder: Path
    preview: Tensor
    minutes: float = 0.0
    checkpoint_seconds: float = 120.0
    say: Callable[[str], None] = lambda _: None
    on_start: Callable[[int, int], None] = lambda steps, done: None
    on_step: Callable[[Progress], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False


@dataclass
class TrainingResult:
    """What came out, the same in every process: averaged weights on the CPU, and how far the run got.

    Attributes:
        recipe: with the number of steps and the precision as they were chosen.
        picture: the preview's first frame, float 1×3×H×W in [0, 1], which is real content.
    """

    net: StyleNetwork
    recipe: Recipe
    step: int
    steps: int
    seconds: float
    picture: Tensor
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains one network by one method; resumes from a checkpoint with the same numbers as an uninterrupted run.

    Args:
        fabric: launched, of the recipe's precision.
        network: to start from; the same in every process, trained in place.
        method: the losses, on Fabric's device.
        content: what to train on.
        run: where and how long.

    Raises:
        TrainingError: the batch can't be shared among the processes.
    """

    def __init__(
        self, fabric: Fabric, network: StyleNetwork, method: Method[Recipe], content: Content, run: TrainingRun
    ) -> None:
        recipe = method.recipe
        self._network = network.to(fabric.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._ema: StyleNetwork = copy.deepcopy(self._network).requires_grad_(False).eval()
        optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._optimizer: torch.optim.Optimizer = fabric.setup_optimizers(optimizer)  # type: ignore[assignment]
        self._fabric, self._method, self._recipe, self._content, self._run = fabric, method, recipe, content, run
        self._batches = Batches(
            content, batch=recipe.batch, seed=recipe.seed, rank=fabric.global_rank, world=fabric.world_size
        )
        self._step, self._seconds = 0, 0.0

    @property
    def _checkpoint(self) -> Path:
        return self._run.folder / "checkpoint.pt"

    def resume(self, path: Path) -> None:
        """Take up a checkpoint: weights, averages, optimizer, step, and the number of steps fixed at the start.

        Raises:
            TrainingError: missing or damaged.
        """
        state = load_checkpoint(path)
        self._restore(state)
        self._step, self._seconds = state["step"], state["seconds"]
        self._recipe = replace(self._recipe, steps=state["recipe"]["steps"])

    def train(self) -> TrainingResult:
        """Run to the last step, or until ``run.stop``.

        Raises:
            TrainingError: the loss is no longer finite (the last good checkpoint stays), or the disk is full.
        """
        run, main = self._run, self._fabric.is_global_zero
        with contextlib.ExitStack() as closing:
            logbook = None
            if main:
                with self._writing():
                    run.folder.mkdir(parents=True, exist_ok=True)
                    logbook = Logbook(run.folder, run.say)
                closing.callback(logbook.close)
            if not self._recipe.steps:
                self._recipe = replace(self._recipe, steps=self._measured_steps())
                # At once: no second measurement would give the same number.
                self._save()
            if main:
                with self._writing():
                    self._recipe.write(run.folder / "recipe.toml")
            history = self._loop(logbook)
            self._save()
            self._preview(logbook)
        broken = self._content.broken
        if main and broken:
            run.say(f"{len(broken)} pictures could not be decoded: {', '.join(map(str, sorted(broken)))}")
        net = copy.deepcopy(self._ema).cpu()
        picture = run.preview[:1]
        return TrainingResult(net, self._recipe, self._step, self._recipe.steps, self._seconds, picture, history)

    def _loop(self, logbook: Logbook | None) -> list[dict[str, float]]:
        run, steps, history = self._run, self._recipe.steps, list[dict[str, float]]()
        run.on_start(steps, self._step)
        last_save, last_log, seconds = time.monotonic(), self._step, self._seconds
        with contextlib.closing(self._batches.stream(self._step, steps)) as batches:
            for batch in batches:
                if any_process(self._fabric, run.stop()):
                    break
                started = time.perf_counter()
                losses = self._one_step(self._step, steps, batch)
                self._step += 1
                self._seconds += time.perf_counter() - started
                history.append(losses)
                run.on_step(Progress(self._step, steps, losses))
                if logbook is not None and self._step % _LOG_STEPS == 0:
                    pace = (self._step - last_log) / max(self._seconds - seconds, 1e-9)
                    rate = self._method.learning_rate(self._step - 1, steps)
                    logbook.scalars(self._step, {**losses, "learning_rate": rate, "steps_per_second": pace})
                    last_log, seconds = self._step, self._seconds
                if time.monotonic() - last_save >= run.checkpoint_seconds:
                    self._save()
                    self._preview(logbook)
                    last_save = time.monotonic()
        return history

    def _one_step(self, step: int, steps: int, batch: Batch) -> dict[str, float]:
        fabric, network = self._fabric, self._network
        for group in self._optimizer.param_groups:
            group["lr"] = self._method.learning_rate(step, steps)
        with fabric.autocast():
            losses = self._method.losses(network, _moved(batch, fabric.device), step, steps)
        self._optimizer.zero_grad()
        fabric.backward(losses.total)
        average(fabric, [weight.grad for weight in network.parameters() if weight.grad is not None])
        norm = fabric.clip_gradients(
            network, self._optimizer, max_norm=self._recipe.gradient_clip or math.inf, error_if_nonfinite=False
        )
        assert norm is not None
        values = self._values(losses)
        if not (math.isfinite(values["total"]) and self._is_usable(norm)):
            kept = f"; last good checkpoint: {self._checkpoint}" if self._checkpoint.exists() else ""
            raise TrainingError(f"the loss is not finite at step {step}: lower learning_rate{kept}")
        self._optimizer.step()
        self._average_weights(step)
        return values

    def _values(self, losses: Losses) -> dict[str, float]:
        """Each loss by name, of the whole batch."""
        named = {"total": losses.total.detach(), **losses.parts}
        values = torch.stack([value.float() for value in named.values()])
        average(self._fabric, [values])
        return dict(zip(named, values.tolist(), strict=True))

    def _is_usable(self, norm: Tensor) -> bool:
        """A gradient that overflows float16 makes the scaler skip the step and scale the next one's loss lower."""
        scaler = getattr(self._fabric.strategy.precision, "scaler", None)
        return bool(torch.isfinite(norm)) or (scaler is not None and scaler.get_scale() >= _LEAST_SCALE)

    @torch.no_grad()
    def _average_weights(self, step: int) -> None:
        decay = min(self._recipe.ema, (1 + step) / (10 + step))
        for average_, value in zip(self._ema.parameters(), self._network.parameters(), strict=True):
            average_.lerp_(value, 1 - decay)
        for kept, value in zip(self._ema.buffers(), self._network.buffers(), strict=True):
            kept.copy_(value)

    def _measured_steps(self) -> int:
        """Measure the pace on throw-away steps and turn the budget into a number of steps."""
        if self._run.minutes <= 0:
            raise TrainingError("say how long to train: --minutes M or --steps N")
        before, times = copy.deepcopy(self._state()), []
        with torch.random.fork_rng(devices=()), contextlib.closing(self._batches.stream(0, _PACE_STEPS)) as batches:
            for step, batch in enumerate(batches):
                started = time.perf_counter()
                self._one_step(step, _PACE_STEPS, batch)
                times.append(time.perf_counter() - started)
        self._restore(before)
        pace = float(np.median(times[_PACE_SKIP:]))
        steps: int = self._fabric.broadcast(max(1, int((self._run.minutes * 60 - sum(times)) / pace)))
        return steps

    def _preview(self, logbook: Logbook | None) -> None:
        if logbook is None:
            return
        frames: list[Tensor] = []
        with torch.no_grad():
            for frame in torch.split(self._run.preview, 1):
                previous = frames[-1] if frames else None
                frames.append(self._ema(frame.to(self._fabric.device), previous=previous).float())
        with self._writing():
            logbook.preview(self._step, torch.cat(frames))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(f"can't write to {self._run.folder}: {error.strerror}; choose another --out") from error

    def _save(self) -> None:
        if self._fabric.is_global_zero:
            there = {"step": self._step, "seconds": self._seconds, "recipe": self._recipe.to_dict()}
            save_checkpoint(self._checkpoint, {**self._state(), **there})

    def _state(self) -> dict[str, Any]:
        return {
            "net": self._network.state_dict(),
            "ema": self._ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._fabric.strategy.precision.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._network.load_state_dict(state["net"])
        self._ema.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["scaler"])


def _moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device; its seeds stay."""
    motion = batch.motion
    if motion is not None:
        motion = Motion(motion.before.to(device), motion.flow.to(device), motion.valid.to(device))
    return Batch(batch.image.to(device), batch.seeds, motion)
