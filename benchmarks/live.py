"""``allaprima live`` beside its goals: pace, latency, style changes, the budget controller, a game, and an hour.

    python benchmarks/live.py --out FILE.json --docs docs/benchmarks.md [--clip CLIP] [--minutes N] [--only PART …]

Needs Xvfb and the extras ``live`` and ``openvino``; for the game also SuperTuxKart. Every figure is told by the stamps
that ``live --json`` prints, run as a process of its own, or by the frames that it writes. Nothing else should run
meanwhile: it takes some ten minutes, and the hour; longer where other machines use the same physical cores, since only
seconds count in which they didn't. FILE.json is written part by part. The section of the page stands between
``<!-- live -->`` and ``<!-- end of live -->``; without these marks it becomes the page's end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from live_page import section
from live_parts import Found, Parts
from peers import publish, say, write
from quiet import Quiet

from allaprima.errors import AllaprimaError, UsageError
from allaprima.measure.machine import describe_machine
from allaprima.style import Style

PARTS = ("camera", "pipeline", "change", "budget", "game", "soak")
_SCREEN = (2560, 1440)


def measure(options: argparse.Namespace) -> Found:
    """All parts that were asked for, saved one by one; what can't be measured is named under ``failures``."""
    from record import screen

    found: Found = {
        "kind": "live",
        "machine": describe_machine(),
        "threads": os.cpu_count(),
        "command": command_of(options),
        "style": Style.open(options.style).name,
        "clip": Path(options.clip).name,
        "others_cpu": psutil.cpu_percent(3.0) / 100,
        "failures": [],
        "parts": {},
    }
    with tempfile.TemporaryDirectory(prefix="allaprima-") as name, screen(*_SCREEN) as display, Quiet() as quiet:
        # A cache of its own: styles that were never used here are to be just that.
        os.environ |= {"DISPLAY": display, "SDL_VIDEODRIVER": "x11", "ALLAPRIMA_CACHE": str(Path(name, "cache"))}
        parts = Parts(options, Path(name), quiet)
        for part in options.parts:
            say(part)
            work: Callable[[], Found] = getattr(parts, part)
            try:
                found["parts"][part] = work()
            except AllaprimaError as error:
                found["failures"].append({"name": part, "error": str(error)})
            if options.out:
                write(options.out, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def command_of(options: argparse.Namespace) -> str:
    """How the section was made, with the names of files alone."""
    given = {"style": Path(options.style).name, "clip": Path(options.clip).name, "seconds": f"{options.seconds:g}"}
    given |= {"minutes": f"{options.minutes:g}", "track": options.track, "game-fps": f"{options.game_fps:g}"}
    some = [] if len(options.parts) == len(PARTS) else ["--only", *options.parts]
    return " ".join(["python benchmarks/live.py", *(f"--{name} {value}" for name, value in given.items()), *some])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Raises:
        UsageError: a file isn't there, or a number makes no sense.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="great-wave", help="by name or file")
    parser.add_argument("--clip", default="scene", help="what the clips are made of: a video, or scene[:NAME]")
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement but the soak; some take twice")
    parser.add_argument("--minutes", type=float, default=60, help="of the soak")
    parser.add_argument("--track", default="snowmountain", help="of the game")
    parser.add_argument("--game-fps", type=float, default=15, help="the goal for painting the game")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=(), metavar="PART", help="leave these out")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write every figure here, part by part")
    parser.add_argument("--render", type=Path, metavar="JSON", help="measure nothing: write the section of this run")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="the page that holds the section")
    options = parser.parse_args(arguments)
    for path in (options.render, options.docs):
        if path is not None and not path.is_file():
            raise UsageError(f"no file '{path}'")
    if options.seconds < 5 or options.minutes < 1 or options.game_fps <= 0:
        raise UsageError("--seconds must be at least 5, --minutes at least 1, and --game-fps above 0")
    options.parts = [part for part in PARTS if part in options.only and part not in options.skip]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, and tell what couldn't be measured by the exit code."""
    return publish("live", arguments, parse, measure, section)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the game ends, too
    sys.exit(main())
