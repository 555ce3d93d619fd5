"""The preview: one short clip, painted every few minutes, so that progress and flicker can be seen."""

from __future__ import annotations

import mimetypes
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..errors import TrainingError
from .pictures import load_picture, resize_short_side, to_tensor

FRAMES = 12
SIDE = 256
_LEAST = 32
_PAN = 0.3
"""Pixels a frame: less than one, where unsteady networks redraw their strokes."""


def preview_clip(shown: Path | Image.Image) -> Tensor:
    """The clip that shows something: float32 T×3×H×W in [0, 1], short side at most 256, on the CPU.

    Args:
        shown: a picture, over which the view pans slowly; or a clip, a folder of frames or ``scene[:NAME]``, of which
            the first frames are taken.

    Raises:
        TrainingError: the picture can't be read.
        SourceError: the clip can't be read.
    """
    if isinstance(shown, Image.Image):
        return _pan(shown)
    kind = mimetypes.guess_type(shown.name, strict=False)[0] or ""
    if kind.startswith("image/") and not shown.is_dir():
        return _pan(load_picture(shown))
    from ..source import open_source

    with open_source(str(shown)) as source:
        frames = [Image.fromarray(frame.pixels) for frame in islice(source.frames(), FRAMES)]
    if not frames:
        raise TrainingError(f"{shown} has no frames for a preview")
    return torch.stack([to_tensor(resize_short_side(frame, min(SIDE, *frame.size))) for frame in frames])


def _pan(picture: Image.Image) -> Tensor:
    """Views of the picture, each shifted by a fraction of a pixel, right and down."""
    way = _PAN * (FRAMES - 1)
    scale = (min(SIDE, max(_LEAST, min(picture.size))) + way) / min(picture.size)
    width, height = (int(side * scale - way + 1e-6) for side in picture.size)
    views = []
    for index in range(FRAMES):
        at = _PAN * index / scale
        box = (at, at, min(at + width / scale, picture.width), min(at + height / scale, picture.height))
        views.append(to_tensor(picture.resize((width, height), Image.Resampling.BICUBIC, box=box)))
    return torch.stack(views)
