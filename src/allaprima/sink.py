"""Where painted frames go."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from .errors import SinkError
from .frame import Frame, SourceInfo
from .source import Source


@dataclass(frozen=True)
class SinkOptions:
    """How to write."""

    codec: str | None = None
    """``h264``, ``hevc``, ``av1``, ``ffv1`` or ``prores``; None takes what suits the container."""
    crf: int | None = None
    preset: str = "veryfast"
    drop_unsupported: bool = False
    """Leave out streams that the container can't hold, instead of refusing."""
    overwrite: bool = False


@dataclass(frozen=True)
class SinkResult:
    """What was written."""

    path: Path | None
    frames: int
    notes: tuple[str, ...] = ()
    """What had to be changed on the way out (padded to even size, times rounded, subtitles converted)."""


class Sink(ABC):
    """Takes frames; ends in exactly one of :meth:`finish` and :meth:`abandon`.

    The constructor refuses (:class:`~allaprima.errors.SinkError`) what can't be written, before anything is painted.
    The encoder starts at the first frame, since a stylizer may change the size.
    """

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take one frame; blocks while the sink is busy."""

    @abstractmethod
    def finish(self) -> SinkResult:
        """Everything is written: drain, close, and give the result its final name."""

    @abstractmethod
    def abandon(self) -> SinkResult:
        """The run was cut short: close what is there and keep it as ``NAME.partial.EXT``; the final name is untouched.

        ``path`` is None in the result when nothing was worth keeping.
        """


def open_sink(path: Path, source: Source, info: SourceInfo, options: SinkOptions) -> Sink:
    """Open a sink by its path.

    Args:
        path: a video file, or a folder (an existing one, or a name without a suffix) for numbered pictures.
        source: where the frames come from; sound, subtitles, chapters and metadata are copied from it.
        info: of the frames that will be written (size after scaling).
        options: how to write.

    Raises:
        SinkError: the destination, container or codec can't take it.
    """
    if path.is_dir() or not path.suffix:
        from .sinks.image_folder import ImageFolderSink

        return ImageFolderSink(path, options)
    from .sinks.video_file import VideoFileSink

    return VideoFileSink(path, source, info, options)


LIVE_SINKS = "window, virtual-camera[:DEVICE], a video file, a URL, - (raw video on standard output) or null"
"""Where a live painting can go, in words."""


def open_live_sink(name: str, info: SourceInfo, options: SinkOptions, *, say: Callable[[str], None]) -> Sink:
    """Open a sink for frames that come as they happen, by its name on the command line.

    Such sinks take frames of any size, and know the time by :attr:`~allaprima.frame.Frame.captured`. Their ``finish``
    and ``abandon`` may be called from another thread while ``write`` waits for a slow reader, and end it. The window
    (:class:`~allaprima.sinks.window.WindowSink`) alone belongs to the main thread.

    Args:
        name: ``window``, ``virtual-camera[:DEVICE]``, a video file, a URL, ``-`` or ``null``.
        info: of the frames that will be written.
        options: how to encode, and whether a file may be replaced.
        say: takes one-line notes for the user.

    Raises:
        SinkError: it can't take the frames: no display, no such camera, an existing file, an unknown scheme.
        MissingExtraError: it needs a package that isn't installed.
    """
    kind, _, rest = name.partition(":")
    if name == "null":
        from .sinks.null import NullSink

        return NullSink()
    if name == "-":
        from .sinks.raw_video import RawVideoSink

        return RawVideoSink(info)
    if name == "window":
        from .sinks.window import WindowSink

        return WindowSink(info)
    if kind == "virtual-camera":
        from .sinks.virtual_camera import VirtualCameraSink

        return VirtualCameraSink(rest or None, info, say=say)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        from .sinks.stream import StreamSink

        return StreamSink(name, info, options, say=say)
    if not Path(name).suffix:
        raise SinkError(f"unknown sink '{name}': use {LIVE_SINKS}")
    from .sinks.growing_file import GrowingFileSink

    return GrowingFileSink(Path(name), info, options)


def open_live_sinks(
    names: Sequence[str], info: SourceInfo, options: SinkOptions, *, say: Callable[[str], None]
) -> list[tuple[str, Sink]]:
    """Open several at once, all of them or none: see :func:`open_live_sink`.

    Returns:
        Each sink behind what to call it: its name, or of a URL what stands before the path, which may be a secret key;
        numbered where that isn't enough to tell them apart.
    """
    sinks: dict[str, Sink] = {}
    try:
        for name in names:
            sink = open_live_sink(name, info, options, say=say)
            sinks[_label(name, sinks)] = sink
    except BaseException:
        for sink in sinks.values():
            sink.abandon()
        raise
    return list(sinks.items())


def _label(name: str, taken: Container[str]) -> str:
    if "://" in name:
        from .sinks.sender import place

        name = place(name)
    return next(each for each in chain([name], (f"{name} ({number})" for number in count(2))) if each not in taken)
