"""A stylizer turns frames into frames: a painter, its state between frames, and what is done to colors and size."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from .coherence.phase_lock import PhaseLock, moved, moved_back
from .cuts import is_cut
from .errors import UsageError
from .frame import Frame, Pixels, SourceInfo
from .painter import State
from .refiner import refine, work_size_of

DEFAULT_COHERENCE = 1.0


class PicturePainter(Protocol):
    """What a stylizer needs of a painter; :class:`~allaprima.painter.Painter` is one."""

    @property
    def stride(self) -> int:
        """By how many pixels a picture must move for its painting to move along exactly.

        1 where moving pictures to the painter's grid would be of no use.
        """

    def prepare(self, height: int, width: int) -> str:
        """Get ready for pictures of one size; what will run, in words."""

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        """Paint one picture, uint8 H×W×3 RGB of any size; the painting, of that size, and the state for the next."""

    def for_work_size(self) -> tuple[PicturePainter, float]:
        """Asked only where there is a work size: who paints the small pictures, and the painting's share of the result.

        The share is 0-1, counted at full size; the rest is the frame.
        """


class Stylizer:
    """Paints the frames of one stream, in order.

    Args:
        painter: paints pictures.
        coherence: how much is done for steadiness, from 0, nothing, to 1. Above 0, painters with a stride are locked
            to the picture by :class:`~allaprima.coherence.phase_lock.PhaseLock`, and cuts reset the state. A style
            with a memory of its own keeps its own coherence.
        keep_colors: keep the colors of the picture and take only light and dark from the painting.
        size: (width, height) to scale frames to before painting; None keeps theirs.
        work_size: short side in pixels at which the painter works, with the phase lock around it; the painting is
            brought to the frame's size by :func:`~allaprima.refiner.refine`. None paints at the frame's size.

    Raises:
        UsageError: a coherence outside 0 to 1, or a work size for a style of a fixed size.
    """

    def __init__(
        self,
        painter: PicturePainter,
        *,
        coherence: float = DEFAULT_COHERENCE,
        keep_colors: bool = False,
        size: tuple[int, int] | None = None,
        work_size: int | None = None,
    ) -> None:
        if not 0.0 <= coherence <= 1.0:
            raise UsageError(f"coherence must be between 0 and 1, not {coherence:g}")
        self._painter, self._share = (painter, 1.0) if work_size is None else painter.for_work_size()
        self._keep_colors, self._size, self._work_size = keep_colors, size, work_size
        self._lock = PhaseLock(painter.stride, coherence) if coherence > 0 and painter.stride > 1 else None
        self._finds_cuts = coherence > 0
        self._state: State = {}
        self._before: Pixels | None = None

    def output_size(self, info: SourceInfo) -> tuple[int, int]:
        """(width, height) of the painted frames of a source."""
        return self._size or (info.width, info.height)

    def prepare(self, info: SourceInfo) -> str:
        """Load the engine for a source, before its first frame; what will run, in words.

        Raises:
            UsageError: the work size is larger than the frames.
        """
        width, height = self._painted_size(*self.output_size(info))
        border = self._lock.border if self._lock else 0
        return self._painter.prepare(height + 2 * border, width + 2 * border)

    def reset(self) -> None:
        """Forget what came before: after a cut, a seek, or a change of source."""
        self._state = {}
        self._before = None
        if self._lock:
            self._lock.reset()

    def stylize(self, frame: Frame) -> Frame:
        """Paint one frame. A change of size resets the state by itself, and so does a cut if there is coherence.

        Raises:
            UsageError: the work size is larger than the frame.
        """
        whole = scale(frame.pixels, self._size)
        height, width = whole.shape[:2]
        pixels = scale(whole, self._painted_size(width, height))
        if self._before is not None and self._is_new_shot(self._before, pixels):
            self.reset()
        self._before = pixels
        if self._lock:
            offset, border = self._lock.follow(pixels), self._lock.border
            painting, self._state = self._painter.paint(moved(pixels, offset, border), self._state)
            painting = moved_back(painting, offset, border)
        else:
            painting, self._state = self._painter.paint(pixels, self._state)
        if pixels is not whole:
            painting = refine(painting, pixels, whole)
        if self._share < 1:
            painting = np.asarray(cv2.addWeighted(painting, self._share, whole, 1 - self._share, 0), np.uint8)
        if self._keep_colors:
            painting = with_colors_of(painting, whole)
        return frame.with_pixels(painting)

    def _painted_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) that frames of such a size are painted at."""
        return (width, height) if self._work_size is None else work_size_of(width, height, self._work_size)

    def _is_new_shot(self, before: Pixels, pixels: Pixels) -> bool:
        if before.shape != pixels.shape:
            return True
        remembers = self._lock is not None or bool(self._state)
        return self._finds_cuts and remembers and is_cut(before, pixels)


def scale(pixels: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Scale to (width, height): by area when smaller, by Lanczos when larger."""
    height, width = pixels.shape[:2]
    if size is None or size == (width, height):
        return pixels
    way = cv2.INTER_AREA if size[0] <= width and size[1] <= height else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def with_colors_of(painting: Pixels, picture: Pixels) -> Pixels:
    """The painting's luma with the picture's chroma (Gatys et al. 2016, "Preserving Color", section 3.2)."""
    luma = cv2.cvtColor(painting, cv2.COLOR_RGB2YCrCb)
    mixed = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    mixed[..., 0] = luma[..., 0]
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB), np.uint8)
