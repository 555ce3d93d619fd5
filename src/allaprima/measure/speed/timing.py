"""How things are timed and what is said of the times."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
import psutil

from ...errors import AllaprimaError, SourceError

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")


def machine_seconds() -> tuple[float, float]:
    """CPU seconds of the whole machine since it started: busy ones (stolen by a hypervisor too), and all."""
    times = psutil.cpu_times()._asdict()
    # Linux counts the time of guests as user time already.
    total = sum(seconds for name, seconds in times.items() if not name.startswith("guest"))
    return total - times["idle"] - times.get("iowait", 0.0), total


@dataclass(frozen=True)
class Clocks:
    """Seconds of the wall, CPU seconds of the process with all its threads, and of the machine: busy ones and all."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time
    machine: Callable[[], tuple[float, float]] = machine_seconds


class Neighbors:
    """Watches from now on how much of the machine others take."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._own, (self._busy, self._all) = clocks.cpu(), clocks.machine()

    def share(self) -> float:
        """CPU time that went to other processes so far, of all the machine's, 0-1."""
        busy, whole = self._clocks.machine()
        own = self._clocks.cpu() - self._own
        return max(0.0, busy - self._busy - own) / (whole - self._all) if whole > self._all else 0.0


@dataclass(frozen=True)
class Stage:
    """One stage's times."""

    seconds: tuple[float, ...]
    """A frame."""
    cpu: float
    """CPU seconds a frame, mean."""


def time_steps(work: Iterable[_Item], count: int, clocks: Clocks, skip: int = 0) -> tuple[Stage, list[_Item]]:
    """Time each step of an iteration.

    Args:
        work: what does a frame's work when the next item is asked of it.
        count: steps to time.
        clocks: to time them by.
        skip: steps before that, not timed; their items are dropped.

    Raises:
        SourceError: the work ends before that.
    """
    steps, seconds, items = iter(work), [], []
    for _ in islice(steps, skip):
        pass
    begun = clocks.cpu()
    for _ in range(count):
        started = clocks.wall()
        item = next(steps, None)
        seconds.append(clocks.wall() - started)
        if item is None:
            raise SourceError(f"the clip to be timed has fewer than {skip + count} frames")
        items.append(item)
    return Stage(tuple(seconds), (clocks.cpu() - begun) / count), items


@dataclass
class Samples:
    """Times of one thing's runs, in seconds, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def run_in_turn(
    runs: Mapping[_Key, Callable[[], object]], *, rounds: int, warm_up: int, clocks: Clocks
) -> tuple[dict[_Key, Samples], dict[_Key, AllaprimaError]]:
    """Run things in turn, A B A B, so that whatever else the machine does hits all alike.

    Args:
        runs: what to run, in the order of a round.
        rounds: timed.
        warm_up: rounds before them.
        clocks: to time by.

    Returns:
        Times of what ran through; and the errors of what failed, which is left out from then on.
    """
    samples: dict[_Key, Samples] = {key: Samples() for key in runs}
    errors: dict[_Key, AllaprimaError] = {}
    for turn in range(warm_up + rounds):
        for key, run in runs.items():
            if key in errors:
                continue
            wall, cpu = clocks.wall(), clocks.cpu()
            try:
                run()
            except AllaprimaError as error:
                errors[key] = error
                continue
            wall, cpu = clocks.wall() - wall, clocks.cpu() - cpu
            if turn >= warm_up:
                samples[key].wall.append(wall)
                samples[key].cpu.append(cpu)
    return {key: found for key, found in samples.items() if key not in errors}, errors


def summarize(seconds: Sequence[float], cpu_seconds: float | None = None) -> dict[str, float]:
    """Median, 95th percentile and interquartile range in milliseconds, and the CPU's where it is given."""
    low, median, high, worst = (float(value) * 1e3 for value in np.percentile(seconds, (25, 50, 75, 95)))
    found = {"median_ms": median, "p95_ms": worst, "spread_ms": high - low}
    return found if cpu_seconds is None else {**found, "cpu_ms": cpu_seconds * 1e3}


def ratio(seconds: Sequence[float], to: Sequence[float]) -> dict[str, float]:
    """Median and interquartile range of the ratio, pair by pair."""
    pairs = np.asarray(seconds) / np.asarray(to)
    low, median, high = (float(value) for value in np.percentile(pairs, (25, 50, 75)))
    return {"median": median, "spread": high - low}
