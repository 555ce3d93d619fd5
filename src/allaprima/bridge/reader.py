"""Reads the newest frame of a bridge."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from ..frame import Pixels
from .layout import (
    CAPTURED,
    HAS_DEPTH,
    HAS_MOTION,
    HEADER_BYTES,
    LEFT,
    NEWEST,
    PLANES,
    SEQUENCE,
    Layout,
    MotionLayout,
    Origin,
    PixelFormat,
    bridge_names,
    segment_path,
)
from .motion import Mask, Motion, Relief, composed, seen_before
from .segment import Segment, fence, is_locked, open_file

_ATTEMPTS = 3
"""At a frame that the writer overtakes while it is read, before the next one is waited for."""
_TO_RGB = {PixelFormat.RGBA8: cv2.COLOR_RGBA2RGB, PixelFormat.BGRA8: cv2.COLOR_BGRA2RGB}


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A whole frame, copied out of the ring."""

    number: int
    """Frames count from 1; what is missing between two readings was skipped."""
    pixels: Pixels
    captured: float
    """Seconds of :func:`time.monotonic`."""
    motion: tuple[Motion, Mask] | None
    """Since the last reading, over all frames that were skipped; and where it is known and, as far as depth tells, the
    pixel was seen in the last reading. None for the first, and where the motion of one of the skipped frames is no
    longer in the ring or was never given: motion since a frame that wasn't read would mislead."""


