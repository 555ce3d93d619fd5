"""What styles are evaluated on: pictures, clips and sequences with true flow, at the sizes of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ...dataset.sequences import FlowSequence, find_sequences
from ...errors import AllaprimaError, SourceError
from ...failure import Failure
from ...frame import Frame, Pixels
from ...picture import list_pictures, read_picture
from ...source import open_source
from ...stylizer import scale
from .sequences import scene_suite

PICTURE_SIZE = (512, 384)
"""(width, height) of the pictures; the other way round where they stand upright."""
CLIP_SIZE = (640, 360)
CLIP_FRAMES = 24
FLICKER_PICTURES = 4
"""How many of the pictures are panned and given noise, unless told."""
_CLIP_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".ts"})


@dataclass
class Material:
    """Everything that is painted."""

    pictures: dict[str, Pixels] = field(default_factory=dict)
    clips: dict[str, list[Frame]] = field(default_factory=dict)
    """The first frames of each, without planes."""
    sequences: list[FlowSequence] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """What was named but can't be used."""
    flicker: int = FLICKER_PICTURES
    """How many of the pictures are panned and given noise, at most."""

    def flicker_pictures(self) -> dict[str, Pixels]:
        """Those that are panned and given noise: evenly spread over the list of pictures."""
        names = list(self.pictures)
        chosen = np.unique(np.linspace(0, len(names) - 1, min(self.flicker, len(names))).round().astype(int))
        return {names[index]: self.pictures[names[index]] for index in chosen}


def load_material(
    data: Path | None, *, images: Path | None = None, clips: Path | None = None, flow: list[Path] | None = None
) -> Material:
    """Read everything; a file that can't be used becomes a failure, the others go on.

    Args:
        data: a folder that holds ``content-test``, ``clips`` and ``flow``, for whatever isn't named; what it lacks is
            left out.
        images: folder of pictures.
        clips: folder of videos, at least two frames each.
        flow: folders of sequences with true flow, beside the built-in scenes.

    Raises:
        SourceError: a named folder can't be listed or holds nothing that is looked for.
    """
    material = Material(sequences=scene_suite())
    images = images or _default(data, "content-test")
    clips = clips or _default(data, "clips")
    if flow is None:
        default = _default(data, "flow")
        flow = [default] if default else []
    for path in list_pictures(images) if images else ():
        try:
            material.pictures[path.stem] = _fitted(read_picture(path).pixels)
        except AllaprimaError as error:
            material.failures.append(Failure(path.name, error))
    for path in _list_clips(clips) if clips else ():
        try:
            material.clips[path.stem] = _first_frames(path)
        except AllaprimaError as error:
            material.failures.append(Failure(path.name, error))
    for folder in flow:
        material.sequences += find_sequences(folder)
    return material


def _default(data: Path | None, name: str) -> Path | None:
    return data / name if data is not None and (data / name).is_dir() else None


def _fitted(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    size = PICTURE_SIZE if width >= height else PICTURE_SIZE[::-1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _list_clips(folder: Path) -> list[Path]:
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _CLIP_SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise SourceError(f"can't list '{folder}': {error.strerror}") from error
    if not found:
        raise SourceError(f"no clip in '{folder}': it takes {', '.join(sorted(_CLIP_SUFFIXES))}")
    return found


def _first_frames(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        frames = list(islice(_scaled(source.frames()), CLIP_FRAMES))
    if len(frames) < 2:
        raise SourceError(f"{path} has {len(frames)} frame: steadiness needs at least two")
    return frames


def _scaled(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        yield Frame(scale(frame.pixels, CLIP_SIZE), frame.pts, frame.duration, frame.time_base, frame.color)
