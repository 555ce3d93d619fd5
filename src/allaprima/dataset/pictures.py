"""Data sets of single pictures: frames of clips, or pictures of folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import SourceError
from ..failure import Failure
from ..frame import Pixels
from ..picture import list_pictures, read_picture
from .clips import MIRRORED, name_clips, read_clips, unique_stems
from .duplicates import Duplicates
from .fitting import Fit
from .folder import DatasetFolder
from .manifest import TEST, TRAIN, Origin
from .report import Report, Watch


def make_from_clips(
    clips: Sequence[str],
    out: Path,
    *,
    every: int = 1,
    size: tuple[int, int] | None = None,
    mirror: bool = False,
    test_share: float = 0.1,
    license_text: str = "",
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Report:
    """Take frames of clips: ``OUT/train/CLIP-000120.png`` and so on, 000120 being the frame's number in its clip.

    Near-duplicates of any earlier one are left out. Shots are found at cuts, and go to training or test as a whole.

    Args:
        clips: what :func:`~allaprima.source.open_source` takes.
        out: the folder to write.
        every: take every n-th frame of a clip.
        size: (width, height); frames are scaled to cover it and cropped in the middle. None keeps theirs.
        mirror: add a mirrored copy of each, ``…-mirrored.png``, to the same side.
        test_share: of the shots that are for test, about, up to 0.5; 0 for none.
        license_text: of the clips, for the manifest.
        overwrite: replace a data set that is there.
        watch: is told of every frame that is read, and may end the run.

    Raises:
        SourceError: a clip isn't there, or there is nothing usable in any.
        SinkError: the folder can't be written.
        PartialRunError: the run was asked to end; nothing is kept.
    """
    named, report = name_clips(clips), Report(out)
    with DatasetFolder(out, overwrite=overwrite) as folder:
        collection = _Collection(folder, report, mirror=mirror)
        for clip, fit, moment in read_clips(named, size, report, watch or Watch()):
            if moment.index % every == 0:
                pixels = fit.pixels(moment.frame.pixels)
                collection.add(f"{clip.stem}-{moment.index:06d}", pixels, moment.origin(clip))
        collection.finish("frames", test_share, license_text)
    return report


def make_from_folders(
    folders: Sequence[Path],
    out: Path,
    *,
    size: tuple[int, int] | None = None,
    mirror: bool = False,
    test_share: float = 0.1,
    license_text: str = "",
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Report:
    """Take the pictures of folders: ``OUT/train/NAME.png`` and so on; alpha is left out.

    Pictures that can't be read or are smaller than ``size`` are skipped and counted, near-duplicates left out.

    Args:
        folders: each searched for pictures, without folders in it.
        out, size, mirror, license_text, overwrite: as for :func:`make_from_clips`.
        test_share: of the pictures that are for test, about, up to 0.5; 0 for none.
        watch: is told of every picture that is read, and may end the run.

    Raises:
        SourceError: a folder can't be listed or holds no picture, or there is nothing usable in any.
        SinkError: the folder can't be written.
        PartialRunError: the run was asked to end; nothing is kept.
    """
    files = [(folder.absolute().name, file) for folder in folders for file in list_pictures(folder)]
    stems = unique_stems(file.stem for _, file in files)
    report, watch = Report(out), watch or Watch()
    with DatasetFolder(out, overwrite=overwrite) as folder:
        collection = _Collection(folder, report, mirror=mirror)
        for (parent, file), stem in zip(files, stems, strict=True):
            report.read += 1
            try:
                pixels = read_picture(file).pixels
            except SourceError as error:
                report.skipped.append(Failure(f"{parent}/{file.name}", error))
            else:
                fit = Fit.cover(pixels.shape[1], pixels.shape[0], size)
                if fit.enlarges:
                    report.too_small += 1
                else:
                    collection.add(stem, fit.pixels(pixels), Origin(stem, f"{parent}/{file.name}"))
            watch.tick(report.read, file.name)
        collection.finish("pictures", test_share, license_text)
    return report


class _Collection:
    """Pictures on their way into a folder, without near-duplicates."""

    def __init__(self, folder: DatasetFolder, report: Report, *, mirror: bool) -> None:
        self._folder, self._report, self._mirror = folder, report, mirror
        self._duplicates = Duplicates()
        self._kept = 0

    def add(self, stem: str, pixels: Pixels, origin: Origin) -> None:
        if not self._duplicates.is_new(pixels):
            self._report.duplicates += 1
            return
        self._kept += 1
        self._folder.add_picture(f"{stem}.png", pixels, origin)
        if self._mirror:
            mirrored = np.ascontiguousarray(pixels[:, ::-1])
            self._folder.add_picture(f"{stem}{MIRRORED}.png", mirrored, replace(origin, mirrored=True))

    def finish(self, what: str, test_share: float, license_text: str) -> None:
        """Split, show and name what was collected; ``what`` it is, in the plural."""
        report, folder = self._report, self._folder
        if not self._kept:
            raise report.nothing(what)
        if self._kept == 1 and report.duplicates:
            raise SourceError(f"all {report.duplicates + 1} {what} show the same: there is nothing to train on")
        entries = folder.split(test_share, report)
        counts = Counter(entry.split for entry in entries)
        report.files = {name: counts[name] for name in (TRAIN, TEST)}
        originals = [entry for entry in entries if not entry.origin.mirrored]
        folder.finish(originals, lambda entry: read_picture(folder.path(entry)).pixels, license_text)
