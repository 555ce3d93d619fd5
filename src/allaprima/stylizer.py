"""A stylizer turns frames into frames: a painter, its state between frames, and what is done to colors and size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from .coherence.camera import Plane, halved
from .coherence.flow import LocalMotion, MotionSearch, given_motion
from .coherence.noise import NoiseFilter
from .coherence.phase_lock import Offset, PhaseLock, moved, moved_back
from .coherence.strokes import StrokeMemory
from .cuts import is_cut
from .errors import UsageError
from .frame import Frame, Pixels, SourceInfo
from .painter import State
from .refiner import Refiner, work_size_of

DEFAULT_COHERENCE = 1.0


class PicturePainter(Protocol):
    """What a stylizer needs of a painter; :class:`~allaprima.painter.Painter` is one."""

    @property
    def stride(self) -> int:
        """By how many pixels a picture must move for its painting to move along exactly.

        1 where moving pictures to the painter's grid would be of no use.
        """

    @property
    def noise_gain(self) -> float:
        """How much its painting changes from frame to frame over what the frames do, of independent noise."""

    def prepare(self, height: int, width: int) -> str:
        """Get ready for pictures of one size; what will run, in words."""

    def paint(self, pixels: Pixels, state: State) -> tuple[Pixels, State]:
        """Paint one picture, uint8 H×W×3 RGB of any size; the painting, of that size, and the state for the next."""

    def for_work_size(self) -> tuple[PicturePainter, float]:
        """Asked only where there is a work size: who paints the small pictures, and the painting's share of the result.

        The share is 0-1, counted at full size; the rest is the frame.
        """


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """What was done to a frame before painting, to be undone, and done on, after it."""

    offset: Offset
    motion: LocalMotion | None
    """To the last painted frame; None for the first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A frame on its way through a stylizer."""

    frame: Frame
    whole: Pixels
    """The frame at its full size."""
    small: Pixels
    """The same at the size that is painted."""
    given: Pixels
    """What the painter gets."""
    steps: _Steps | None
    """None where the painting stays as it is."""


class Stylizer:
    """Paints the frames of one stream, in order.

    Args:
        painter: paints pictures.
        coherence: how much is done for steadiness, from 0, nothing, to 1. Above 0, painters with a stride are locked
            to the picture by :class:`~allaprima.coherence.phase_lock.PhaseLock`; sensor noise is filtered by
            :class:`~allaprima.coherence.noise.NoiseFilter`, and strokes kept by
            :class:`~allaprima.coherence.strokes.StrokeMemory`, along the motion that frames bring or that is searched;
            and cuts reset the state. A style with a memory of its own keeps its own coherence.
        keep_colors: keep the colors of the picture and take only light and dark from the painting.
        size: (width, height) to scale frames to before painting; None keeps theirs.
        work_size: short side in pixels at which the painter works, with all coherence around it; the painting is
            brought to the frame's size by :class:`~allaprima.refiner.Refiner`. None paints at the frame's size.

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
        self._coherence, self._keep_colors, self._size, self._work_size = coherence, keep_colors, size, work_size
        self._steadier = _Steadier(self._painter, coherence) if coherence > 0 else None
        self._refiner = Refiner()
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
        border = self._steadier.border if self._steadier else 0
        return self._painter.prepare(height + 2 * border, width + 2 * border)

    def reset(self) -> None:
        """Forget what came before: after a cut, a seek, or a change of source."""
        self._state = {}
        self._before = None
        if self._steadier:
            self._steadier.reset()

    def stylize(self, frame: Frame) -> Frame:
        """Paint one frame. A change of size resets the state by itself, and so does a cut if there is coherence.

        Raises:
            UsageError: the work size is larger than the frame, or the frame's planes of motion aren't of its size.
        """
        begun = self._begin(frame)
        painting, self._state = self._painter.paint(begun.given, self._state)
        return self._finish(begun, painting)

    def overlapped(self, frames: Iterator[Frame], at_once: int) -> Iterator[Frame]:
        """Paint frames as :meth:`stylize` does, while what goes before and after it is done for others.

        For painters without a memory, that can paint several pictures at once.

        Args:
            frames: of one stream.
            at_once: how many are painted at a time, each in a thread; one more is read ahead.

        Raises:
            UsageError: as :meth:`stylize`.
        """
        on_way: deque[Future[Frame]] = deque()
        shape: tuple[int, ...] = ()
        with (
            ThreadPoolExecutor(at_once, "allaprima-paint") as painting,
            ThreadPoolExecutor(1, "allaprima-finish") as finishing,
        ):
            for frame in frames:
                begun = self._begin(frame)
                changed, shape = begun.given.shape != shape, begun.given.shape
                while on_way and (changed or len(on_way) > at_once):
                    yield on_way.popleft().result()
                painted = painting.submit(self._paint_alone, begun.given)
                if changed:
                    painted.exception()  # an engine is loaded for a new size before several threads ask for it
                on_way.append(finishing.submit(self._finish_painted, begun, painted))
            while on_way:
                yield on_way.popleft().result()

    def _finish_painted(self, begun: _Begun, painted: Future[Pixels]) -> Frame:
        return self._finish(begun, painted.result())

    def _paint_alone(self, pixels: Pixels) -> Pixels:
        return self._painter.paint(pixels, {})[0]

    def _begin(self, frame: Frame) -> _Begun:
        whole, pixels = self._take(frame)
        if self._steadier is None or self._state:  # what the painter remembers lies where the last frame lay
            return _Begun(frame, whole, pixels, pixels, None)
        return _Begun(frame, whole, pixels, *self._steadier.begin(frame, pixels))

    def _finish(self, begun: _Begun, painting: Pixels) -> Frame:
        if self._steadier and begun.steps:
            painting = self._steadier.finish(painting, begun.steps, keep=not self._state)
        return begun.frame.with_pixels(self._brought_back(painting, begun.small, begun.whole))

    def inner(self) -> Stylizer:
        """Who paints the frames that :meth:`around` brings to the size that is painted."""
        return Stylizer(self._painter, coherence=self._coherence)

    def around(self, way: Callable[[Iterator[Frame]], Iterator[Frame]], frames: Iterator[Frame]) -> Iterator[Frame]:
        """Bring frames to the size that is painted, and what becomes of them there back to full size and color.

        Args:
            way: goes over frames of the size that is painted; yields as many, painted or not, in order.
            frames: of one stream.

        Raises:
            UsageError: as :meth:`stylize`.
        """
        taken: deque[tuple[Frame, Pixels, Pixels]] = deque()

        def arriving() -> Iterator[Frame]:
            for frame in frames:
                whole, small = self._sized(frame)
                taken.append((frame, whole, small))
                moved = given_motion(frame, (small.shape[1], small.shape[0]))
                motion, mask = (-moved.flow, moved.trust > 0.5) if moved else (None, None)
                yield replace(frame, pixels=small, motion=motion, mask=mask)

        for painting in way(arriving()):
            frame, whole, small = taken.popleft()
            yield frame.with_pixels(self._brought_back(painting.pixels, small, whole))

    def _brought_back(self, painting: Pixels, small: Pixels, whole: Pixels) -> Pixels:
        """A painting of the size that is painted, at full size and with the colors asked for."""
        if small is not whole:
            painting = self._refiner.refine(painting, small, whole)
        if self._share < 1:
            painting = np.asarray(cv2.addWeighted(painting, self._share, whole, 1 - self._share, 0), np.uint8)
        return with_colors_of(painting, whole) if self._keep_colors else painting

    def follow(self, frame: Frame) -> None:
        """Take note of a frame that isn't painted, in order with those that are: the camera is followed all the same.

        Raises:
            UsageError: the work size is larger than the frame.
        """
        _, pixels = self._take(frame)
        if self._steadier:
            self._steadier.follow(pixels)

    def _take(self, frame: Frame) -> tuple[Pixels, Pixels]:
        """The next frame of the stream, at its full size and as it is painted."""
        whole, pixels = self._sized(frame)
        if self._before is not None and self._is_new_shot(self._before, pixels):
            self.reset()
        self._before = pixels
        return whole, pixels

    def _sized(self, frame: Frame) -> tuple[Pixels, Pixels]:
        whole = scale(frame.pixels, self._size)
        height, width = whole.shape[:2]
        return whole, scale(whole, self._painted_size(width, height))

    def _painted_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) that frames of such a size are painted at."""
        return (width, height) if self._work_size is None else work_size_of(width, height, self._work_size)

    def _is_new_shot(self, before: Pixels, pixels: Pixels) -> bool:
        if before.shape != pixels.shape:
            return True
        return self._steadier is not None and is_cut(before, pixels)


class _Steadier:
    """Everything between a frame and its painting that keeps paintings steady.

    Args:
        painter: paints pictures.
        coherence: how much is done, above 0, to 1.
    """

    def __init__(self, painter: PicturePainter, coherence: float) -> None:
        self._painter = painter
        self._lock = PhaseLock(painter.stride) if painter.stride > 1 else None
        self._search = MotionSearch()
        self._noise = NoiseFilter(painter.noise_gain, coherence)
        self._strokes = StrokeMemory(coherence)
        self._way: tuple[float, float] | None = (0.0, 0.0)
        """Of the camera since the last painted frame, in pixels to the right and down; None where it is unknown."""

    @property
    def border(self) -> int:
        """Pixels on every side that pictures are larger by when they are painted."""
        return self._lock.border if self._lock else 0

    def reset(self) -> None:
        """Forget what came before."""
        # Not the strokes: frames before a cut may still be on their way. The first frame behind it starts them anew.
        for part in (self._lock, self._search, self._noise):
            if part:
                part.reset()
        self._way = (0.0, 0.0)

    def follow(self, pixels: Pixels, half: Plane | None = None) -> Offset:
        """Take note of the next frame, as it is painted, and halved where that is at hand; where that would be."""
        if not self._lock:
            self._way = None
            return Offset()
        offset, step, way = self._lock.follow(pixels, half), self._lock.step, self._way
        self._way = (way[0] + step[0], way[1] + step[1]) if way and step else None
        return offset

    def begin(self, frame: Frame, pixels: Pixels) -> tuple[Pixels, _Steps]:
        """What to paint of the next frame, given whole and as it is painted; and what is needed after that.

        Raises:
            UsageError: the frame's planes of motion aren't of its size.
        """
        half = halved(pixels)
        offset = self.follow(pixels, half)
        motion = self._search.follow(pixels, given_motion(frame, (pixels.shape[1], pixels.shape[0])), self._way, half)
        self._way = (0.0, 0.0)
        return moved(self._noise.filter(pixels, motion), offset, self.border), _Steps(offset, motion)

    def finish(self, painting: Pixels, steps: _Steps, *, keep: bool) -> Pixels:
        """What to show of the next painting, in the order of the frames; ``keep`` its strokes for those to come."""
        painting = moved_back(painting, steps.offset, self.border)
        return self._strokes.keep(painting, steps.motion) if keep else painting


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
