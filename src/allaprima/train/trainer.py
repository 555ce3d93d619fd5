"""The training loop: pace, schedule, averaging, checkpoints, previews, and a stop that keeps what is there."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import TrainingError
from .data import Content, Crops
from .methods.realtime import RealtimeMethod
from .networks.realtime import RealtimeNet
from .recipe import RealtimeRecipe, recipe_from_dict

_PACE_STEPS = 12
_PACE_SKIP = 4


@dataclass(frozen=True)
class Progress:
    """Where a run is; handed to the caller after every step."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass
class TrainingRun:
    """What a run needs beside its recipe.

    Attributes:
        folder: checkpoints, previews and TensorBoard files go here.
        preview: float 1×3×H×W picture in [0, 1], painted every few minutes.
        minutes: time budget that fixes the number of steps when the recipe leaves it open.
        stop: asked before each step; true ends the run and keeps what is there.
    """

    folder: Path
    preview: Tensor
    minutes: float = 0.0
    device: str = "cpu"
    autocast: bool = False
    checkpoint_seconds: float = 120.0
    say: Callable[[str], None] = lambda _: None
    on_start: Callable[[int, int], None] = lambda steps, done: None
    on_step: Callable[[Progress], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False


@dataclass
class TrainingResult:
    """What came out: averaged weights on the CPU, and how far the run got."""

    net: RealtimeNet
    recipe: RealtimeRecipe
    step: int
    steps: int
    seconds: float
    history: list[dict[str, float]] = field(default_factory=list)


def learning_rate(recipe: RealtimeRecipe, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to 0 (Loshchilov & Hutter 2017, equation 5); polishing has its own."""
    first, rate = recipe.warmup_steps, recipe.learning_rate
    last = recipe.polish_from(steps)
    if last <= step < steps:
        first, last, rate = last, steps, recipe.polish_learning_rate
    elif step < first:
        return rate * (step + 1) / first
    done = (step - first) / max(1, last - first)
    return rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write beside the final name and rename, so that a crash or a full disk leaves the last checkpoint whole."""
    aside = path.with_name(path.name + ".part")
    try:
        torch.save(state, aside)
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise TrainingError(
            f"can't write checkpoint {path}: {error}; free some space or choose another --out"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without unpickling code.

    Raises:
        TrainingError: missing, damaged, or not a checkpoint of this program.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if "recipe" in state and "ema" in state:
            return state
    except Exception as error:  # torch.load raises whatever its readers raise
        raise TrainingError(f"{path} can't be read as a checkpoint: {type(error).__name__}") from error
    raise TrainingError(f"{path} is not a checkpoint of allaprima")


def network_from_checkpoint(path: Path) -> tuple[RealtimeNet, RealtimeRecipe, int]:
    """The averaged network of a checkpoint, its recipe and its step."""
    state = load_checkpoint(path)
    recipe = recipe_from_dict(state["recipe"])
    net = RealtimeNet(recipe.channels, recipe.blocks)
    net.load_state_dict(state["ema"])
    return net, recipe, int(state["step"])


class _Logbook:
    """Previews as PNG files; scalars and pictures for TensorBoard where that is installed, which the run says."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            say("TensorBoard isn't installed, so losses are not logged: pip install 'allaprima[train]'")
        else:
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def picture(self, step: int, image: Tensor) -> None:
        pixels = (image[0].clamp(0, 1) * 255).round().byte().cpu()
        if self._writer is not None:
            self._writer.add_image("preview", pixels, step)
        array = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        Image.fromarray(array).save(self._folder / f"preview-{step:06d}.png")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Trainer:
    """Trains one network by one recipe; resumes from a checkpoint with the same numbers as an uninterrupted run.

    Args:
        net: the network to start from; trained in place.
        method: the losses.
        recipe: everything that decides the outcome.
        content: the pictures.
        run: where and how long.
    """

    def __init__(
        self, net: RealtimeNet, method: RealtimeMethod, recipe: RealtimeRecipe, content: Content, run: TrainingRun
    ) -> None:
        self._net = net.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._ema = copy.deepcopy(self._net).requires_grad_(False)
        self._optimizer = torch.optim.AdamW(self._net.parameters(), lr=recipe.learning_rate)
        self._method, self._recipe, self._run = method, recipe, run
        self._crops = Crops(content, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)
        self._step, self._steps, self._seconds = 0, recipe.steps, 0.0

    @property
    def _checkpoint(self) -> Path:
        return self._run.folder / "checkpoint.pt"

    def resume(self, path: Path) -> None:
        """Take up a checkpoint: weights, averages, optimizer, step, and the number of steps fixed at the start."""
        state = load_checkpoint(path)
        self._net.load_state_dict(state["net"])
        self._ema.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._steps, self._seconds = state["step"], state["steps"], state["seconds"]

    def train(self) -> TrainingResult:
        """Run to the last step, or until ``run.stop``.

        Raises:
            TrainingError: the loss is no longer finite (the last good checkpoint stays), or the disk is full.
        """
        run = self._run
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            logbook = _Logbook(run.folder, run.say)
        except OSError as error:
            raise TrainingError(f"can't write to {run.folder}: {error.strerror}; choose another --out") from error
        try:
            if not self._steps:
                self._steps = self._fix_steps()
            history = self._loop(logbook)
            self._save()
            logbook.picture(self._step, self._paint_preview())
        finally:
            logbook.close()
        if self._crops.broken:
            run.say(
                f"{len(self._crops.broken)} pictures could not be decoded: {', '.join(map(str, self._crops.broken))}"
            )
        net = copy.deepcopy(self._ema).cpu()
        return TrainingResult(net, self._recipe, self._step, self._steps, self._seconds, history)

    def _fix_steps(self) -> int:
        """Measure the pace on throw-away steps and turn the budget into a number of steps."""
        if self._run.minutes <= 0:
            raise TrainingError("say how long to train: --minutes M or --steps N")
        net, optimizer = copy.deepcopy(self._net.state_dict()), copy.deepcopy(self._optimizer.state_dict())
        ema = copy.deepcopy(self._ema.state_dict())
        times = []
        with contextlib.closing(self._crops.batches(0, _PACE_STEPS)) as batches:
            for step, batch in enumerate(batches):
                started = time.perf_counter()
                self._one_step(step, batch, _PACE_STEPS)
                times.append(time.perf_counter() - started)
        self._net.load_state_dict(net)
        self._optimizer.load_state_dict(optimizer)
        self._ema.load_state_dict(ema)
        spent = sum(times)
        pace = float(np.median(times[_PACE_SKIP:]))
        return max(1, int((self._run.minutes * 60 - spent) / pace))

    def _one_step(self, step: int, batch: Tensor, steps: int) -> dict[str, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._recipe, step, steps)
        seed = int(np.random.SeedSequence((self._recipe.seed, step)).generate_state(1)[0])
        generator = torch.Generator().manual_seed(seed)
        batch = batch.to(self._run.device)
        polish = step >= self._recipe.polish_from(steps)
        losses = self._method.step(self._net, batch, generator, self._run.autocast, polish)
        self._optimizer.zero_grad()
        losses.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), self._recipe.gradient_clip)
        if not (math.isfinite(losses.total.item()) and math.isfinite(norm.item())):
            kept = f"; last good checkpoint: {self._checkpoint}" if self._checkpoint.exists() else ""
            raise TrainingError(f"the loss is not finite at step {step}: lower learning_rate{kept}")
        self._optimizer.step()
        decay = min(self._recipe.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, value in zip(self._ema.parameters(), self._net.parameters(), strict=True):
                average.lerp_(value, 1 - decay)
        return {"total": losses.total.item(), **losses.parts}

    def _loop(self, logbook: _Logbook) -> list[dict[str, float]]:
        run, history = self._run, []
        run.on_start(self._steps, self._step)
        last_save = time.monotonic()
        with contextlib.closing(self._crops.batches(self._step, self._steps)) as batches:
            for batch in batches:
                if run.stop():
                    break
                started = time.perf_counter()
                losses = self._one_step(self._step, batch, self._steps)
                self._step += 1
                self._seconds += time.perf_counter() - started
                history.append(losses)
                run.on_step(Progress(self._step, self._steps, losses))
                if self._step % 10 == 0:
                    logbook.scalars(self._step, losses)
                if time.monotonic() - last_save >= run.checkpoint_seconds:
                    self._save()
                    logbook.picture(self._step, self._paint_preview())
                    last_save = time.monotonic()
        return history

    def _paint_preview(self) -> Tensor:
        with torch.no_grad():
            painting: Tensor = self._ema(self._run.preview.to(self._run.device))
        return painting

    def _save(self) -> None:
        save_checkpoint(
            self._checkpoint,
            {
                "recipe": self._recipe.to_dict(),
                "net": self._net.state_dict(),
                "ema": self._ema.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self._step,
                "steps": self._steps,
                "seconds": self._seconds,
            },
        )
