"""allaprima beside its peers: quality, steadiness, speed and memory in one run, and the page that shows them.

    python benchmarks/peers.py --data DATA --peers PEERS [--vgg VGG.safetensors] [--json FILE] [--docs PAGE.md]

DATA holds ``clips``, ``content-test``, ``flow`` and ``styles``; PEERS holds ``fast_neural_style-NAME.onnx`` and their
paintings ``style-NAME.jpg``. Nothing else should run meanwhile. The JSON file is written part by part. A shorter run
measures the same figures on less: ``--nets``, ``--pictures``, ``--flicker``, ``--clips``, ``--plain-rivals``,
``--frames`` and ``--rounds``; the page says on how much.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from adapters import UNTOUCHED, Peer, StyleFile, Untouched, all_peers
from document import COMMAND, below, document, failures_of, with_section
from end_to_end import memory, whole
from net_alone import nets_alone

from allaprima.errors import AllaprimaError, UsageError
from allaprima.measure.machine import describe_machine
from allaprima.measure.quality.evaluation import Evaluation, Subject, evaluate
from allaprima.measure.quality.material import FLICKER_PICTURES, Material, load_material
from allaprima.measure.speed.bench import Bench, Plan
from allaprima.stylizer import Stylizer

SIZE = (540, 720)
"""(height, width) of the nets alone and of whole commands."""
BENCH_SIZES = ((256, 256), (512, 512), (720, 540), (1280, 720), (1920, 1080))
"""(width, height), for the plot of time against size."""
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
_PLOTTED_CLIPS = {"bbb-opening": "the camera pans", "sintel-cave": "everything moves"}
_PLACES = ("data", "peers", "vgg", "json", "render", "docs")
"""Options that say where things are, not what is measured."""
_BENCH_ROUNDS = 4
"""Of the bench, for each round of whole commands."""
_STARTED = time.monotonic()


def say(what: str) -> None:
    """Tell of the progress, with the time that has passed."""
    minutes, seconds = divmod(int(time.monotonic() - _STARTED), 60)
    print(f"[{minutes:3d}:{seconds:02d}] {what}", file=sys.stderr, flush=True)


def subject_of(peer: Peer, *, plain_rivals: bool = False) -> Subject:
    """A peer as ``evaluate`` takes it, with a painter of its own for each row, loaded when its turn comes."""
    return Subject(
        peer.name,
        lambda dial: Stylizer(peer.painter(), coherence=dial),
        peer.stride,
        peer.read_painting(),
        peer.why_no_painting,
        peer.against,
        plain=isinstance(peer, Untouched) or (peer.against and plain_rivals),
    )


def thinned(material: Material, options: argparse.Namespace) -> Material:
    """As much of the material as was asked for.

    Raises:
        UsageError: a clip that isn't there.
    """
    missing = sorted(set(options.clips or ()) - set(material.clips))
    if missing:
        raise UsageError(f"no clip '{missing[0]}'; there are: {', '.join(material.clips)}")
    names = list(material.pictures)
    if options.pictures and options.pictures < len(names):
        chosen = np.linspace(0, len(names) - 1, options.pictures).round().astype(int)
        material.pictures = {names[index]: material.pictures[names[index]] for index in chosen}
    if options.clips:
        material.clips = {name: frames for name, frames in material.clips.items() if name in options.clips}
    material.flicker = options.flicker
    return material


def bench(peers: Sequence[Peer], rounds: int) -> dict[str, Any]:
    """Our styles and one published net in all engines and precisions, size by size."""
    files = [peer for peer in peers if isinstance(peer, StyleFile)]
    rivals = [peer.style for peer in files if peer.against][:1]
    styles = [peer.style for peer in files if not peer.against] + rivals
    found = Bench(Plan(styles, BENCH_SIZES, rounds=rounds, stages=True), say=lambda what: say(f"bench: {what}")).run()
    for row in found["rows"]:
        row["against"] = row["style"] in {style.name for style in rivals}
    return found


def draw(found: dict[str, Any], folder: Path) -> list[tuple[str, Path]]:
    """Write the plots of what was measured; title and file of each."""
    from allaprima.measure.report import plots

    figures = {}
    marks = plots.style_marks(found.get("quality"), found.get("bench"))
    if "quality" in found:
        quality = found["quality"]
        # The untouched clip has a line of its own; peers in both rows would hide everything else.
        rows = [row for row in quality["rows"] if not row["against"] or not row["coherence"]]
        few = {**quality, "rows": [row for row in rows if row["name"] != UNTOUCHED]}
        figures["Flicker against style; peers as they are, without coherence"] = "pareto", plots.pareto(few, marks)
        for clip, what in _PLOTTED_CLIPS.items():
            if clip in quality["protocol"]["clips"]:
                title = f"Flicker over time, {clip}: {what}; peers as they are, without coherence"
                figures[title] = f"flicker-{clip}", plots.flicker_series(few, clip, marks)
    if "bench" in found:
        figures["Time against size"] = "time", plots.time_against_size(found["bench"], marks)
        figures["Latency by stage"] = "stages", plots.stages(found["bench"])
        figures["How near to the machine's peak"] = "roofline", plots.roofline(found["bench"], marks)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for title, (name, figure) in figures.items():
        path = folder / f"benchmarks-{name}.svg"
        plots.save_figure(figure, path)
        written.append((title, path))
    return written


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def publish(
    name: str,
    arguments: Sequence[str] | None,
    parse: Callable[[Sequence[str] | None], argparse.Namespace],
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    section: Callable[[dict[str, Any]], str],
) -> int:
    """What scripts do that write one section of a page: measure, or read an earlier run, then print and write it.

    Args:
        name: of the script, and between the marks of its section.
        arguments: of the command line.
        parse: makes options of them, with ``render`` and ``docs``.
        measure: does so, and names what it couldn't under ``failures``.
        section: makes Markdown of it.

    Returns:
        The exit code: 1 where something couldn't be measured.
    """
    try:
        options = parse(arguments)
        found = json.loads(options.render.read_text(encoding="utf-8")) if options.render else measure(options)
        text = section(found)
        print(text)
        if options.docs:
            write(options.docs, with_section(options.docs.read_text(encoding="utf-8"), name, text))
            say(f"wrote {options.docs}")
    except AllaprimaError as error:
        print(f"{name}.py: {error}", file=sys.stderr)
        return error.exit_code
    for failure in found["failures"]:
        say(f"not measured: {failure['name']}: {failure['error']}")
    return 1 if found["failures"] else 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, saved part by part."""
    peers = all_peers(options.data, options.peers, options.also, options.rival, options.nets)
    subjects = [subject_of(peer, plain_rivals=options.plain_rivals) for peer in peers]
    found: dict[str, Any] = {
        "kind": "peers",
        "command": options.command,
        "machine": describe_machine(),
        "peers": [
            {
                "name": peer.name,
                "about": peer.about,
                "against": peer.against,
                "stride": peer.stride,
                "painting": peer.painting.name if peer.painting else None,
                "why_no_painting": peer.why_no_painting,
            }
            for peer in peers
        ],
    }

    def keep(name: str, part: dict[str, Any]) -> None:
        found[name] = part
        if options.json:
            write(options.json, json.dumps(found, indent=1, ensure_ascii=False) + "\n")

    def keep_rows(evaluation: Evaluation) -> None:
        keep("quality", evaluation.to_dict())

    if options.only in (None, "speed"):
        keep("nets", nets_alone(peers, SIZE, options.rounds * 3, say))
        keep("bench", bench(peers, options.rounds * _BENCH_ROUNDS))
    if options.only in (None, "whole"):
        clips = options.data / "clips"
        with tempfile.TemporaryDirectory(prefix="allaprima-") as name:
            size, frames, rounds = SIZE, options.frames, options.rounds
            source = clips / "bbb-opening.mp4"
            keep("whole", whole(peers, source, Path(name), size=size, frames=frames, rounds=rounds, say=say))
            keep("memory", memory(peers, clips / "game-openarena-island.mp4", Path(name), say))
    if options.only in (None, "quality"):
        material = thinned(load_material(options.data), options)

        def on_progress(what: str, done: int, total: int) -> None:
            say(f"quality, {done + 1} of {total}: {what}")

        keep_rows(evaluate(subjects, material, vgg=options.vgg, on_progress=on_progress, on_row=keep_rows))
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Raises:
        UsageError: a folder or file isn't there.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "peers"):
        parser.add_argument(f"--{name}", type=Path, help="folder, see above")
    parser.add_argument("--vgg", help="weights of the loss network; else ALLAPRIMA_VGG, or a download")
    styles = {"type": Path, "nargs": "+", "default": [], "metavar": "FILE"}
    parser.add_argument("--also", help="further styles of allaprima", **styles)
    parser.add_argument("--rival", help="styles trained by allaprima to be compared with, like a ReCoNet", **styles)
    parser.add_argument("--nets", nargs="+", metavar="NAME", help="these published nets only, like mosaic")
    parser.add_argument("--plain-rivals", action="store_true", help="measure rivals without coherence only")
    parser.add_argument("--pictures", type=int, help="paint so many of the photographs, evenly spread")
    parser.add_argument(
        "--flicker", type=int, default=FLICKER_PICTURES, help="pan so many of them, and give them noise"
    )
    parser.add_argument("--clips", nargs="+", metavar="NAME", help="these clips only, like sintel-cave")
    parser.add_argument("--only", choices=["quality", "speed", "whole"])
    parser.add_argument("--frames", type=int, default=600, help="of the clip for whole commands; at least 20")
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="of whole commands; nets alone take three times as many, styles by engine and size four times",
    )
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--render", type=Path, metavar="JSON", help="measure nothing: write the page of an earlier run")
    parser.add_argument("--docs", type=Path, help="the page; a whole run writes docs/benchmarks.md by itself")
    options = parser.parse_args(arguments)
    for name in ("data", "peers") if options.render is None else ():
        folder = getattr(options, name)
        if folder is None or not folder.is_dir():
            raise UsageError(f"--{name} must name a folder")
    if options.render and not options.render.is_file():
        raise UsageError(f"no file '{options.render}'")
    if options.vgg and not Path(options.vgg).is_file():
        raise UsageError(f"no file '{options.vgg}'")
    if options.frames < 20 or options.rounds < 1:
        raise UsageError("--frames must be at least 20, and --rounds at least 1")
    if options.flicker < 1 or (options.pictures is not None and options.pictures < 1):
        raise UsageError("--pictures and --flicker must be at least 1")
    options.command = command(parser, options)
    if options.docs is None and options.only is None:
        options.docs = PAGE
    return options


def command(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The command that measures the same, with names in place of folders."""
    words = [COMMAND]
    for name, value in vars(options).items():
        if name in _PLACES or value == parser.get_default(name):
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [f"--{name.replace('_', '-')}", *(shlex.quote(getattr(each, "name", str(each))) for each in values)]
    return " ".join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, and tell what couldn't be measured by the exit code."""
    try:
        options = parse(arguments)
        found = json.loads(options.render.read_text(encoding="utf-8")) if options.render else measure(options)
        if options.docs:
            images = draw(found, options.docs.parent / "images")
            relative = [(title, path.relative_to(options.docs.parent)) for title, path in images]
            page = document(found, relative)
            before = options.docs.read_text(encoding="utf-8") if options.docs.exists() else ""
            write(options.docs, f"{page.rstrip()}\n\n{below(before)}".rstrip() + "\n")
            say(f"wrote {options.docs}")
        else:
            print(document(found))
    except AllaprimaError as error:
        print(f"peers.py: {error}", file=sys.stderr)
        return error.exit_code
    for failure in failures_of(found):
        say(f"not measured: {failure['name']}: {failure['error']}")
    return 1 if failures_of(found) else 0


if __name__ == "__main__":
    sys.exit(main())
