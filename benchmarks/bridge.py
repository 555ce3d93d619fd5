"""What a frame costs that goes through the game bridge: writing from Python, and reading, for each kind of motion.

Prints a table in Markdown, in milliseconds of one core: medians of the threads' own time. For example,
``python benchmarks/bridge.py --width 1280 --height 720``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Annotated, TypeVar

import cv2
import numpy as np
import typer

from allaprima.bridge import BridgeWriter, MotionLayout, PixelFormat
from allaprima.bridge.reader import BridgeReader
from allaprima.coherence.flow import given_motion
from allaprima.frame import Frame

Result = TypeVar("Result")
KINDS = {
    "pixels alone": None,
    "motion (float32) and depth": MotionLayout(uv=True, y_up=True),
    "motion (float16) and depth": MotionLayout(half=True, uv=True, y_up=True),
}


def main(
    width: Annotated[int, typer.Option(min=16)] = 1280,
    height: Annotated[int, typer.Option(min=16)] = 720,
    frames: Annotated[int, typer.Option(min=3)] = 200,
) -> None:
    """Write and read frames in turn."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (height, width, 4), np.uint8)
    motion = random.uniform(-0.01, 0.01, (height, width, 2)).astype(np.float32)
    depth = np.full((height, width), np.linspace(1, 9, width), np.float32)
    typer.echo("| planes | writing | reading | taking up its motion |\n|---|---|---|---|")
    for name, kind in KINDS.items():
        planes = (motion, depth) if kind else (None, None)
        write, read, follow = [], [], []
        with BridgeWriter(
            f"bench-{os.getpid()}", width, height, motion=kind, depth=bool(kind), pixel_format=PixelFormat.RGBA8
        ) as writer:
            reader = BridgeReader.attach(writer.name)
            assert reader is not None
            for _ in range(frames):
                _, seconds = timed(lambda planes=planes: writer.write(pixels, *planes))
                write.append(seconds)
                reading, seconds = timed(reader.read)
                read.append(seconds)
                assert reading is not None
                frame = Frame(reading.pixels, motion=reading.motion and reading.motion[0])
                follow.append(timed(lambda frame=frame: given_motion(frame, (width, height)))[1])
            reader.close()
        typer.echo("| " + " | ".join([name, *(f"{1000 * median(each):.1f}" for each in (write, read, follow))]) + " |")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it returns, and the thread's own seconds it took."""
    begun = time.thread_time()
    return work(), time.thread_time() - begun


if __name__ == "__main__":
    typer.run(main)
