"""Pictures as training reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import TrainingError


def load_picture(path: Path, least_side: int = 0) -> Image.Image:
    """A picture as 8-bit RGB, turned as its EXIF tag says.

    Args:
        path: of the file.
        least_side: above 0, its short side may come out smaller than it is, but not below this: JPEG files are decoded
            at a half, a quarter or an eighth of their size, a camera's in a tenth of the time.

    Raises:
        TrainingError: the file isn't a picture that Pillow can read.
    """
    try:
        with Image.open(path) as picture:
            if least_side:
                picture.draft(None, (least_side, least_side))
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path} can't be read as a picture") from error


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB picture to float32 3×H×W in [0, 1]."""
    # Not in torch: its threads, in the reader beside those of the training, would wait for each other.
    planes = np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255)
    return torch.from_numpy(np.ascontiguousarray(planes))


def resize_short_side(picture: Image.Image, side: int) -> Image.Image:
    """The picture scaled so that its short side has ``side`` pixels (Lanczos)."""
    scale = side / min(picture.size)
    size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
