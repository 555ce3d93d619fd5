"""Neighboring frames with true flow between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...dataset.sequences import FlowPair, TrueFlow, find_pairs
from ..content import Motion, Source
from ..pictures import load_picture, resize_short_side, to_tensor
from .pictures import draw_side, inside_crop, short_side


class FlowPairs(Source):
    """Pairs of frames, of which random crops are taken, the same of both.

    The picture is the frame that the flow starts from: the later one for flow into the past, else the earlier one.
    """

    unit = "pairs"

    def __init__(
        self, pairs: Sequence[FlowPair], *, kind: str, crop: int, skipped: Sequence[Path], too_small: int
    ) -> None:
        self.kind, self.skipped, self.too_small = kind, skipped, too_small
        self._pairs, self._crop = pairs, crop

    def __len__(self) -> int:
        return len(self._pairs)

    def path(self, index: int) -> Path:
        return self._pairs[index].now

    def picture(self, index: int) -> Image.Image:
        return load_picture(self._pairs[index].now)

    def sample(self, index: int, random: np.random.Generator) -> tuple[Tensor, Motion | None] | None:
        read = self._pairs[index].read()
        if read is None:
            return None
        before, now, truth = read
        crop = self._crop
        side = draw_side(now.shape[1::-1], crop, random)
        reference, other = (
            resize_short_side(Image.fromarray(pixels), side)
            for pixels in ((now, before) if truth.backward else (before, now))
        )
        x = int(random.integers(reference.width - crop + 1))
        y = int(random.integers(reference.height - crop + 1))
        flow, valid = crop_flow(truth, reference.size, x, y, crop)
        image, another = (to_tensor(picture.crop((x, y, x + crop, y + crop))) for picture in (reference, other))
        motion = Motion(another, torch.from_numpy(flow), torch.from_numpy(valid))
        return mirror(image, motion) if random.random() < 0.5 else (image, motion)


def crop_flow(
    truth: TrueFlow, size: tuple[int, int], x: int, y: int, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """True flow of a crop of the scaled frames.

    A pixel takes the vector nearest to its middle, for vectors of two surfaces have no mean that is true of either.

    Args:
        truth: the flow of the frames as they are.
        size: (width, height) that they are scaled to.
        x, y, side: the crop, in pixels of the scaled frames.

    Returns:
        flow: float32 2×side×side, in pixels of the scaled frames.
        valid: float32 1×side×side: 1 where the mask is true and the flow stays in the crop, else 0.
    """
    height, width = truth.mask.shape
    columns = ((np.arange(x, x + side) + 0.5) * width / size[0]).astype(int)
    rows = ((np.arange(y, y + side) + 0.5) * height / size[1]).astype(int)
    factors = np.array([size[0] / width, size[1] / height], np.float32)
    flow = np.ascontiguousarray((truth.flow[np.ix_(rows, columns)] * factors).transpose(2, 0, 1))
    return flow, inside_crop(flow) * truth.mask[np.ix_(rows, columns)]


def mirror(image: Tensor, motion: Motion) -> tuple[Tensor, Motion]:
    """Left and right swapped, of the pictures as of the flow."""
    turned = motion.flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
    return image.flip(-1), Motion(motion.before.flip(-1), turned, motion.valid.flip(-1))


def open_pairs(folder: Path, *, kind: str, crop: int) -> FlowPairs:
    """The pairs of a folder with true flow whose frames can be read and aren't smaller than the crop, by their headers.

    Raises:
        SourceError: the folder isn't laid out in a way that is known.
    """
    pairs = find_pairs(folder)
    sides = {path: short_side(path) for pair in pairs for path in (pair.before, pair.now)}
    good, too_small = [], 0
    for pair in pairs:
        found = [side for side in (sides[pair.before], sides[pair.now]) if side is not None]
        if len(found) == 2 and min(found) >= crop:
            good.append(pair)
        elif len(found) == 2:
            too_small += 1
    skipped = [path for path, side in sides.items() if side is None]
    return FlowPairs(good, kind=kind, crop=crop, skipped=skipped, too_small=too_small)


def find_frames(folder: Path) -> list[Path]:
    """The frames of a folder with true flow, without its masks.

    Raises:
        SourceError: the folder isn't laid out in a way that is known.
    """
    return sorted({path for pair in find_pairs(folder) for path in (pair.before, pair.now)})
