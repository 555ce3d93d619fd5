"""What lines of ``live --json`` and the frames beside them tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from end_to_end import BenchmarkError
from numpy.typing import NDArray

_LEAST_CHANGE = 1.0
"""Of 255: what rounding and dither make of a still picture is less."""
_AROUND_SECONDS = 0.5
"""How far beside a change the pauses between frames count; a cross-fade takes 0.3 s."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of ``live --json``, and what was seen beside it."""

    at: float
    """Seconds of the monotonic clock when it came."""
    memory: float
    """MiB that are resident of the process then."""
    line: Mapping[str, Any]
    quiet: bool = True
    """Whether the machine was left alone then, and in the second before."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame that came out of the raw video."""

    at: float
    """Seconds of the monotonic clock when all of it had come."""
    light: NDArray[np.uint8]
    """Some of its pixels' luma, H×W."""


def figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """What lines in a row tell together, of those seconds in which the machine was left alone.

    Returns:
        ``seconds`` that count, and ``of`` how many, ``fps`` over them, ``p50`` and ``p95`` (medians of the seconds'
        own), ``worst_p95`` (of the seconds; 95 of 100 are below), ``stages`` (medians, by name), ``dropped``, ``busy``,
        ``settings`` (each that was painted with, and in how many of the lines, the most frequent first), and
        ``reasons`` (the controller's, in order).

    Raises:
        BenchmarkError: there is none, behind a first one with frames.
    """
    shown = [sample for sample in samples if sample.line["latency_ms"]]
    pairs = [(before.line, sample.line) for before, sample in pairwise(shown) if sample.quiet]
    if not pairs:
        raise BenchmarkError("no second to measure in which others left the machine alone: give a larger --seconds")
    lines = [line for _, line in pairs]
    seconds = sum(line["seconds"] - before["seconds"] for before, line in pairs)
    high = [line["latency_ms"]["p95"] for line in lines]
    settings = Counter(json.dumps(line["setting"]) for line in lines)
    return {
        "seconds": seconds,
        "of": shown[-1].line["seconds"] - shown[0].line["seconds"],
        "fps": sum(line["frames"] - before["frames"] for before, line in pairs) / seconds,
        "p50": _median(line["latency_ms"]["p50"] for line in lines),
        "p95": _median(high),
        "worst_p95": float(np.percentile(high, 95)),
        "stages": {
            name: {part: _median(line["stages_ms"][name][part] for line in lines) for part in ("p50", "p95")}
            for name in lines[-1]["stages_ms"]
        },
        "dropped": {
            name: sum(line["dropped"].get(name, 0) - before["dropped"].get(name, 0) for before, line in pairs)
            for name in lines[-1]["dropped"]
        },
        "busy": _median(line["busy"] for line in lines),
        "settings": [(json.loads(text), count) for text, count in settings.most_common()],
        "reasons": list(dict.fromkeys(line["reason"] for line in lines if line["reason"])),
    }


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def left_alone(samples: Sequence[Sample], seconds: float) -> bool:
    """Whether the last so many seconds were all quiet, with a line a second."""
    recent = samples[-round(seconds) :]
    return len(recent) == round(seconds) and all(sample.quiet for sample in recent)


def change_after(frames: Sequence[Seen], pressed: float) -> dict[str, float] | None:
    """When a still picture was first painted in another way, after a time.

    Returns:
        ``frames`` from then to the first changed one, which counts, as do repeats in place of frames left out;
        ``seconds``; ``gap``, the longest pause between frames from half a second before to half a second behind the
        change, in milliseconds. None where nothing has changed.
    """
    before = [frame for frame in frames if frame.at <= pressed]
    behind = [frame for frame in frames if frame.at > pressed]
    if not before:
        return None
    count = next((n for n, frame in enumerate(behind, 1) if _differ(frame, before[-1])), None)
    if count is None:
        return None
    changed = behind[count - 1].at
    near = [frame.at for frame in frames if pressed - _AROUND_SECONDS < frame.at < changed + _AROUND_SECONDS]
    gap = float(np.diff(near).max()) if len(near) > 1 else 0.0
    return {"frames": float(count), "seconds": changed - pressed, "gap": 1000 * gap}


def at_rest(frames: Sequence[Seen]) -> bool:
    """Whether a still picture has been painted in one way for half a second."""
    recent = [frame for frame in frames if frame.at > frames[-1].at - _AROUND_SECONDS]
    return len(recent) > 1 and not any(_differ(frame, recent[-1]) for frame in recent)


def _differ(one: Seen, other: Seen) -> bool:
    return float(cv2.absdiff(one.light, other.light).mean()) > _LEAST_CHANGE
