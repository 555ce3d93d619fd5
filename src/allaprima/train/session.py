"""One training session from a recipe to a checkpoint, of any method: what the command line and Python call.

Needs torch, NumPy, Pillow, Lightning Fabric and tomli-w only, so that it runs on a bare GPU machine; ``export.py``
makes the style file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import SinkError, TrainingError, UsageError
from .checkpoint import load_checkpoint, network_from_checkpoint
from .content import open_content
from .method import method_class, recipe_from_dict
from .network import StyleNetwork
from .pictures import load_picture, resize_short_side, to_tensor
from .preview import preview_clip
from .processes import open_fabric
from .recipe import Recipe, resolve
from .trainer import Progress, Trainer, TrainingResult, TrainingRun
from .vgg import VGG16Features, load_weights

_ACCELERATORS = ("cuda", "mps")


def pick_device(name: str) -> str:
    """``auto`` to the accelerator that PyTorch finds and Lightning Fabric knows, else the CPU.

    Raises:
        TrainingError: the named device isn't here.
    """
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    here = found.type if found is not None and found.type in _ACCELERATORS else "cpu"
    if name == "auto":
        return here
    if name not in ("cpu", here):
        raise TrainingError(f"no '{name}' to train on here; choose --device {here}")
    return name


def has_fast_bf16(device: str) -> bool:
    """Whether bfloat16 is a gain: on CUDA from Ampere on, on CPUs with AVX512-BF16 or AMX."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def train(
    recipe: Recipe,
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
    """Train a network by a recipe; in each process alike where ``torchrun`` started several.

    Args:
        recipe: every setting; with ``resume``, the checkpoint's recipe takes its place.
        folder: the recipe, checkpoints, previews and logs go here; shared by all processes.
        data: folder that relative paths of the recipe are looked up in.
        minutes: budget that sets the number of steps where the recipe leaves it open.
        threads: of the CPU for each process; 0 takes all cores, shared among the processes here.
        preview: picture, clip or ``scene[:NAME]`` to paint every few minutes, instead of the first content picture.
        say: told what is noteworthy, as are ``on_start`` and ``on_step`` what is done: by the main process only.
        stop: asked before each step; true ends the training and keeps what is there. Asked before the first one, too,
            while frames are taken of clips: then there is nothing to keep.

    Returns:
        The averaged network, the recipe with its steps and precision, and how far the training got.

    Raises:
        TrainingError: pictures, weights or settings that can't be trained with.
        SinkError: another training's checkpoint is in the folder.
        PartialRunError: it was asked to stop before there was anything to keep.
    """
    checkpoint = folder / "checkpoint.pt"
    if resume:
        recipe = _resumed_recipe(checkpoint, recipe.method)
        say(f"going on by the recipe that {checkpoint} holds")
    elif checkpoint.exists():
        raise SinkError(f"{checkpoint} exists: choose another --out, or go on with --resume")
    if not recipe.style_image or not recipe.content:
        raise UsageError("say what to paint like (--style-image PICTURE) and on what (--content FOLDER)")
    if not (recipe.steps or minutes):
        raise UsageError("say how long to train: --minutes M or --steps N")

    chosen = pick_device(device)
    if recipe.precision == "auto":
        recipe = replace(recipe, precision="bf16" if has_fast_bf16(chosen) else "f32")
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(threads or max(1, cores))
    torch.manual_seed(recipe.seed)
    kind = method_class(recipe.method)
    painting = to_tensor(
        resize_short_side(load_picture(resolve(recipe.style_image, data)), recipe.style_size)
    ).unsqueeze(0)
    # A resumed run takes its weights from the checkpoint; what it began from may be gone by now.
    network = starting_network(replace(recipe, init="") if resume else recipe, data)

    fabric = open_fabric(chosen, recipe.precision)
    main = fabric.is_global_zero
    with fabric.rank_zero_first():  # it fills the cache
        content = open_content(
            recipe.content,
            crop=recipe.crop,
            data=data,
            exclude=recipe.exclude,
            clip_step=recipe.clip_step,
            cache=folder / "content",
            still_motion=kind.still_motion(recipe),
            say=say if main else lambda text: None,
            stop=stop,
        )
    processes = f" in {fabric.world_size} processes" if fabric.world_size > 1 else ""
    if main:
        say(f"{content.describe()}; training on {chosen}{processes}, {recipe.precision}")
    run = TrainingRun(folder, preview_clip(preview or content.first_picture()), minutes=minutes, stop=stop)
    if main:
        run = replace(run, say=say, on_start=on_start, on_step=on_step)
    loss_network = VGG16Features(load_weights(vgg)).to(fabric.device)
    method = kind(recipe, loss_network, painting.to(fabric.device))
    trainer = Trainer(fabric, network, method, content, run)
    if resume:
        trainer.resume(checkpoint)
    return trainer.train()


def _resumed_recipe(checkpoint: Path, method: str) -> Recipe:
    recipe = recipe_from_dict(load_checkpoint(checkpoint)["recipe"])
    if recipe.method != method:
        raise TrainingError(f"{checkpoint} is of the method '{recipe.method}': go on with `train {recipe.method}`")
    return recipe


def starting_network(recipe: Recipe, data: Path | None) -> StyleNetwork:
    """A fresh network, or one with the weights that the recipe's ``init`` names, a style or a checkpoint.

    Raises:
        TrainingError: ``init`` holds a network of another method or size, or with more inputs.
    """
    network = method_class(recipe.method).network(recipe)
    if not recipe.init:
        return network
    path = resolve(recipe.init, data)
    if path.suffix == ".pt":
        trained, made_by, _ = network_from_checkpoint(path)
        if made_by.method != recipe.method:
            raise TrainingError(f"--init {recipe.init} is of the method '{made_by.method}', not '{recipe.method}'")
        weights = trained.state_dict()
    else:
        from .export import weights_from_style

        weights = weights_from_style(str(path) if path.exists() else recipe.init, recipe.method)
    try:
        network.load_state_dict({**network.optional_weights(), **weights})
    except RuntimeError as error:
        raise TrainingError(
            f"--init {recipe.init} holds a network of another size, or with more inputs, than the recipe's"
        ) from error
    return network
