"""Writes frames into a bridge: what a game in Python does."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SinkError, UsageError
from .layout import (
    CAPTURED,
    HAS_DEPTH,
    HAS_MOTION,
    LEFT,
    MAGIC,
    NEWEST,
    PLANES,
    SEQUENCE,
    Layout,
    MotionLayout,
    Origin,
    PixelFormat,
    segment_path,
)
from .segment import Segment, fence, open_file, try_lock

SLOTS = 6
"""So that the motion of three or four frames that a reader missed can still be read."""
_TRIES, _PAUSE = 30, 0.01
"""For the lock, which readers hold for a moment when they look who holds it; seconds between."""


class BridgeWriter:
    """Gives frames to whoever reads the bridge; never waits for a reader. For one thread.

    Args:
        name: of the bridge, as in ``allaprima live --from game:NAME``. One writer at a time; what a dead one left
            behind is removed.
        width, height: of every frame, in pixels.
        motion: what the motion planes' values are; None for a bridge without them.
        depth: whether there are depth planes.
        pixel_format, origin: as the engine has them; the reader converts.
        slots: frames in the ring, 2 to 64.
        rate: frames a second that the game aims at, where it is known.

    Raises:
        UsageError: a name, size or number of slots that can't be, or a system without this bridge.
        SinkError: another program writes to this bridge, or there is no memory for it.
    """

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        *,
        motion: MotionLayout | None = None,
        depth: bool = False,
        pixel_format: PixelFormat = PixelFormat.RGB8,
        origin: Origin = Origin.TOP,
        slots: int = SLOTS,
        rate: Fraction | None = None,
    ) -> None:
        self.name = name
        self.layout = Layout.of(
            width,
            height,
            slots=slots,
            pixel_format=pixel_format,
            origin=origin,
            motion=motion,
            depth=depth,
            rate=rate,
        )
        self._path = segment_path(name)
        self._newest = 0
        self._closed = False
        descriptor = _new_file(self._path, name)
        try:
            _reserve(descriptor, self.layout.size)
            self._segment = Segment(descriptor, self.layout.size, write=True)
        except OSError as error:
            self._path.unlink()
            os.close(descriptor)
            raise SinkError(f"no memory for the bridge '{name}' ({error.strerror}): {self._path.parent}") from error
        self._segment.put(0, self.layout.to_bytes())
        fence()
        self._segment.words[0] = int.from_bytes(MAGIC, sys.byteorder)

    def write(
        self,
        pixels: NDArray[np.uint8],
        motion: NDArray[np.floating[Any]] | None = None,
        depth: NDArray[np.floating[Any]] | None = None,
        captured: float | None = None,
    ) -> None:
        """Give away a frame.

        Args:
            pixels: uint8, H×W×3 or ×4, by the pixel format and origin of this bridge.
            motion: H×W×2, as this bridge's :class:`MotionLayout` says, since the frame written before; not-a-number
                where that isn't known. None where nothing is known of the whole frame, as after a cut.
            depth: H×W, distance along the camera's axis, in any unit.
            captured: when the picture was taken, in seconds of :func:`time.monotonic`; None for now.

        Raises:
            UsageError: an array of another shape or type than was agreed, or the writer is closed.
        """
        if self._closed:
            raise UsageError(f"the bridge '{self.name}' is closed")
        layout, number = self.layout, self._newest + 1
        area = layout.height, layout.width
        slot = layout.first_slot + self._newest % layout.slots * layout.slot_bytes
        half = layout.motion is not None and layout.motion.half
        planes = [
            ("pixels", pixels, (*area, layout.pixel_format.channels), np.uint8, layout.pixels_at, True),
            ("motion", motion, (*area, 2), np.float16 if half else np.float32, layout.motion_at, layout.motion),
            ("depth", depth, area, np.float32, layout.depth_at, layout.depth),
        ]
        for name, plane, shape, kind, _, agreed in planes:
            _check_plane(name, plane, shape, kind, bool(agreed))

        words, at = self._segment.words, slot // 8
        words[at + SEQUENCE] = 2 * number - 1
        fence()
        for _, plane, shape, kind, offset, _ in planes:
            if plane is not None:
                np.copyto(self._segment.plane(slot + offset, shape, kind), plane, casting="same_kind")
        words[at + CAPTURED] = round((time.monotonic() if captured is None else captured) * 1e9)
        words[at + PLANES] = HAS_MOTION * (motion is not None) | HAS_DEPTH * (depth is not None)
        fence()
        words[at + SEQUENCE] = 2 * number
        words[NEWEST] = number
        self._newest = number

    def close(self) -> None:
        """Leave, and remove the bridge; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._segment.words[LEFT] = 1
        with suppress(FileNotFoundError):  # removed by hand
            self._path.unlink()
        self._segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _new_file(path: Path, name: str) -> int:
    """An empty file under the bridge's name, which is ours as long as the descriptor is open.

    A file that isn't empty and that nobody holds was left by a writer that died. It isn't written anew, since a reader
    may still have it mapped, but removed.
    """
    for _ in range(_TRIES):
        try:
            descriptor = open_file(path, create=True)
        except OSError as error:
            raise SinkError(f"can't make the bridge '{name}' at {path}: {error.strerror}") from error
        if not try_lock(descriptor, exclusive=True):
            os.close(descriptor)
            time.sleep(_PAUSE)
            continue
        status = os.fstat(descriptor)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == status.st_ino:  # else another writer has just removed it
                if status.st_size == 0:
                    return descriptor
                path.unlink()
        os.close(descriptor)
    raise SinkError(f"another program writes to the bridge '{name}': end it, or choose another name")


def _reserve(descriptor: int, size: int) -> None:
    """Make the file as large, with its memory: short of it, this fails, and not the program later when it writes."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _check_plane(
    name: str, plane: NDArray[Any] | None, shape: tuple[int, ...], kind: type[np.generic], agreed: bool
) -> None:
    if plane is None:
        return
    if not agreed:
        raise UsageError(f"this bridge was made without {name}")
    if plane.shape != shape or not np.can_cast(plane.dtype, kind, "same_kind"):
        found, wanted = ("×".join(str(side) for side in sides) for sides in (plane.shape, shape))
        raise UsageError(f"{name} must be {wanted} {np.dtype(kind)}, not {found} {plane.dtype}")
