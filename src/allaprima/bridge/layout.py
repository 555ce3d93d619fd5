"""What lies where in a bridge's segment: a header, and a ring of slots with the planes of one frame each.

All numbers are in the machine's byte order. Times are nanoseconds of the clock of :func:`time.monotonic`.

Header, 256 bytes; what stands there before offset 128 never changes once ``magic`` is there:

====== ==== ==================================================================================================
offset type meaning
====== ==== ==================================================================================================
0      8 B  magic, ``allaprim``; written last, all zero until the rest is there
8      u32  version of this layout, 1
12     u32  width in pixels
16     u32  height in pixels
20     u32  number of slots, 2 or more
24     u32  pixel format: 1 RGB8, 2 RGBA8, 3 BGRA8 (alpha is not read)
28     u32  origin: 0 the first row of every plane is the top one, 1 it is the bottom one
32     u32  motion: 0 none, 1 float32, 2 float16; two values a pixel, x then y
36     u32  what motion means, bits: see :class:`MotionLayout`; 1 units of UV, 2 leads to the previous frame, 4 y up
40     u32  depth: 0 none, 1 float32, one value a pixel
44     u32  frames in 1000 seconds that the writer aims at; 0 unknown
48     u64  size of the segment in bytes
56     u64  offset of the first slot
64     u64  bytes from a slot to the next
72     u64  offset of the pixels in a slot
80     u64  offset of the motion in a slot
88     u64  offset of the depth in a slot
128    u64  number of the newest frame that is whole; frames count from 1, 0 is none
136    u64  1 once the writer has left
====== ==== ==================================================================================================

Slot; frame n is in slot (n − 1) mod number of slots:

====== ==== ==================================================================================================
0      u64  2n − 1 while frame n is being written, 2n when it is whole
8      u64  time when the frame was captured
16     u64  planes that this frame has beside pixels, bits: 1 motion, 2 depth
====== ==== ==================================================================================================

Planes are tight: row after row without padding. Depth is the distance along the camera's axis, in any unit, growing
with the distance; it isn't the value of a depth buffer. Motion that isn't known is not-a-number.

A segment is a file that is mapped into memory: in ``/dev/shm`` where there is one, as POSIX ``shm_open`` has it on
Linux, else in ``$TMPDIR`` or ``/tmp``. The writer holds an exclusive ``flock`` on it, which the kernel lets go when the
writer dies: that is how others know. (Neither would do on macOS with ``shm_open``, whose segments aren't files; and
Python's ``multiprocessing.shared_memory`` before 3.13 removes a segment when one of its readers ends.)
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from pathlib import Path

from ..errors import SourceError, UsageError

MAGIC = b"allaprim"
VERSION = 1
HEADER_BYTES, SLOT_HEADER_BYTES = 256, 64
NEWEST, LEFT = 128 // 8, 136 // 8
"""Places of the header's changing fields, in units of 8 bytes."""
SEQUENCE, CAPTURED, PLANES = 0, 1, 2
"""Places in a slot, in units of 8 bytes."""
HAS_MOTION, HAS_DEPTH = 1, 2
LEAST_SLOTS, MOST_SLOTS, MOST_SIDE = 2, 64, 16384
_FIELDS = struct.Struct("=8s10I6Q")
_CACHE_LINE, _PAGE = 64, 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHARED = Path("/dev/shm")


class PixelFormat(IntEnum):
    """Channels of a pixel, 8 bits each."""

    RGB8 = 1
    RGBA8 = 2
    BGRA8 = 3

    @property
    def channels(self) -> int:
        """3 or 4."""
        return 3 if self is PixelFormat.RGB8 else 4


class Origin(IntEnum):
    """Which row of a plane comes first."""

    TOP = 0
    BOTTOM = 1


@dataclass(frozen=True, slots=True)
class MotionLayout:
    """What a motion plane's values are, as engines have it.

    By default as in :attr:`~allaprima.frame.Frame.motion`: pixels, x to the right and y down, from where a point was in
    the previous frame to where it is in this one. Jitter of the camera must not be in it.
    """

    half: bool = False
    """float16 instead of float32: exact to 1/64 px up to 32 px, and half the memory."""
    uv: bool = False
    """In fractions of the picture's width and height instead of pixels."""
    to_previous: bool = False
    """From where a point is to where it was, as upscalers want it, instead of the other way."""
    y_up: bool = False
    """y grows upward."""

    @property
    def flags(self) -> int:
        """As the header has it."""
        return self.uv | self.to_previous << 1 | self.y_up << 2


