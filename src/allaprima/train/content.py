"""Where training pictures come from: any mix of folders, clips, scenes and data sets with true flow, by weight."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..errors import SourceError, TrainingError
from .recipe import resolve

_TRIES = 100
_FLOW_SUFFIXES = (".flo", ".pfm")
_MANIFEST, _TRAIN = "manifest.csv", "train"


@dataclass(frozen=True, slots=True)
class StillMotion:
    """How a still picture moves to make a pair of frames: an exact sub-pixel affine warp, drawn at random."""

    shift: float
    """Largest translation in pixels, each axis."""
    affine: float
    """Largest change of each entry of the linear part; applied to half of the pictures, since cameras mostly pan."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Motion between the picture and another frame; of one sample, or stacked to a batch of N."""

    before: Tensor
    """The other frame, float32 (N×)3×H×W in [0, 1]."""
    flow: Tensor
    """float32 (N×)2×H×W, pixels, x and y: what the picture shows at p is at p + flow(p) in ``before``; 0 where not
    known."""
    valid: Tensor
    """float32 (N×)1×H×W: 1 where the flow is known, stays inside, and the pixel is visible in ``before``, else 0."""


class Source(ABC):
    """One entry of the content, opened; its items have numbers from 0."""

    skipped: Sequence[Path] = ()
    """Files that can't be read."""
    too_small: int = 0
    """Items whose short side is less than the crop."""
    kind: str
    """``folder``, ``data set``, ``clip`` or ``scene``."""
    unit: str
    """What its items are: ``pictures`` or ``pairs``."""

    @abstractmethod
    def __len__(self) -> int:
        """How many items can be used."""

    @abstractmethod
    def path(self, index: int) -> Path:
        """The picture of an item."""

    @abstractmethod
    def sample(self, index: int, random: np.random.Generator) -> tuple[Tensor, Motion | None] | None:
        """A random crop of an item, as :meth:`Content.sample` gives it; None where a pair turns out to be a cut.

        Raises:
            TrainingError, SourceError: it can't be decoded.
        """

    @abstractmethod
    def picture(self, index: int) -> Image.Image:
        """The whole picture of an item.

        Raises:
            TrainingError: it can't be decoded.
        """


class Content:
    """Sources of pictures, or of pairs of frames, drawn from by weight.

    Args:
        sources: each with one item or more.
        weights: of the sources, above 0.
        crop: side of the square crops in pixels, for :meth:`describe`.
    """

    def __init__(self, sources: Sequence[Source], weights: Sequence[float], *, crop: int) -> None:
        self.sources, self._crop = tuple(sources), crop
        self._shares = np.cumsum(weights) / np.sum(weights)
        self.broken: set[Path] = set()
        """Files that began well but could not be decoded to their end; others were drawn in their place."""

    def sample(self, random: np.random.Generator) -> tuple[Tensor, Motion | None]:
        """A random crop of a random item: the source by its weight, then any of its items alike.

        Args:
            random: all that is random comes from it.

        Returns:
            image: float32 3×S×S in [0, 1], S the crop.
            motion: to another frame, for methods that train on pairs, else None.

        Raises:
            TrainingError: nothing that was drawn from the source can be used.
        """
        source = self.sources[int(np.searchsorted(self._shares, random.random(), side="right"))]
        reason = "each pair lies across a cut"
        for _ in range(_TRIES):
            index = int(random.integers(len(source)))
            try:
                sample = source.sample(index, random)
            except (TrainingError, SourceError) as error:
                self.broken.add(source.path(index))
                reason = str(error)
            else:
                if sample is not None:
                    return sample
        raise TrainingError(
            f"{_TRIES} {source.unit} in a row can't be used ({len(self.broken)} files can't be decoded): {reason}; "
            "leave them out"
        )

    def first_picture(self) -> Image.Image:
        """The first picture that can be decoded, 8-bit RGB, whole.

        Raises:
            TrainingError: none of the first hundred of any source can.
        """
        for source in self.sources:
            for index in range(min(len(source), _TRIES)):
                try:
                    return source.picture(index)
                except TrainingError:
                    self.broken.add(source.path(index))
        raise TrainingError(f"{len(self.broken)} pictures can't be decoded, among them {min(self.broken)}")

    def describe(self) -> str:
        """What there is, and what was left out, in one line."""
        kinds: dict[tuple[str, str], list[int]] = {}
        for source in self.sources:
            kinds.setdefault((source.unit, source.kind), []).append(len(source))
        text = ", ".join(
            f"{sum(counts)} {unit} {'of' if kind in ('clip', 'scene') else 'in'} {_count(len(counts), kind)}"
            for (unit, kind), counts in kinds.items()
        )
        skipped = sum(len(source.skipped) for source in self.sources)
        too_small = sum(source.too_small for source in self.sources)
        left_out = [f"{_count(skipped, 'file')} skipped"] if skipped else []
        left_out += [f"{too_small} smaller than {self._crop} px left out"] if too_small else []
        return "; ".join([text, ", ".join(left_out)] if left_out else [text])


