"""Single pictures; where a method needs pairs of frames, each is moved by a warp that is known exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from ..content import Motion, Source, StillMotion
from ..pictures import load_picture, resize_short_side, to_tensor

LARGEST = 1.25
"""Short side of a picture that a crop is taken from, by the crop's, at most."""
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_TAPS = 2
"""Pixels beyond a point that bicubic interpolation looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """An affine motion of a square crop about its center, (x, y) in pixels: u goes to center + linear (u − center) +
    shift. The center of the pixel in column i and row j is at (i + 0.5, j + 0.5)."""

    linear: NDArray[np.float64]
    """2×2."""
    shift: NDArray[np.float64]
    """2."""

    @classmethod
    def draw(cls, still: StillMotion, random: np.random.Generator) -> Warp:
        """A random one; half of them are pure translations."""
        shift = random.uniform(-1, 1, 2) * still.shift
        bends = random.random() < 0.5
        return cls(np.eye(2) + bends * random.uniform(-1, 1, (2, 2)) * still.affine, shift)

    def flow(self, side: int) -> NDArray[np.float32]:
        """The flow of a crop to the moved one: float32 2×side×side, x and y, pixels."""
        middles = np.arange(side) + 0.5 - side / 2
        points = np.stack(np.meshgrid(middles, middles))
        moved: NDArray[np.float64] = (
            np.einsum("ij,jyx->iyx", self.linear - np.eye(2), points) + self.shift[:, None, None]
        )
        return np.asarray(moved, np.float32)

    def margins(self, side: int) -> tuple[int, int, int, int]:
        """How many pixels the moved crop needs left, top, right and bottom of the crop itself."""
        corners = np.array([(0, 0), (0, side), (side, 0), (side, side)]) - side / 2
        sources = (corners - self.shift) @ np.linalg.inv(self.linear).T + side / 2
        before = np.ceil(np.maximum(-sources.min(0), 0)).astype(int) + _TAPS
        after = np.ceil(np.maximum(sources.max(0) - side, 0)).astype(int) + _TAPS
        return int(before[0]), int(before[1]), int(after[0]), int(after[1])

    def moved(self, picture: Image.Image, x: int, y: int, side: int) -> Image.Image:
        """The crop at (x, y) after the motion, sampled bicubically from the whole picture."""
        inverse = np.linalg.inv(self.linear)
        middle = np.full(2, side / 2)
        start = middle - inverse @ (middle + self.shift) + (x, y)
        rows = np.column_stack([inverse, start]).ravel().tolist()
        return picture.transform((side, side), Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)


class Pictures(Source):
    """Picture files, of which random crops are taken."""

    unit = "pictures"

    def __init__(
        self,
        files: Sequence[Path],
        *,
        kind: str,
        crop: int,
        still_motion: StillMotion | None,
        skipped: Sequence[Path],
        too_small: int,
    ) -> None:
        self.kind, self.skipped, self.too_small = kind, skipped, too_small
        self._files, self._crop, self._still_motion = files, crop, still_motion

    def __len__(self) -> int:
        return len(self._files)

    def path(self, index: int) -> Path:
        return self._files[index]

    def picture(self, index: int) -> Image.Image:
        return load_picture(self._files[index])

    def sample(self, index: int, random: np.random.Generator) -> tuple[Tensor, Motion | None]:
        crop = self._crop
        warp = None if self._still_motion is None else Warp.draw(self._still_motion, random)
        left, top, right, bottom = (0, 0, 0, 0) if warp is None else warp.margins(crop)
        # What the moved crop shows has to be in the picture: made-up borders would be trained on.
        least = crop + max(left + right, top + bottom)
        picture = load_picture(self._files[index], max(least, math.ceil(LARGEST * crop)))
        picture = resize_short_side(picture, max(least, draw_side(picture.size, crop, random)))
        if random.random() < 0.5:
            picture = ImageOps.mirror(picture)
        x = int(random.integers(left, picture.width - crop - right + 1))
        y = int(random.integers(top, picture.height - crop - bottom + 1))
        image = to_tensor(picture.crop((x, y, x + crop, y + crop)))
        if warp is None:
            return image, None
        flow = warp.flow(crop)
        return image, Motion(
            to_tensor(warp.moved(picture, x, y, crop)), torch.from_numpy(flow), torch.from_numpy(inside_crop(flow))
        )


def draw_side(size: tuple[int, int], crop: int, random: np.random.Generator) -> int:
    """Short side to scale a picture to: ``crop`` to 1.25 ``crop``, but not more than it has, unless that is too few."""
    return max(crop, min(round(crop * random.uniform(1.0, LARGEST)), *size))


def inside_crop(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 where p + flow(p) and the four pixels around it lie in the crop, else 0; float32 1×S×S for 2×S×S."""
    side = flow.shape[-1]
    columns, rows = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    x, y = columns + flow[0], rows + flow[1]
    there = (x >= 0) & (x <= side - 1) & (y >= 0) & (y <= side - 1)
    return np.asarray(there[None], np.float32)


def find_pictures(folder: Path, exclude: Sequence[str] = ()) -> list[Path]:
    """Files with a picture's name in a folder and all folders in it, sorted, but for those that match a pattern."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and not any(fnmatch(path.name, pattern) for pattern in exclude)
    ]


def open_pictures(files: Iterable[Path], *, kind: str, crop: int, still_motion: StillMotion | None) -> Pictures:
    """Those of the files that can be read and aren't smaller than the crop, as far as their headers tell."""
    good, skipped, too_small = [], [], 0
    for path in files:
        side = short_side(path)
        if side is None:
            skipped.append(path)
        elif side < crop:
            too_small += 1
        else:
            good.append(path)
    return Pictures(good, kind=kind, crop=crop, still_motion=still_motion, skipped=skipped, too_small=too_small)


def short_side(path: Path) -> int | None:
    """Short side of a picture in pixels, by its header; None where it can't be read as one."""
    try:
        with Image.open(path) as picture:
            side = min(picture.size)
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return side
