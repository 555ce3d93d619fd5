"""Record SuperTuxKart, driven by its own AI, to a video file: motion of a game to train on or to paint.

Needs the programs ``Xvfb`` and ``supertuxkart``; no screen, no graphics card, no player. For example,
``python examples/game/record.py snowmountain snowmountain.mp4 --seconds 40``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryDirectory
from typing import Annotated

import av
import av.error
import numpy as np
import typer

from allaprima.errors import AllaprimaError, SourceError, UsageError
from allaprima.frame import Frame, SourceInfo
from allaprima.sink import SinkOptions, open_sink
from allaprima.source import Source

RATE = 20
"""Pictures per second of the game's time. The game's clock advances by 1/20 s a picture at the most: where fewer are
drawn in a second, as a software renderer does, it waits, so that all pictures are 1/20 s apart."""
START, PATIENCE = 60, 180.0
"""Pictures to leave out (20 to 30 of loading, the race's first); seconds without a new one that are an error."""
SILENT = '<stkconfig version="8"><Audio sfx_on="false" music_on="false"/></stkconfig>'
RACE = ("--numkarts=6", "--profile-time=9999", "--race-now", "--windowed", "--seed=7", "--shadows=0")
PLAIN = ("dynamic-lights", "hd-textures", "texture-compression", "mlaa", "motion-blur", "bloom", "ssao")
"""Effects that are switched off: a software renderer would need seconds a picture."""


def program(name: str) -> str:
    """The full path of a program; Debian installs games out of the usual path."""
    if path := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/games"):
        return path
    raise UsageError(f"{name} isn't installed; on Debian: apt-get install {name.lower()}")


@contextmanager
def screen(width: int, height: int) -> Iterator[str]:
    """A screen in memory; yields its name, as ``:1``."""
    ours, its = os.pipe()
    command = [program("Xvfb"), "-displayfd", str(its), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    with Popen(command, pass_fds=[its], stderr=DEVNULL) as server, os.fdopen(ours) as answer:
        os.close(its)
        try:
            if not (number := answer.readline().strip()):
                raise SourceError(f"Xvfb can't make a screen of {width}x{height}; try a smaller one")
            yield f":{number}"
        finally:
            server.terminate()


@contextmanager
def race(display: str, track: str, kart: str, width: int, height: int) -> Iterator[Popen[bytes]]:
    """SuperTuxKart on a track, all karts driven by its AI; a player's settings stay untouched."""
    command = [program("supertuxkart"), f"--track={track}", f"--kart={kart}", f"--screensize={width}x{height}"]
    command += [*RACE, *(f"--disable-{effect}" for effect in PLAIN)]
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        settings = Path(home, "supertuxkart", "config-0.10", "config.xml")
        settings.parent.mkdir(parents=True)
        settings.write_text(SILENT)
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), home)
        drawing = {"DISPLAY": display, "SDL_AUDIODRIVER": "dummy", "LIBGL_ALWAYS_SOFTWARE": "1"}
        with Popen(command, env={**os.environ, **places, **drawing}, stdout=DEVNULL, stderr=DEVNULL) as game:
            try:
                yield game
            finally:
                game.kill()  # It doesn't heed a termination while it loads.


class RaceSource(Source):
    """The pictures that the game draws, each once, 1/20 s of its time apart, from when the race runs; without end."""

    def __init__(self, display: str, game: Popen[bytes], width: int, height: int) -> None:
        self.info = SourceInfo(width, height, Fraction(RATE), Fraction(1, RATE))
        self._game = game
        # Two looks for each picture there can be, so that none is missed.
        options = {"video_size": f"{width}x{height}", "framerate": str(2 * RATE), "draw_mouse": "0"}
        try:
            self._screen = av.open(display, format="x11grab", options=options)
        except (av.error.FFmpegError, ValueError) as error:
            raise SourceError(f"the screen {display} can't be read ({error}); is PyAV built with x11grab?") from error

    def frames(self) -> Iterator[Frame]:
        """Raises: SourceError when the game ended or draws no more."""
        last, changed, count = b"", time.monotonic(), -START
        for picture in self._screen.decode(video=0):
            if self._game.poll() is not None:
                raise SourceError("the game ended; does it have this track and kart?")
            if time.monotonic() - changed > PATIENCE:
                raise SourceError(f"the game drew nothing for {PATIENCE:g} s; try a smaller --width and --height")
            if (now := bytes(picture.planes[0])) == last:
                continue
            last, changed = now, time.monotonic()
            if count >= 0:
                yield Frame(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8), count, 1, self.info.time_base)
            count += 1

    def close(self) -> None:
        """Let go of the screen."""
        self._screen.close()


def main(
    track: Annotated[str, typer.Argument(help="A folder's name in the game's data/tracks.")],
    output: Annotated[Path, typer.Argument(help="Video file, or a folder for pictures.")],
    *,
    seconds: Annotated[float, typer.Option(min=0.1, help="In the game's time.")] = 40.0,
    width: Annotated[int, typer.Option(min=160)] = 1280,
    height: Annotated[int, typer.Option(min=120)] = 720,
    kart: Annotated[str, typer.Option(help="The kart that the camera follows.")] = "tux",
) -> None:
    """Record a race of SuperTuxKart, 20 pictures per second of the game's time, each drawn by the game."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the game ends, too
    times = []
    try:
        with ExitStack() as stack:
            display = stack.enter_context(screen(width, height))
            game = stack.enter_context(race(display, track, kart, width, height))
            source = stack.enter_context(RaceSource(display, game, width, height))
            sink = open_sink(output, source, source.info, SinkOptions(crf=18))
            try:
                for frame in islice(source.frames(), max(round(seconds * RATE), 2)):
                    sink.write(frame)
                    times.append(time.monotonic())
                if (drawn := (len(times) - 1) / (times[-1] - times[0])) > RATE:
                    raise SourceError(f"{drawn:.0f} pictures a second, more than {RATE}; give a larger --width")
            except BaseException:
                sink.abandon()
                raise
            sink.finish()
    except AllaprimaError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(f"{output}: {len(times)} frames, {drawn:.1f} drawn in a second")


if __name__ == "__main__":
    typer.run(main)