def parse_content(name: str, data: Path | None = None) -> tuple[str, float]:
    """Path (or scene) and weight of an entry ``PATH`` or ``PATH=WEIGHT``; what exists as it stands is a path.

    Raises:
        TrainingError: a weight that isn't a number above 0.
    """
    path, equals, text = name.rpartition("=")
    if not equals or resolve(name, data).exists():
        return name, 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not path or not 0 < weight < math.inf:
        raise TrainingError(f"content '{name}' is no path that exists, nor PATH=WEIGHT with a weight above 0")
    return path, weight


def open_content(
    names: Sequence[str],
    *,
    crop: int,
    data: Path | None = None,
    exclude: Sequence[str] = (),
    clip_step: int = 5,
    cache: Path,
    still_motion: StillMotion | None = None,
    say: Callable[[str], None] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> Content:
    """Open a recipe's content.

    Each entry is ``PATH`` or ``PATH=WEIGHT``: a folder, searched for pictures with all folders in it; a folder with
    true flow, as :func:`~allaprima.dataset.sequences.find_sequences` knows them; a clip; or ``scene[:NAME]``. Of a data
    set that ``allaprima dataset`` made, its ``train`` is taken. Clips and scenes become data sets under ``cache``, at a
    short side of 1.25 ``crop`` at most; one that is there from the same clip and settings is used again.

    Args:
        names: the entries, one or more.
        crop: side of the square crops in pixels; smaller pictures are left out.
        data: folder that relative paths are looked up in.
        exclude: patterns of file names that are left out of folders of pictures.
        clip_step: of a clip, every so many frames are taken.
        cache: folder for what is made of clips; made where it is missing. Not for several processes at once, except
            where all is there already.
        still_motion: for methods on pairs, how still pictures move; None: for methods on single pictures.
        say: is told what is made of clips, one line each.
        stop: asked meanwhile; true ends it.

    Raises:
        TrainingError: an entry isn't there, or has nothing that can be used.
        SourceError: a clip can't be read, or a data set with flow isn't laid out in a way that is known.
        SinkError: the cache can't be written.
        PartialRunError: it was asked to end while frames were taken.
    """
    # The sources are made of this module's classes; those of clips and flow also need packages that others don't.
    from .contents.pictures import find_pictures, open_pictures

    sources: list[Source] = []
    weights = []
    for name in names:
        entry, weight = parse_content(name, data)
        scene = entry == "scene" or entry.startswith("scene:")
        path = resolve(entry, data)
        kind, with_flow = "folder", False
        if scene or path.is_file():
            from .contents.caching import make_cached

            kind = "scene" if scene else "clip"
            clip = entry if scene else str(path.absolute())
            with_flow = still_motion is not None
            path = make_cached(clip, pairs=with_flow, crop=crop, every=clip_step, cache=cache, say=say, stop=stop)
        elif not path.is_dir():
            raise TrainingError(f"no content '{entry}': it takes folders, clips and scene[:NAME]")
        elif (path / _MANIFEST).is_file() and (path / _TRAIN).is_dir():
            path /= _TRAIN
        if kind == "folder" and _holds_flow(path):
            kind, with_flow = "data set", True
        if with_flow:
            from .contents.flow import find_frames, open_pairs

            source = (
                open_pictures(find_frames(path), kind=kind, crop=crop, still_motion=None)
                if still_motion is None
                else open_pairs(path, kind=kind, crop=crop)
            )
        else:
            source = open_pictures(find_pictures(path, exclude), kind=kind, crop=crop, still_motion=still_motion)
        if not len(source):
            raise _nothing(source, entry, crop)
        sources.append(source)
        weights.append(weight)
    return Content(sources, weights, crop=crop)


def _holds_flow(folder: Path) -> bool:
    walk = os.walk(folder, followlinks=True)
    return any(name.lower().endswith(_FLOW_SUFFIXES) for _, _, files in walk for name in files)


def _nothing(source: Source, name: str, crop: int) -> TrainingError:
    reasons = [f"{len(source.skipped)} can't be read"] if source.skipped else []
    if source.too_small:
        reasons.append(f"{source.too_small} are smaller than the crop of {crop}: lower crop")
    return TrainingError(f"no usable {source.unit} in {name}: " + (", ".join(reasons) or "there are none"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
