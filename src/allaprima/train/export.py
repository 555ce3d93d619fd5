"""From trained weights to a style file and back."""

from __future__ import annotations

import platform
from dataclasses import fields, replace
from pathlib import Path

import torch
from onnx import numpy_helper
from torch import Tensor

from .. import __version__
from ..errors import TrainingError
from ..frame import Pixels
from ..measure.quality.differences import engine_differences
from ..style import Card, Style, write_style
from .method import method_class, recipe_from_dict
from .network import StyleNetwork
from .onnx_graph import build_graph
from .recipes import RECIPES
from .trainer import TrainingResult


def weights_from_style(name: str, method: str) -> dict[str, Tensor]:
    """A network's parameters and floating-point buffers by name, read from a float style (bundled name or file).

    ``load_state_dict`` takes them: the count of batches, which a batch norm also keeps, begins anew.

    Raises:
        TrainingError: the style holds another network, or is quantized.
    """
    style = Style.open(name)
    if style.card.network != method or style.card.parent_sha256:
        raise TrainingError(f"--init takes a float style of the {method} network, which {name} is not")
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in style.model.graph.initializer}
    # Weights belong to a layer, "layer.weight"; the graph's own constants have no dot in their names.
    return {name: torch.from_numpy(value.copy()) for name, value in tensors.items() if "." in name}


def network_from_style(style: Style) -> StyleNetwork:
    """The network that a float style was exported from, rebuilt by the recipe on its card.

    Raises:
        TrainingError: the style holds no network that is trained here, or is quantized.
    """
    made_by = {name: value for name, value in style.card.recipe.items() if name in _fields(style.card.network)}
    if made_by.get("method") != style.card.network:
        raise TrainingError(f"{style.path.name} holds no network that is trained here: its card has no recipe for one")
    recipe = recipe_from_dict(made_by)
    network = method_class(recipe.method).network(recipe)
    network.load_state_dict(weights_from_style(str(style.path), recipe.method))
    return network


def _fields(method: str) -> set[str]:
    recipe = RECIPES.get(method)
    return {"method", *(field.name for field in fields(recipe))} if recipe else set()


def export_style(result: TrainingResult, path: Path) -> Style:
    """Write what a training made as a style file with its card, on which stands how the engines here paint with it.

    Raises:
        TrainingError: the network has a layer that can't be written.
        StyleError: the file can't be written.
    """
    recipe = result.recipe
    settings = recipe.to_dict()
    for stated in ("title", "artist", "year", "licenses"):
        settings.pop(stated)
    versions = {"allaprima": __version__, "torch": torch.__version__, "python": platform.python_version()}
    done = {"steps": result.steps, "steps_done": result.step, "seconds": round(result.seconds), "versions": versions}
    card = Card(
        title=recipe.title or Path(recipe.style_image).stem,
        artist=recipe.artist,
        year=recipe.year,
        network=recipe.method,
        stride=result.net.stride,
        recipe={**settings, **done},
        licenses=recipe.to_dict()["licenses"],
    )
    model = build_graph(result.net)
    written = write_style(path, model, card)
    pixels, painted = _painted_in_training(result.net, result.picture)
    differences = engine_differences(written, [pixels], [painted])
    return write_style(path, model, replace(card, measurements={"differences": differences}))


def _painted_in_training(network: StyleNetwork, picture: Tensor) -> tuple[Pixels, Pixels]:
    """A picture, float32 1×3×H×W in [0, 1], rounded to 8 bits, and what the network paints of that: uint8 H×W×3."""
    pixels = picture.mul(255).round().byte()
    with torch.no_grad():
        painted = network.eval()(pixels.float() / 255).clamp(0, 1).mul(255).round().byte()
    seen, made = (each[0].permute(1, 2, 0).contiguous().numpy() for each in (pixels, painted))
    return seen, made
