"""Data sets of neighboring frames with the motion between them, for training that looks at flicker."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import UsageError
from ..frame import Frame, Pixels
from ..measure.quality.motion import Mask, Motion, estimate, read_flow
from ..picture import read_picture
from .clips import Clip, Moment, name_clips, read_clips
from .fitting import Fit
from .folder import DatasetFolder
from .manifest import TEST, TRAIN
from .report import Report, Watch

LEAST_SIDE = 16
"""Frames with a shorter side are too small to find motion in."""
_FLO_TAG, _UNKNOWN = 202021.25, 1e10
_FRAMES, _FLOW, _OCCLUSIONS = "frames_finalpass", "optical_flow", "occlusions"


def make_pairs(
    clips: Sequence[str],
    out: Path,
    *,
    every: int = 1,
    size: tuple[int, int] | None = None,
    test_share: float = 0.1,
    license_text: str = "",
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Report:
    """Take pairs of neighboring frames with backward flow, from the later to the earlier one, and occlusions.

    Laid out like FlyingThings3D, so that :func:`~allaprima.dataset.sequences.find_sequences` and whatever else
    knows that data set can read it. Under ``train`` and ``test``, RUN being a clip and the number of its first frame
    here, T the number of a frame in its clip, with four digits or more:

    - ``frames_finalpass/RUN/left/T.png``: the frames, lossless;
    - ``optical_flow/RUN/into_past/left/OpticalFlowIntoPast_T_L.flo``: what frame T shows at p was at p + flow(p) in
      frame T − 1; where that is hidden, outside, or not to be trusted, Middlebury's mark for unknown, 1e10;
    - ``occlusions/RUN/into_past/left/T.png``: white there, and black elsewhere.

    The motion is exact where the source knows it (the built-in scenes); else dense inverse search at the size of the
    data set, with a forward-backward check (:func:`~allaprima.measure.quality.motion.estimate`). There is no pair
    across a cut. With ``every`` 1 a run is a shot, in which neighboring pairs share a frame; else each pair is a run.

    Args:
        clips: what :func:`~allaprima.source.open_source` takes.
        out: the folder to write.
        every: a pair begins at every n-th frame of a clip.
        size: (width, height); frames are scaled to cover it and cropped in the middle. None keeps theirs.
        test_share: of the shots that are for test, about, up to 0.5; 0 for none.
        license_text: of the clips, for the manifest.
        overwrite: replace a data set that is there.
        watch: is told of every frame that is read, and may end the run.

    Raises:
        UsageError: a size with a side below 16 pixels.
        SourceError: a clip isn't there, or there is no pair in any.
        SinkError: the folder can't be written.
        PartialRunError: the run was asked to end; nothing is kept.
    """
    if size is not None and min(size) < LEAST_SIDE:
        raise UsageError(f"frames of {size[0]}×{size[1]} are too small to find motion in: take at least 16×16")
    named, report = name_clips(clips), Report(out)
    with DatasetFolder(out, overwrite=overwrite) as folder:
        writer = _Writer(folder)
        for clip, fit, moment in read_clips(named, size, report, watch or Watch()):
            if moment.before is not None and (moment.index - 1) % every == 0:
                writer.add(clip, fit, moment, moment.before)
        if not writer.pairs:
            raise report.nothing("pairs of frames")
        entries = [entry for entry in folder.split(test_share, report) if entry.file.endswith(".flo")]
        counts = Counter(entry.split for entry in entries)
        report.files = {name: counts[name] for name in (TRAIN, TEST)}
        report.notes.append(f"motion is known for {100 * writer.visible / writer.pairs:.0f} % of the pixels")
        folder.finish(entries, lambda entry: _picture(folder.path(entry)), license_text)
    return report


class _Writer:
    """Pairs on their way into a folder."""

    def __init__(self, folder: DatasetFolder) -> None:
        self._folder = folder
        self._run = ""
        self._last: tuple[Clip, int, int] | None = None
        """Clip, shot and frame that came last."""
        self.pairs = 0
        self.visible = 0.0
        """Sum of the pairs' shares of pixels whose motion is known."""

    def add(self, clip: Clip, fit: Fit, moment: Moment, earlier: Frame) -> None:
        """Write a moment and, unless the pair before ended with it, the frame just before."""
        now, before = fit.pixels(moment.frame.pixels), fit.pixels(earlier.pixels)
        flow, valid = _motion(fit, moment, now, before)
        if self._last != (clip, moment.shot, moment.index - 1):
            self._run = f"{clip.stem}-{moment.index - 1:06d}"
            origin = Moment(earlier, moment.index - 1, moment.shot, None).origin(clip)
            self._folder.add_picture(_frame_file(self._run, moment.index - 1), before, origin)
        self._last = (clip, moment.shot, moment.index)
        origin, number = moment.origin(clip), moment.index
        self._folder.add_picture(_frame_file(self._run, number), now, origin)
        self._folder.add(_flow_file(self._run, number), _flo(flow, valid), origin)
        hidden = np.where(valid, np.uint8(0), np.uint8(255))
        self._folder.add_picture(f"{_OCCLUSIONS}/{self._run}/into_past/left/{number:04d}.png", hidden, origin)
        self.pairs += 1
        self.visible += float(valid.mean())


def _frame_file(run: str, number: int) -> str:
    return f"{_FRAMES}/{run}/left/{number:04d}.png"


def _flow_file(run: str, number: int) -> str:
    return f"{_FLOW}/{run}/into_past/left/OpticalFlowIntoPast_{number:04d}_L.flo"


def _motion(fit: Fit, moment: Moment, now: Pixels, before: Pixels) -> tuple[Motion, Mask]:
    frame = moment.frame
    if frame.motion is not None and frame.mask is not None:
        return fit.motion(-frame.motion, frame.mask)
    return estimate(now, before)


def _flo(flow: Motion, valid: Mask) -> bytes:
    # OpenCV writes to a path alone, and doesn't say when the disk is full.
    height, width = valid.shape
    marked = np.where(valid[..., None], flow, np.float32(_UNKNOWN))
    return struct.pack("<fii", _FLO_TAG, width, height) + marked.astype("<f4").tobytes()


def _picture(flow_path: Path) -> Pixels:
    """The later frame of a pair, and right of it how its pixels moved."""
    run, number = flow_path.parents[2].name, int(flow_path.stem.split("_")[1])
    now = read_picture(flow_path.parents[4] / _frame_file(run, number)).pixels
    return np.hstack([now, _colors(*read_flow(flow_path))])


def _colors(flow: Motion, known: Mask) -> Pixels:
    """Direction as hue, speed as saturation (the 99th percentile is full), and black where motion isn't known."""
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    full = max(float(np.percentile(speed[known], 99)), 1.0) if known.any() else 1.0
    planes = [angle / 2, 255 * np.minimum(speed / full, 1), np.where(known, 255, 0)]
    return np.asarray(cv2.cvtColor(np.dstack(planes).astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
