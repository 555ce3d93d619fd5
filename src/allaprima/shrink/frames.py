"""Frames of pictures and clips, evenly spread: what a style is shown while it is made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import SourceError
from ..failure import Failure
from ..frame import Pixels
from ..picture import list_pictures, read_picture
from ..source import open_source

FRAMES = 24
"""How many frames to calibrate with, where nothing else is said."""
SHORT_SIDE = 384
"""Of a frame, in pixels, where nothing else is said."""
HELD_OUT = 4
"""At most so many frames are kept back for measuring."""


@dataclass
class Frames:
    """Frames to calibrate with, and others to measure with."""

    calibration: list[Pixels] = field(default_factory=list)
    """uint8 H×W×3, each of its own size."""
    held_out: list[Pixels] = field(default_factory=list)
    held_out_names: list[str] = field(default_factory=list)
    skipped: list[Failure] = field(default_factory=list)
    """Pictures that can't be read."""


def gather_frames(content: Sequence[str], count: int, short_side: int) -> Frames:
    """Take frames from all content alike, evenly spread over each folder and clip.

    Args:
        content: folders of pictures, and what else :func:`~allaprima.source.open_source` takes.
        count: how many to calibrate with, where there are as many.
        short_side: frames are scaled until their short side has so many pixels.

    Returns:
        The frames; every so many one, up to :data:`HELD_OUT` in all, is held out.

    Raises:
        SourceError: a folder or clip isn't there or is empty, or there are fewer than two frames in all.
    """
    frames = Frames()
    named: list[tuple[str, Pixels]] = []
    share = -(-(count + HELD_OUT) // max(1, len(content)))
    for name in content:
        if Path(name).is_dir():
            named += _of_folder(Path(name), share, short_side, frames.skipped)
        else:
            named += _of_clip(name, share, short_side)
    if len(named) < 2:
        unread = f" ({len(frames.skipped)} can't be read)" if frames.skipped else ""
        raise SourceError(f"{', '.join(content)}: {len(named)} frames to calibrate with{unread}; it takes at least 2")
    kept_back = set(_spread(len(named), min(HELD_OUT, -(-len(named) // 6))))
    for index, (label, pixels) in enumerate(named):
        if index in kept_back:
            frames.held_out.append(pixels)
            frames.held_out_names.append(label)
        else:
            frames.calibration.append(pixels)
    frames.calibration = [frames.calibration[i] for i in _spread(len(frames.calibration), count)]
    return frames


def _spread(total: int, count: int) -> list[int]:
    """Up to ``count`` of ``total`` positions, each in the middle of an equal part."""
    count = min(count, total)
    return [(2 * index + 1) * total // (2 * count) for index in range(count)]


def _of_folder(folder: Path, count: int, short_side: int, skipped: list[Failure]) -> list[tuple[str, Pixels]]:
    paths = list_pictures(folder)
    taken = []
    for path in (paths[index] for index in _spread(len(paths), count)):
        try:
            taken.append((path.name, _scaled(read_picture(path).pixels, short_side)))
        except SourceError as error:
            skipped.append(Failure(str(path), error))
    return taken


def _of_clip(name: str, count: int, short_side: int) -> list[tuple[str, Pixels]]:
    """Every n-th frame, n doubling whenever twice as many as wanted are held: a clip's length may not be known."""
    held: list[tuple[str, Pixels]] = []
    every = 1
    with open_source(name) as source:
        for index, frame in enumerate(source.frames()):
            if index % every:
                continue
            held.append((f"{name} frame {index}", _scaled(frame.pixels, short_side)))
            if len(held) == 2 * count:
                held, every = held[::2], 2 * every
    return [held[index] for index in _spread(len(held), count)]


def _scaled(pixels: Pixels, short_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    size = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
