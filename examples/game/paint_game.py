"""Paint SuperTuxKart while it is played, by its own AI, and record what a player would see.

Needs the programs ``Xvfb`` and ``supertuxkart`` and the extra ``live``; no screen and no graphics card. The game is
drawn by the processor, which it shares with the painting. For example,
``python examples/game/paint_game.py painted.mp4 --style great-wave --fps 15 --seconds 30``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen
from threading import Timer
from typing import Annotated, Any

import typer
from record import RaceSource, race, screen

from allaprima.errors import AllaprimaError

TITLE = "SuperTuxKart"
"""Of the game's window, which is captured."""


def paint(display: str, out: Path, style: str, seconds: float, options: list[str]) -> list[dict[str, Any]]:
    """Run ``allaprima live`` on the window for a while; its lines of JSON, one a second, without the last."""
    command = [sys.executable, "-m", "allaprima", "live", "--from", f"screen:{TITLE}", "--to", str(out), "--overwrite"]
    command += ["--style", style, "--json", *options]
    lines = []
    with Popen(command, env={**os.environ, "DISPLAY": display}, stdout=PIPE, text=True) as painter:
        timer = None
        try:
            for line in painter.stdout or ():
                lines.append(json.loads(line))
                if len(lines) == 1 or lines[-1]["setting"] != lines[-2]["setting"]:
                    typer.echo(f"{lines[-1]['seconds']:5.1f} s: {lines[-1]['setting']} {lines[-1]['reason'] or ''}")
                if timer is None:  # its start isn't counted
                    timer = Timer(seconds, painter.send_signal, [signal.SIGINT])
                    timer.start()
        finally:
            if timer is not None:
                timer.cancel()
            painter.terminate()
    if painter.returncode not in (0, 128 + signal.SIGINT):
        raise typer.Exit(painter.returncode)
    return lines[:-1]  # written while it ended


def summary(lines: list[dict[str, Any]]) -> str:
    """What was kept over the run."""
    shown = [line for line in lines if line["latency_ms"]]
    if not shown:
        return "no second without start and end: give a larger --seconds"
    pace, late = median(line["fps"] for line in shown), median(line["latency_ms"]["p95"] for line in shown)
    drops = sum(shown[-1]["dropped"].values())
    return (
        f"{pace:.1f} fps, p95 latency {late:.0f} ms (medians of {len(shown)} s), {drops} frames left out for newer ones"
    )


def main(
    out: Annotated[Path, typer.Argument(help="The painted video.")],
    *,
    style: Annotated[str, typer.Option(help="A style's name or file.")] = "great-wave",
    track: Annotated[str, typer.Option(help="A folder's name in the game's data/tracks.")] = "snowmountain",
    kart: Annotated[str, typer.Option(help="The kart that the camera follows.")] = "tux",
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    width: Annotated[int, typer.Option(min=160)] = 640,
    height: Annotated[int, typer.Option(min=120)] = 360,
    fps: Annotated[float | None, typer.Option(help="A goal for the painter, who chooses its settings then.")] = None,
    latency: Annotated[str | None, typer.Option(help="Another one, as 150ms.")] = None,
) -> None:
    """Start a race, paint its window live into a video, and say how that went."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the game ends, too
    options = [*(["--fps", f"{fps:g}"] if fps else []), *(["--latency", latency] if latency else [])]
    try:
        with screen(width, height) as display, race(display, track, kart, width, height) as game:
            with RaceSource(display, game, width, height) as waiting:
                next(waiting.frames())  # the race runs
            lines = paint(display, out, style, seconds, options)
    except AllaprimaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(f"{out}: {summary(lines)}")


if __name__ == "__main__":
    typer.run(main)
