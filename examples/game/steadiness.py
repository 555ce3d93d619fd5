"""How much steadier a style paints with a game's own motion vectors than with optical flow, and than with neither.

Draws the yard of ``moving_scene.py``, sends it through the game bridge, and paints what comes out three times. Measured
is along the true motion, where both frames show the same. Prints a table in Markdown. For example,
``python examples/game/steadiness.py --style great-wave --frames 90 --out yard.mp4``.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from moving_scene import MOTION, Renderer, Shot
from numpy.typing import NDArray

from allaprima import Painter, Stylizer, open_style
from allaprima.bridge import BridgeWriter, Origin, PixelFormat
from allaprima.errors import AllaprimaError
from allaprima.frame import Frame
from allaprima.measure.quality.image_quality import sharpness
from allaprima.measure.quality.warping import WarpError, without_motion
from allaprima.sink import SinkOptions, open_sink
from allaprima.sources.bridge import BridgeSource

Mask = NDArray[np.bool_]

SETTLE = 5
"""Frames at the beginning that aren't counted."""
SAME, EDGE, AROUND = 0.02, 0.1, 17
"""Difference of depth, as a share of it, up to which two pixels show the same, and from which on there is an edge
between two neighbors; pixels around such edges, from side to side, where optical flow is least sure."""


def truth(shot: Shot, before: Shot) -> tuple[NDArray[np.float32], Mask]:
    """A frame's motion in pixels, from the top row on, and where the point was seen, with all around it."""
    height, width = shot.depth.shape
    motion = np.ascontiguousarray(shot.motion[::-1] * np.float32((width, -height)))
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    there = cv2.remap(upright(before.depth), x - motion[..., 0], y - motion[..., 1], cv2.INTER_NEAREST)
    same = np.abs(there - upright(shot.depth_was)) < SAME * upright(shot.depth_was)
    return motion, cv2.erode(same.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)


def upright(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Top row first."""
    return np.ascontiguousarray(plane[::-1])


def near_edges(depth: NDArray[np.float32]) -> Mask:
    """Around the edges of what stands before something else."""
    least, most = (change(depth, np.ones((3, 3), np.uint8)) for change in (cv2.erode, cv2.dilate))
    edges = (most - least > EDGE * least).astype(np.uint8)
    return cv2.dilate(edges, np.ones((AROUND, AROUND), np.uint8)).view(np.bool_)


class Way:
    """One way to paint, and what is measured of it."""

    def __init__(self, name: str, stylizer: Stylizer | None, *, told: bool) -> None:
        self.name, self._stylizer, self._told = name, stylizer, told
        self._everywhere, self._at_edges = WarpError(), WarpError()
        self._sharpness: list[float] = []

    def paint(self, frame: Frame) -> Frame:
        """The next frame, painted; as it is for the untouched."""
        return self._stylizer.stylize(frame if self._told else without_motion(frame)) if self._stylizer else frame

    def measure(self, frame: Frame, painted: Frame, motion: NDArray[np.float32], seen: Mask, edges: Mask) -> None:
        """Compare with the frame before."""
        self._sharpness.append(sharpness(painted.pixels))
        for meter, where in ((self._everywhere, seen), (self._at_edges, seen & edges)):
            meter.add(frame.pixels, painted.pixels, motion, where)

    def row(self) -> str:
        """Of the table."""
        errors = [meter.result().output for meter in (self._everywhere, self._at_edges)]
        return f"| {self.name} | {errors[0]:.2f} | {errors[1]:.2f} | {np.mean(self._sharpness):.1f} |"


def main(
    *,
    style: Annotated[str, typer.Option(help="A style's name or file.")] = "great-wave",
    frames: Annotated[int, typer.Option(min=SETTLE + 2, help="Painted.")] = 90,
    every: Annotated[
        int, typer.Option(min=1, max=4, help="Paint one frame in so many: a painter slower than the game.")
    ] = 1,
    fps: Annotated[float, typer.Option(min=1, help="That the game draws.")] = 30,
    width: Annotated[int, typer.Option(min=64)] = 640,
    height: Annotated[int, typer.Option(min=64)] = 360,
    out: Annotated[Path | None, typer.Option(help="A video of the three ways, side by side.")] = None,
) -> None:
    """Paint the yard three ways and print how steady each is."""
    try:
        renderer, painter = Renderer(width, height), Painter(open_style(style))
        ways = [
            Way("untouched", None, told=False),
            Way("coherence off", Stylizer(painter, coherence=0), told=False),
            Way("optical flow", Stylizer(painter), told=False),
            Way("motion through the bridge", Stylizer(painter), told=True),
        ]
        with ExitStack() as stack:
            name, rate = f"steadiness-{os.getpid()}", Fraction(fps).limit_denominator(1000)
            layout = {"pixel_format": PixelFormat.RGBA8, "origin": Origin.BOTTOM, "motion": MOTION, "depth": True}
            writer = stack.enter_context(BridgeWriter(name, width, height, **layout, rate=rate))
            source = stack.enter_context(BridgeSource(name, typer.echo))
            info = replace(source.info, width=3 * width, frame_rate=rate / every)
            sink = open_sink(out, source, info, SinkOptions(crf=18, overwrite=True)) if out else None
            incoming, before = source.frames(), None
            for index in range(frames):
                for step in range(index * every, (index + 1) * every):
                    shot = renderer.draw(step / fps, max(step - 1, 0) / fps)
                    writer.write(shot.pixels, shot.motion if step else None, shot.depth)
                frame = next(incoming)
                paintings = [way.paint(frame) for way in ways]
                whole = renderer.draw(step / fps, max(step - every, 0) / fps)
                if before is not None and index >= SETTLE:
                    motion, seen = truth(whole, before)
                    edges = near_edges(upright(whole.depth))
                    for way, painted in zip(ways, paintings, strict=True):
                        way.measure(frame, painted, motion, seen, edges)
                before = whole
                if sink:
                    pixels = np.hstack([painted.pixels for painted in paintings[1:]])
                    sink.write(Frame(pixels, index, 1, 1 / info.frame_rate))
            if sink:
                sink.finish()
    except AllaprimaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(
        f"| {style}, {fps / every:g} painted of {fps:g} frames a second | warp error ↓ | near edges ↓ | sharpness |"
    )
    typer.echo("|---|---|---|---|")
    for way in ways:
        typer.echo(way.row())


if __name__ == "__main__":
    typer.run(main)