class BridgeReader:
    """One writer's bridge, as long as the writer lives. :meth:`attach` makes one."""

    def __init__(self, segment: Segment, layout: Layout) -> None:
        self.layout = layout
        self._segment = segment
        self._last = 0
        self._last_relief: Relief | None = None

    @classmethod
    def attach(cls, name: str) -> BridgeReader | None:
        """Open a bridge; None where no writer lives, or has just begun to make one.

        Raises:
            UsageError: a name that can't be one, or a system without this bridge.
            SourceError: what is there can't be opened, or isn't a bridge of this version.
        """
        path = segment_path(name)
        try:
            descriptor = open_file(path, create=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"can't open the bridge '{name}' at {path}: {error.strerror}") from error
        size = os.fstat(descriptor).st_size
        if size < HEADER_BYTES:
            os.close(descriptor)
            return None
        segment = Segment(descriptor, size, write=False)
        try:
            if segment.words[0] != 0 and segment.has_writer:
                fence()
                return cls(segment, Layout.from_bytes(segment.bytes_at(0, HEADER_BYTES), size))
        except SourceError as error:
            segment.close()
            raise SourceError(f"the bridge '{name}' can't be read: {error}") from error
        segment.close()
        return None

    @property
    def alive(self) -> bool:
        """Whether more can come: the writer neither left nor died."""
        return self._segment.words[LEFT] == 0 and self._segment.has_writer

    def read(self) -> Reading | None:
        """The newest frame; None where there is none since the last reading, or the writer overtook each attempt."""
        for _ in range(_ATTEMPTS):
            number = self._segment.words[NEWEST]
            if number <= self._last:
                return None
            fence()
            if reading := self._reading(number):
                self._last = number
                return reading
        return None

    def close(self) -> None:
        """Let go of the memory; safe to call twice."""
        self._segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reading(self, number: int) -> Reading | None:
        """A frame, if it is whole and stays so while it is copied."""
        words, at = self._segment.words, self._slot(number)
        if words[at // 8 + SEQUENCE] != 2 * number:
            return None
        layout = self.layout
        captured, planes = words[at // 8 + CAPTURED] / 1e9, words[at // 8 + PLANES]
        shape = (layout.height, layout.width, layout.pixel_format.channels)
        pixels = _rgb(self._segment.plane(at + layout.pixels_at, shape, np.uint8), layout)
        relief = self._relief(at) if layout.depth and planes & HAS_DEPTH else None
        if not self._still(number):
            return None
        motion = self._motion_since_last(number)
        if motion is not None and relief is not None and self._last_relief is not None:
            motion[1][:] &= seen_before(motion[0], relief, self._last_relief)
        self._last_relief = relief
        return Reading(number, pixels, captured, motion)

    def _motion_since_last(self, number: int) -> tuple[Motion, Mask] | None:
        # The oldest is overwritten first, so it is read first.
        if self._last == 0 or number - self._last > self.layout.slots:
            return None
        steps = []
        for each in range(self._last + 1, number + 1):
            if (step := self._motion(each)) is None:
                return None
            steps.append(step)
        motion, mask = steps.pop()
        while steps:
            motion, mask = composed(motion, mask, *steps.pop())
        return motion, mask

    def _motion(self, number: int) -> tuple[Motion, Mask] | None:
        """Motion from the frame before it, if the frame has some and is still in the ring."""
        kind, at = self.layout.motion, self._slot(number)
        if kind is None or self._segment.words[at // 8 + SEQUENCE] != 2 * number:
            return None
        has = self._segment.words[at // 8 + PLANES] & HAS_MOTION
        shape = (self.layout.height, self.layout.width, 2)
        raw = self._segment.plane(at + self.layout.motion_at, shape, np.float16 if kind.half else np.float32)
        motion = _in_pixels(raw, kind, _rows(self.layout))
        return _known(motion) if has and self._still(number) else None

    def _relief(self, at: int) -> Relief:
        plane = self._segment.plane(at + self.layout.depth_at, (self.layout.height, self.layout.width), np.float32)
        return Relief.of(plane[_rows(self.layout)])

    def _still(self, number: int) -> bool:
        """Whether a frame is in the ring even after it was copied."""
        fence()
        return bool(self._segment.words[self._slot(number) // 8 + SEQUENCE] == 2 * number)

    def _slot(self, number: int) -> int:
        return self.layout.first_slot + (number - 1) % self.layout.slots * self.layout.slot_bytes


def living_bridges() -> list[str]:
    """The names of the bridges whose writers live, those of other versions among them."""
    names = []
    for name in bridge_names():
        with suppress(OSError):  # just removed; another user's; a link
            descriptor = open_file(segment_path(name), create=False)
            if is_locked(descriptor):
                names.append(name)
            os.close(descriptor)
    return names


def _rgb(raw: NDArray[np.uint8], layout: Layout) -> Pixels:
    """A copy in RGB, from the top row on."""
    code = _TO_RGB.get(layout.pixel_format)
    rgb = raw if code is None else np.asarray(cv2.cvtColor(raw, code), np.uint8)
    return np.array(rgb[_rows(layout)], order="C") if layout.origin is Origin.BOTTOM or code is None else rgb


def _rows(layout: Layout) -> slice:
    """All rows, from the top one on."""
    return slice(None, None, -1 if layout.origin is Origin.BOTTOM else 1)


def _in_pixels(raw: NDArray[Any], kind: MotionLayout, rows: slice) -> Motion:
    """A copy as a frame has it."""
    height, width = raw.shape[:2]
    sign = -1 if kind.to_previous else 1
    scale = np.array((sign, -sign if kind.y_up else sign), np.float32)
    if kind.uv:
        scale *= (width, height)
    # Rows of single values, which NumPy multiplies four times as fast as pairs.
    values = raw.reshape(height, -1)[rows]
    motion: Motion
    if kind.half:
        motion = cv2.add(values, 0.0, dtype=cv2.CV_32F)  # type: ignore[call-overload] # in an eighth of NumPy's time
        motion *= np.tile(scale, width)
    else:
        motion = values * np.tile(scale, width)
    return motion.reshape(raw.shape)


def _known(motion: Motion) -> tuple[Motion, Mask]:
    """The motion and where it is known; elsewhere it becomes 0, in place."""
    shape = motion.shape[:2]
    if np.isfinite(sum(cv2.sumElems(motion))):  # then all are
        return motion, np.ones(shape, np.bool_)
    known = np.asarray(np.isfinite(motion[..., 0] + motion[..., 1]), np.bool_)
    motion[~known] = 0
    return motion, known
