"""``allaprima demo``: paint the built-in clip in several styles and say how fast and how steady."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..comparison.gallery import hang
from ..errors import StyleError, UsageError
from ..frame import Frame, Pixels, SourceInfo
from ..measure.quality.warping import WarpError
from ..painter import Painter
from ..picture import write_picture
from ..pipeline import raise_if_partial, run
from ..placement import candidates
from ..sink import SinkOptions, open_sink
from ..source import open_source
from ..style import Style, bundled_styles
from ..stylizer import Stylizer
from .options import JsonOption
from .progress import Reporter, stop_on_signals

_VIDEO = Path("allaprima-demo.mp4")
_STILL = Path("allaprima-demo.png")
_MOST = 4
"""Styles: a second of the clip for each."""
_PER_ROW = 3


def demo(
    styles: Annotated[
        list[str] | None,
        typer.Option("--style", "-s", help="A style; may be repeated. Several bundled ones if left out."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Paint the built-in clip, one style after another: writes a video and a still, prints speed and steadiness."""
    chosen = choose(styles)
    reporter = Reporter(quiet=as_json)
    pairs: list[tuple[Frame, Pixels]] = []

    def painted(before: Frame, after: Frame, count: int) -> None:
        pairs.append((before, after.pixels))
        reporter.count(count)

    with open_source("scene") as source, stop_on_signals() as stop:
        stylizer = InTurn(chosen, source.info)
        sink = open_sink(out / _VIDEO, source, source.info, SinkOptions(overwrite=True))
        try:
            placement = stylizer.prepare()
            reporter.say(f"{', '.join(style.name for style in chosen)}: {placement}")
            reporter.start(source.info.frames)
        except BaseException:
            sink.abandon()
            raise
        try:
            result = run(source, stylizer, sink, on_frame=painted, stop=stop)
        finally:
            reporter.stop()
    result.placement = placement
    raise_if_partial(result, stop.signal_number)
    middle = pairs[len(pairs) // 2][0]
    sheet = hang(middle.pixels, stylizer.all_of(middle), per_row=_PER_ROW)
    write_picture(out / _STILL, sheet, overwrite=True)
    rows = _steadiness(stylizer, pairs)
    if as_json:
        typer.echo(json.dumps({**result.to_dict(), "styles": rows, "still": str(out / _STILL)}))
        return
    fps = {name: result.frames / max(busy, 1e-9) for name, busy in result.stages.items()}
    typer.echo(f"{result.frames} frames in {result.seconds:.1f} s: {result.frames / result.seconds:.1f} fps whole")
    typer.echo("by stage: " + ", ".join(f"{name} {value:.0f} fps" for name, value in fps.items()))
    for row in rows:
        typer.echo(
            f"{row['name']}: warp error {row['warp']:.2f} of 255 (its part untouched: {row['warp_untouched']:.2f})"
        )
    typer.echo(f"wrote {out / _VIDEO} and {out / _STILL}")


class InTurn:
    """Several styles, one after another, each for an equal part of a clip.

    Args:
        styles: of one kind of network, so that what is fastest for the first is taken for all that can do it.
        info: of the clip, which knows how many frames it has.
    """

    def __init__(self, styles: Sequence[Style], info: SourceInfo) -> None:
        self.styles = styles
        self._info, self._frames, self._seen = info, info.frames or 0, 0
        self._stylizers: list[Stylizer] = []

    def part(self, index: int) -> int:
        """Which style paints a frame, by its index in the clip."""
        return min(index * len(self.styles) // self._frames, len(self.styles) - 1)

    def prepare(self) -> str:
        """Load every style's engine, before the first frame; what will run, in words."""
        placement = Painter(self.styles[0]).load(self._info.height, self._info.width).placement
        self._stylizers = [
            Stylizer(Painter(style, **asdict(placement)) if placement in candidates(style) else Painter(style))
            for style in self.styles
        ]
        return ", ".join(dict.fromkeys(stylizer.prepare(self._info) for stylizer in self._stylizers))

    def stylize(self, frame: Frame) -> Frame:
        """Paint the next frame."""
        stylizer = self._stylizers[self.part(self._seen)]
        self._seen += 1
        return stylizer.stylize(frame)

    def all_of(self, frame: Frame) -> list[tuple[Style, Pixels]]:
        """One frame, alone, in every style."""
        for stylizer in self._stylizers:
            stylizer.reset()
        return [
            (style, stylizer.stylize(frame).pixels)
            for style, stylizer in zip(self.styles, self._stylizers, strict=True)
        ]


def choose(names: Sequence[str] | None) -> list[Style]:
    """The styles that were named; else bundled ones, from all over their list."""
    if names:
        if len(names) > _MOST:
            raise UsageError(f"the clip has room for {_MOST} styles, a second each: name fewer")
        return [Style.open(name) for name in names]
    bundled = bundled_styles()
    if not bundled:
        raise StyleError("this installation has no bundled style: name a style file with --style")
    count = min(_MOST, len(bundled))
    return [Style.open(bundled[index * len(bundled) // count]) for index in range(count)]


def _steadiness(stylizer: InTurn, pairs: Sequence[tuple[Frame, Pixels]]) -> list[dict[str, Any]]:
    """Warp error of each style over its part of the clip."""
    meters = [WarpError() for _ in stylizer.styles]
    for index, (frame, painting) in enumerate(pairs):
        meters[stylizer.part(index)].add(frame.pixels, painting, frame.motion, frame.mask)
    results = [meter.result() for meter in meters]
    return [
        {"name": style.name, "warp": found.output, "warp_untouched": found.untouched}
        for style, found in zip(stylizer.styles, results, strict=True)
    ]
