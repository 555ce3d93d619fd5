"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from ..errors import TrainingError
from .method import method_class, recipe_from_dict
from .network import StyleNetwork
from .recipe import Recipe


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write beside the final name and rename, so that a crash or a full disk leaves the last checkpoint whole.

    Raises:
        TrainingError: it can't be written.
    """
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


def network_from_checkpoint(path: Path) -> tuple[StyleNetwork, Recipe, int]:
    """The averaged network of a checkpoint, ready to paint, its recipe and its step.

    Raises:
        TrainingError: missing, damaged, or not a checkpoint of this program.
    """
    state = load_checkpoint(path)
    recipe = recipe_from_dict(state["recipe"])
    network = method_class(recipe.method).network(recipe)
    network.load_state_dict(state["ema"])
    return network.eval(), recipe, int(state["step"])
