"""Where painted frames go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

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
