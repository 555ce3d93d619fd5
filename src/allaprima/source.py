"""Where frames come from. One grammar for what has an end, and one for what happens now."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
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

    @property
    def dropped(self) -> int:
        """Frames so far that newer ones took the place of within the source; only live ones do that."""
        return 0

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


def open_live_source(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    rate: float | None = None,
    say: Callable[[str], None],
) -> Source:
    """Open a source whose frames come when they happen, each with the time when it was captured.

    :meth:`Source.frames` waits for the next frame; :meth:`Source.close` ends that from any thread.

    Args:
        name: ``camera[:NUMBER or words of its name]``, ``screen[:WIDTHxHEIGHT+X+Y, a monitor's number, or words of a
            window's title]``, ``game[:NAME]`` (the bridge), a URL, ``-`` (Y4M, a container, or bare rgb24 pictures on
            standard input), or whatever :func:`open_source` opens, at its own pace.
        size: width and height in pixels to ask a camera for, and that bare pictures have; others come as they are.
        rate: frames a second to ask a camera for, to capture the screen at, and that bare pictures have; others come
            as they come.
        say: takes lines for the user: a camera was lost, it is back.

    Raises:
        SourceError: it can't be opened, or not now; the message says what to do.
        MissingExtraError: it needs an extra that isn't installed.
    """
    kind, _, rest = name.partition(":")
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", name):
        from .sources.stream import SCHEMES, open_stream

        if scheme[1].lower() not in SCHEMES:
            raise SourceError(
                f"{scheme[1]}:// isn't a stream that can be read; use {', '.join(SCHEMES)}, or a file name"
            )
        return open_stream(name, say=say)
    if kind == "camera":
        from .sources.camera import open_camera

        return open_camera(rest or None, size=size, rate=rate, say=say)
    if kind == "screen":
        from .sources.screen import ScreenSource

        return ScreenSource(rest or None, rate=rate, say=say)
    if kind == "game":
        from .sources.bridge import BridgeSource

        return BridgeSource(rest or None, say)
    if name == "-":
        from .sources.raw_video import PipedVideo

        return PipedVideo(size=size, rate=rate)
    from .sources.paced import PacedSource

    return PacedSource(open_source(name))
