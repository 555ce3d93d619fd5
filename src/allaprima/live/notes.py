"""What a live run tells its user, a line at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_SECONDS = 4.0
_MOST = 3
"""Lines in sight."""


class Notes:
    """Lines for the user, from any thread: told at once, and kept in sight for a while.

    Args:
        tell: takes each line.
        clock: seconds, monotonic.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._lock = threading.Lock()
        self._kept: deque[tuple[float, str]] = deque(maxlen=_MOST)

    def say(self, line: str) -> None:
        """One line."""
        with self._lock:
            self._kept.append((self._clock(), line))
            self._tell(line)

    def show(self, line: str) -> None:
        """One line that is only kept in sight."""
        with self._lock:
            self._kept.append((self._clock(), line))

    def recent(self) -> list[str]:
        """The last lines, as long as they are new."""
        with self._lock:
            return [line for at, line in self._kept if self._clock() - at < _SECONDS]
