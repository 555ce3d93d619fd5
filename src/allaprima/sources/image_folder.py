"""A folder of numbered pictures as a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from ..errors import SourceError
from ..frame import Frame, SourceInfo
from ..picture import list_pictures, picture_size, read_picture
from ..source import Source, frame_range

RATE = Fraction(24)


class ImageFolderSource(Source):
    """The pictures of a folder in natural order, 24 a second; alpha is left out.

    Args:
        path: the folder.
        start: skip what shows before this time in seconds; the first frame that is left gets ``pts`` 0.
        end: stop at this time in seconds.

    Raises:
        SourceError: no picture in it, one that can't be read, pictures of different sizes, or nothing between start
            and end.
    """

    def __init__(self, path: Path, start: float | None = None, end: float | None = None) -> None:
        self.path = path
        files = list_pictures(path)
        chosen = frame_range(len(files), RATE, start, end)
        self._files = files[chosen.start : chosen.stop]
        sizes = [picture_size(file) for file in self._files]
        (usual, count), *others = Counter(sizes).most_common()
        if others:
            odd = next(i for i, size in enumerate(sizes) if size != usual)
            raise SourceError(
                f"the pictures of a video must have one size: '{self._files[odd].name}' is "
                f"{sizes[odd][0]}×{sizes[odd][1]}, {count} of {len(sizes)} in '{path}' are {usual[0]}×{usual[1]}"
            )
        notes = ("pictures shown at 24 frames a second",)
        self.info = SourceInfo(*usual, RATE, 1 / RATE, frames=len(self._files), notes=notes)

    def frames(self) -> Iterator[Frame]:
        for index, file in enumerate(self._files):
            picture = read_picture(file)
            height, width = picture.pixels.shape[:2]
            if (width, height) != (self.info.width, self.info.height):
                raise SourceError(f"'{file}' changed its size to {width}×{height} while it was read")
            yield Frame(picture.pixels, index, 1, self.info.time_base, self.info.color)
