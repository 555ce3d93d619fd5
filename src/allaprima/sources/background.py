"""Reads a source in a thread of its own, so that whoever waits for its next frame can stop waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from ..frame import Frame
from ..live.edge import Edge
from ..source import Source

_LEAVE = 0.3
"""Seconds that closing waits for the thread."""


class BackgroundSource(Source):
    """The newest frame of a source whose reading may block for long: a camera's driver, a network.

    :meth:`close` ends :meth:`frames` at once. Where the driver doesn't return from its read, the thread is left behind
    and ends by itself when it does; nothing is taken from under it.

    Args:
        source: what to read; opened already, closed by this one.
        patience: seconds without a frame after which ``on_silence`` is called, once for each silence.
        on_silence: what to do then.
    """

    def __init__(self, source: Source, *, patience: float = 5.0, on_silence: Callable[[], None] | None = None) -> None:
        self.info = source.info
        self._source = source
        self._patience, self._on_silence = patience, on_silence
        self._edge: Edge[Frame] = Edge()
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="allaprima-background", daemon=True)

    @property
    def dropped(self) -> int:
        return self._edge.dropped + self._source.dropped

    def _read(self) -> None:
        try:
            for frame in self._source.frames():
                self._edge.put(frame)
                if self._over.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - kept for the thread that waits, which raises it
            self._error = error
        finally:
            self._edge.close()

    def frames(self) -> Iterator[Frame]:
        if self._over.is_set():
            return
        self._thread.start()
        try:
            yield from self._newest()
        finally:
            self.close()

    def _newest(self) -> Iterator[Frame]:
        silent = False
        while not self._over.is_set():
            frame = self._edge.take(self._patience)
            if frame is not None and not self._over.is_set():
                silent = False
                yield frame
            elif self._edge.over:
                break
            elif not silent and self._on_silence is not None:
                silent = True
                self._on_silence()
        if self._error is not None and not self._over.is_set():
            raise self._error

    def close(self) -> None:
        """End :meth:`frames`, from any thread."""
        self._over.set()
        self._edge.close()
        self._source.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_LEAVE)
