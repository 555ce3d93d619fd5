"""Resident memory of a process that does nothing but paint: one engine, loaded in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ...engine import Placement, load_engine, silent_inputs
from ...errors import EngineError
from ...style import CARD_KEY, Declaration, Style

FRAMES = 3


def resident_mib(style: Style, placement: Placement, size: tuple[int, int], threads: int = 0) -> float:
    """Resident memory of a process that has painted a few frames with one engine, in MiB.

    It holds Python, the libraries and the engine; in a process with other engines, nobody could say whose memory is
    whose.

    Args:
        style: the float style.
        placement: engine, precision, device.
        size: (height, width) in pixels.
        threads: of the engine; 0 takes all cores.

    Raises:
        EngineError: the process failed.
    """
    foreign = all(entry.key != CARD_KEY for entry in style.model.metadata_props)
    task = {
        "style": str(style.path),
        "declared": [style.card.value_range, style.card.stride] if foreign else None,
        "placement": [placement.engine, placement.precision, placement.device],
        "size": list(size),
        "threads": threads,
    }
    command = [sys.executable, "-m", __name__, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise EngineError(f"memory wasn't measured: {said[-1] if said else f'exit code {done.returncode}'}")
    return float(done.stdout) / 2**20


def _paint_and_report(task: str) -> None:
    """What the process does: print its resident bytes after a few frames."""
    import psutil

    asked = json.loads(task)
    style = Style.open(Path(asked["style"]), Declaration(*asked["declared"]) if asked["declared"] else None)
    size = (asked["size"][0], asked["size"][1])
    engine = load_engine(style, Placement(*asked["placement"]), size, asked["threads"])
    feeds = silent_inputs(style, size)
    for _ in range(FRAMES):
        engine.run(feeds)
    sys.stdout.write(f"{psutil.Process().memory_info().rss}\n")


if __name__ == "__main__":
    _paint_and_report(sys.argv[1])
