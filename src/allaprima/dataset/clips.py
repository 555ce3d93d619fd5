"""Clips, frame by frame and shot by shot; a damaged one costs its frames, not the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..cuts import is_cut
from ..errors import SourceError
from ..failure import Failure
from ..frame import Frame
from ..source import Source, open_source
from ..sources.video_file import VideoFileSource
from .fitting import Fit
from .manifest import Origin
from .report import Report, Watch

MIRRORED = "-mirrored"
"""Follows the stem of a mirrored copy."""
_LONGEST = 60
"""Letters of a stem: with four bytes each, and what follows, a file name still has less than 255."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip by its names."""

    source: str
    """As it was given."""
    title: str
    """For people and manifests."""
    stem: str
    """For file names; no other clip of the run has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame of a clip."""

    frame: Frame
    index: int
    """From 0."""
    shot: int
    """From 1."""
    before: Frame | None
    """The frame before it in the same shot."""

    def origin(self, clip: Clip, *, mirrored: bool = False) -> Origin:
        """Where a file made of it comes from."""
        return Origin(f"{clip.stem}/{self.shot}", clip.title, self.index, self.frame.seconds, self.shot, mirrored)


def name_clips(sources: Iterable[str]) -> list[Clip]:
    """Give clips their names.

    Raises:
        SourceError: there is no such file or scene: it is misspelled, not damaged.
    """
    titles = []
    for source in sources:
        if source == "-":
            title = "standard input"
        elif source == "scene" or source.startswith("scene:"):
            open_source(source).close()
            title = source
        else:
            if not Path(source).exists():
                raise SourceError(f"no file '{source}'")
            title = Path(source).absolute().name
        titles.append((source, title))
    stems = unique_stems(Path(title).stem for _, title in titles)
    return [Clip(source, title, stem) for (source, title), stem in zip(titles, stems, strict=True)]


def unique_stems(names: Iterable[str]) -> list[str]:
    """Names as files can have them everywhere; of several alike, the second ends in ``-2``, and so on.

    None of them is another one with :data:`MIRRORED` at its end.
    """
    taken: set[str] = set()
    stems = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:_LONGEST] or "clip"
        stem, number = plain, 1
        while {stem.casefold(), stem.casefold() + MIRRORED} & taken:
            number += 1
            stem = f"{plain}-{number}"
        taken |= {stem.casefold(), stem.casefold() + MIRRORED}
        stems.append(stem)
    return stems


def read_shots(source: Source) -> Iterator[Moment]:
    """The frames of a source with the number of their shot; every frame is compared with the one before it."""
    before: Frame | None = None
    shot = 1
    for index, frame in enumerate(source.frames()):
        if before is not None and is_cut(before.pixels, frame.pixels):
            shot, before = shot + 1, None
        yield Moment(frame, index, shot, before)
        before = frame


def read_clips(
    clips: Iterable[Clip], size: tuple[int, int] | None, report: Report, watch: Watch
) -> Iterator[tuple[Clip, Fit, Moment]]:
    """All frames of all clips, with how they become frames of the data set.

    Args:
        clips: from :func:`name_clips`.
        size: (width, height) of the data set's frames; None keeps the clip's.
        report: counts the frames and takes down what can't be read and what is changed.
        watch: is told of every frame.

    Raises:
        PartialRunError: the run was asked to end.
    """
    for clip in clips:
        first = report.read
        try:
            with open_source(clip.source) as source:
                info = source.info
                fit = Fit.cover(info.width, info.height, size, info.sample_aspect)
                try:
                    for moment in read_shots(source):
                        report.read += 1
                        yield clip, fit, moment
                        watch.tick(report.read, clip.title)
                finally:
                    report.notes += [f"{clip.title}: {note}" for note in _notes(source, fit)]
        except SourceError as error:
            failures = report.skipped if report.read == first else report.cut_short
            failures.append(Failure(clip.title, error))


def _notes(source: Source, fit: Fit) -> Iterator[str]:
    yield from source.info.notes
    if fit.enlarges:
        original, scaled = (f"{width}×{height}" for width, height in (fit.original, fit.scaled))
        yield f"frames of {original} were enlarged to {scaled}: a smaller --size would keep them sharp"
    if isinstance(source, VideoFileSource) and source.damaged:
        yield f"{source.damaged} damaged frames were used as the decoder made them"
