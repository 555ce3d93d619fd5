"""Data sets with true flow, as their makers lay them out in folders: whole sequences, or single pairs of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cuts import is_cut
from ..errors import SourceError
from ..frame import Frame, Pixels
from ..measure.quality.motion import Mask, Motion, read_flow, size_of
from ..picture import natural_key, read_picture

EXACT, KNOWN, OCCLUSION = "exact", "known flow, inside", "occlusion file"
"""What decides which pixels are compared: a renderer that knows; no more than where flow is known and stays inside the
picture, so that hidden pixels count too; or a file of occlusions as well."""

_FRAME = re.compile(r"(?:frame_?)?(\d+)", re.IGNORECASE)
_FLO = re.compile(r"(?:frame_?|flow)?(\d+)", re.IGNORECASE)
_RENDERED = re.compile(r"OpticalFlowInto(?:Future|Past)_(\d+)_L", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class TrueFlow:
    """True flow between a frame and the one before it."""

    flow: Motion
    """float32, H×W×2, pixels: what the reference shows at p is at p + flow(p) in the other frame."""
    mask: Mask
    """bool, H×W: true where the flow is known and the pixel is visible in the other frame, as far as the data say; what
    leaves the picture isn't marked, who uses it has to leave it out."""
    backward: bool
    """True: this frame is the reference, the one before the other. False: the other way around."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One frame of a sequence."""

    frame: Frame
    """Without motion and mask, as a file would give it."""
    truth: TrueFlow | None
    """None for the first frame, and where the data hold no flow between this frame and the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class FlowSequence:
    """Neighboring frames with true flow between them, read as they are asked for."""

    name: str
    mask: str
    """What decides which pixels are compared, in words."""
    frames: int
    """How many frames there are, missing ones among them."""
    pairs: int
    """Between how many neighbors flow is known."""
    steps: Callable[[], Iterator[Step]] = field(repr=False)
    """The frames in order; every call starts anew. Raises SourceError where a file is missing (before the first frame
    comes), damaged, or of another size."""


@dataclass(frozen=True, slots=True)
class FlowPair:
    """Two neighboring frames with true flow between them, by their files."""

    before: Path
    now: Path
    flow: Path
    backward: bool
    """As in :class:`TrueFlow`."""
    hidden: tuple[Path, ...]
    """Pictures that are white where the flow can't be used."""
    films: bool
    """Whether a film may end between the two."""

    def read(self) -> tuple[Pixels, Pixels, TrueFlow] | None:
        """The frame before and this frame, both uint8 H×W×3 RGB, and the flow between them; None across a cut.

        Raises:
            SourceError: a file is missing, damaged, or of another size.
        """
        before, now = (read_picture(path).pixels for path in (self.before, self.now))
        _check_same_size(self.now, now, before)
        if self.films and is_cut(before, now):
            return None
        return before, now, self.truth(now)

    def truth(self, pixels: Pixels) -> TrueFlow:
        """The flow alone.

        Args:
            pixels: one of the two frames.

        Raises:
            SourceError: a file is missing, damaged, or of another size than the frame.
        """
        flow, mask = read_flow(self.flow)
        _check_size(self.flow, flow, pixels)
        for path in self.hidden:
            white = read_picture(path).pixels[..., 0]
            _check_size(path, white, pixels)
            mask &= white < 128
        return TrueFlow(flow, mask, self.backward)


def find_sequences(folder: Path) -> list[FlowSequence]:
    """The sequences of a folder, or of data sets in folders under it, in natural order of their names.

    Known layouts:

    - MPI-Sintel: ``clean`` or ``final/<scene>/frame_0001.png`` beside ``flow/<scene>/frame_0001.flo``, with
      ``occlusions`` and ``invalid`` where they are; each pass is a sequence;
    - Middlebury: ``other-data/<name>/frame10.png`` beside ``other-gt-flow/<name>/flow10.flo``;
    - FlyingThings3D, Monkaa, Driving: ``frames_cleanpass`` or ``frames_finalpass/<…>/left/0006.png`` beside
      ``optical_flow/<…>/into_past`` and ``into_future/left/OpticalFlowInto…_0006_L.pfm`` (or ``.flo``); the left
      camera alone;
    - the subset of FlyingThings3D that FlowNet 2 was trained on: ``image_clean`` or ``image_final/left/0000006.png``
      beside ``flow/left/into_past`` and ``into_future/0000006.flo``; where one film ends and the next begins isn't
      said, so a pair that :func:`~allaprima.cuts.is_cut` takes for a cut isn't compared;
    - one sequence: a folder with ``frame_0001.png`` and ``frame_0001.flo`` (or ``frame10.png`` and ``flow10.flo``),
      and folders ``occlusions`` and ``invalid`` in it.

    Flow T leads from frame T to T + 1; flow into the past, taken first where it is there, from T to T − 1. Flow at the
    ends of FlyingThings3D and Monkaa leads to frames outside the data and is passed over. A sequence that lacks a
    frame is listed too: it raises when its steps are asked for, so that the others can go on.

    Raises:
        SourceError: no such folder, one that can't be listed, or nothing in it that is laid out in these ways.
    """
    return [_sequence(folder, files) for files in _find(folder)]


