"""VGG16 as a loss network: Simonyan & Zisserman 2014, the Oxford weights."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import MissingExtraError, TrainingError

# (convolution number in the `features.N` naming, output channels); "pool" halves the size.
_LAYERS: tuple[tuple[str, int, int] | str, ...] = (
    ("relu1_1", 0, 64),
    ("relu1_2", 2, 64),
    "pool",
    ("relu2_1", 5, 128),
    ("relu2_2", 7, 128),
    "pool",
    ("relu3_1", 10, 256),
    ("relu3_2", 12, 256),
    ("relu3_3", 14, 256),
    "pool",
    ("relu4_1", 17, 512),
    ("relu4_2", 19, 512),
    ("relu4_3", 21, 512),
)
MEAN_RGB = (123.68, 116.779, 103.939)
_URL = "https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth"
_URL_HASH_PREFIX = "88682ab5"


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise MissingExtraError("reading a .safetensors file", "train") from error
        weights: dict[str, Tensor] = load_file(path)
    else:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(weights, dict):
            raise ValueError(f"{path} holds no named weights")
    # The published .pth numbers its layers without the "features." in front.
    return {key if key.startswith("features.") else f"features.{key}": value for key, value in weights.items()}


def load_weights(path: str | os.PathLike[str] | None = None) -> dict[str, Tensor]:
    """The weights, from ``path``, else from the file that ``ALLAPRIMA_VGG`` names, else downloaded and hash-checked.

    Raises:
        TrainingError: the file is missing or isn't VGG16's convolutions, or the download failed.
    """
    chosen = path or os.environ.get("ALLAPRIMA_VGG")
    try:
        if chosen:
            return _read_weights(Path(chosen))
        target = Path(torch.hub.get_dir()) / "checkpoints" / _URL.rsplit("/", 1)[1]
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(_URL, str(target), hash_prefix=_URL_HASH_PREFIX, progress=False)
        return _read_weights(target)
    except MissingExtraError:
        raise
    except Exception as error:  # torch and safetensors raise bare types of their own
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"no VGG16 weights ({reason}): name a file with --vgg FILE or ALLAPRIMA_VGG, or go online once"
        ) from error


class VGG16Features(nn.Module):
    """Frozen VGG16 up to relu4_3: float N×3×H×W RGB in [0, 1] to a dict of named feature maps."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        channels = 3
        for layer in _LAYERS:
            if isinstance(layer, str):
                continue
            name, number, width = layer
            conv = nn.Conv2d(channels, width, 3, padding=1)
            try:
                conv.load_state_dict({k: weights[f"features.{number}.{k}"].float() for k in ("weight", "bias")})
            except (KeyError, RuntimeError, AttributeError) as error:
                raise TrainingError(f"these aren't VGG16's weights: features.{number} is missing or odd") from error
            self.convolutions[name] = conv
            channels = width
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Feature maps of the named layers; nothing deeper than the deepest of them is computed."""
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = (image * 255.0 - self.mean).contiguous(memory_format=torch.channels_last)  # type: ignore[operator]
        for layer in _LAYERS:
            if isinstance(layer, str):
                x = F.max_pool2d(x, 2)
                continue
            x = F.relu(self.convolutions[layer[0]](x))
            if layer[0] in wanted:
                found[layer[0]] = x
                if len(found) == len(wanted):
                    break
        return found
