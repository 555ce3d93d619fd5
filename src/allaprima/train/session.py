"""One training session from a recipe to a checkpoint: what the command line and Python call.

Needs torch, NumPy and Pillow only, so that it runs on a bare GPU machine; ``export.py`` makes the style file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import SinkError, TrainingError, UsageError
from .data import find_content, load_picture, resize_short_side, to_tensor
from .methods.realtime import RealtimeMethod
from .networks.realtime import RealtimeNet
from .recipe import RealtimeRecipe, recipe_from_dict, resolve
from .trainer import Progress, Trainer, TrainingResult, TrainingRun, load_checkpoint, network_from_checkpoint
from .vgg import VGG16Features, load_weights


def pick_device(name: str) -> str:
    """``auto`` to the accelerator that PyTorch finds, else the CPU.

    Raises:
        TrainingError: the named device isn't here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return found.type if found else "cpu"
    if name != "cpu" and (found is None or found.type != name):
        raise TrainingError(f"PyTorch finds no '{name}' here; choose --device {found.type if found else 'cpu'}")
    return name


def has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 is a gain: on CUDA from Ampere on, on CPUs with AVX512-BF16 or AMX."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def train_realtime(
    recipe: RealtimeRecipe,
    folder: Path,
    *,
    data: Path | None = None,
    minutes: float = 0.0,
    resume: bool = False,
    vgg: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    preview: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    on_start: Callable[[int, int], None] = lambda steps, done: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train the real-time network by a recipe.

    Args:
        recipe: every setting; with ``resume``, the checkpoint's recipe takes its place.
        folder: checkpoints, previews and logs go here.
        data: folder that relative paths of the recipe are looked up in.
        minutes: budget that sets the number of steps where the recipe leaves it open.
        stop: asked before each step; true ends the training and keeps what is there.

    Returns:
        The averaged network, the recipe with its steps, and how far the training got.

    Raises:
        TrainingError: pictures, weights or settings that can't be trained with.
    """
    checkpoint = folder / "checkpoint.pt"
    if resume:
        recipe = recipe_from_dict(load_checkpoint(checkpoint)["recipe"])
    elif checkpoint.exists():
        raise SinkError(f"{checkpoint} exists: choose another --out, or go on with --resume")
    if not recipe.style_image or not recipe.content:
        raise UsageError("say what to paint like (--style-image PICTURE) and on what (--content FOLDER)")
    if not (recipe.steps or minutes or resume):
        raise UsageError("say how long to train: --minutes M or --steps N")

    torch.set_num_threads(threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)
    chosen = pick_device(device)
    content = find_content([resolve(name, data) for name in recipe.content], recipe.exclude)
    skipped = f", {len(content.skipped)} files skipped" if content.skipped else ""
    say(f"{len(content.files)} pictures{skipped}; training on {chosen}")
    style_path = resolve(recipe.style_image, data)
    painting = to_tensor(resize_short_side(load_picture(style_path), recipe.style_size)).unsqueeze(0)
    shown = to_tensor(resize_short_side(load_picture(preview or content.files[0]), 384)).unsqueeze(0)
    loss_network = VGG16Features(load_weights(vgg)).to(chosen)
    run = TrainingRun(
        folder,
        shown,
        minutes=minutes,
        device=chosen,
        autocast=has_fast_bf16(chosen),
        say=say,
        on_start=on_start,
        on_step=on_step,
        stop=stop,
    )
    method = RealtimeMethod(recipe, loss_network, painting.to(chosen))
    # A resumed run takes its weights from the checkpoint; what it began from may be gone by now.
    net = starting_network(replace(recipe, init="") if resume else recipe, data)
    trainer = Trainer(net, method, recipe, content, run)
    if resume:
        trainer.resume(checkpoint)
    return trainer.train()


def starting_network(recipe: RealtimeRecipe, data: Path | None) -> RealtimeNet:
    """A fresh network, or one with the weights that the recipe's ``init`` names.

    Raises:
        TrainingError: ``init`` holds a network of another kind or size.
    """
    net = RealtimeNet(recipe.channels, recipe.blocks)
    if not recipe.init:
        return net
    path = resolve(recipe.init, data)
    if path.suffix == ".pt":
        weights = network_from_checkpoint(path)[0].state_dict()
    else:
        from .export import weights_from_style

        weights = weights_from_style(str(path) if path.exists() else recipe.init)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(
            f"--init {recipe.init} holds a network of another size than {recipe.channels} channels,"
            f" {recipe.blocks} blocks"
        ) from error
    return net