@dataclass(frozen=True, slots=True)
class Layout:
    """One segment's layout."""

    width: int
    height: int
    slots: int
    pixel_format: PixelFormat
    origin: Origin
    motion: MotionLayout | None
    """None: the segment has no motion planes."""
    depth: bool
    rate: Fraction | None
    """Frames a second that the writer aims at; None where it doesn't say."""
    size: int
    """Bytes of the segment."""
    first_slot: int
    slot_bytes: int
    pixels_at: int
    """Offset in a slot, as the next two."""
    motion_at: int
    depth_at: int

    @classmethod
    def of(
        cls,
        width: int,
        height: int,
        *,
        slots: int,
        pixel_format: PixelFormat,
        origin: Origin,
        motion: MotionLayout | None,
        depth: bool,
        rate: Fraction | None,
    ) -> Layout:
        """Lay out a new segment.

        Raises:
            UsageError: a size or a number of slots out of range.
        """
        _check(width, height, slots, UsageError)
        pixels_at = SLOT_HEADER_BYTES
        motion_at = _up(pixels_at + width * height * pixel_format.channels, _CACHE_LINE)
        depth_at = _up(motion_at + _motion_bytes(width, height, motion), _CACHE_LINE)
        slot_bytes = _up(depth_at + (4 * width * height if depth else 0), _PAGE)
        size = HEADER_BYTES + slots * slot_bytes
        places = size, HEADER_BYTES, slot_bytes, pixels_at, motion_at, depth_at
        return cls(width, height, slots, pixel_format, origin, motion, depth, rate, *places)

    def to_bytes(self) -> bytes:
        """The header's fields that never change, without the magic, which is to be written last."""
        kind = 0 if self.motion is None else 1 + self.motion.half
        flags = 0 if self.motion is None else self.motion.flags
        rate = 0 if self.rate is None else round(self.rate * 1000)
        numbers = VERSION, self.width, self.height, self.slots, self.pixel_format, self.origin, kind, flags, self.depth
        places = self.size, self.first_slot, self.slot_bytes, self.pixels_at, self.motion_at, self.depth_at
        return _FIELDS.pack(bytes(len(MAGIC)), *numbers, rate, *places)

    @classmethod
    def from_bytes(cls, header: bytes, size: int) -> Layout:
        """Read a header.

        Args:
            header: its bytes, at least up to offset 128.
            size: of the segment as it is, in bytes.

        Raises:
            SourceError: another version, or what can't be: no writer of this layout wrote it.
        """
        magic, version, width, height, slots, pixels, origin, motion, flags, depth, rate, *places = _FIELDS.unpack_from(
            header
        )
        if magic != MAGIC:
            raise SourceError("its segment doesn't begin as a bridge does: another program wrote it")
        if version != VERSION:
            raise SourceError(f"its writer speaks version {version}, but this is version {VERSION}: update the older")
        _check(width, height, slots, SourceError)
        if pixels not in set(PixelFormat) or origin not in set(Origin) or motion > 2 or flags > 7 or depth > 1:
            raise SourceError("its header asks for a format of pixels, motion or depth that there isn't")
        kind = MotionLayout(motion == 2, bool(flags & 1), bool(flags & 2), bool(flags & 4)) if motion else None
        per_second = Fraction(rate, 1000) if rate else None
        made = cls(width, height, slots, PixelFormat(pixels), Origin(origin), kind, bool(depth), per_second, *places)
        if not made._holds(size):
            raise SourceError(f"its header doesn't fit its segment of {size} bytes: the writer is damaged")
        return made

    def _holds(self, size: int) -> bool:
        area = self.width * self.height
        planes = [
            (self.pixels_at, area * self.pixel_format.channels),
            (self.motion_at, _motion_bytes(self.width, self.height, self.motion)),
            (self.depth_at, 4 * area if self.depth else 0),
        ]
        inside = all(at >= 24 and at % 8 == 0 and at + count <= self.slot_bytes for at, count in planes if count)
        aligned = self.first_slot % 8 == 0 and self.slot_bytes % 8 == 0 and self.first_slot >= 8 * (LEFT + 1)
        return inside and aligned and self.first_slot + self.slots * self.slot_bytes <= self.size <= size


def segment_path(name: str) -> Path:
    """The file of a bridge.

    Raises:
        UsageError: a name that can't be one.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' can't be a bridge's name: letters, digits, '.', '_' and '-', at most 64")
    return _folder() / f"allaprima-{name}.bridge"


def bridge_names() -> list[str]:
    """The names of all bridges that there are, those that a dead writer left behind among them."""
    files = _folder().glob("allaprima-*.bridge")
    names = (path.name.removeprefix("allaprima-").removesuffix(".bridge") for path in files)
    return sorted(name for name in names if _NAME.fullmatch(name))


def _folder() -> Path:
    return _SHARED if _SHARED.is_dir() else Path(os.environ.get("TMPDIR") or "/tmp")


def _motion_bytes(width: int, height: int, motion: MotionLayout | None) -> int:
    return 0 if motion is None else width * height * (4 if motion.half else 8)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _check(width: int, height: int, slots: int, error: type[UsageError | SourceError]) -> None:
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise error(f"frames of a bridge have sides from 1 to {MOST_SIDE} pixels, not {width}×{height}")
    if not LEAST_SLOTS <= slots <= MOST_SLOTS:
        raise error(f"a bridge has {LEAST_SLOTS} to {MOST_SLOTS} slots, not {slots}")
