"""The goals of speed, each beside what is measured here: reached or not.

    python benchmarks/goals.py --peers PEERS [--style NAME|FILE] [--clip CLIP] [--json FILE] [--docs PAGE.md]

PEERS holds ``fast_neural_style-NAME.onnx``; ``NAME.int8.onnx`` beside the style is measured too. Whole commands run on
clips that are made of CLIP, the built-in scene unless told, by scaling it and playing it forth and back. Nothing else
should run meanwhile: on two idle cores it takes some thirteen minutes. The section of the page stands between
``<!-- goals -->`` and ``<!-- end of goals -->``; without these marks it becomes the page's end.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from adapters import LiteStyles, StyleFile, published_nets
from end_to_end import START_FRAMES, Job, Usage, read_pictures, take_turns, write_clip
from goals_page import section
from net_alone import against
from peers import SIZE, publish, say, write

from allaprima.engine import Placement
from allaprima.errors import UsageError
from allaprima.frame import Frame
from allaprima.measure.machine import describe_machine
from allaprima.measure.speed.bench import Bench, Plan, placements
from allaprima.measure.speed.timing import Clocks, ratio, run_in_turn, summarize
from allaprima.painter import Painter
from allaprima.source import open_source
from allaprima.style import Style, bundled_styles
from allaprima.stylizer import Stylizer, scale

_HD, _FULL_HD, _UHD = (720, 1280), (1080, 1920), (2160, 3840)
"""(height, width)."""
_WORK_SIZE = 720
"""Of the size ladder, so that the net paints as much of 4K as of 720p."""
_ULTRAFAST = ("--preset", "ultrafast")
_FREE = (
    ("--work-size", "540"),
    ("--work-size", "540", "--paint-every", "auto"),
    ("--work-size", "360"),
    ("--work-size", "360", "--paint-every", "auto"),
)
"""What is tried at 1920×1080, where work size and frames to paint are free."""
_LADDER_FRAMES = 6
"""Pictures that the ladder's ends paint, forth and back."""


