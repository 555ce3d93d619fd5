"""Bytes to a reader in another process that may be slow, stop, or go away."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

_LOOK_SECONDS = 0.05


class OverError(Exception):
    """The sink was told to end while its reader let it wait."""


class PipeWriter:
    """Writes to a descriptor without ever being stuck in it.

    The descriptor stays as it is (non-blocking mode would hold for every process that shares it): bytes are written in
    pieces that fit whenever the system says that there is room. Where it can't say so (pipes on Windows), a write
    blocks until the reader takes it.

    Args:
        descriptor: open for writing; not closed here.
        over: set from anywhere to end a write that waits.
        waiting: called every 50 ms while the reader takes nothing; may raise.
    """

    def __init__(self, descriptor: int, over: threading.Event, waiting: Callable[[], None] = lambda: None) -> None:
        self.descriptor = descriptor
        self._over, self._waiting = over, waiting
        self.progressed = time.monotonic()
        """When the reader last had room, in seconds of :func:`time.monotonic`."""
        self._poll: select.poll | None = None
        self._piece = 1 << 16
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLOUT)
            self._piece = select.PIPE_BUF

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data`` and return how many bytes it was.

        Raises:
            OverError: it was told to end before all was written.
            OSError: the reader is gone (:class:`BrokenPipeError`), or the place is full.
        """
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            if self._over.is_set():
                raise OverError
            if self._poll is not None and not self._poll.poll(_LOOK_SECONDS * 1000):
                self._waiting()
                continue
            left = left[os.write(self.descriptor, left[: self._piece]) :]
            self.progressed = time.monotonic()
        return size
