"""Tells from a file's own bookkeeping whether its end is missing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_PIECE = 1 << 16


def ends_early(path: Path) -> bool:
    """Whether a video file is shorter than its container says it is.

    MP4 and MOV state the size of every box, Matroska that of the segment, AVI that of the RIFF list, and MPEG-TS comes
    in whole packets; NUT ends with an index. Files written without going back to fill in sizes don't say: False.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_PIECE)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes_end(file, size) > size
        if head.startswith(b"\x1aE\xdf\xa3"):
            return _segment_end(head) > size
        if head.startswith(b"RIFF"):
            return _riff_end(file, size) > size
        if head.startswith(b"nut/multimedia container"):
            return not _ends_with_index(file, size)
        for packet, offset in ((188, 0), (192, 4), (204, 0)):
            if len(head) > 4 * packet and all(head[offset + i * packet] == 0x47 for i in range(4)):
                return size % packet != 0
    return False


def _boxes_end(file: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length < 8 or not kind.isalnum():
            return position
        position += length
    return position


def _riff_end(file: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length in (0, 0xFFFFFFFF):
            return position
        position += 8 + length
    return position


def _ends_with_index(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 12))
    (length,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
    if not 12 < length <= size:
        return False
    file.seek(size - length)
    return file.read(8) == b"NX\xdd\x67\x2f\x23\xe6\x4e"


def _segment_end(head: bytes) -> int:
    start = head.find(b"\x18\x53\x80\x67")
    if start < 0 or start + 5 > len(head):
        return 0
    first = head[start + 4]
    width = 9 - first.bit_length()
    if width > 8:
        return 0
    field = int.from_bytes(head[start + 4 : start + 4 + width], "big") & ((1 << 7 * width) - 1)
    unknown = field == (1 << 7 * width) - 1
    return 0 if unknown else start + 4 + width + field
