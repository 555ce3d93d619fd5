"""A bridge's file, mapped into memory: opened, locked, and read and written in order."""

from __future__ import annotations

import os
import sys
import threading
from mmap import ACCESS_READ, ACCESS_WRITE, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import UsageError

_LOCK = threading.Lock()


def fence() -> None:
    """Let nothing that is read or written after this overtake what was before.

    x86 keeps loads in order, and stores, by itself, and 8 aligned bytes whole. ARMv8 doesn't keep the order, and Python
    has no fence; but a lock is let go by a store-release and taken by a load-acquire, and these two aren't exchanged
    (Arm Architecture Reference Manual for A-profile, B2.3: a load-acquire comes after store-releases before it). So a
    lock is let go and taken again here. On other processors of weak order this may not be enough.
    """
    for _ in range(2):
        with _LOCK:
            pass


def open_file(path: Path, *, create: bool) -> int:
    """A descriptor of the file, to read it, or to create it where there is none and write it; no link is followed.

    Raises:
        UsageError: not a system for this.
        OSError: it can't be opened.
    """
    if sys.platform == "win32":
        raise UsageError("the game bridge needs Linux or macOS: capture the screen, --from screen:1280x720+0+0")
    return os.open(path, os.O_NOFOLLOW | (os.O_RDWR | os.O_CREAT if create else os.O_RDONLY), 0o600)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take the lock of a file if nobody is in the way; it ends with the descriptor, however the process ends."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(descriptor: int) -> bool:
    """Whether somebody holds the lock for themselves: the writer lives."""
    if sys.platform == "win32":
        return False
    import fcntl

    if not try_lock(descriptor, exclusive=False):
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


class Segment:
    """The memory of a bridge.

    Args:
        descriptor: of its file, which is closed with the segment.
        size: bytes to map, not more than the file has.
    """

    def __init__(self, descriptor: int, size: int, *, write: bool) -> None:
        self._descriptor = descriptor
        self._map = mmap(descriptor, size, access=ACCESS_WRITE if write else ACCESS_READ)
        self.words = memoryview(self._map)[: size // 8 * 8].cast("Q")
        """Numbers of 8 bytes, each read and written at once."""

    @property
    def has_writer(self) -> bool:
        """Whether its writer lives."""
        return is_locked(self._descriptor)

    def plane(self, at: int, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """An array in the segment, from a byte on; to be let go before :meth:`close`."""
        return np.ndarray(shape, kind, self._map, at)

    def bytes_at(self, at: int, count: int) -> bytes:
        """A copy of some bytes."""
        return self._map[at : at + count]

    def put(self, at: int, data: bytes) -> None:
        """Write bytes."""
        self._map[at : at + len(data)] = data

    def close(self) -> None:
        """Unmap it, and let go of the lock; safe to call twice."""
        if self._map.closed:
            return
        self.words.release()
        self._map.close()
        os.close(self._descriptor)