def find_pairs(folder: Path) -> list[FlowPair]:
    """Every pair of frames with flow between them, of all sequences that :func:`find_sequences` finds, in their order.

    Nothing is read. Of a sequence that lacks frames, there are the pairs that are whole.

    Raises:
        SourceError: as for :func:`find_sequences`.
    """
    pairs = (files.pair(number) for files in _find(folder) for number in files.numbers())
    return [pair for pair in pairs if pair is not None]


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the parts of a sequence are, by frame number."""

    folder: Path
    frames: dict[int, Path]
    forward: dict[int, Path]
    backward: dict[int, Path] = field(default_factory=dict)
    occlusions: dict[int, Path] = field(default_factory=dict)
    """Of the forward flow: white where the pixel isn't visible in the next frame."""
    invalid: dict[int, Path] = field(default_factory=dict)
    """Of the forward flow: white where it isn't valid."""
    films: bool = False
    """Whether several films follow each other; flow from one to the next means nothing."""

    def numbers(self) -> range:
        """Of the frames that there should be."""
        needed = {*self.frames, *(n for t in self.forward for n in (t, t + 1))}
        needed |= {n for t in self.backward for n in (t - 1, t)}
        return range(min(needed), max(needed) + 1) if needed else range(0)

    def masked(self) -> int:
        """How many pairs have a file of occlusions."""
        return sum(
            n not in self.backward and n - 1 in self.forward and n - 1 in self.occlusions for n in self.numbers()
        )

    def pairs(self) -> int:
        """How many neighbors have flow between them."""
        return sum(n in self.backward or n - 1 in self.forward for n in self.numbers())

    def pair(self, number: int) -> FlowPair | None:
        """A frame and the one before it; None where one of them or the flow isn't there."""
        before, now = self.frames.get(number - 1), self.frames.get(number)
        backward = number in self.backward
        flow = self.backward.get(number) or self.forward.get(number - 1)
        if before is None or now is None or flow is None:
            return None
        hidden = () if backward else (self.occlusions.get(number - 1), self.invalid.get(number - 1))
        return FlowPair(before, now, flow, backward, tuple(path for path in hidden if path is not None), self.films)


def _find(folder: Path) -> list[_Files]:
    if not folder.is_dir():
        raise SourceError(f"no folder '{folder}' with sequences")
    try:
        found = list(_search(folder))
    except OSError as error:
        raise SourceError(f"can't list '{error.filename}': {error.strerror}") from error
    if not found:
        raise SourceError(
            f"no sequence with flow in '{folder}': it takes the layouts of MPI-Sintel, Middlebury, FlyingThings3D and "
            "Monkaa, or frame_0001.png with frame_0001.flo"
        )
    return sorted(found, key=lambda files: natural_key(_name(folder, files)))


def _search(folder: Path) -> Iterator[_Files]:
    seen = set()
    for path, names, files in os.walk(folder, onerror=_raise, followlinks=True):
        here = Path(path)
        real = here.resolve()
        found = [] if real in seen else list(_recognized(here, set(names), files))
        if found or real in seen:
            names.clear()
        else:
            names[:] = sorted(name for name in names if not name.startswith("."))
        seen.add(real)
        yield from found


def _raise(error: OSError) -> None:
    raise error


def _recognized(here: Path, folders: set[str], files: list[str]) -> Iterator[_Files]:
    passes = [name for name in ("clean", "final") if name in folders]
    renders = sorted(name for name in folders if re.fullmatch(r"frames_(clean|final)pass(_webp)?", name))
    if "flow" in folders and passes:
        for each in passes:
            for frames in _folders(here / each):
                scene = frames.name
                yield _numbered(frames, here / "flow" / scene, here / "occlusions" / scene, here / "invalid" / scene)
    elif "flow" in folders and folders & {"image_clean", "image_final"}:
        for render in sorted(folders & {"image_clean", "image_final"}):
            yield from _films(here / render / "left", here / "flow" / "left")
    elif {"other-data", "other-gt-flow"} <= folders:
        for frames in _folders(here / "other-data"):
            yield _numbered(frames, here / "other-gt-flow" / frames.name)
    elif "optical_flow" in folders and renders:
        for render in renders:
            yield from _rendered(here / render, here / "optical_flow")
    elif any(name.lower().endswith(".flo") for name in files):
        yield _numbered(here, here, here / "occlusions", here / "invalid")


