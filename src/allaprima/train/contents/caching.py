"""Clips and scenes as data sets on the disk, since frames at random need files."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...dataset.clips import unique_stems
from ...dataset.manifest import NAME, TRAIN
from ...dataset.pairs import make_pairs
from ...dataset.pictures import make_from_clips
from ...dataset.report import Watch
from ...errors import SinkError, TrainingError
from ...source import open_source
from .pictures import LARGEST


def make_cached(
    clip: str, *, pairs: bool, crop: int, every: int, cache: Path, say: Callable[[str], None], stop: Callable[[], bool]
) -> Path:
    """Make a data set of a clip or scene, or find the one that is there from the same clip and settings.

    Args:
        clip: absolute path, or ``scene[:NAME]``.
        pairs: pairs of neighboring frames with their motion, else frames.
        crop: side of the crops that will be taken, in pixels.
        every: of the clip, every so many frames are taken.
        cache: the folder it goes to.
        say: is told what is done.
        stop: asked after each frame; true ends it.

    Returns:
        Its folder of pictures, or of frames and flow.

    Raises:
        TrainingError: the clip is smaller than the crop.
        SourceError: the clip can't be read, or there is nothing usable in it.
        SinkError: the cache can't be written.
        PartialRunError: it was asked to end; nothing is kept.
    """
    file = Path(clip) if Path(clip).is_file() else None
    title = clip if file is None else file.name
    what, ending = ("pairs of frames", "pairs") if pairs else ("frames", "frames")
    # The hash keeps clips of one name in several folders apart.
    name = f"{unique_stems([Path(title).stem])[0]}-{hashlib.sha256(clip.encode()).hexdigest()[:8]}-{ending}"
    folder, note = cache / name, cache / f"{name}.json"
    size = _size(clip, title, crop)
    key: dict[str, Any] = {"clip": clip, "every": every, "pairs": pairs, "size": None if size is None else list(size)}
    if file is not None:
        key |= {"bytes": file.stat().st_size, "modified": file.stat().st_mtime_ns}
    if (folder / NAME).is_file() and _read(note) == key:
        say(f"{title}: {what} in {folder} are used again")
        return folder / TRAIN
    say(f"{title}: taking {what}, one in {every}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        make = make_pairs if pairs else make_from_clips
        report = make([clip], folder, every=every, size=size, test_share=0, overwrite=True, watch=Watch(stop=stop))
        note.write_text(json.dumps(key), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"can't write '{cache}': {error.strerror or error}") from error
    remarks = [f"read up to damage: {failure.error}" for failure in report.cut_short] + report.notes
    say("; ".join([f"{title}: {report.files[TRAIN]} {what} in {folder}", *remarks]))
    return folder / TRAIN


def _size(clip: str, title: str, crop: int) -> tuple[int, int] | None:
    """(width, height) to scale frames to: no more than crops are taken from; None keeps theirs."""
    with open_source(clip) as source:
        info = source.info
    width, height = round(info.width * info.sample_aspect), info.height
    if min(width, height) < crop:
        raise TrainingError(f"{title} is {width}×{height}, smaller than the crop of {crop}: lower crop")
    factor = LARGEST * crop / min(width, height)
    return None if factor >= 1 else (math.ceil(width * factor), math.ceil(height * factor))


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
