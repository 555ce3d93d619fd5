"""``allaprima demo``: paint the built-in clip and say how fast and how steady."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from ..api import stylize_video
from ..errors import StyleError
from ..frame import Frame, Pixels
from ..measure.quality.warping import WarpError
from ..painter import Painter
from ..picture import write_picture
from ..pipeline import raise_if_partial
from ..sink import SinkOptions
from ..style import Style, bundled_styles
from .options import JsonOption
from .progress import Reporter, stop_on_signals

_VIDEO = Path("allaprima-demo.mp4")
_STILL = Path("allaprima-demo.png")


def demo(
    style: Annotated[
        str | None, typer.Option("--style", "-s", help="A style; the first bundled one if left out.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Paint the built-in clip: writes allaprima-demo.mp4 and a still, prints speed and steadiness."""
    reporter = Reporter(quiet=as_json)
    if style is None:
        if not bundled_styles():
            raise StyleError("this installation has no bundled style: name a style file with --style")
        style = bundled_styles()[0].stem
    chosen = Style.open(style)
    pairs: list[tuple[Frame, Pixels]] = []

    def started(frames: int | None, placement: str) -> None:
        reporter.say(f"{chosen.name}: {placement}")
        reporter.start(frames)

    def painted(before: Frame, after: Frame, count: int) -> None:
        pairs.append((before, after.pixels))
        reporter.count(count)

    with stop_on_signals() as stop:
        try:
            result = stylize_video(
                "scene",
                out / _VIDEO,
                Painter(chosen),
                sink_options=SinkOptions(overwrite=True),
                on_start=started,
                on_frame=painted,
                stop=stop,
            )
        finally:
            reporter.stop()
    raise_if_partial(result, stop.signal_number)
    middle, painting = pairs[len(pairs) // 2]
    write_picture(out / _STILL, side_by_side(middle.pixels, painting), like=None, overwrite=True)
    meter = WarpError()
    for frame, pixels in pairs:
        meter.add(frame.pixels, pixels, frame.motion, frame.mask)
    warp = meter.result()
    if as_json:
        figures = {"warp": warp.output, "warp_untouched": warp.untouched, "still": str(out / _STILL)}
        typer.echo(json.dumps({**result.to_dict(), "style": chosen.name, **figures}))
        return
    fps = {name: result.frames / max(busy, 1e-9) for name, busy in result.stages.items()}
    typer.echo(f"{result.frames} frames in {result.seconds:.1f} s: {result.frames / result.seconds:.1f} fps whole")
    typer.echo("by stage: " + ", ".join(f"{name} {value:.0f} fps" for name, value in fps.items()))
    typer.echo(f"warp error: {warp.output:.2f} of 255 (the clip untouched: {warp.untouched:.2f})")
    typer.echo(f"wrote {out / _VIDEO} and {out / _STILL}")


def side_by_side(before: Pixels, after: Pixels) -> Pixels:
    """Picture and painting beside each other, with a thin white line between: uint8 H×(2W+4)×3."""
    line = np.full((before.shape[0], 4, 3), 255, np.uint8)
    return np.asarray(cv2.hconcat([before, line, after]), np.uint8)
