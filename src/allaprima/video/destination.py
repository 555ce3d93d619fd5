"""The place a video is written to: checked first, then a part beside it, then its own name."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path

import av

from ..errors import SinkError


class Destination:
    """A file that appears under its name only when it is whole, or one that grows under its name.

    Args:
        path: the final name.
        source: the input's path, ``-``, or None.
        overwrite: whether an existing file may be replaced.
        grows: write under the final name from the beginning; the file is never renamed nor removed then.

    Raises:
        SinkError: it exists, it is the input, its folder is missing.
    """

    def __init__(self, path: Path, source: str | None, *, overwrite: bool, grows: bool = False) -> None:
        self.path = path
        self._grows = grows
        self.part = path if grows else path.with_name(f".{path.stem}.part{path.suffix}")
        """Where the file is until it is whole."""
        if source not in (None, "-") and path.exists() and Path(str(source)).exists() and path.samefile(str(source)):
            raise SinkError(f"{path} is the input itself; write to another name")
        if path.is_dir():
            raise SinkError(f"{path} is a folder; give a file name")
        if path.exists() and not overwrite:
            raise SinkError(f"{path} already exists; choose another name or pass --overwrite")
        if not path.parent.is_dir():
            raise SinkError(f"the folder {path.parent} doesn't exist; make it first")

    @property
    def url(self) -> str:
        """What FFmpeg writes to."""
        return f"file:{self.part}"

    def check(self) -> None:
        """Make the file, so that a place that can't be written is known before painting; what is in it stays.

        Raises:
            SinkError: no permission, no space, a read-only file system.
        """
        try:
            self.part.open("ab").close()
        except OSError as error:
            raise SinkError(self.why(error, "")) from error

    def begins(self) -> Fraction:
        """When the first picture of the closed part shows, in seconds, as a player reads it.

        Raises:
            av.error.FFmpegError: the part can't be read back.
        """
        with av.open(self.url, "r") as container:
            video = container.streams.video[0]
            return (video.start_time or 0) * (video.time_base or Fraction(1))

    def keep(self) -> None:
        """The part is whole: give it its name."""
        self.part.replace(self.path)

    def keep_part(self) -> Path:
        """The part is all there will be: give it the name ``STEM.partial.EXT``."""
        kept = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
        self.part.replace(kept)
        return kept

    def discard(self) -> None:
        """Remove the part."""
        self.part.unlink(missing_ok=True)

    def why(self, error: Exception, codec: str) -> str:
        """One line for what went wrong while writing."""
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            kept = "what came before was" if self._grows else "nothing was"
            return f"no space left for {self.path}; free some or write elsewhere ({kept} kept)"
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f"{self.path.parent} can't be written to: permission denied; write elsewhere"
        if isinstance(error, MemoryError):
            return f"not enough memory to encode {self.path} as {codec}; use a smaller --size"
        reason = getattr(error, "strerror", None) or str(error)
        return f"{self.path} couldn't be written as {codec}: {' '.join(reason.split())}; try another codec or container"
