"""Where frames come from. One grammar for every verb: a file, a folder of pictures, ``-``, or ``scene[:NAME]``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import SourceError
from .frame import Frame, SourceInfo


class Source(ABC):
    """Frames in order of presentation. A file source never drops one.

    Opening (the constructor) reads the header and raises :class:`~allaprima.errors.SourceError` for whatever can't be
    read; :meth:`frames` may raise it for damage further in, after all whole frames before it were yielded.
    """

    info: SourceInfo

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The frames, once."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Let go of files and devices; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def frame_range(count: int, rate: Fraction, start: float | None, end: float | None) -> range:
    """Which of ``count`` frames at a constant rate show from ``start`` on and before ``end`` (seconds).

    Raises:
        SourceError: a time that makes no sense, or no frame between them.
    """
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise SourceError(f"{name} must be a time in seconds from 0 on, not {value}")
    # A thousandth of a frame of slack: 1/24 s written in decimals still means frame 1.
    first = 0 if start is None else max(math.ceil(start * rate - 0.001), 0)
    stop = count if end is None else min(math.ceil(end * rate - 0.001), count)
    if first >= stop:
        span = f"from {start or 0:g} s" + (f" to {end:g} s" if end is not None else "")
        raise SourceError(f"nothing to read {span}: the source lasts {float(count / rate):g} s")
    return range(first, stop)


def open_source(name: str, *, start: float | None = None, end: float | None = None) -> Source:
    """Open a source by its name on the command line.

    Args:
        name: a video file, a folder of pictures, ``-`` (a video container on standard input), or ``scene[:NAME]``.
        start: skip what shows before this time in seconds.
        end: stop at this time in seconds.

    Raises:
        SourceError: nothing there, or nothing that can be read.
    """
    if name == "scene" or name.startswith("scene:"):
        from .sources.scene import SceneSource

        return SceneSource(name.partition(":")[2] or None, start=start, end=end)
    if name != "-" and Path(name).is_dir():
        from .sources.image_folder import ImageFolderSource

        return ImageFolderSource(Path(name), start=start, end=end)
    from .sources.video_file import VideoFileSource

    return VideoFileSource(name, start=start, end=end)