def _numbered(frames: Path, flow: Path, occlusions: Path | None = None, invalid: Path | None = None) -> _Files:
    hidden, undefined = ({} if path is None else _pictures(path) for path in (occlusions, invalid))
    return _Files(frames, _pictures(frames), _by_number(flow, ".flo", _FLO), {}, hidden, undefined)


def _rendered(renders: Path, flows: Path) -> Iterator[_Files]:
    for path, names, _ in os.walk(renders, onerror=_raise):
        if "left" not in names:
            continue
        names.clear()
        base = flows / Path(path).relative_to(renders)
        frames = _pictures(Path(path, "left"))
        forward, backward = (
            _by_number(base / way / "left", (".pfm", ".flo"), _RENDERED) for way in ("into_future", "into_past")
        )
        if frames:
            forward.pop(max(frames), None)
            backward.pop(min(frames), None)
        yield _Files(Path(path), frames, forward, backward)


def _films(pictures: Path, flows: Path) -> Iterator[_Files]:
    """One set of files for every run of numbers without a gap."""
    frames = _pictures(pictures)
    forward, backward = (_by_number(flows / way, ".flo", _FLO) for way in ("into_future", "into_past"))
    firsts = [number for number in frames if number - 1 not in frames]
    for first, end in zip(sorted(firsts), [*sorted(firsts)[1:], max(frames, default=0) + 1], strict=True):
        run = {number: path for number, path in sorted(frames.items()) if first <= number < end}
        ahead = {number: path for number, path in forward.items() if number in run and number + 1 in run}
        back = {number: path for number, path in backward.items() if number in run and number - 1 in run}
        if ahead or back:
            yield _Files(pictures / f"{first:07d}", run, ahead, back, films=True)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _pictures(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    return _by_number(folder, (".png", ".webp", ".jpg", ".jpeg", ".ppm", ".bmp"), _FRAME)


def _by_number(folder: Path, suffix: str | tuple[str, ...], pattern: re.Pattern[str]) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    files = [path for path in folder.iterdir() if path.name.lower().endswith(suffix)]
    return {int(match[1]): path for path in sorted(files) if (match := pattern.fullmatch(path.stem))}


def _name(root: Path, files: _Files) -> str:
    name = files.folder.relative_to(root).as_posix()
    return root.resolve().name if name == "." else name


def _sequence(root: Path, files: _Files) -> FlowSequence:
    masked, pairs = files.masked(), files.pairs()
    mask = KNOWN if not masked else OCCLUSION if masked == pairs else f"{OCCLUSION} for {masked} of {pairs}"
    return FlowSequence(_name(root, files), mask, len(files.numbers()), pairs, partial(_file_steps, files))


def _file_steps(files: _Files) -> Iterator[Step]:
    numbers = files.numbers()
    missing = [number for number in numbers if number not in files.frames]
    if missing:
        like = next(iter(files.frames.values()), files.folder / "frame_0000.png")
        wanted = re.sub(r"\d+$", lambda digits: f"{missing[0]:0{len(digits[0])}d}", like.stem) + like.suffix
        raise SourceError(f"missing frame '{like.with_name(wanted)}': {len(missing)} of {len(numbers)} are not there")
    if not files.pairs():
        raise SourceError(f"no flow for the frames in '{files.folder}'")
    before: Pixels | None = None
    for index, number in enumerate(numbers):
        pixels = read_picture(files.frames[number]).pixels
        if before is not None:
            _check_same_size(files.frames[number], pixels, before)
        another = files.films and before is not None and is_cut(before, pixels)
        pair, before = files.pair(number), pixels
        yield Step(Frame(pixels, index), None if another or pair is None else pair.truth(pixels))


def _check_same_size(path: Path, pixels: Pixels, before: Pixels) -> None:
    if before.shape != pixels.shape:
        raise SourceError(f"'{path}' is {size_of(pixels)}, the frame before it {size_of(before)}")


def _check_size(path: Path, plane: NDArray[np.generic], pixels: Pixels) -> None:
    if plane.shape[:2] != pixels.shape[:2]:
        raise SourceError(f"'{path}' is {size_of(plane)}, its frame {size_of(pixels)}")
