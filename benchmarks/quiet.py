"""When other machines work on the same physical cores: fixed work takes longer then, which nothing else would show."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType

import numpy as np

_WORK = 25_000
"""Additions; about half a millisecond."""
_PAUSE = 0.1
"""Seconds from one sample to the next, of each core."""
_SLOW = 1.3
"""Times the usual from which on fixed work is slow: a neighbor on the same core makes it take 1.8 times as long."""
_USUAL = 5
"""Percentile of all samples that is what the work usually takes."""
_GROWN = 1.1
"""Times as many samples after which that is told anew."""
_FEW = 0.15
"""Share of slow samples up to which a time counts as quiet."""


class Quiet:
    """Times fixed work on every core, as long as it is open.

    Only the work's own processor time counts, so that what else runs on this machine makes no difference: a core that
    hands it to others takes no longer for it. A virtual machine whose physical cores are shared does.
    """

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        """(when it ended, by the monotonic clock; seconds of processor time)."""
        self._usual, self._known = 0.0, 0
        """Seconds that the work usually takes, as so many samples told."""
        self._over = threading.Event()
        cores = sorted(os.sched_getaffinity(0))
        self._threads = [threading.Thread(target=self._sample, args=[core], daemon=True) for core in cores]

    def __enter__(self) -> Quiet:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def slow(self, since: float, until: float) -> float:
        """Share of the samples between two times of the monotonic clock that were slow; 1 where there is none."""
        took = []
        for ended, seconds in reversed(self._samples):
            if ended < since - _PAUSE:  # cores take turns
                break
            if since <= ended <= until:
                took.append(seconds)
        return float(np.mean(np.array(took) > _SLOW * self._takes())) if took else 1.0

    def was(self, since: float, until: float) -> bool:
        """Whether nothing worth mentioning disturbed the machine between two times of the monotonic clock."""
        return self.slow(since, until) <= _FEW

    def _takes(self) -> float:
        """Seconds that the work usually takes."""
        if len(self._samples) > _GROWN * self._known:
            self._known = len(self._samples)
            self._usual = float(np.percentile([seconds for _, seconds in self._samples[: self._known]], _USUAL))
        return self._usual

    def _sample(self, core: int) -> None:
        os.sched_setaffinity(threading.get_native_id(), {core})
        while not self._over.wait(_PAUSE):
            begun = time.thread_time()
            sum(range(_WORK))
            self._samples.append((time.monotonic(), time.thread_time() - begun))