def jobs_for(style: Style, clip: Path | str, folder: Path, frames: int) -> dict[str, Job]:
    """Every command that is timed, by group and options; makes their clips in a folder.

    The groups are ``fastest`` (720×540, by placement), ``defaults`` and ``lite`` (the same clip), ``free`` (1920×1080),
    ``720p`` and ``4k``, which are shorter.
    """
    own = StyleFile(name=style.name, about="", stride=style.card.stride, against=False, style=style)
    jobs: dict[str, Job] = {}
    pictures = read_pictures(clip)

    def add(group: str, size: tuple[int, int], count: int, *choices: Sequence[str]) -> None:
        name = f"{size[1]}x{size[0]}"
        paths = {}
        for length in (START_FRAMES, count):
            paths[length] = folder / f"{name}-{length}.mp4"
            if not paths[length].exists():
                say(f"a clip of {length} frames, {name}")
                write_clip(paths[length], pictures, size[::-1], length)
        for options in choices:
            peer = LiteStyles() if group == "lite" else replace(own, options=tuple(options))
            title = " ".join([group, *options])
            jobs[title] = Job(peer, paths[count], paths[START_FRAMES], count, size)

    ran = [(*_ULTRAFAST, "--coherence", "0", *placed(each)) for each in placements(style, None, None)]
    add("fastest", SIZE, frames, *ran)
    add("defaults", SIZE, frames, ())
    add("lite", SIZE, frames, ())
    add("free", _FULL_HD, frames, *((*_ULTRAFAST, *free) for free in _FREE))
    few = max(START_FRAMES, frames // 6)
    add("720p", _HD, few, _ULTRAFAST)
    add("4k", _UHD, few, (*_ULTRAFAST, "--work-size", str(_WORK_SIZE)))
    return jobs


def placed(placement: Placement) -> tuple[str, ...]:
    """The options that ask for a placement."""
    return "--engine", placement.engine, "--precision", placement.precision


def row_of(title: str, job: Job, usages: Sequence[Usage]) -> dict[str, Any]:
    """A command's figures, medians of the rounds: seconds, frames a second with the start, CPU and memory.

    ``cpu_s`` are seconds of all cores together, the start among them, and ``core_ms`` the same by frame.
    """
    walls = np.array([usage.wall for usage in usages])
    cpu = float(np.median(np.array([usage.cpu for usage in usages], float)))
    low, high = np.percentile(walls, (25, 75))
    command = job.peer.video_command(Path("clip.mp4"), Path("out.mp4"), job.size) or []
    return {
        "group": title.partition(" ")[0],
        "options": title.partition(" ")[2],
        "command": shlex.join(["python", *(Path(part).name for part in command[1:])]),
        "size": f"{job.size[1]}x{job.size[0]}",
        "frames": job.frames,
        "placement": job.peer.placement(usages[0].output),
        "fps": float(np.median(job.frames / walls)),
        "wall_s": float(np.median(walls)),
        "spread_s": float(high - low),
        "cpu_s": cpu,
        "core_ms": cpu / job.frames * 1e3,
        "peak_mib": float(np.median(np.array([usage.peak_mib for usage in usages], float))),
    }


def pairs_of(usages: Mapping[str, Sequence[Usage]]) -> dict[str, dict[str, float]]:
    """What is compared, round by round: ``lite`` over the defaults, and 4K over 720p.

    ``lite`` with both starts; of the size ladder, ``whole`` from the first frame asked for to the finished file, and
    ``stage`` the stylizer's busy time while decoder and encoder run beside it.
    """
    by_group = {title.partition(" ")[0]: found for title, found in usages.items()}
    pairs = {}
    if "lite" in by_group and "defaults" in by_group:
        walls = ([usage.wall for usage in by_group[name]] for name in ("lite", "defaults"))
        pairs["lite"] = ratio(*walls)
    if "4k" in by_group and "720p" in by_group:
        large, small = ([json.loads(usage.output) for usage in by_group[name]] for name in ("4k", "720p"))
        pairs["whole"] = ratio([run["seconds"] for run in large], [run["seconds"] for run in small])
        pairs["stage"] = ratio([run["stages"]["stylize"] for run in large], [run["stages"]["stylize"] for run in small])
    return pairs


def ladder(style: Style, placement: Placement, clip: Path | str, rounds: int) -> dict[str, float]:
    """The stylizer alone at 4K with a work size, over that at 720p, frame by frame in turn.

    Returns:
        ``ms`` at 4K and ``of_ms`` at 720p (medians), and of the ratios ``median`` and ``spread``.
    """
    with open_source(str(clip)) as source:
        pictures = [frame.pixels for frame in islice(source.frames(), _LADDER_FRAMES)]
    runs = {}
    for name, size, work_size in (("4k", _UHD, _WORK_SIZE), ("720p", _HD, None)):
        painter = Painter(style, engine=placement.engine, precision=placement.precision, device=placement.device)
        stylizer = Stylizer(painter, work_size=work_size)
        frames = [Frame(scale(picture, size[::-1])) for picture in pictures]
        order = cycle([*frames, *frames[-2:0:-1]])
        runs[name] = lambda stylizer=stylizer, order=order: stylizer.stylize(next(order))
    samples, errors = run_in_turn(runs, rounds=rounds, warm_up=2, clocks=Clocks())
    for error in errors.values():
        raise error
    large, small = samples["4k"].wall, samples["720p"].wall
    return {
        "ms": summarize(large)["median_ms"],
        "of_ms": summarize(small)["median_ms"],
        **ratio(large, small),
    }


def command_of(options: argparse.Namespace) -> str:
    """How the section was made, with the names of files alone."""
    given = {"style": Path(options.style).name, "clip": Path(options.clip).name}
    given |= {"frames": options.frames, "rounds": options.rounds}
    return " ".join(
        ["python benchmarks/goals.py --peers PEERS", *(f"--{name} {value}" for name, value in given.items())]
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it; what can't be measured is named under ``failures``."""
    style, rival = Style.open(options.style), published_nets(options.peers)[0]
    failures: list[dict[str, str]] = []
    found: dict[str, Any] = {
        "kind": "goals",
        "machine": describe_machine(),
        "threads": os.cpu_count(),
        "command": command_of(options),
        "style": style.name,
        "clip": Path(options.clip).name,
        "frames": options.frames,
        "rounds": options.rounds,
        "failures": failures,
    }
    if style.quantized() is None:
        failures.append({"name": f"{style.name}, int8", "error": f"there is no {style.name}.int8.onnx beside it"})
    plan = Plan([style], [SIZE[::-1]], rounds=options.rounds * 6)
    bench = Bench(plan, say=lambda what: say(f"bench: {what}")).run()
    failures += bench["failures"]
    found["bench"] = {name: bench[name] for name in ("peaks", "rows")} | {"others_cpu": bench["protocol"]["others_cpu"]}
    fastest = min(bench["rows"], key=lambda row: row["frame"]["median_ms"], default=None)
    if fastest is not None:
        best = Placement(fastest["engine"], fastest["precision"])
        say(f"net alone and size ladder, {best}")
        found["net"] = against(style, best, rival, SIZE, options.rounds * 4)
        found["ladder"] = ladder(style, best, options.clip, options.rounds * 8)
    with tempfile.TemporaryDirectory(prefix="allaprima-") as name:
        jobs = jobs_for(style, options.clip, Path(name), options.frames)
        usages, failed = take_turns(jobs, options.rounds, Path(name) / "cache", say)
    failures += failed
    found["runs"] = [row_of(title, jobs[title], spent) for title, spent in usages.items()]
    found["pairs"] = pairs_of(usages)
    if options.json:
        write(options.json, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Raises:
        UsageError: a folder or file isn't there, or a number makes no sense.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder, see above")
    parser.add_argument("--style", default=bundled_styles()[0].stem, help="a float style, by name or file")
    parser.add_argument("--clip", default="scene", help="what the clips are made of: a video, or scene[:NAME]")
    parser.add_argument("--frames", type=int, default=600, help="at 720x540 and 1080p; a sixth of it at 720p and 4K")
    parser.add_argument("--rounds", type=int, default=2, help="of whole commands")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--render", type=Path, metavar="JSON", help="measure nothing: write the section of this run")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="the page that holds the section")
    options = parser.parse_args(arguments)
    if options.render is None and (options.peers is None or not options.peers.is_dir()):
        raise UsageError("--peers must name a folder")
    for path in (options.render, options.docs):
        if path is not None and not path.is_file():
            raise UsageError(f"no file '{path}'")
    if options.frames < START_FRAMES or options.rounds < 1:
        raise UsageError(f"--frames must be at least {START_FRAMES}, and --rounds at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, and tell what couldn't be measured by the exit code."""
    return publish("goals", arguments, parse, measure, section)


if __name__ == "__main__":
    sys.exit(main())
