"""What tests of live sinks share: pictures, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from allaprima.frame import Frame, SourceInfo
from allaprima.sink import Sink, SinkOptions, open_live_sink

INFO = SourceInfo(96, 64, Fraction(25), Fraction(1, 1_000_000))
RED, GRAY = (254, 0, 0), (90, 90, 90)


def frame(seconds: float, *, size: tuple[int, int] = (96, 64), color: tuple[int, int, int] = GRAY) -> Frame:
    """A plain picture, captured then."""
    pixels = np.full((size[1], size[0], 3), color, np.uint8)
    return Frame(pixels, round(seconds * 1e6), time_base=Fraction(1, 1_000_000), captured=1000 + seconds)


def noise(seconds: float, size: tuple[int, int] = (96, 64)) -> Frame:
    """A picture of many bytes however it is encoded."""
    pixels = np.random.default_rng(round(seconds * 1000)).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Frame(pixels, captured=1000 + seconds)


def open_sink(name: str, *, info: SourceInfo = INFO, overwrite: bool = False, said: list[str] | None = None) -> Sink:
    """A live sink, as the command line opens it."""
    say: Callable[[str], None] = (lambda line: None) if said is None else said.append
    return open_live_sink(name, info, SinkOptions(preset="ultrafast", overwrite=overwrite), say=say)


def played(path: Path | str, **options: Any) -> list[tuple[float, np.ndarray]]:
    """Time and picture of each frame of a video."""
    with av.open(path, **options) as container:
        return [(float(f.time or 0), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, which is one line."""
    text = str(error.value)
    assert text and "\n" not in text
    return text
