"""Paint SuperTuxKart or OpenArena while it is played, by its own AI, and record what a player would see.

Needs the programs ``Xvfb`` and ``supertuxkart`` or ``openarena``, and the extra ``live``; no screen and no graphics
card. The game is drawn by the processor, which it shares with the painting. For example,
``python examples/game/paint_game.py painted.mp4 --game openarena --style great-wave --fps 15 --seconds 30``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from threading import Thread, Timer
from typing import Annotated, Any

import typer
from record import RaceSource, program, race, screen

from allaprima.errors import AllaprimaError, SourceError

BOTS = ("sarge", "grism", "merman", "skelebot")
ARENA = {
    "r_fullscreen": 0,
    "r_mode": -1,  # of the size given
    "s_initsound": 0,
    "com_introplayed": 1,
    "g_gametype": 0,  # everyone against everyone, without end
    "timelimit": 0,
    "fraglimit": 0,
    "cg_thirdPerson": 1,
    "cg_draw2D": 0,  # no figures over the picture
    "con_notifytime": 0,
}
FOLLOWING = "following"
"""Written by the game when the camera follows a bot."""


@contextmanager
def running_race(display: str, track: str, kart: str, width: int, height: int) -> Iterator[None]:
    """SuperTuxKart, from when the race runs."""
    with race(display, track, kart, width, height) as game:
        with RaceSource(display, game, width, height) as waiting:
            next(waiting.frames())
        yield


@contextmanager
def match(display: str, arena: str, bot: str, width: int, height: int) -> Iterator[None]:
    """OpenArena with bots alone, from when the camera follows one of them; a player's settings stay untouched."""
    settings = ARENA | {"r_customwidth": width, "r_customheight": height}
    command = [program("openarena"), *(word for name, value in settings.items() for word in ("+set", name, f"{value}"))]
    command += ["+devmap", arena, *(word for name in dict.fromkeys((bot, *BOTS)) for word in ("+addbot", name, "4"))]
    # In pictures: a player can leave the match, and a bot be followed, when each has entered it.
    command += f"+wait 150 +team s +wait 150 +follow {bot} +wait 20 +echo {FOLLOWING}".split()
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        places = {"HOME": home, "DISPLAY": display, "SDL_AUDIODRIVER": "dummy", "LIBGL_ALWAYS_SOFTWARE": "1"}
        with Popen(command, env={**os.environ, **places}, stdout=DEVNULL, stderr=PIPE) as game:
            try:
                said = game.stderr or ()
                line = next((each for each in said if FOLLOWING.encode() in each or b"Can't find map" in each), b"")
                if FOLLOWING.encode() not in line:
                    raise SourceError(f"the game doesn't play: has it a map '{arena}'?")
                Thread(target=deque, args=(said, 0), daemon=True).start()  # or it would wait for a reader
                yield
            finally:
                game.kill()


@dataclass(frozen=True, slots=True)
class Game:
    """One that can be painted."""

    title: str
    """Of its window, which is captured."""
    level: str
    """Where it is played, unless told."""
    hero: str
    """Whom the camera follows, unless told."""
    start: Callable[[str, str, str, int, int], AbstractContextManager[None]]
    """On a display, in a level, following a hero, so wide and high: what runs until it is left."""


class Name(StrEnum):
    """Of a game, as its program is called."""

    SUPERTUXKART = "supertuxkart"
    OPENARENA = "openarena"


GAMES = {
    Name.SUPERTUXKART: Game("SuperTuxKart", "snowmountain", "tux", running_race),
    Name.OPENARENA: Game("ioquake3", "aggressor", "sarge", match),
}


def paint(display: str, title: str, out: Path, seconds: float, options: list[str]) -> list[dict[str, Any]]:
    """Run ``allaprima live`` on the window for a while; its lines of JSON, one a second, without the last."""
    command = [sys.executable, "-m", "allaprima", "live", "--from", f"screen:{title}", "--to", str(out), "--overwrite"]
    command += ["--json", *options]
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
    game: Annotated[Name, typer.Option(help="What is played.")] = Name.SUPERTUXKART,
    style: Annotated[str, typer.Option(help="A style's name or file.")] = "great-wave",
    level: Annotated[str | None, typer.Option(help="A track of SuperTuxKart, or a map of OpenArena.")] = None,
    hero: Annotated[str | None, typer.Option(help="The kart or bot that the camera follows.")] = None,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    width: Annotated[int, typer.Option(min=160)] = 640,
    height: Annotated[int, typer.Option(min=120)] = 360,
    fps: Annotated[float | None, typer.Option(help="A goal for the painter; 30 if left out.")] = None,
    latency: Annotated[str | None, typer.Option(help="Another one, as 150ms.")] = None,
) -> None:
    """Start a game, paint its window live into a video, and say how that went."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the game ends, too
    options = ["--style", style, *(["--fps", f"{fps:g}"] if fps else []), *(["--latency", latency] if latency else [])]
    try:
        played = GAMES[game]
        level, hero = level or played.level, hero or played.hero
        with screen(width, height) as display, played.start(display, level, hero, width, height):
            lines = paint(display, played.title, out, seconds, options)
    except AllaprimaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(f"{out}: {summary(lines)}")


if __name__ == "__main__":
    typer.run(main)
