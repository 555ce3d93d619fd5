"""Animated GIFs for web pages: one palette, unchanged pixels left out, times kept to a hundredth of a second."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SinkError, UsageError
from ..frame import Frame, Pixels, SourceInfo
from ..sink import Sink, SinkResult
from ..video.destination import Destination

USUAL_RATE = Fraction(25, 2)
"""Frames a second at most unless told otherwise: smooth enough, and half the bytes."""
HIGHEST_RATE = 50
"""Browsers show frames shorter than 1/50 s for 1/10 s."""
_UNIT = Fraction(1, 100)
_NEAR = Fraction(1, 2000)
_SAMPLES = 12
"""Frames that the palette is made from."""
_COLORS = 255
"""One of 256 is left for pixels that don't change."""


class GifSink(Sink):
    """Writes an endlessly repeating GIF; frames wait on disk until all are there, for the palette suits them all.

    Colors are the palette's nearest, without dithering, which would flicker by itself.

    Args:
        path: the file.
        source: the input's path, ``-``, or another name that isn't a file.
        info: of the frames that will be written.
        rate: frames a second at most; None takes :data:`USUAL_RATE`. Frames in between are left out.
        overwrite: whether an existing file may be replaced.
        exact: colors (RGB) that the palette must hold as they are, of letters and lines.

    Raises:
        SinkError: the place can't be written to.
        UsageError: a rate that GIF can't show.
    """

    def __init__(
        self,
        path: Path,
        source: str,
        info: SourceInfo,
        *,
        rate: float | None,
        overwrite: bool,
        exact: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        if rate is not None and not 0 < rate <= HIGHEST_RATE:
            raise UsageError(f"a GIF shows up to {HIGHEST_RATE} frames a second, not {rate:g}")
        self._destination = Destination(path, source, overwrite=overwrite)
        self._destination.check()
        self._step = 1 / (USUAL_RATE if rate is None else Fraction(str(rate)))
        self._usual = 1 / info.frame_rate
        self._exact = [level for color in exact for level in color]
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the sink
        self._size = (0, 0)
        self._times: list[Fraction] = []
        self._begin: Fraction | None = None
        self._end = self._due = Fraction(0)
        self._seen = 0

    def write(self, frame: Frame) -> None:
        """Take one frame, or leave it out where the one before still shows."""
        height, width = frame.pixels.shape[:2]
        time = frame.pts * frame.time_base
        if self._begin is None:
            self._begin, self._size = time, (width, height)
        if (width, height) != self._size:
            raise SinkError(f"frame {self._seen} is {width}x{height}, not {self._size[0]}x{self._size[1]}")
        time -= self._begin
        self._end = time + (frame.duration * frame.time_base or self._usual)
        self._seen += 1
        if time < self._due - _NEAR:
            return
        self._due = (floor((time + _NEAR) / self._step) + 1) * self._step
        try:
            self._spool.write(frame.pixels.tobytes())
        except OSError as error:
            raise SinkError(self._destination.why(error, "GIF")) from error
        self._times.append(time)

    def finish(self) -> SinkResult:
        """Choose the palette, write the file and give it its name.

        Raises:
            SinkError: no frame came, or the disk is full.
        """
        if not self._times:
            self._discard()
            raise SinkError(f"{self._destination.path} wasn't written: there was no frame; check the source")
        self._save()
        self._destination.keep()
        return SinkResult(self._destination.path, self._seen, self._notes(self._destination.path))

    def abandon(self) -> SinkResult:
        """Keep what came as ``NAME.partial.gif``; nothing without a frame."""
        if not self._times:
            self._discard()
            return SinkResult(None, 0)
        try:
            self._save()
        except SinkError as error:
            return SinkResult(None, 0, (f"nothing was kept: {error}",))
        kept = self._destination.keep_part()
        return SinkResult(kept, self._seen, self._notes(kept))

    def _save(self) -> None:
        ends = [round(time / _UNIT) for time in (*self._times[1:], self._end)]
        begins = [round(time / _UNIT) for time in self._times]
        durations = [max(2, end - begin) * 10 for begin, end in zip(begins, ends, strict=True)]
        palette = self._palette()
        nearest = _nearest(palette)
        frames = (_indexed(self._frame(index), palette, nearest) for index in range(len(self._times)))
        try:
            with self._destination.part.open("wb") as file:
                next(frames).save(
                    file, "GIF", save_all=True, append_images=frames, duration=durations, loop=0, optimize=False
                )
        except (OSError, MemoryError) as error:
            self._discard()
            raise SinkError(self._destination.why(error, "GIF")) from error
        finally:
            self._spool.close()

    def _frame(self, index: int) -> Image.Image:
        width, height = self._size
        self._spool.seek(index * width * height * 3)
        return Image.frombytes("RGB", self._size, self._spool.read(width * height * 3))

    def _palette(self) -> Pixels:
        count = len(self._times)
        chosen = sorted({index * (count - 1) // max(1, _SAMPLES - 1) for index in range(_SAMPLES)})
        width, height = (max(1, side // 4) for side in self._size)
        samples = Image.new("RGB", (width, height * len(chosen)))
        for row, index in enumerate(chosen):
            samples.paste(self._frame(index).resize((width, height), Image.Resampling.NEAREST), (0, row * height))
        free = _COLORS - len(self._exact) // 3
        # Median cut alone gives large plain surfaces most of the colors, and small bright ones none.
        levels = samples.quantize(free, Image.Quantize.MEDIANCUT, kmeans=1).getpalette() or []
        return np.array(levels[: free * 3] + self._exact, np.uint8).reshape(-1, 3)

    def _notes(self, path: Path) -> tuple[str, ...]:
        size = f"the GIF has {path.stat().st_size / 1e6:.1f} MB"
        left_out = self._seen - len(self._times)
        return (size, f"{left_out} of {self._seen} frames were left out; --fps keeps more") if left_out else (size,)

    def _discard(self) -> None:
        self._spool.close()
        self._destination.discard()


def _nearest(palette: Pixels) -> Pixels:
    """The palette's nearest color for each of 64×64×64 colors; Pillow's own search settles for others."""
    sides = np.arange(64, dtype=np.float32) * 4 + 1.5
    colors = palette.astype(np.float32)
    lengths = (colors**2).sum(axis=1)
    found = []
    for red in sides:
        cells = np.stack(np.meshgrid([red], sides, sides, indexing="ij"), axis=-1).reshape(-1, 3)
        found.append((lengths - 2 * cells @ colors.T).argmin(axis=1))
    return np.concatenate(found).astype(np.uint8)


def _indexed(frame: Image.Image, palette: Pixels, nearest: Pixels) -> Image.Image:
    cells = np.asarray(frame, np.uint32) >> 2
    indexed = Image.fromarray(nearest[cells[..., 0] << 12 | cells[..., 1] << 6 | cells[..., 2]])
    indexed.putpalette(palette.tobytes())
    return indexed
