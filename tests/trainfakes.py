"""Training without pictures and VGG16: tiny recipes, seeded noise for content, colors for features."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch

from allaprima.train import processes
from allaprima.train.batches import Batch
from allaprima.train.content import Motion
from allaprima.train.method import method_class
from allaprima.train.recipe import Recipe
from allaprima.train.recipes.johnson import JohnsonRecipe
from allaprima.train.recipes.realtime import RealtimeRecipe
from allaprima.train.recipes.reconet import ReconetRecipe
from allaprima.train.trainer import Trainer, TrainingRun

SIDE = 32
COMMON: dict[str, Any] = {
    "style_image": "style.png",
    "content": ("photos",),
    "blocks": 1,
    "batch": 2,
    "crop": 64,
    "style_size": 64,
    "steps": 6,
    "warmup_steps": 2,
    "learning_rate": 1e-3,
    "ema": 0.9,
    "precision": "f32",
}
REALTIME = RealtimeRecipe(channels=8, **COMMON)
JOHNSON = JohnsonRecipe(width=4, **COMMON)
RECIPES: dict[str, Recipe] = {
    "realtime": REALTIME,
    "realtime, recurrent": RealtimeRecipe(channels=8, recurrent=True, **COMMON),
    "johnson, instance": JOHNSON,
    "johnson, batch": JohnsonRecipe(width=4, normalization="batch", **COMMON),
    "reconet, instance": ReconetRecipe(width=4, normalization="instance", **COMMON),
    "reconet, frn": ReconetRecipe(width=4, normalization="frn", **COMMON),
}


class Colors:
    """A loss network that is quick: the picture's colors and their squares are its only features."""

    def __call__(self, image: torch.Tensor, layers: Any) -> dict[str, torch.Tensor]:
        return {layer: torch.cat((image, image.square()), 1) for layer in layers}


class Noise:
    """Content of which nothing is read."""

    def __init__(self) -> None:
        self.broken: set[Path] = set()


class NoiseBatches:
    """Batches of seeded noise, coarse enough to be learned from, and of pairs that moved by a pixel."""

    def __init__(self, content: Noise, *, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        share = batch // world
        self._seed, self._samples = seed, range(rank * share, (rank + 1) * share)

    def at(self, step: int) -> Batch:
        seeds = torch.tensor([self._seed * 10**6 + step * 10**3 + sample for sample in self._samples])
        images = []
        for seed in seeds.tolist():
            coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            images.append(torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear"))
        image = torch.cat(images)
        one = torch.ones(len(image), 1, SIDE, SIDE)
        motion = Motion(image.roll(1, 3), torch.cat((one, 0 * one), 1), one)
        return Batch(image, seeds, motion)

    def stream(self, first: int, last: int) -> Generator[Batch, None, None]:
        for step in range(first, last):
            yield self.at(step)


def make_trainer(folder: Path, recipe: Recipe = REALTIME, **run: Any) -> Trainer:
    """A trainer of a fresh network on noise; ``run`` as in :class:`TrainingRun`."""
    torch.manual_seed(recipe.seed)
    kind = method_class(recipe.method)
    style = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    method = kind(recipe, Colors(), style)  # type: ignore[arg-type]
    preview = torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(8))
    fabric = processes.open_fabric("cpu", recipe.precision)
    return Trainer(fabric, kind.network(recipe), method, Noise(), TrainingRun(folder, preview, **run))  # type: ignore[arg-type]


def stop_after(steps: int) -> dict[str, Callable[..., Any]]:
    """Options of a run that stops."""
    done: list[int] = []
    return {"on_step": lambda progress: done.append(progress.step), "stop": lambda: len(done) >= steps}


def same(first: Any, second: Any) -> bool:
    """Whether two states are alike, bit by bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(value, second[key]) for key, value in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)
